"""Connection tracking entries as values: two tuples, status bits, mark, zones, TCP state.

A `ConnTuple` identifies one direction. The two keys are what the protocol puts there (spec: netfilter 4.2): ports for
TCP, UDP, UDPLITE, SCTP and DCCP; identifier and type * 256 + code for ICMP queries; the call keys of GRE; else zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from tortie.net.address import IPFamily


class ConnTuple(msgspec.Struct, frozen=True, gc=False):
    """One direction of a connection as its packets carry it on the wire."""

    family: IPFamily
    proto: int
    src: int
    dst: int
    src_key: int = 0
    """Source port, ICMP identifier, or GRE source key."""
    dst_key: int = 0
    """Destination port, ICMP type * 256 + code, or GRE destination key."""


class TcpState(Enum):
    """TCP states of conntrack (spec: netfilter 4.5); LISTEN is printed by the tools where the kernel has SYN_SENT2."""

    NONE = "NONE"
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT = "FIN_WAIT"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    SYN_SENT2 = "SYN_SENT2"

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class ConnEntry:
    """One connection. `zone_original` and `zone_reply` differ only where a rule set one direction's zone."""

    original: ConnTuple
    reply: ConnTuple
    mark: int = 0
    zone_original: int = 0
    zone_reply: int = 0
    seen_reply: bool = False
    assured: bool = False
    confirmed: bool = True
    expected: bool = False
    src_nat: bool = False
    dst_nat: bool = False
    state: str | None = None
    """TCP or SCTP state name as conntrack prints it."""
    timeout_s: int | None = None
    helper: str | None = None
    packets: tuple[int, int] | None = None
    """Packets seen in the original and reply direction, when accounting was on."""
    bytes: tuple[int, int] | None = None
    labels: str | None = None
    use: int | None = None
    id: int | None = None
    offloaded: bool = False
    """Packets of this connection pass by a flow table and see neither rules nor hooks ([OFFLOAD], [HW_OFFLOAD])."""
