"""What each protocol does to a connection's state, as tables.

Source: the matrix observed on the kernel (spec: netfilter 4.3 to 4.5), which follows nf_conntrack_proto_tcp.c and
nf_conntrack_proto_icmp.c.
"""

from __future__ import annotations

from enum import Enum

from tortie.net.protocol import SCTP, TCP, UDP, UDPLITE
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.match import Direction


class TcpKind(Enum):
    """What conntrack sees in a segment's flags, once the combination is found valid."""

    SYN = "SYN"
    SYN_ACK = "SYN+ACK"
    FIN = "FIN+ACK"
    ACK = "ACK"
    RST = "RST"

    __hash__ = object.__hash__


class TcpMove(Enum):
    """Moves that are not simply a new state."""

    INVALID = "invalid"
    SAME = "same"
    """The segment is let by, the connection stays as it is."""
    NEW_CONNECTION = "new connection"
    """A SYN after the end: a new connection if the old one is over for good, else let by."""


_I, _K, _N = TcpMove.INVALID, TcpMove.SAME, TcpMove.NEW_CONNECTION
_S = TcpState
_COLUMNS = (
    _S.SYN_SENT, _S.SYN_RECV, _S.ESTABLISHED, _S.FIN_WAIT, _S.CLOSE_WAIT, _S.LAST_ACK, _S.TIME_WAIT, _S.CLOSE,
    _S.SYN_SENT2,
)  # fmt: skip

_ORIGINAL: dict[TcpKind, tuple[TcpState | TcpMove, ...]] = {
    TcpKind.SYN: (_S.SYN_SENT, _K, _K, _K, _K, _K, _N, _N, _S.SYN_SENT2),
    TcpKind.SYN_ACK: (_I, _S.SYN_RECV, _I, _I, _I, _I, _I, _I, _S.SYN_RECV),
    TcpKind.FIN: (_I, _S.FIN_WAIT, _S.FIN_WAIT, _S.LAST_ACK, _S.LAST_ACK, _S.LAST_ACK, _S.TIME_WAIT, _S.CLOSE, _I),
    TcpKind.ACK: (
        _I, _S.ESTABLISHED, _S.ESTABLISHED, _S.CLOSE_WAIT, _S.CLOSE_WAIT, _S.TIME_WAIT, _S.TIME_WAIT, _S.CLOSE, _I,
    ),
    TcpKind.RST: (_S.CLOSE,) * 9,
}  # fmt: skip
_REPLY: dict[TcpKind, tuple[TcpState | TcpMove, ...]] = {
    TcpKind.SYN: (_S.SYN_SENT2, _I, _I, _I, _I, _I, _N, _I, _S.SYN_SENT2),
    TcpKind.SYN_ACK: (_S.SYN_RECV, _K, _K, _K, _K, _K, _K, _K, _S.SYN_RECV),
    TcpKind.FIN: (_I, _S.FIN_WAIT, _S.FIN_WAIT, _S.LAST_ACK, _S.LAST_ACK, _S.LAST_ACK, _S.TIME_WAIT, _S.CLOSE, _I),
    TcpKind.ACK: (
        _K, _S.SYN_RECV, _S.ESTABLISHED, _S.CLOSE_WAIT, _S.CLOSE_WAIT, _S.TIME_WAIT, _S.TIME_WAIT, _S.CLOSE, _K,
    ),
    TcpKind.RST: (_S.CLOSE,) * 9,
}  # fmt: skip

TCP_MOVES: dict[tuple[Direction, TcpKind, TcpState], TcpState | TcpMove] = {
    (direction, kind, column): cell
    for direction, rows in ((Direction.ORIGINAL, _ORIGINAL), (Direction.REPLY, _REPLY))
    for kind, row in rows.items()
    for column, cell in zip(_COLUMNS, row, strict=True)
}
"""Direction, segment and state to the new state, for connections that exist."""

_FIN, _SYN, _RST, _ACK, _URG = 1, 2, 4, 16, 32
_VALID_FLAGS: frozenset[int] = frozenset(
    {_SYN, _SYN | _URG, _SYN | _ACK, _RST, _RST | _ACK, _FIN | _ACK, _FIN | _ACK | _URG, _ACK, _ACK | _URG}
)


def tcp_kind(flags: int) -> TcpKind | None:
    """What conntrack makes of a flag byte, or None for a combination it refuses (spec: netfilter 4.4)."""
    seen = flags & (_FIN | _SYN | _RST | _ACK | _URG)
    if seen not in _VALID_FLAGS:
        return None
    if seen & _RST:
        return TcpKind.RST
    if seen & _SYN:
        return TcpKind.SYN_ACK if seen & _ACK else TcpKind.SYN
    return TcpKind.FIN if seen & _FIN else TcpKind.ACK


KEYED_BY_PORTS: frozenset[int] = frozenset({TCP, UDP, UDPLITE, SCTP})
"""Protocols whose connections are told apart, and translated, by ports; DCCP was one until it left Linux in 6.16."""

ICMP_ERRORS: frozenset[int] = frozenset({3, 4, 5, 11, 12})
ICMPV6_ERRORS: frozenset[int] = frozenset({1, 2, 3, 4})
ICMP_REDIRECT = 5

ICMP_INVERSE: dict[int, int] = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
"""Query and reply types of ICMP that conntrack pairs."""
ICMPV6_INVERSE: dict[int, int] = {128: 129, 129: 128, 139: 140, 140: 139}
ICMP_OPENERS: frozenset[int] = frozenset({8, 13, 15, 17})
ICMPV6_OPENERS: frozenset[int] = frozenset({128, 139})
ICMPV6_UNTRACKED: frozenset[int] = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
"""Neighbour discovery and MLD are never tracked (spec: netfilter 4.3)."""
