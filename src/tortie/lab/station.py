"""Who can talk to whom in a laboratory: pods, nodes, hosts outside, and by which addresses they are reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tortie.lab.topology import Probe, Topology
from tortie.lab.up import Attached, pod_namespace
from tortie.net.address import Address
from tortie.net.protocol import TCP


class Kind(Enum):
    """What a station is."""

    POD = "pod"
    NODE = "node"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Station:
    """One that talks: `namespace` is its network namespace in the laboratory, `node` where a pod runs."""

    name: str
    kind: Kind
    namespace: str
    address: Address
    node: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to be reached: an address and port, and the station and port that answer behind them."""

    name: str
    address: Address
    probe: Probe
    behind: Station
    port: int = 0
    """The port behind; differs from the probe's for a service."""
    via: str = ""
    """The node whose address it is, for a service."""


def stations_of(topology: Topology, attached: Iterable[Attached]) -> tuple[Station, ...]:
    """Pods first, then nodes, then hosts."""
    addresses = topology.node_addresses()
    found = []
    for one in attached:
        network = one.networks[0]
        name = f"{one.pod.namespace}/{one.pod.name}"
        address = Address(network.family, network.address)
        found.append(Station(name, Kind.POD, pod_namespace(one.pod), address, one.pod.node))
    for node in topology.nodes:
        found.append(Station(node.name, Kind.NODE, node.name, addresses[node.name], node.name, node.network))
    for host in topology.hosts:
        found.append(Station(host.name, Kind.HOST, host.name, host.address, "", host.network))
    return tuple(found)


def targets_of(topology: Topology, stations: Iterable[Station]) -> Iterator[Target]:
    """Every station by every probe, floating addresses likewise, and services at every node."""
    by_name = {station.name: station for station in stations}
    for station in by_name.values():
        for probe in topology.probes:
            yield Target(station.name, station.address, probe, station, probe.port)
    for pod in topology.all_pods:
        if pod.floating_address is not None:
            station = by_name[f"{pod.namespace}/{pod.name}"]
            for probe in topology.probes:
                yield Target(f"{station.name} ({pod.floating_address})", pod.floating_address, probe, station, probe.port)
    for service in topology.services:
        behind = by_name[f"{service.namespace}/{service.pod}"]
        for node in topology.nodes:
            name = f"{service.name}@{node.name}"
            probe = Probe(TCP, service.node_port)
            yield Target(name, by_name[node.name].address, probe, behind, service.port, node.name)
