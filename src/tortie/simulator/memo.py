"""What a table did to a packet, remembered for the next packet that is alike.

Many packets of a capture belong to few connections, and most rules ask for nothing but addresses, ports, devices, the mark
and the connection's state. Where a walk through a table at a hook met only such rules, the mark it left and the rule or
policy that decided follow from these fields; the next packet that has the same ones is spared the walk. Walks that keep
their steps, odd packets (fragments, cut headers, extension headers), and chains with any other match or target are always
walked anew.

Invariant: `alike` returns everything that matches and targets of plain rules look at; what is not in it must not be called
plain. Sets may change from packet to packet; the memory is for one state of all sets.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from tortie.netfilter import match as m
from tortie.netfilter.match import CtState
from tortie.netfilter.target import AuditTarget, Log, MarkTarget, Nflog, Target
from tortie.simulator.context import Context
from tortie.simulator.ipset import SetIndex
from tortie.simulator.match_set import asks_headers_only
from tortie.simulator.skb import Skb
from tortie.simulator.trace import DecidedBy

MOST_REMEMBERED = 65_536
"""Kinds of packets that are remembered for one table at one hook."""
_NAT_STATES = frozenset({CtState.SNAT, CtState.DNAT})


@dataclass(frozen=True, slots=True)
class Passage:
    """How a packet came through a table: the mark it has then, what decided, and whether that dropped it."""

    mark: int
    where: DecidedBy
    dropped: bool


@dataclass(slots=True)
class Memo:
    """Passages of one table at one hook, by what `alike` says of packets."""

    passages: dict[Hashable, Passage] = field(default_factory=dict)
    sets: Mapping[str, SetIndex] | None = None
    """The sets that they hold for."""

    def find(self, key: Hashable, sets: Mapping[str, SetIndex] | None) -> Passage | None:
        """What is remembered of such a packet; nothing once a set has changed."""
        if sets is not self.sets:
            self.passages.clear()
            self.sets = sets
        return self.passages.get(key)

    def keep(self, key: Hashable, passage: Passage) -> None:
        """Remembers a passage."""
        if len(self.passages) >= MOST_REMEMBERED:
            self.passages.clear()
        self.passages[key] = passage


def alike(skb: Skb) -> Hashable | None:
    """What plain rules see of a packet; None for packets of which they see more."""
    packet = skb.packet
    if packet.transport is not None or packet.extensions or packet.fragment_offset or packet.more_fragments:
        return None
    in_iface, out_iface = skb.in_iface, skb.out_iface
    if in_iface is None or out_iface is None or skb.template is not None:
        return None
    # States are few objects, and a number is hashed quicker than an enum.
    return (
        packet.src, packet.dst, packet.proto, packet.sport, packet.dport, packet.tcp_flags, packet.icmp_type,
        packet.icmp_code, in_iface, out_iface, skb.mark, id(skb.ct_state), skb.untracked,
    )  # fmt: skip


def is_plain_match(match: m.Match, context: Context) -> bool:
    """True for a match that looks at nothing but what `alike` names, at the snapshot, and at sets."""
    match match:
        case (
            m.CommentMatch()
            | m.SourceMatch()
            | m.DestinationMatch()
            | m.InInterfaceMatch()
            | m.OutInterfaceMatch()
            | m.ProtocolMatch()
            | m.UdpMatch()
            | m.IcmpMatch()
            | m.Icmp6Match()
            | m.MultiportMatch()
            | m.MarkMatch()
            | m.AddrtypeMatch()
        ):
            return True
        case m.TcpMatch():
            return match.option is None
        case m.StateMatch():
            return not match.states & _NAT_STATES
        case m.ConntrackMatch(states=states) if states is not None:
            return match == m.ConntrackMatch(states=states) and not states.value & _NAT_STATES
        case m.SetMatch():
            return asks_headers_only(match, context)
        case _:
            return False


def is_plain_effect(target: Target | None) -> bool:
    """True for a target without an end of its own that changes at most the mark, by itself alone."""
    return isinstance(target, MarkTarget | Log | Nflog | AuditTarget)
