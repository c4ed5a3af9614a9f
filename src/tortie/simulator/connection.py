"""A tracked connection while packets run: the mutable twin of `ConnEntry`.

Holds what the kernel's entry holds and the walk needs: both tuples, mark, zones, status bits, TCP state, counters, and
which NAT sides are decided. It is created unconfirmed by a connection's first packet and enters the table when that
packet leaves (spec: netfilter 4.7).
"""

from __future__ import annotations

from tortie.net.protocol import PORT_PROTOCOLS, TCP
from tortie.netfilter.conntrack import ConnEntry, ConnTuple, TcpState
from tortie.simulator.tcp_history import TcpHistory


class Connection:
    """One connection; `*_done` say that the NAT side is decided, `*_nat` that it really changed something."""

    __slots__ = (
        "assured", "bytes", "confirmed", "dst_done", "dst_nat", "expected", "expires_s", "from_snapshot", "helper",
        "identity", "labels", "mark", "masquerade_iface", "offloaded", "original", "packets", "reply", "seen_reply",
        "src_done", "src_nat", "state_name", "tcp", "tcp_state", "zone_original", "zone_reply",
    )  # fmt: skip

    def __init__(self, original: ConnTuple, reply: ConnTuple, *, zone_original: int = 0, zone_reply: int = 0) -> None:
        self.original = original
        self.reply = reply
        self.zone_original = zone_original
        self.zone_reply = zone_reply
        self.mark = 0
        self.seen_reply = False
        self.assured = False
        self.confirmed = False
        self.expected = False
        self.src_nat = False
        self.dst_nat = False
        self.src_done = False
        self.dst_done = False
        self.tcp_state = TcpState.NONE
        self.tcp: TcpHistory | None = None
        """Sequence numbers of a TCP connection; None when they are not known."""
        self.state_name: str | None = None
        """State of a protocol that is not TCP (SCTP, DCCP), as printed."""
        self.helper: str | None = None
        self.expires_s: int | None = None
        self.packets = [0, 0]
        self.bytes = [0, 0]
        self.labels: str | None = None
        self.masquerade_iface: str | None = None
        self.offloaded = False
        """True when a flow table forwards its packets past the hooks."""
        self.from_snapshot = False
        self.identity: int | None = None

    @classmethod
    def from_entry(cls, entry: ConnEntry) -> Connection:
        """The mutable twin of an entry read from a node; its NAT sides are decided, as every confirmed entry's are."""
        connection = cls(entry.original, entry.reply, zone_original=entry.zone_original, zone_reply=entry.zone_reply)
        connection.mark = entry.mark
        connection.seen_reply = entry.seen_reply
        connection.assured = entry.assured
        connection.confirmed = entry.confirmed
        connection.expected = entry.expected
        connection.src_nat = entry.src_nat or entry.reply.dst != entry.original.src or _key_changed(entry, source=True)
        connection.dst_nat = entry.dst_nat or entry.reply.src != entry.original.dst or _key_changed(entry, source=False)
        connection.src_done = connection.dst_done = True
        if entry.original.proto == TCP and entry.state is not None and entry.state in TcpState.__members__:
            connection.tcp_state = TcpState[entry.state]
        else:
            connection.state_name = entry.state
        connection.helper = entry.helper
        connection.expires_s = entry.timeout_s
        connection.packets = list(entry.packets or (0, 0))
        connection.bytes = list(entry.bytes or (0, 0))
        connection.labels = entry.labels
        connection.identity = entry.id
        connection.offloaded = entry.offloaded
        connection.from_snapshot = True
        return connection

    def copy(self) -> Connection:
        """An independent copy, for a fork of the walk."""
        twin = Connection.__new__(Connection)
        for name in Connection.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.packets = list(self.packets)
        twin.bytes = list(self.bytes)
        twin.tcp = self.tcp.copy() if self.tcp is not None else None
        return twin

    def entry(self) -> ConnEntry:
        """The connection as an immutable value."""
        state = self.tcp_state.value if self.tcp_state is not TcpState.NONE else self.state_name
        return ConnEntry(
            original=self.original,
            reply=self.reply,
            mark=self.mark,
            zone_original=self.zone_original,
            zone_reply=self.zone_reply,
            seen_reply=self.seen_reply,
            assured=self.assured,
            confirmed=self.confirmed,
            expected=self.expected,
            src_nat=self.src_nat,
            dst_nat=self.dst_nat,
            state=state,
            timeout_s=self.expires_s,
            helper=self.helper,
            packets=(self.packets[0], self.packets[1]),
            bytes=(self.bytes[0], self.bytes[1]),
            labels=self.labels,
            id=self.identity,
            offloaded=self.offloaded,
        )


def _key_changed(entry: ConnEntry, *, source: bool) -> bool:
    """True when NAT changed a port; only protocols with ports can tell."""
    if entry.original.proto not in PORT_PROTOCOLS:
        return False
    if source:
        return entry.original.src_key != entry.reply.dst_key
    return entry.original.dst_key != entry.reply.src_key
