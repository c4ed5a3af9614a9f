"""What is known of the frame a packet came in: its MACs and type where the caller said so, or where they follow."""

from __future__ import annotations

from tortie.net.node import Link
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.skb import Skb

ETHERNET = "ether"
_BROADCAST = b"\xff" * 6


def frame_source(skb: Skb, snapshot: Snapshot) -> bytes | Doubt | None:
    """The source MAC of the packet's frame; None when it has no Ethernet header (made here, or from a TUN device)."""
    if skb.mac_source is not None:
        return skb.mac_source
    if skb.local_output:
        return None
    link = link_named(snapshot.links, skb.in_iface) if skb.in_iface else None
    if link is not None and link.link_type != ETHERNET:
        return None
    return Doubt(DoubtKind.UNKNOWN, "the source MAC of the frame is the one asked for")


def frame_destination(skb: Skb, snapshot: Snapshot) -> bytes | Doubt | None:
    """The destination MAC of the packet's frame; None when it has no Ethernet header.

    Unless said it is the device's own for a unicast frame that the device takes.
    """
    if skb.mac_destination is not None:
        return skb.mac_destination
    if skb.local_output:
        return None
    link = link_named(snapshot.links, skb.in_iface) if skb.in_iface else None
    if link is not None and link.link_type != ETHERNET:
        return None
    if skb.frame_type == "broadcast":
        return _BROADCAST
    if skb.frame_type == "unicast" and link is not None and link.mac is not None:
        return link.mac
    return Doubt(DoubtKind.UNKNOWN, "the destination MAC of the frame is the one asked for")


def link_named(links: tuple[Link, ...] | None, name: str) -> Link | None:
    """The link of that name, None when the snapshot does not hold it."""
    return next((link for link in links or () if link.name == name), None)
