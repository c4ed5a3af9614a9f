"""What policy means for a conversation across nodes: `reference` at each node that it passes, by the plan of the wires.

Neither the kernel nor the simulator is asked: which interfaces a packet takes follows from who is where. What nodes do to
addresses is told as it is declared: services, floating addresses, masquerading towards the world. That only a router with
BGP has a way to pods is told here too, so that what policy allows and the network cannot do is not called a disagreement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tortie.lab.probe import Outcome
from tortie.lab.station import Kind, Station, Target
from tortie.lab.topology import Topology
from tortie.model.pool import IPPool
from tortie.model.read import Resources
from tortie.net.address import Address, Prefix
from tortie.net.protocol import ICMP
from tortie.reference.conversation import decide_conversation
from tortie.reference.decision import Verdict
from tortie.reference.flow import LOOPBACK, Flow

_WIRE = "eth0"
_ECHO = 8
_UNKNOWN_PORT = 50000


@dataclass(frozen=True, slots=True)
class Meaning:
    """Whether policy allows a conversation, None when that cannot be told; and why."""

    allows: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The resources of a laboratory, and where its pods are."""

    topology: Topology
    resources: Resources
    interfaces: Mapping[str, str]
    """The node's end of each pod's interface, by the pod's name."""

    def meaning(self, station: Station, target: Target, outcome: Outcome) -> Meaning:
        """What policy means for a try; `outcome` tells the source address and port that it had."""
        source = outcome.source or station.address
        port = outcome.source_port or _UNKNOWN_PORT
        why = "no node has anything to say"
        if self._is_lost_outside(station, target):
            return Meaning(False, "no router that speaks BGP knows the way to pods")
        for node, flow in self._way(station, target, source, port):
            found = decide_conversation(self.resources, node, flow, interfaces=self._node_interfaces(node))
            said = found.answer or found.first
            if found.verdict is Verdict.UNKNOWN:
                return Meaning(None, f"{node}: {said.decided_by}")
            if found.verdict is not Verdict.ALLOWED:
                return Meaning(False, f"{node}: {said.decided_by}")
            why = f"{node}: {said.decided_by}"
        return Meaning(True, why)

    def _is_lost_outside(self, station: Station, target: Target) -> bool:
        """Whether a router would have to know where pods are, and does not, or there is none."""
        router = self.topology.router
        if router is not None and router.as_number is not None:
            return False
        if target.behind.kind is Kind.POD and not target.via and station.kind is Kind.HOST:
            return True
        if station.kind is not Kind.POD or target.behind.kind is not Kind.HOST:
            return False
        wire = _Wire(station.address, target.address, target.probe.protocol, 0, 0)
        return self._masqueraded(station, wire) == wire

    def _way(self, station: Station, target: Target, source: Address, port: int) -> Iterator[tuple[str, Flow]]:
        """The nodes that a conversation passes, each with the packet as it meets it."""
        behind = target.behind
        wire = _Wire(source, target.address, target.probe.protocol, port, target.probe.port)
        door = target.via or self._floats_at(target)
        if station.node:
            enters = self.interfaces[station.name] if station.kind is Kind.POD else None
            if door == station.node or (not door and behind.node == station.node):
                leaves = self._to(behind, station.node, own=enters is None)
                flow = wire.flow(enters, leaves, self._translation(target))
                # A node has the same way to a floating address as to the pod's own (spec: model 7.1).
                yield station.node, replace(flow, looks_to_leave=leaves) if self._floats_at(target) and not enters else flow
                yield from self._beyond(station.node, target, wire)
                return
            yield station.node, wire.flow(enters, _WIRE)
            wire = self._masqueraded(station, wire)
        if door:
            yield door, wire.flow(_WIRE, self._to(behind, door), self._translation(target))
            yield from self._beyond(door, target, wire)
            return
        if behind.node:
            yield behind.node, wire.flow(_WIRE, self._to(behind, behind.node))

    def _beyond(self, door: str, target: Target, wire: _Wire) -> Iterator[tuple[str, Flow]]:
        """The pod's own node, where a service leads there from another: masqueraded, so that answers come back by it."""
        behind, translation = target.behind, self._translation(target)
        if behind.node == door or translation is None:
            return
        wire = wire.translated(translation).sent_from(self.topology.node_addresses()[door])
        yield behind.node, wire.flow(_WIRE, self._to(behind, behind.node))

    def _to(self, behind: Station, node: str, *, own: bool = False) -> str | None:
        """By which interface a packet leaves a node towards a station; None when it is for the node itself."""
        if behind.node != node:
            return _WIRE
        if behind.kind is Kind.POD:
            return self.interfaces[behind.name]
        return LOOPBACK if own else None

    def _floats_at(self, target: Target) -> str:
        """The node that gives a floating address to its pod: the pod's own."""
        return target.behind.node if target.address != target.behind.address else ""

    def _translation(self, target: Target) -> tuple[Address, int] | None:
        """What a service leads to; floating addresses are found in the resources."""
        return (target.behind.address, target.port) if target.via else None

    def _masqueraded(self, station: Station, wire: _Wire) -> _Wire:
        """The packet as it leaves a pod's node: from the node's own address when it goes out of all pools."""
        own = [pool.spec for pool in self.resources.of(IPPool) if pool.spec.cidr.contains(wire.source.value)]
        pools: list[Prefix] = [pool.spec.cidr for pool in self.resources.of(IPPool)]
        if station.kind is not Kind.POD or not any(pool.nat_outgoing for pool in own):
            return wire
        if any(pool.contains(wire.destination.value) for pool in pools):
            return wire
        return wire.sent_from(self.topology.node_addresses()[station.node])

    def _node_interfaces(self, node: str) -> Mapping[str, tuple[Address, ...]]:
        own = {_WIRE: (self.topology.node_addresses()[node],), LOOPBACK: ()}
        return own | {interface: () for name, interface in self.interfaces.items()}


@dataclass(frozen=True, slots=True)
class _Wire:
    """A packet between nodes."""

    source: Address
    destination: Address
    protocol: int
    source_port: int
    destination_port: int

    def flow(self, enters: str | None, leaves: str | None, translation: tuple[Address, int] | None = None) -> Flow:
        """The packet at a node."""
        is_icmp = self.protocol == ICMP
        return Flow(
            source=self.source,
            destination=self.destination,
            protocol=self.protocol,
            source_port=0 if is_icmp else self.source_port,
            destination_port=0 if is_icmp else self.destination_port,
            icmp_type=_ECHO if is_icmp else 0,
            enters=enters,
            leaves=leaves,
            translated=translation[0] if translation else None,
            translated_port=translation[1] if translation else None,
        )

    def sent_from(self, source: Address) -> _Wire:
        """The same from another source."""
        return _Wire(source, self.destination, self.protocol, self.source_port, self.destination_port)

    def translated(self, translation: tuple[Address, int]) -> _Wire:
        """The same to where it was translated to."""
        return _Wire(self.source, translation[0], self.protocol, self.source_port, translation[1])
