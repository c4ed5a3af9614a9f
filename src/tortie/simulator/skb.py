"""The packet on its way: what the kernel keeps beside the bytes, mutable, one per walk.

The name is the kernel's (socket buffer). The bytes themselves stay an immutable `Packet` that is replaced when NAT or a
target changes it, so steps of a trace can point at it. Nothing outside `simulator` sees an `Skb`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tortie.net.packet import Packet
from tortie.netfilter.hook import Hook
from tortie.netfilter.match import CtState, Direction
from tortie.netfilter.target import CtTarget
from tortie.simulator.session import Frame

if TYPE_CHECKING:
    from tortie.simulator.connection import Connection
    from tortie.simulator.route import RouteDecision
    from tortie.simulator.session import Session


@dataclass(frozen=True, slots=True)
class Socket:
    """What is known of the sending socket: None where the caller did not say."""

    uid: int | None = None
    gid: int | None = None
    groups: frozenset[int] = frozenset()
    has_file: bool = True
    """False for the kernel's own sockets (ICMP errors): they exist but have no owner (spec: netfilter 7.5)."""


LOOPED_FRAME = "loopback"
"""Frame type of the copy that the node hears of its own multicast or broadcast (PACKET_LOOPBACK)."""


class Skb:
    """One packet in flight; interface names are empty where the hook has no such device."""

    __slots__ = (
        "assumed_state", "balanced", "bound_iface", "bridged", "connection", "ct_direction", "ct_state", "first_iface",
        "forwarded", "frame_type", "hook", "in_iface", "largest_fragment", "local_output", "mac_destination", "mac_source",
        "mark", "out_clues", "out_iface", "packet", "phys_in", "phys_out", "queued", "route", "session", "socket",
        "socket_known", "summed", "template", "untracked", "zone_original", "zone_reply",
    )  # fmt: skip

    def __init__(self, packet: Packet, session: Session, *, in_iface: str | None = "", mark: int = 0) -> None:
        self.packet = packet
        self.session = session
        self.hook = Hook.PREROUTING
        self.in_iface: str | None = in_iface
        """Input device; empty where the hook has none, None when not known."""
        self.out_iface: str | None = ""
        """Output device; empty where the hook has none, None when not known."""
        self.out_clues: tuple[tuple[str, bool], ...] = ()
        """What the walk has settled about an output device that is not known: names as in `-o`, and whether they fit."""
        self.mark = mark
        self.phys_in = ""
        self.phys_out: str | None = ""
        """Bridge ports; empty where there is none, None for an output port that is not known."""
        self.route: RouteDecision | None = None
        """Where the packet goes, once that is decided."""
        self.bridged = False
        self.balanced = False
        """True once IPVS has handled the packet (ipvs_property)."""
        self.forwarded = False
        self.local_output = False
        self.frame_type: str | None = "unicast"
        """Type of the link-layer frame: unicast, broadcast, multicast, or `LOOPED_FRAME`; None when not known."""
        self.mac_source: bytes | None = None
        """Source MAC, None when not known or without an Ethernet header."""
        self.mac_destination: bytes | None = None
        """Destination MAC, likewise."""
        self.bound_iface: str | None = None
        """Device that a local packet's socket is bound to."""
        self.socket: Socket | None = None
        """Sending socket of a local packet."""
        self.socket_known = True
        """False when the packet is local and nothing was said about its socket."""
        self.assumed_state: CtState | None = None
        """State to take instead of looking the packet up, as the caller asked."""
        self.connection: Connection | None = None
        self.ct_direction: Direction = Direction.ORIGINAL
        self.ct_state: CtState | None = None
        """NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED; None while tracking does not run."""
        self.template: CtTarget | None = None
        """What a CT rule asked for the connection this packet may open; only the first such rule counts (xt_CT.c)."""
        self.untracked = False
        self.summed = False
        """Tracking has found the checksum of a packet with IPv4 options right (CHECKSUM_UNNECESSARY)."""
        self.queued = False
        """A queue has just taken the packet inside the nat table."""
        self.largest_fragment = 0
        """Bytes of the longest fragment this packet was put together from; 0 for a packet that came whole."""
        self.first_iface: str | None = ""
        """Device by which the first fragment of a packet put together came in; empty for a packet that came whole."""
        self.zone_original = 0
        self.zone_reply = 0

    @property
    def frame(self) -> Frame:
        """What a packet that is put together keeps of its first fragment."""
        return Frame(self.mark, self.frame_type, self.mac_source, self.mac_destination, self.in_iface)

    @frame.setter
    def frame(self, frame: Frame) -> None:
        self.mark, self.frame_type = frame.mark, frame.frame_type
        self.mac_source, self.mac_destination = frame.mac_source, frame.mac_destination
        self.first_iface = frame.in_iface

    def twin(self) -> Skb:
        """A clone as the kernel makes one: its own marks and devices, the same connection."""
        clone = Skb.__new__(Skb)
        for name in Skb.__slots__:
            setattr(clone, name, getattr(self, name))
        return clone
