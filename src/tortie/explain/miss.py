"""Why a rule of a policy or profile does not hold for a packet: everything it asks that the packet does not have.

The rule is the one that nodes enforce (`model.v1`), and sets hold whom their selectors select in the whole cluster, as on
the node (spec: model 4.5, 6.5). The reference judges this reading (tests/property/test_explain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from tortie.explain.party import Parties, Party
from tortie.model import v1
from tortie.model.scalar import PortRange
from tortie.net.address import Address, Prefix
from tortie.net.packet import Packet
from tortie.net.protocol import parse_protocol
from tortie.selector.evaluate import selects


class End(Enum):
    """An end of a packet, as rules call it."""

    SOURCE = "source"
    DESTINATION = "destination"


class Asked(Enum):
    """What a rule can ask; `value` is the field's name where users write it."""

    FAMILY = "ipVersion"
    PROTOCOL = "protocol"
    NOT_PROTOCOL = "notProtocol"
    ICMP = "icmp"
    NOT_ICMP = "notICMP"
    NETS = "nets"
    NOT_NETS = "notNets"
    SELECTOR = "selector"
    NOT_SELECTOR = "notSelector"
    PORTS = "ports"
    NOT_PORTS = "notPorts"


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing that a rule asks and the packet does not have; `end` is None for what is asked of the whole packet."""

    asked: Asked
    end: End | None = None

    def __str__(self) -> str:
        return self.asked.value if self.end is None else f"{self.end.value} {self.asked.value}"


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a packet: its address, its port if it has one, and everybody who has that address."""

    address: Address
    port: int | None
    parties: tuple[Party, ...]


def sides_of(packet: Packet, parties: Parties) -> dict[End, Side]:
    """Both ends of a packet."""
    found = {}
    for end, value, port in ((End.SOURCE, packet.src, packet.sport), (End.DESTINATION, packet.dst, packet.dport)):
        address = Address(packet.family, value)
        found[end] = Side(address, port if packet.has_ports else None, parties.at(address))
    return found


def misses(rule: v1.Rule, packet: Packet, parties: Parties) -> tuple[Miss, ...]:
    """Everything that keeps a rule from holding for a packet; empty when it holds."""
    return (*_packet_misses(rule, packet), *_end_misses(rule, packet, parties))


def _packet_misses(rule: v1.Rule, packet: Packet) -> Iterator[Miss]:
    if rule.ip_version not in (None, packet.family):
        yield Miss(Asked.FAMILY)
    if rule.protocol is not None and _number(rule.protocol) != packet.proto:
        yield Miss(Asked.PROTOCOL)
    if rule.not_protocol is not None and _number(rule.not_protocol) == packet.proto:
        yield Miss(Asked.NOT_PROTOCOL)
    if rule.icmp is not None and not _is_icmp(rule.icmp, packet):
        yield Miss(Asked.ICMP)
    if rule.not_icmp is not None and _is_icmp(rule.not_icmp, packet):
        yield Miss(Asked.NOT_ICMP)


def _number(protocol: int | str) -> int:
    return protocol if isinstance(protocol, int) else parse_protocol(protocol)


def _is_icmp(wanted: v1.Icmp, packet: Packet) -> bool:
    return packet.is_icmp and packet.icmp_type == wanted.type and wanted.code in (None, packet.icmp_code)


def _end_misses(rule: v1.Rule, packet: Packet, parties: Parties) -> Iterator[Miss]:
    sides = sides_of(packet, parties)
    for end, asked in ((End.SOURCE, rule.source), (End.DESTINATION, rule.destination)):
        side = sides[end]
        if asked.nets and not _lies_in(side.address, asked.nets):
            yield Miss(Asked.NETS, end)
        # Nets of the other family alone make a rule of that family, negated ones too (spec: rules 7.2).
        foreign = bool(asked.not_nets) and all(net.family is not packet.family for net in asked.not_nets)
        if foreign or _lies_in(side.address, asked.not_nets):
            yield Miss(Asked.NOT_NETS, end)
        if asked.selector is not None and not any(selects(asked.selector, party.labels) for party in side.parties):
            yield Miss(Asked.SELECTOR, end)
        if asked.not_selector is not None and any(selects(asked.not_selector, party.labels) for party in side.parties):
            yield Miss(Asked.NOT_SELECTOR, end)
        if (asked.ports or asked.named_ports) and not (
            _has_port(asked.ports, side) or _has_named_port(asked.named_ports, side, packet)
        ):
            # Where the selector is part of the named ports alone, it may be the one that is not met.
            unselected = asked.selector is None and not _any_selected(asked.named_ports, side)
            yield Miss(Asked.SELECTOR if unselected and not asked.ports else Asked.PORTS, end)
        if _has_port(asked.not_ports, side) or _has_named_port(asked.not_named_ports, side, packet):
            yield Miss(Asked.NOT_PORTS, end)


def _lies_in(address: Address, nets: Sequence[Prefix]) -> bool:
    return any(net.family is address.family and net.contains(address.value) for net in nets)


def _has_port(ports: Sequence[PortRange], side: Side) -> bool:
    return side.port is not None and any(port.first <= side.port <= port.last for port in ports)


def _any_selected(ports: Sequence[v1.NamedPort], side: Side) -> bool:
    return any(selects(port.selector, party.labels) for port in ports for party in side.parties)


def _has_named_port(ports: Sequence[v1.NamedPort], side: Side, packet: Packet) -> bool:
    return any(
        found.name == port.name
        and found.protocol == port.protocol
        and found.port == side.port
        and parse_protocol(found.protocol) == packet.proto
        for port in ports
        for party in side.parties
        if selects(port.selector, party.labels)
        for found in party.ports
    )
