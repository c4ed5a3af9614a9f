"""What the simulator says of a conversation across nodes: each node's walk, from wire to wire, there and back.

A node's snapshot decides at that node; between nodes a packet goes to whoever has the next hop's address on that network.
The router is a node like any other. What pods and hosts outside do is to answer what is for them. The walks of one
conversation share a session at each node, so that an answer meets the connection that the question made. Of a node's
connections that were there before, a packet can meet only such as have its source port somewhere: translation keeps the
port unless such a one is in its way (spec: netfilter 5.4); the others are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from tortie.lab.probe import Outcome
from tortie.lab.station import Kind, Station, Target
from tortie.lab.topology import Topology
from tortie.lab.up import ROUTER
from tortie.net.address import Address, IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, TCP
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.flow import answer_packet, following_packet
from tortie.simulator.session import Session
from tortie.simulator.trace import Disposition, RouteStep, Trace, Verdict, Walk
from tortie.simulator.walk import Arrival, Node, walk

MOST_HOPS = 8
_ECHO = 8
_UNKNOWN_PORT = 50000
"""A source port for tries that never got one."""


class Turn(Enum):
    """Whose turn it is in a conversation."""

    QUESTION = "the first packet"
    ANSWER = "the answer"
    NEXT = "the next packet"


@dataclass(frozen=True, slots=True)
class Hop:
    """A packet at one node: the walk, and the snapshot that it was made through."""

    turn: Turn
    node: str
    walk: Walk
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Prediction:
    """Whether a conversation comes about, None when that is not known; why; and where it ended, or all walks."""

    connects: bool | None
    why: str
    node: str = ""
    trace: Trace | None = None
    hops: tuple[Hop, ...] = ()


@dataclass(slots=True)
class _Journey:
    """A conversation under way: what each node remembers of it, and the walks so far where they are wanted."""

    port: int
    keeps_hops: bool
    sessions: dict[str, Session] = field(default_factory=dict)
    hops: list[Hop] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a packet is: at a node, arriving by an interface (None: the node itself makes it), or at a station."""

    node: str = ""
    interface: str | None = None
    station: Station | None = None


