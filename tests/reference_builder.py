"""Small clusters and flows in few words, for tests of the reference.

`WORLD` is node-1 with two workloads, web in namespace a at cali1 (10.65.0.2) and db in namespace b at cali2 (10.65.0.3),
and a workload on node-2, far in namespace a (10.65.1.2). Their namespaces' profiles allow everything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tortie.model.read import Resources, parse_resources
from tortie.net.address import Address, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import IPENCAP, TCP, TCP_FLAGS, parse_protocol
from tortie.reference.flow import Flow

INTERFACES: dict[str, tuple[Address, ...]] = {
    "lo": (parse_address("127.0.0.1"),),
    "eth0": (parse_address("10.20.0.1"), parse_address("fd00:20::1")),
    "eth1": (parse_address("10.30.0.1"),),
}


def resource(kind: str, name: str, spec: str = "{}", *, namespace: str = "", labels: str = "{}", more: str = "") -> str:
    """The text of one resource; `spec` and `labels` are YAML in one line."""
    metadata = f"name: {name}, labels: {labels}" if name else f"labels: {labels}"
    space = f", namespace: {namespace}" if namespace else ""
    return f"---\napiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{{metadata}{space}{more}}}\nspec: {spec}\n"


def workload(
    name: str, namespace: str, interface: str, *addresses: str, labels: str = "{}", node: str = "node-1", more: str = ""
) -> str:
    """A workload endpoint with its namespace's profile, unless `more` says otherwise."""
    nets = ", ".join(f"{address}/{128 if ':' in address else 32}" for address in addresses)
    profiles = "" if "profiles:" in more else f", profiles: [kns.{namespace}]"
    spec = (
        f"{{node: {node}, orchestrator: k8s, pod: {name}, endpoint: eth0, interfaceName: {interface}, "
        f"ipNetworks: [{nets}]{profiles}{', ' if more else ''}{more}}}"
    )
    return resource("WorkloadEndpoint", "", spec, namespace=namespace, labels=labels)


def host(name: str, spec: str, labels: str = "{host: eth}") -> str:
    """A host endpoint of node-1."""
    return resource("HostEndpoint", name, f"{{node: node-1, {spec}}}", labels=labels)


def global_policy(name: str, spec: str) -> str:
    """A policy of the whole cluster."""
    return resource("GlobalNetworkPolicy", name, spec)


def policy(name: str, namespace: str, spec: str) -> str:
    """A policy of a namespace."""
    return resource("NetworkPolicy", name, spec, namespace=namespace)


def profile(name: str, labels: str = "{}", rules: str = "ingress: [{action: Allow}], egress: [{action: Allow}]") -> str:
    """A profile that allows everything and hands on labels."""
    return resource("Profile", name, f"{{labelsToApply: {labels}, {rules}}}")


def configuration(spec: str, name: str = "default") -> str:
    """Felix's configuration."""
    return resource("FelixConfiguration", name, spec)


WORLD = (
    workload("web", "a", "cali1", "10.65.0.2", "fd00:65::2", labels="{role: front}")
    + workload(
        "db", "b", "cali2", "10.65.0.3", labels="{role: back}", more="ports: [{name: sql, protocol: TCP, port: 5432}]"
    )
    + workload("far", "a", "cali3", "10.65.1.2", labels="{role: front}", node="node-2")
    + profile("kns.a", "{pcns.team: red}")
    + profile("kns.b", "{pcns.team: blue}")
)


def read(*texts: str) -> Resources:
    """The resources of these texts."""
    return parse_resources([("test.yaml", "".join(texts))])


def flow(words: str, enters: str | None, leaves: str | None, **more: Any) -> Flow:
    """A flow: `flow("tcp 10.0.0.1:1000 > 10.65.0.2:80", "eth0", "cali1")`; ICMP is `icmp A > B 8/0`."""
    name, source, _, destination, *rest = words.split()
    src, sport = _end(source)
    dst, dport = _end(destination)
    kind, _, code = (rest[0] if rest else "0/0").partition("/")
    made = Flow(src, dst, parse_protocol(name), sport, dport, int(kind), int(code or 0), enters=enters, leaves=leaves)
    return replace(made, **more)


def packet_of(told: Flow) -> Packet:
    """The first packet of a conversation that a flow tells of."""
    return Packet(
        told.family,
        told.source.value,
        told.destination.value,
        told.protocol,
        sport=told.source_port,
        dport=told.destination_port,
        tcp_flags=TCP_FLAGS["SYN"] if told.protocol == TCP else 0,
        icmp_type=told.icmp_type,
        icmp_code=told.icmp_code,
        payload=b"" if told.vni is None else b"\x08\0\0\0" + told.vni.to_bytes(3, "big") + bytes(15),
        transport=bytes(40) if told.protocol == IPENCAP else None,
    )


def _end(text: str) -> tuple[Address, int]:
    if text.startswith("["):
        address, _, port = text[1:].partition("]:")
        return parse_address(address), int(port)
    if text.count(":") > 1:
        return parse_address(text), 0
    address, _, port = text.partition(":")
    return parse_address(address), int(port or 0)
