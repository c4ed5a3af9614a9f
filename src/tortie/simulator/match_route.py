"""Tests that ask the routing tables: addrtype, rpfilter, and those whose answer no snapshot holds (spec: netfilter 7.3).

Sources: net/netfilter/xt_addrtype.c, net/ipv4/netfilter/ipt_rpfilter.c, net/ipv6/netfilter/ip6t_rpfilter.c, xt_policy.c.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.net.address import format_address
from tortie.netfilter.match import AddrtypeMatch, PolicyMatch, RpfilterMatch, Test
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds, doubtful
from tortie.simulator.match_local import lacks_sysctls
from tortie.simulator.skb import LOOPED_FRAME, Skb

_XFRM_SYSCTLS = "net.core.xfrm_"


def compile_addrtype(match: AddrtypeMatch, context: Context) -> Holds:
    """`-m addrtype`."""

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        doubt: Answer = True
        for address, wanted in ((packet.src, match.source), (packet.dst, match.destination)):
            if wanted is None:
                continue
            answer = _has_type(match, address, wanted, skb, context)
            if answer is False:
                return False
            if answer is not True:
                doubt = answer
        return doubt

    return test


def _has_type(match: AddrtypeMatch, address: int, wanted: Test[tuple[str, ...]], skb: Skb, context: Context) -> Answer:
    iface = _limit(match, skb)
    question = (
        f"{format_address(context.family, address)} is {'not ' if wanted.inverted else ''}{' or '.join(wanted.value)}"
    )
    if iface is None and (match.limit_iface_in or match.limit_iface_out):
        return Doubt(DoubtKind.UNKNOWN, f"{question} on an interface that is not known")
    answer = context.router.has_address_type(address, wanted.value, iface=iface or None)
    if isinstance(answer, Doubt):
        return replace(answer, why=f"{question} ({answer.why})")
    return answer is not wanted.inverted


def _limit(match: AddrtypeMatch, skb: Skb) -> str | None:
    if match.limit_iface_in:
        return skb.in_iface
    return skb.out_iface if match.limit_iface_out else None


def explain_addrtype(match: AddrtypeMatch, skb: Skb, context: Context) -> str:
    """Why `-m addrtype` missed."""
    packet = skb.packet
    for address, wanted in ((packet.src, match.source), (packet.dst, match.destination)):
        if wanted is None or _has_type(match, address, wanted, skb, context) is not False:
            continue
        types = context.router.address_type(address, iface=_limit(match, skb) or None)
        seen = "of a type that is not known" if isinstance(types, Doubt) else "+".join(sorted(types)) or "of no type"
        return f"{format_address(context.family, address)} is {seen}" + (
            "" if wanted.inverted else f", not {' or '.join(wanted.value)}"
        )
    return ""


def compile_rpfilter(match: RpfilterMatch, context: Context) -> Holds:
    """`-m rpfilter`: the copy that the node hears of its own packet always passes, as what comes by lo does."""
    inverted = match.inverted

    def test(skb: Skb) -> Answer:
        why = f"the way back to the source {'does not lead' if inverted else 'leads'} out of the input interface"
        if skb.frame_type == LOOPED_FRAME:
            return not inverted
        if skb.in_iface is None:
            return Doubt(DoubtKind.UNKNOWN, why)
        answer = context.router.reverse_path(
            skb.packet, skb.in_iface, skb.mark, loose=match.loose, valid_mark=match.validmark,
            accept_local=match.accept_local,
        )  # fmt: skip
        if isinstance(answer, Doubt):
            return replace(answer, why=f"{why} ({answer.why})")
        return answer is not inverted

    return test


def explain_rpfilter(match: RpfilterMatch, skb: Skb, context: Context) -> str:
    """Why `-m rpfilter` missed."""
    source = format_address(context.family, skb.packet.src)
    if match.loose:
        return f"{source} has {'a' if match.inverted else 'no'} unicast route back"
    return f"the way back to {source} {'leads' if match.inverted else 'does not lead'} out of {skb.in_iface}"


def compile_policy(match: PolicyMatch, context: Context) -> Holds:
    """`-m policy`: a kernel without xfrm has no IPsec; otherwise the snapshot cannot tell."""
    if lacks_sysctls(context.snapshot, _XFRM_SYSCTLS):
        answer = match.policy == "none"
        return lambda _: answer
    return doubtful(f"IPsec policy of the packet is {match.policy} as the rule asks")