@dataclass(frozen=True, slots=True)
class Predictor:
    """A laboratory's nodes as they are, and who is where."""

    topology: Topology
    nodes: Mapping[str, Node]
    stations: tuple[Station, ...]
    pods: Mapping[tuple[str, str], Station]
    """Node and interface to the pod behind it."""
    router_interfaces: Mapping[str, str] = field(default_factory=dict)
    """Network to the router's interface in it."""
    _connections: dict[str, dict[int, list[ConnEntry]]] = field(default_factory=dict)
    """Node and port to the connections that were there before."""

    def predict(self, station: Station, target: Target, outcome: Outcome, *, with_hops: bool = False) -> Prediction:
        """The conversation of a try that was made; `outcome` tells which source address and port it had."""
        source, port = outcome.source or station.address, outcome.source_port or _UNKNOWN_PORT
        journey = _Journey(port, with_hops)
        found = self._predicted(station, target, _first_packet(source, target, port), journey)
        return replace(found, hops=tuple(journey.hops))

    def _predicted(self, station: Station, target: Target, packet: Packet, journey: _Journey) -> Prediction:
        arrived = self._travel(Turn.QUESTION, packet, self._sent_by(station), journey)
        if isinstance(arrived, Prediction):
            return arrived
        there, received = arrived
        if there != target.behind:
            return Prediction(None, f"it arrives at {there.name}, not at {target.behind.name}")
        answer = answer_packet(received)
        if answer is None:
            return Prediction(None, "nothing answers such a packet")
        back = self._travel(Turn.ANSWER, answer, self._sent_by(there), journey)
        if isinstance(back, Prediction):
            return back
        here, heard = back
        if here != station or (heard.src, heard.dst) != (packet.dst, packet.src):
            return Prediction(False, f"the answer arrives at {here.name} as {heard}")
        again = self._travel(Turn.NEXT, following_packet(packet), self._sent_by(station), journey)
        if isinstance(again, Prediction):
            return again
        return Prediction(True, "both directions get through")

    def _travel(self, turn: Turn, packet: Packet, place: _Place, journey: _Journey) -> tuple[Station, Packet] | Prediction:
        """Follows a packet to the station that gets it, or to where it ends."""
        if place.station is not None:
            place = self._over_network(place.station.network, self._next_hop(place.station, packet))
        for _ in range(MOST_HOPS):
            if place.station is not None:
                return self._received(place.station, packet)
            if not place.node:
                return Prediction(False, "nobody has the next hop's address")
            result = self._walk(turn, packet, place, journey)
            trace = result.trace
            if result.verdict in (Verdict.UNKNOWN, Verdict.MAYBE):
                return Prediction(None, f"not known at {place.node}: {trace.decided_by.text}", place.node, trace)
            if result.verdict is not Verdict.ACCEPT or trace.out is None:
                return Prediction(False, f"{place.node}: {trace.decided_by.text}", place.node, trace)
            packet = trace.out.packet
            if trace.disposition is Disposition.DELIVERED:
                return self._received(self._station(place.node), packet)
            place = self._onwards(place.node, trace)
        return Prediction(False, f"still under way after {MOST_HOPS} nodes", place.node)

    def _walk(self, turn: Turn, packet: Packet, place: _Place, journey: _Journey) -> Walk:
        node = self.nodes[place.node]
        if place.node not in journey.sessions:
            journey.sessions[place.node] = node.session(connections=self._met(place.node, journey.port))
        arrival = Arrival(packet, place.interface)
        found = walk(node, arrival, journey.sessions[place.node], keep_misses=journey.keeps_hops)
        if journey.keeps_hops:
            journey.hops.append(Hop(turn, place.node, found, node.snapshot))
        return found

    def _met(self, name: str, port: int) -> list[ConnEntry]:
        """The connections of before that have a port somewhere."""
        if name not in self._connections:
            by_port = self._connections[name] = {}
            for entry in self.nodes[name].snapshot.connections or ():
                ends = (entry.original, entry.reply)
                for key in {key for end in ends for key in (end.src_key, end.dst_key)}:
                    by_port.setdefault(key, []).append(entry)
        return self._connections[name].get(port, [])

    def _received(self, station: Station, packet: Packet) -> tuple[Station, Packet] | Prediction:
        if station.kind is not Kind.NODE and packet.dst != station.address.value:
            return Prediction(False, f"{station.name} gets a packet for another address")
        return station, packet

    # --- wires ---

    def _sent_by(self, station: Station) -> _Place:
        match station.kind:
            case Kind.NODE:
                return _Place(station.node)
            case Kind.POD:
                return _Place(station.node, self._pod_interface(station))
            case Kind.HOST:
                return _Place(station=station)

    def _pod_interface(self, station: Station) -> str:
        return next(interface for (_, interface), pod in self.pods.items() if pod == station)

    def _next_hop(self, host: Station, packet: Packet) -> int:
        """Where a host outside sends a packet: its own network, or the router."""
        network = self.topology.networks[host.network]
        return packet.dst if network.subnet.contains(packet.dst) else network.router.value

    def _onwards(self, node: str, trace: Trace) -> _Place:
        assert trace.out is not None
        interface = trace.out.iface
        pod = self.pods.get((node, interface))
        if pod is not None:
            return _Place(station=pod)
        network = self._network_of(node, interface)
        hops = [
            step.decision.next_hop
            for step in trace.steps
            if isinstance(step, RouteStep) and step.decision.iface == interface
        ]
        hop = next((hop for hop in reversed(hops) if hop is not None), trace.out.packet.dst)
        return self._over_network(network, hop)

    def _network_of(self, node: str, interface: str) -> str:
        if node == ROUTER:
            return next(name for name, own in self.router_interfaces.items() if own == interface)
        return self._station(node).network

    def _over_network(self, network: str, hop: int) -> _Place:
        """Who has an address on a network."""
        if self.topology.router is not None and self.topology.networks[network].router.value == hop:
            return _Place(ROUTER, self.router_interfaces[network])
        for station in self.stations:
            if station.network == network and station.address.value == hop:
                return _Place(station.node, "eth0") if station.kind is Kind.NODE else _Place(station=station)
        return _Place()

    def _station(self, node: str) -> Station:
        if node == ROUTER:
            return Station(ROUTER, Kind.NODE, ROUTER, Address(IPFamily.V4, 0), ROUTER)
        return next(one for one in self.stations if one.kind is Kind.NODE and one.node == node)


def _first_packet(source: Address, target: Target, source_port: int) -> Packet:
    protocol = target.probe.protocol
    if protocol == ICMP:
        identifier = source_port << 16
        return Packet(source.family, source.value, target.address.value, protocol, icmp_type=_ECHO, icmp_rest=identifier)
    flags = 2 if protocol == TCP else 0
    return Packet(source.family, source.value, target.address.value, protocol, source_port, target.probe.port, flags)


def interfaces_of_pods(interfaces: Mapping[str, str], stations: Iterator[Station]) -> dict[tuple[str, str], Station]:
    """Node and interface of every pod, from the interfaces by pod."""
    return {(one.node, interfaces[one.name]): one for one in stations if one.kind is Kind.POD}
