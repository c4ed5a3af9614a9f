"""What is known of the frame a packet came in: only its source MAC and type, and only where the caller said so."""

from __future__ import annotations

from tortie.net.node import Link
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.skb import Skb

ETHERNET = "ether"


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


def link_named(links: tuple[Link, ...] | None, name: str) -> Link | None:
    """The link of that name, None when the snapshot does not hold it."""
    return next((link for link in links or () if link.name == name), None)
