"""What connection tracking remembers of a TCP connection beside its state: sequence numbers and the last segment.

The kernel's struct ip_ct_tcp (linux/netfilter/nf_conntrack_tcp.h). Sequence numbers are 32 bits and compared around the
wrap. How a segment changes it is `tcp`'s business.
"""

from __future__ import annotations

from tortie.net.packet import Packet
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import Direction
from tortie.simulator.tracking_table import TcpKind

_FIN, _SYN, _ACK = 1, 2, 16
_WORD = 0xFFFFFFFF
_END_OF_LIST, _NO_OPERATION, _WINDOW_SCALE, _SACK_PERMITTED, _SACK = 0, 1, 3, 4, 5
_MOST_SCALE = 14


def before(first: int, second: int) -> bool:
    """True when one sequence number comes before another."""
    return (first - second) & _WORD >= 0x80000000


def after(first: int, second: int) -> bool:
    """True when one sequence number comes after another."""
    return before(second, first)


def segment_end(packet: Packet) -> int:
    """The sequence number behind a segment; SYN and FIN take one each."""
    flags = packet.tcp_flags
    return (packet.tcp_seq + len(packet.payload) + bool(flags & _SYN) + bool(flags & _FIN)) & _WORD


def _options(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at < len(data) and data[at] != _END_OF_LIST:
        if data[at] == _NO_OPERATION:
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            break
        found.append((data[at], data[at + 2 : at + length]))
        at += length
    return found


class TcpSide:
    """One sender: the end of what it sent, how far it may send, its largest window and acknowledgement."""

    __slots__ = ("end", "liberal", "max_ack", "max_end", "max_window", "sack_permitted", "scale", "window_scale")

    def __init__(self) -> None:
        self.end = 0
        self.max_end = 0
        self.max_window = 0
        """0 when nothing was seen of this side."""
        self.max_ack: int | None = None
        self.scale = 0
        self.window_scale = False
        self.sack_permitted = False
        self.liberal = False

    def copy(self) -> TcpSide:
        """An independent copy."""
        twin = TcpSide()
        for name in TcpSide.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def read_options(self, data: bytes) -> None:
        """Takes window scaling and selective acknowledgement from a SYN (tcp_options)."""
        self.scale, self.window_scale, self.sack_permitted = 0, False, False
        for kind, body in _options(data):
            if kind == _SACK_PERMITTED and not body:
                self.sack_permitted = True
            elif kind == _WINDOW_SCALE and len(body) == 1:
                self.scale, self.window_scale = min(body[0], _MOST_SCALE), True

    def start(self, packet: Packet, end: int, receiver: TcpSide, *, reply: bool) -> None:
        """A SYN of this side (tcp_init_sender): scaling counts only when both sides ask for it."""
        self.end = self.max_end = end
        self.max_window = packet.tcp_window or 1
        self.read_options(packet.tcp_options)
        if reply and not (self.window_scale and receiver.window_scale):
            self.scale = receiver.scale = 0

    def pick_up(self, end: int, window: int) -> None:
        """First sight of this side in the middle of a connection."""
        self.end = end
        self.max_window = (window << self.scale) or 1
        self.max_end = (end + self.max_window) & _WORD

    def last_selective_ack(self, packet: Packet, ack: int) -> int:
        """The highest number that a segment to this side acknowledges, selectively or not (tcp_sack)."""
        if not self.sack_permitted:
            return ack
        for kind, body in _options(packet.tcp_options):
            if kind == _SACK and len(body) >= 8 and len(body) % 8 == 0:
                for at in range(0, len(body), 8):
                    edge = int.from_bytes(body[at + 4 : at + 8], "big")
                    ack = edge if after(edge, ack) else ack
        return ack


class TcpHistory:
    """Both sides and the last segment that was believed or let by."""

    __slots__ = (
        "challenged", "closing", "last_direction", "last_end", "last_kind", "last_options", "last_window", "sides",
        "simultaneous",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sides = (TcpSide(), TcpSide())
        self.last_kind: TcpKind | None = None
        self.last_direction = Direction.ORIGINAL
        self.last_end = 0
        self.last_window = 0
        self.last_options = b""
        self.closing = False
        """A FIN began the end of the connection."""
        self.simultaneous = False
        """Both sides sent a SYN."""
        self.challenged = False
        """An ignored SYN may have made the other side send an ACK that acknowledges no FIN (RFC 5961)."""

    def copy(self) -> TcpHistory:
        """An independent copy."""
        twin = TcpHistory()
        for name in TcpHistory.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.sides = (self.sides[0].copy(), self.sides[1].copy())
        return twin

    def side(self, direction: Direction, *, other: bool = False) -> TcpSide:
        """The sender of a direction, or the other one."""
        return self.sides[(direction is Direction.REPLY) is not other]

    def may_reopen(self, direction: Direction) -> bool:
        """True when a SYN may take the place of a closed connection: after a FIN, or after the sender's own RST."""
        return self.closing or (self.last_kind is TcpKind.RST and self.last_direction is direction)

    def resynchronises(self, direction: Direction, packet: Packet, kind: TcpKind) -> bool:
        """True for the SYN+ACK that answers a SYN which was let by: client and server know better than this node."""
        return (
            kind is TcpKind.SYN_ACK
            and self.last_kind is TcpKind.SYN
            and self.last_direction is not direction
            and packet.tcp_ack == self.last_end
        )

    def resynchronise(self, direction: Direction) -> None:
        """Takes over the numbers of the SYN that was let by; `direction` is that of the SYN+ACK."""
        asking = self.side(direction, other=True)
        asking.end = asking.max_end = self.last_end
        asking.max_window = self.last_window or 1
        asking.read_options(self.last_options)
        fresh = TcpSide()
        self.sides = (asking, fresh) if direction is Direction.REPLY else (fresh, asking)
        self.challenged = False

    def note_ignored(self, direction: Direction, packet: Packet, kind: TcpKind, state: TcpState) -> None:
        """Remembers a segment that is let by without being believed."""
        self.last_kind, self.last_direction, self.last_end = kind, direction, segment_end(packet)
        self.last_window = packet.tcp_window
        if kind is TcpKind.SYN and direction is Direction.ORIGINAL:
            self.last_options = packet.tcp_options
            self.challenged = state is TcpState.LAST_ACK

    def takes_challenge(self, direction: Direction) -> bool:
        """True when an ACK answers an ignored SYN and not a FIN; asked once."""
        if self.challenged and self.last_kind is TcpKind.SYN and self.last_direction is not direction:
            self.challenged = False
            return True
        return False
