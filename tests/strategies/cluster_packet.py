"""Packets that one node of a drawn cluster sees (`cluster_object`), as simulator and reference are told.

Most are the first of a conversation; some are stray, and some come from addresses that are not their sender's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.cluster_node import BEHIND_ETH1, INTERFACES, SERVICE, SERVICE_PORT
from tests.kernel.generate.draw import Draw
from tests.strategies.cluster_object import (
    FAR,
    FLOATING,
    NOBODY,
    OTHER_HOST,
    POD,
    SELF,
    SELF_TOO,
    STRANGERS,
    WORKLOADS,
    Somebody,
)
from tortie.net.address import Address, IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, IPENCAP, SCTP, TCP, UDP
from tortie.reference.flow import LOOPBACK, Flow, Tracking


@dataclass(frozen=True)
class Sent:
    """A packet as the simulator is given it and as the reference is told of it."""

    packet: Packet
    flow: Flow


_SENDERS: tuple[tuple[Somebody, str | None], ...] = (
    *((stranger, stranger.interface) for stranger in STRANGERS),
    *((who, who.interface) for who in (*WORKLOADS.values(), POD, FAR)),
    *((who, who.interface) for who in (*WORKLOADS.values(), FAR)),
    (OTHER_HOST, "eth0"),
    (Somebody("cali1", FLOATING[IPFamily.V4], FLOATING[IPFamily.V6]), "cali1"),
    (STRANGERS[0], "cali1"),
    (WORKLOADS["web"], "cali12"),
    (NOBODY, NOBODY.interface),
    (WORKLOADS["api"], NOBODY.interface),
    (SELF, None),
    (SELF, None),
)
"""Senders and where their packets enter; None is the node itself. Some send from addresses that are not theirs."""
_RECEIVERS: tuple[Somebody, ...] = (
    *WORKLOADS.values(), *WORKLOADS.values(), POD, FAR, SELF, SELF, SELF_TOO, *STRANGERS, OTHER_HOST, NOBODY,
)  # fmt: skip
SERVICE_BACKEND = (WORKLOADS["db"], 2)
"""Whom the service stands for, and at which port."""
VXLAN_PORT = 4789
_PORTS = (1, 1, 1, 2, 2, 2, 3, 4, 5, 6)
"""Ports; the first two are those that endpoints have names for."""
_SYN, _ACK = 2, 16
_SCTP_INIT = b"\x01\0\0\x14\0\0\0\x01\0\0\x10\0\0\x0a\0\x0a\0\0\0\0"
_ICMP_TYPES = {
    IPFamily.V4: ((8, Tracking.NEW), (8, Tracking.NEW), (3, Tracking.INVALID)),
    IPFamily.V6: ((128, Tracking.NEW), (128, Tracking.NEW), (1, Tracking.INVALID), (135, Tracking.UNTRACKED)),
}
"""ICMP and what connection tracking makes of it: errors about nothing, and neighbour discovery, which it passes over."""


def draw_packet(draw: Draw, routes: Mapping[Address, str]) -> Sent | None:
    """A packet that node-1 sees, or None where none can be sent so; `routes` are the interfaces of single addresses."""
    family = draw.one(tuple(IPFamily))
    sender, enters = draw.one(_SENDERS)
    receiver = draw.one(_RECEIVERS)
    source, destination = sender.address(family), receiver.address(family)
    if _looks_foreign(source, enters, routes) and draw.chance(15 / 16):
        return None
    if NOBODY in (sender, receiver) and draw.chance(3 / 4):
        return None
    protocol = draw.one((TCP, TCP, TCP, TCP, UDP, UDP, UDP, SCTP, ICMP if family is IPFamily.V4 else ICMPV6, IPENCAP))
    ports = draw.one(_PORTS), draw.one(_PORTS)
    translated: Address | None = None
    if receiver is SERVICE_BACKEND[0] and protocol == TCP and draw.chance(1 / 3):
        destination, translated, ports = SERVICE[family], destination, (ports[0], SERVICE_PORT)
    elif receiver is WORKLOADS["web"] and draw.chance(1 / 2):
        destination = parse_address(FLOATING[family])
    leaves = leaves_by(translated or destination, routes)
    if leaves is None and enters is None:
        leaves = LOOPBACK
    if source == destination or leaves == enters:
        return None
    packet, tracking, vni = _packet(
        draw, source, destination, protocol, ports, stray=translated is None and draw.chance(1 / 12)
    )
    flow = Flow(
        source,
        destination,
        protocol,
        source_port=packet.sport,
        destination_port=packet.dport,
        icmp_type=packet.icmp_type,
        icmp_code=packet.icmp_code,
        enters=enters,
        leaves=leaves,
        translated=translated,
        translated_port=None if translated is None else SERVICE_BACKEND[1],
        looks_to_leave=leaves_by(destination, routes) or LOOPBACK if enters is None else None,
        tracking=tracking,
        vni=vni,
    )
    return Sent(packet, flow)


def _looks_foreign(source: Address, enters: str | None, routes: Mapping[Address, str]) -> bool:
    return enters is not None and enters not in INTERFACES and routes.get(source) != enters


def leaves_by(destination: Address, routes: Mapping[Address, str]) -> str | None:
    """Where node-1 sends what is for this address; None when it is its own."""
    if any(destination in addresses for addresses in INTERFACES.values()):
        return None
    if destination in routes:
        return routes[destination]
    behind = any(net.family is destination.family and net.contains(destination.value) for net in BEHIND_ETH1)
    return "eth1" if behind else "eth0"


def _packet(
    draw: Draw, source: Address, destination: Address, protocol: int, ports: tuple[int, int], *, stray: bool
) -> tuple[Packet, Tracking, int | None]:
    """The packet, what connection tracking makes of it when it knows nothing, and the network of a VXLAN packet."""
    family, ends = source.family, (source.family, source.value, destination.value, protocol)
    if protocol == TCP:
        packet = Packet(*ends, sport=ports[0], dport=ports[1], tcp_flags=_SYN | (_ACK if stray else 0))
        return packet, Tracking.INVALID if stray else Tracking.NEW, None
    if protocol == UDP and draw.chance(1 / 8):
        vni = draw.one((4096, 4096, 7))
        payload = b"\x08\0\0\0" + vni.to_bytes(3, "big") + bytes(15)
        return Packet(*ends, sport=ports[0], dport=VXLAN_PORT, payload=payload), Tracking.NEW, vni
    if protocol == UDP:
        return Packet(*ends, sport=ports[0], dport=ports[1]), Tracking.NEW, None
    if protocol == SCTP:
        return Packet(*ends, sport=ports[0], dport=ports[1], payload=_SCTP_INIT), Tracking.NEW, None
    if protocol == IPENCAP:
        return Packet(*ends, transport=bytes(40)), Tracking.NEW, None
    kind, tracking = draw.one(_ICMP_TYPES[family])
    return Packet(*ends, icmp_type=kind, icmp_code=draw.number(0, 1), payload=bytes(60)), tracking, None
