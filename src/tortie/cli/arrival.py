"""Where a packet of the command line meets the node: by which device, or as the node's own.

Whatever was not said is worked out from the snapshot and told: the device is the one by which the node would answer the
source, and a packet whose source is one of the node's own addresses is the node's own unless a device was named. Where the
snapshot cannot tell, the answer is an error that says what to add, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tortie.cli.packet_option import AskedPacket, nearest
from tortie.net.address import IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.net.node import Link
from tortie.net.packet import Packet
from tortie.netfilter.match import CtState
from tortie.simulator.route import RouteKind
from tortie.simulator.skb import Socket
from tortie.simulator.walk import Arrival, Node

_LOOPBACK_NETWORK = 0x7F


@dataclass(frozen=True, slots=True)
class PlannedArrival:
    """An arrival, and in words what was worked out for it."""

    arrival: Arrival
    notes: tuple[str, ...] = ()


def plan_arrival(asked: AskedPacket, node: Node) -> PlannedArrival:
    """The arrival of a packet at a node; raises `InvalidInput` when the device is unknown or cannot be told."""
    packet, links = asked.packet, node.snapshot.links
    for name in (asked.in_iface, asked.out_iface):
        check_interface(name, links)
    notes = list(asked.notes)
    if asked.local and asked.in_iface is not None:
        raise InvalidInput("--local and -i exclude each other: the packet is made here, or it arrives")
    in_iface = asked.in_iface
    local = asked.local
    if not local and in_iface is None:
        local = is_own_address(node, packet.family, packet.src)
        if local:
            source = format_address(packet.family, packet.src)
            notes.append(f"{source} is an address of this node, so the node sends this packet (-i if it arrives)")
        else:
            in_iface, note = infer_interface(node, packet)
            notes.append(note)
    if not local and (asked.uid is not None or asked.gid is not None or asked.groups):
        raise InvalidInput("--uid, --gid and --groups are for packets of this node", remedy="add --local")
    if not local and asked.out_iface is not None and node.family(packet.family).router.knows_routes:
        raise InvalidInput("-o is not for a packet that arrives: the snapshot has routes", remedy="leave it out")
    socket = None
    if asked.uid is not None or asked.gid is not None or asked.groups:
        socket = Socket(asked.uid, asked.gid, asked.groups)
    arrival = Arrival(
        packet=packet,
        in_iface=None if local else in_iface,
        mark=asked.mark,
        out_iface=asked.out_iface,
        socket=socket,
        mac_source=asked.mac,
        frame_type=asked.frame_type or usual_frame_type(packet, links),
        state=None if asked.state is None else CtState[asked.state],
    )
    return PlannedArrival(arrival, tuple(notes))


def check_interface(name: str | None, links: tuple[Link, ...] | None) -> None:
    """Raises `InvalidInput`, naming the nearest device, when the snapshot shows that there is no such device."""
    if name is None or links is None or any(link.name == name for link in links):
        return
    names = [link.name for link in links]
    near = nearest(name, names)
    remedy = f"did you mean {near}?" if near is not None else f"there are {_some(names)}"
    raise InvalidInput(f"no interface {name!r} on this node", remedy=remedy)


def is_own_address(node: Node, family: IPFamily, address: int) -> bool:
    """True when the snapshot shows that this is one of the node's addresses, or a loopback one."""
    if address >> 24 == _LOOPBACK_NETWORK if family is IPFamily.V4 else address == 1:
        return True
    return node.family(family).router.is_local(address)


def infer_interface(node: Node, packet: Packet) -> tuple[str, str]:
    """The device by which the node would answer the packet's source, and that in words; raises `InvalidInput`."""
    source = format_address(packet.family, packet.src)
    remedy = "say -i IFACE, or --local when the node sends it"
    if not node.snapshot.routes.get(packet.family):
        raise InvalidInput(f"cannot tell where {source} arrives: the snapshot has no routes", remedy=remedy)
    decisions = node.family(packet.family).router.route_output(packet.src, 0)
    devices = sorted({decision.iface for decision in decisions if decision.kind is RouteKind.UNICAST and decision.iface})
    if not devices:
        raise InvalidInput(f"cannot tell where {source} arrives: {decisions[0].why}", remedy=remedy)
    if len(devices) > 1:
        raise InvalidInput(f"{source} may arrive on {_some(devices)}", remedy="say which with -i")
    return devices[0], f"arrives on {devices[0]}, by which this node would answer {source}"


def usual_frame_type(packet: Packet, links: Iterable[Link] | None) -> str:
    """The frame that usually carries such a destination: multicast, broadcast or unicast."""
    if packet.family is IPFamily.V6:
        return "multicast" if packet.dst >> 120 == 0xFF else "unicast"
    if packet.dst >> 28 == 0xE:
        return "multicast"
    broadcasts = {own.broadcast for link in links or () for own in link.addresses}
    return "broadcast" if packet.dst == 0xFFFFFFFF or packet.dst in broadcasts else "unicast"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
