"""Every match read twice: compiled into a closure that answers for a packet, and explained for people.

`compile_match` is called once for each rule and may be slow; the closure it gives is made for exactly that match and is
what a walk spends its time in. `explain_match` tells why a packet failed, and on what value; it changes nothing. The
meaning of each match is in the module of its kind (`match_header`, `match_l4`, `match_l3`, …).
"""

from __future__ import annotations

from typing import assert_never

from tortie.net.address import IPFamily
from tortie.net.protocol import AH
from tortie.net.wire import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING
from tortie.netfilter import match as m
from tortie.simulator import match_bytes as raw
from tortie.simulator import match_connection as connection
from tortie.simulator import match_header as header
from tortie.simulator import match_history as history
from tortie.simulator import match_ipv6 as ipv6
from tortie.simulator import match_l3 as l3
from tortie.simulator import match_l4 as l4
from tortie.simulator import match_local as local
from tortie.simulator import match_route as route
from tortie.simulator import match_tracking as tracking
from tortie.simulator import match_transport as transport
from tortie.simulator.context import Context
from tortie.simulator.match_connlimit import compile_connlimit
from tortie.simulator.match_header import Holds, always, doubtful
from tortie.simulator.match_set import compile_set, explain_set
from tortie.simulator.match_time import compile_time, explain_time
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
        case m.SctpMatch():
            return transport.compile_sctp(match)
        case m.DccpMatch():
            return transport.compile_dccp(match)
        case m.TcpmssMatch():
            return transport.compile_tcpmss(match)
        case m.AhMatch():
            return ipv6.compile_ah6(match) if context.family is IPFamily.V6 else transport.compile_spi(match)
        case m.EspMatch():
            return transport.compile_spi(match)
        case m.IpcompMatch():
            return transport.compile_ipcomp(match)
        case m.FragMatch():
            return ipv6.compile_frag(match)
        case m.OptionsMatch():
            return ipv6.compile_options(match)
        case m.RtMatch():
            return ipv6.compile_rt(match)
        case m.Ipv6headerMatch():
            return ipv6.compile_ipv6header(match)
        case m.MhMatch():
            return ipv6.compile_mh(match)
        case m.Eui64Match():
            return ipv6.compile_eui64(match, context)
        case m.SrhMatch():
            return ipv6.compile_srh(match)
        case m.U32Match():
            return raw.compile_u32(match)
        case m.BpfMatch():
            return raw.compile_bpf(match, context)
        case m.StringMatch():
            return raw.compile_string(match)
        case m.AddrtypeMatch():
            return route.compile_addrtype(match, context)
        case m.RpfilterMatch():
            return route.compile_rpfilter(match, context)
        case m.PolicyMatch():
            return route.compile_policy(match, context)
        case m.RealmMatch():
            return doubtful(f"the route's realm & {match.mask:#x} is {'not ' if match.inverted else ''}{match.value:#x}")
        case m.ConnbytesMatch():
            return connection.compile_connbytes(match, context)
        case m.ConnlabelMatch():
            return connection.compile_connlabel(match)
        case m.ConnlimitMatch():
            return compile_connlimit(match, context)
        case m.HelperMatch():
            return connection.compile_helper(match)
        case m.ClusterMatch():
            return connection.compile_cluster(match)
        case m.OwnerMatch():
            return local.compile_owner(match)
        case m.SocketMatch():
            return local.compile_socket(match)
        case m.CgroupMatch():
            return local.compile_cgroup(match)
        case m.CpuMatch():
            return local.compile_cpu(match)
        case m.OsfMatch():
            return local.compile_osf(match)
        case m.IpvsMatch():
            return local.compile_ipvs(match, context)
        case m.NfacctMatch():
            return doubtful(f"accounting object {match.name} has no quota, or is beyond it")
        case m.RateestMatch():
            return doubtful(f"the estimated rate fits {' '.join(match.words)}")
        case m.LimitMatch():
            return history.compile_limit(match)
        case m.HashlimitMatch():
            return history.compile_hashlimit(match)
        case m.StatisticMatch():
            return history.compile_statistic(match, context)
        case m.QuotaMatch():
            return history.compile_quota(match, context)
        case m.RecentMatch():
            return history.compile_recent(match, context)
        case m.TimeMatch():
            return compile_time(match)
        case m.OpaqueMatch():
            return doubtful(f"-m {match.name} {match.text}".rstrip() + " matches, which Tortie cannot read")
        case _:
            assert_never(match)


