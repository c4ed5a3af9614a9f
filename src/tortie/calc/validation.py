"""Values that no node can enforce: they count as not there (spec: model 6.1).

Resources that the model has read pass, whatever Felix makes of them (docs/felix-differences.md); this is about values that
come from somewhere else. Unlike Felix's, this filter lets SCTP and UDPLite have ports, since rules can hold them. Selectors
cannot be wrong here, they are trees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tortie.model import v1
from tortie.model.scalar import PortRange, Protocol

_PROTOCOLS = frozenset(("tcp", "udp", "icmp", "icmpv6", "sctp", "udplite"))
_WITH_PORTS = frozenset(("tcp", "udp", "sctp", "udplite", 6, 17, 132, 136))
"""Those whose ports the kernel can match (netfilter/xt_multiport.c, multiport_check)."""
_PORT_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_INTERFACE = re.compile(r"\*|[a-zA-Z0-9_.-]{1,15}")
_LABEL_KEY = re.compile(r"[a-zA-Z0-9_./-]{1,512}")
_LABEL_VALUE = re.compile(r"[a-zA-Z0-9]?([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?")


def is_enforceable_policy(policy: v1.Policy) -> bool:
    """False when one rule is wrong: the whole policy is then left out."""
    return all(map(_is_good_rule, (*policy.inbound, *policy.outbound)))


def is_enforceable_profile(profile: v1.Profile) -> bool:
    """False when one rule is wrong: the profile then denies everything, and keeps its labels."""
    return all(map(_is_good_rule, (*profile.inbound, *profile.outbound)))


def is_enforceable_workload(workload: v1.Workload) -> bool:
    """False without an interface, or with a port that has no good name, number or protocol."""
    return bool(workload.interface) and all(map(_is_good_port, workload.ports))


def is_enforceable_host_endpoint(endpoint: v1.HostEndpoint) -> bool:
    """False for an interface, a label or a port that is none; no interface at all is looked up by addresses."""
    if endpoint.interface and _INTERFACE.fullmatch(endpoint.interface) is None:
        return False
    return _are_good_labels(endpoint.labels) and all(map(_is_good_port, endpoint.ports))


def is_enforceable_network_set(network_set: v1.NetworkSet) -> bool:
    """False for a label that is none."""
    return _are_good_labels(network_set.labels)


def _is_good_rule(rule: v1.Rule) -> bool:
    if not (_is_good_protocol(rule.protocol) and _is_good_protocol(rule.not_protocol)):
        return False
    if not all(_is_good_icmp(icmp) for icmp in (rule.icmp, rule.not_icmp)):
        return False
    sides = (rule.source, rule.destination)
    ports = [port for side in sides for port in (*side.ports, *side.not_ports)]
    named = any(side.named_ports or side.not_named_ports for side in sides)
    if (ports or named) and rule.protocol not in _WITH_PORTS:
        return False
    return all(_is_good_range(port) for port in ports)


def _is_good_protocol(protocol: Protocol | None) -> bool:
    if isinstance(protocol, int):
        return 0 < protocol <= 255
    return protocol is None or protocol in _PROTOCOLS


def _is_good_icmp(icmp: v1.Icmp | None) -> bool:
    return icmp is None or (0 <= icmp.type <= 254 and (icmp.code is None or 0 <= icmp.code <= 255))


def _is_good_range(port: PortRange) -> bool:
    return 1 <= port.first <= port.last <= 65535


def _is_good_port(port: v1.EndpointPort) -> bool:
    return _PORT_NAME.fullmatch(port.name) is not None and 0 < port.port <= 65535 and port.protocol in ("tcp", "udp")


def _are_good_labels(labels: Mapping[str, str]) -> bool:
    return all(
        _LABEL_KEY.fullmatch(key) is not None and _LABEL_VALUE.fullmatch(value) is not None for key, value in labels.items()
    )
