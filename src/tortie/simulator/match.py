"""Every match read twice: compiled into a closure that answers for a packet, and explained for people.

`compile_match` is called once for each rule and may be slow; the closure it gives is made for exactly that match and is
what a walk spends its time in. `explain_match` tells why a packet failed, and on what value; it changes nothing. The
meaning of each match is in the module of its kind (`match_header`, `match_l4`, `match_l3`, …).
"""

from __future__ import annotations

from tortie.netfilter import match as m
from tortie.simulator import match_header as header
from tortie.simulator import match_l3 as l3
from tortie.simulator import match_l4 as l4
from tortie.simulator import match_tracking as tracking
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds, always, doubtful
from tortie.simulator.match_set import compile_set, explain_set
from tortie.simulator.skb import Skb


def compile_match(match: m.Match, context: Context) -> Holds:
    """The match as a function of the packet; a match that remembers things changes the session when it is asked."""
    match match:
        case m.CommentMatch():
            return always
        case m.SourceMatch():
            return header.compile_source(match)
        case m.DestinationMatch():
            return header.compile_destination(match)
        case m.InInterfaceMatch():
            return header.compile_in_interface(match)
        case m.OutInterfaceMatch():
            return header.compile_out_interface(match)
        case m.ProtocolMatch():
            return header.compile_protocol(match, context)
        case m.FragmentMatch():
            return header.compile_fragment(match)
        case m.TcpMatch():
            return l4.compile_tcp(match, context)
        case m.UdpMatch():
            return l4.compile_udp(match, context)
        case m.IcmpMatch() | m.Icmp6Match():
            return l4.compile_icmp(match)
        case m.MultiportMatch():
            return l4.compile_multiport(match)
        case m.MarkMatch():
            return tracking.compile_mark(match)
        case m.ConnmarkMatch():
            return tracking.compile_connmark(match)
        case m.StateMatch():
            return tracking.compile_state(match)
        case m.ConntrackMatch():
            return tracking.compile_conntrack(match)
        case m.SetMatch():
            return compile_set(match, context)
        case m.LengthMatch():
            return l3.compile_length(match)
        case m.TtlMatch() | m.HlMatch():
            return l3.compile_hop_limit(match)
        case m.TosMatch():
            return l3.compile_tos(match)
        case m.DscpMatch():
            return l3.compile_dscp(match)
        case m.EcnMatch():
            return l3.compile_ecn(match)
        case m.IprangeMatch():
            return l3.compile_iprange(match)
        case m.MacMatch():
            return l3.compile_mac(match, context)
        case m.PkttypeMatch():
            return l3.compile_pkttype(match)
        case m.PhysdevMatch():
            return l3.compile_physdev(match)
        case m.DevgroupMatch():
            return l3.compile_devgroup(match, context)
        case m.OpaqueMatch():
            return doubtful(f"-m {match.name} {match.text}".rstrip() + " matches, which Tortie cannot read")
        case _:
            return doubtful(f"{type(match).__name__} matches")


def is_stateful(match: m.Match) -> bool:
    """True for matches that remember something when they are asked, so that asking out of turn would change an answer."""
    return isinstance(match, m.SetMatch)


def explain_match(match: m.Match, skb: Skb, context: Context, *, holds: bool) -> str:
    """Why a packet missed, in plain words and with the value that decided; for a hit only what is worth knowing."""
    if isinstance(match, m.SetMatch):
        return explain_set(match, skb, context, holds=holds)
    return "" if holds else _explain_miss(match, skb, context)


def _explain_miss(match: m.Match, skb: Skb, context: Context) -> str:
    packet = skb.packet
    match match:
        case m.SourceMatch(net, inverted):
            return header.explain_address("source", packet.src, net, inverted=inverted)
        case m.DestinationMatch(net, inverted):
            return header.explain_address("destination", packet.dst, net, inverted=inverted)
        case m.InInterfaceMatch(name, inverted):
            return header.explain_interface("input", skb.in_iface, name, inverted=inverted)
        case m.OutInterfaceMatch(name, inverted):
            return header.explain_interface("output", skb.out_iface, name, inverted=inverted)
        case m.ProtocolMatch():
            return header.explain_protocol(match, packet)
        case m.FragmentMatch():
            return header.explain_fragment(match, packet)
        case m.TcpMatch():
            return l4.explain_tcp(match, packet)
        case m.UdpMatch():
            return l4.explain_udp(match, packet)
        case m.IcmpMatch() | m.Icmp6Match():
            return l4.explain_icmp(match, packet)
        case m.MultiportMatch():
            return l4.explain_multiport(match, packet)
        case m.MarkMatch(value, mask, inverted):
            return tracking.explain_mark("mark", skb.mark, value, mask, inverted=inverted)
        case m.ConnmarkMatch():
            return tracking.explain_connmark(match, skb)
        case m.StateMatch(states, inverted):
            return tracking.explain_state(states, skb, inverted=inverted)
        case m.ConntrackMatch():
            return tracking.explain_conntrack(match, skb)
        case m.LengthMatch():
            return l3.explain_length(match, packet)
        case m.TtlMatch() | m.HlMatch():
            return l3.explain_hop_limit(match, packet)
        case m.TosMatch():
            return l3.explain_tos(match, packet)
        case m.DscpMatch():
            return l3.explain_dscp(match, packet)
        case m.EcnMatch():
            return l3.explain_ecn(match, packet)
        case m.IprangeMatch():
            return l3.explain_iprange(match, packet)
        case m.MacMatch():
            return l3.explain_mac(match, skb, context)
        case m.PkttypeMatch():
            return l3.explain_pkttype(match, skb)
        case m.PhysdevMatch():
            return l3.explain_physdev(match, skb)
        case m.DevgroupMatch():
            return l3.explain_devgroup(match, skb, context)
        case _:
            return ""