def is_stateful(match: m.Match) -> bool:
    """True for matches that remember something when they are asked, so that asking out of turn would change an answer."""
    match match:
        case m.ConnlabelMatch():
            return match.set
        case (
            m.SetMatch()
            | m.ConnlimitMatch()
            | m.ClusterMatch()
            | m.LimitMatch()
            | m.HashlimitMatch()
            | m.StatisticMatch()
            | m.QuotaMatch()
            | m.RecentMatch()
        ):
            return True
        case _:
            return False


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
            return header.explain_protocol(match, packet, context)
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
        case m.SctpMatch():
            return transport.explain_sctp(match, packet)
        case m.DccpMatch():
            return transport.explain_dccp(match, packet)
        case m.TcpmssMatch():
            return transport.explain_tcpmss(match, packet)
        case m.AhMatch() if context.family is IPFamily.V6:
            return ipv6.explain_header(AH, "AH", packet)
        case m.AhMatch() | m.EspMatch() | m.IpcompMatch():
            return transport.explain_spi(match, packet)
        case m.FragMatch():
            return ipv6.explain_header(FRAGMENT, "fragment", packet)
        case m.OptionsMatch():
            hop = match.header == "hbh"
            name = "hop-by-hop options" if hop else "destination options"
            return ipv6.explain_header(HOP_BY_HOP if hop else DESTINATION_OPTIONS, name, packet)
        case m.RtMatch() | m.SrhMatch():
            return ipv6.explain_header(ROUTING, "routing", packet)
        case m.Ipv6headerMatch():
            return ipv6.explain_ipv6header(match, packet)
        case m.MhMatch():
            return "the mobility header is of another type"
        case m.Eui64Match():
            return "the source address is not made of the frame's source MAC"
        case m.U32Match():
            return raw.explain_u32(match, packet)
        case m.BpfMatch():
            return "the BPF program does not take the packet"
        case m.StringMatch():
            return raw.explain_string(match, packet)
        case m.AddrtypeMatch():
            return route.explain_addrtype(match, skb, context)
        case m.RpfilterMatch():
            return route.explain_rpfilter(match, skb, context)
        case m.PolicyMatch():
            return "the kernel has no IPsec"
        case m.ConnbytesMatch():
            return connection.explain_connbytes(match, skb)
        case m.ConnlabelMatch():
            return connection.explain_connlabel(match, skb)
        case m.ConnlimitMatch():
            many = "at most" if match.above is not match.inverted else "more than"
            return f"the rule has counted {many} {match.limit} connections of this address"
        case m.HelperMatch():
            return "no helper expected the connection"
        case m.ClusterMatch():
            return connection.explain_cluster(match, skb)
        case m.OwnerMatch() | m.CgroupMatch():
            return local.explain_owner(skb)
        case m.SocketMatch():
            return "no socket can be open for this packet"
        case m.OsfMatch():
            return "the packet is no SYN"
        case m.IpvsMatch():
            return "IPVS does not handle the packet"
        case m.RecentMatch():
            return history.explain_recent(match, skb, context)
        case m.QuotaMatch():
            return f"the quota of {match.quota} bytes is {'not ' if match.inverted else ''}used up"
        case m.StatisticMatch():
            return "it is not this packet's turn" if match.every is not None else "the chance is nil"
        case m.TimeMatch():
            return explain_time(match, skb)
        case (
            m.CommentMatch()
            | m.RealmMatch()
            | m.CpuMatch()
            | m.NfacctMatch()
            | m.RateestMatch()
            | m.LimitMatch()
            | m.HashlimitMatch()
            | m.SetMatch()
            | m.OpaqueMatch()
        ):
            # Their answer is always yes or a doubt; the set match tells for itself.
            return ""
        case _:
            assert_never(match)
