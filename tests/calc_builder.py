"""Short ways to say what a cluster holds and what a node is told, for tests of the calculation."""

from __future__ import annotations

from typing import Any

from tortie.calc.view import ActiveSet, HostEndpoint, NodeView, PortSet, WorkloadEndpoint
from tortie.model import v1
from tortie.net.address import parse_address, parse_prefix
from tortie.selector.parse import parse_selector

HERE = "here"
"""The node that tests calculate for."""


def workload(name: str, addresses: str = "10.0.0.1", node: str = HERE, *, ports: str = "", **given: Any) -> v1.Workload:
    """A pod `ns/NAME`; `addresses` are apart by blanks, `ports` are `NAME:PROTOCOL:NUMBER`."""
    networks = tuple(parse_prefix(text) for text in addresses.split())
    return v1.Workload(
        node, "k8s", f"ns/{name}", "eth0", f"cali{name}", networks=networks, ports=endpoint_ports(ports), **given
    )


def host_endpoint(name: str, addresses: str = "", node: str = HERE, *, ports: str = "", **given: Any) -> v1.HostEndpoint:
    """A host endpoint of interface eth0."""
    expected = tuple(parse_address(text) for text in addresses.split())
    return v1.HostEndpoint(
        node, name, given.pop("interface", "eth0"), expected_addresses=expected, ports=endpoint_ports(ports), **given
    )


def endpoint_ports(text: str) -> tuple[v1.EndpointPort, ...]:
    """Ports from `NAME:PROTOCOL:NUMBER …`."""
    words = [word.split(":") for word in text.split()]
    return tuple(v1.EndpointPort(name, protocol, int(number)) for name, protocol, number in words)


def network_set(name: str, nets: str, **labels: str) -> v1.NetworkSet:
    """A network set; networks are apart by blanks."""
    return v1.NetworkSet(name, labels, tuple(parse_prefix(text) for text in nets.split()))


def policy(name: str, selector: str = "all()", *rules: v1.Rule, order: float | None = None, **given: Any) -> v1.Policy:
    """A policy for both directions unless told otherwise; the rules are inbound."""
    directions = {"ingress": True, "egress": True} | {key: given.pop(key) for key in ("ingress", "egress") if key in given}
    return v1.Policy(name, "", order, parse_selector(selector), inbound=rules, **directions, **given)


def allow_from(selector: str) -> v1.Rule:
    """Allows what comes from what a selector selects."""
    return v1.Rule("allow", source=v1.RuleSide(selector=parse_selector(selector)))


def allow_to_port(name: str, protocol: str = "tcp", selector: str = "all()") -> v1.Rule:
    """Allows what goes to a named port."""
    port = v1.NamedPort(parse_selector(selector), protocol, name)
    return v1.Rule("allow", protocol=protocol, destination=v1.RuleSide(named_ports=(port,)))


def only_workload(view: NodeView) -> WorkloadEndpoint:
    """The one workload of a view."""
    (found,) = view.workloads
    return found


def only_host_endpoint(view: NodeView) -> HostEndpoint:
    """The one host endpoint of a view."""
    (found,) = view.host_endpoints
    return found


def members(view: NodeView) -> dict[str, list[str]]:
    """The members of every set of a view as text, by the set's id."""
    return {one.id: sorted(map(_member_text, _members(one))) for one in view.ip_sets}


def _members(one: ActiveSet) -> list[Any]:
    return list(one.members)


def _member_text(member: Any) -> str:
    if hasattr(member, "port"):
        return f"{member.address},{member.protocol}:{member.port}"
    return str(member)


def named_port_members(view: NodeView) -> list[str]:
    """The members of all sets of named ports as text."""
    return sorted(text for one in view.ip_sets if isinstance(one, PortSet) for text in members(view)[one.id])
