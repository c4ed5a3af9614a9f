"""From a rule in the kernel back to the words that Felix hashed: candidates, since the kernel forgets some of them.

Felix hashes its own words (`render.text`), and the kernel keeps their meaning. Lost are: the place of addresses, interfaces
and the protocol among the other tests; whether a protocol was a name or a number, a single address had its length, a zero
was written `0` or `0x0`; a net that is everything; what is cut off a long log prefix. The lost places follow Felix's own
orders (spec: rules 7.5, and the static rules of 3 and 8), which are few, so each rule has a handful of candidates; one of
them having the right hash leaves no doubt. A rule with a test or target that Felix 3.7 never writes has none, and neither
has one whose log prefix was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from tortie.calc.view import IcmpTest, PortRange
from tortie.net.address import Address, AddressMask, IPFamily, Prefix
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.netfilter.match import (
    AddrtypeMatch,
    CommentMatch,
    ConntrackMatch,
    CtState,
    DestinationMatch,
    Icmp6Match,
    IcmpMatch,
    InInterfaceMatch,
    IntRange,
    MarkMatch,
    Match,
    MultiportMatch,
    OutInterfaceMatch,
    PortSide,
    ProtocolMatch,
    RpfilterMatch,
    SetMatch,
    Side,
    SourceMatch,
    U32Match,
)
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import (
    Accept,
    Dnat,
    Drop,
    Goto,
    Jump,
    Log,
    MarkTarget,
    Masquerade,
    NatRange,
    Notrack,
    Return,
    Snat,
    Target,
)
from tortie.render import text
from tortie.render.names import TRACKING_COMMENT

_PROTOCOL_NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6", SCTP: "sctp", UDPLITE: "udplite"}
_EVERYTHING = {family: Prefix(family, 0, 0) for family in IPFamily}
_FIRST = 0
_LONGEST_LETTER = 4
"""Bytes of a letter in UTF-8."""


@dataclass(frozen=True, slots=True)
class _Fragment:
    """One test in every spelling it may have had; `rank` is its place in a policy's rule, None when that is not known."""

    spellings: tuple[str, ...]
    rank: int | None = None
    header: bool = False


def felix_words(rule: Rule, family: IPFamily) -> Iterator[str]:
    """Every text that Felix may have hashed for this rule, likely ones first; none for what is not in its words."""
    actions = _actions(rule.target, family)
    fragments = [_fragment(match, family) for match in rule.matches if not _is_tracking(match)]
    if not actions or any(fragment is None for fragment in fragments):
        return
    known = [fragment for fragment in fragments if fragment is not None]
    yield from dict.fromkeys(_texts(known, actions))
    yield from _with_lost_nets(known, actions, family)


def foreign_parts(rule: Rule, family: IPFamily) -> list[str]:
    """Names of the parts of a rule that Felix never writes."""
    found = [type(match).__name__ for match in rule.matches if not _is_tracking(match) and not _fragment(match, family)]
    return [*found, *([] if _actions(rule.target, family) else [type(rule.target).__name__])]


def is_cut(rule: Rule) -> bool:
    """True for a rule whose log prefix may have lost its end in the kernel, and with it Felix's words.

    A letter of several bytes is lost whole, so the rest may be up to three bytes short of what the kernel keeps.
    """
    if not isinstance(rule.target, Log):
        return False
    size = len(rule.target.prefix.encode("utf-8", "surrogateescape"))
    return size >= text.LONGEST_LOG_PREFIX or (
        size > text.LONGEST_LOG_PREFIX - _LONGEST_LETTER and not rule.target.prefix.endswith(": ")
    )


def tracking_hash(rule: Rule) -> str | None:
    """The hash that the rule's first comment of ours shows."""
    for match in rule.matches:
        if _is_tracking(match):
            assert isinstance(match, CommentMatch)
            return match.text.removeprefix(TRACKING_COMMENT)
    return None


def without_hash(rule: Rule) -> Rule:
    """The rule without the comments that track it."""
    return replace(rule, matches=tuple(match for match in rule.matches if not _is_tracking(match)))


def _is_tracking(match: Match) -> bool:
    return isinstance(match, CommentMatch) and match.text.startswith(TRACKING_COMMENT)


# --- orders ------------------------------------------------------------------------------------------------------


def _texts(fragments: Sequence[_Fragment], actions: Sequence[str]) -> Iterator[str]:
    for order in _orders(fragments):
        for spelt in product(*(fragment.spellings for fragment in order), actions):
            yield " ".join(spelt)


def _orders(fragments: Sequence[_Fragment]) -> Iterator[list[_Fragment]]:
    """The places that tests of the rule's header may have had among the others."""
    header = [fragment for fragment in fragments if fragment.header]
    others = [fragment for fragment in fragments if not fragment.header]
    comments = [fragment for fragment in others if fragment.rank == _FIRST]
    others = others[len(comments) :]
    header.sort(key=lambda fragment: _FIRST if fragment.rank is None else fragment.rank)
    yield [*comments, *_by_rank(header, others)]
    if header:
        protocol = [fragment for fragment in header if fragment.rank in (1, 11)]
        rest = [fragment for fragment in header if fragment not in protocol]
        yield [*comments, *protocol, *others, *rest]
        yield [*comments, *others, *protocol, *rest]
        yield [*comments, *header[::-1], *others]


def _by_rank(header: Sequence[_Fragment], others: Sequence[_Fragment]) -> Iterator[_Fragment]:
    """A policy's order: each test of the header in front of the first other test that comes after it."""
    waiting = list(header)
    for fragment in others:
        while waiting and fragment.rank is not None and (waiting[0].rank or 0) < fragment.rank:
            yield waiting.pop(0)
        while waiting and fragment.rank is None and not waiting[0].rank:
            yield waiting.pop(0)
        yield fragment
    yield from waiting


def _with_lost_nets(fragments: Sequence[_Fragment], actions: Sequence[str], family: IPFamily) -> Iterator[str]:
    """The same with nets that test nothing and that the kernel therefore does not keep."""
    everything = _EVERYTHING[family]
    source = _Fragment((text.net(Side.SRC, everything).text,), 2, header=True)
    destination = _Fragment((text.net(Side.DST, everything).text,), 6, header=True)
    ranks = {fragment.rank for fragment in fragments if fragment.header}
    for lost in ([source], [destination], [source, destination]):
        if ranks.isdisjoint(fragment.rank for fragment in lost):
            yield from _texts([*lost, *fragments], actions)


# --- tests -------------------------------------------------------------------------------------------------------


def _fragment(match: Match, family: IPFamily) -> _Fragment | None:
    """A test's spellings and its rank in spec rules 7.5; None for a test that Felix never writes."""
    match match:
        case CommentMatch(remark):
            return _Fragment((f'-m comment --comment "{remark}"',), _FIRST)
        case InInterfaceMatch(name, False):
            return _Fragment((text.in_interface(name).text,), header=True)
        case OutInterfaceMatch(name, False):
            return _Fragment((text.out_interface(name).text,), header=True)
        case ProtocolMatch(number, inverted):
            spelt: list[int | str] = [_PROTOCOL_NAMES[number]] if number in _PROTOCOL_NAMES else []
            texts = tuple(text.protocol(one, inverted=inverted).text for one in [*spelt, number])
            return _Fragment(texts, 11 if inverted else 1, header=True)
        case SourceMatch(net, inverted):
            return _net(Side.SRC, net, inverted, 12 if inverted else 2)
        case DestinationMatch(net, inverted):
            return _net(Side.DST, net, inverted, 16 if inverted else 6)
        case SetMatch():
            return _set(match)
        case MultiportMatch(side, ports, inverted):
            return _ports(side, ports, inverted)
        case IcmpMatch(kind, codes, inverted) | Icmp6Match(kind, codes, inverted):
            return _icmp(kind, codes, inverted, family)
        case MarkMatch():
            return _mark(match)
        case _:
            return _constant(match)


def _net(side: Side, net: AddressMask, inverted: bool, rank: int) -> _Fragment | None:
    length = net.prefix_length
    if length is None:
        return None
    prefix = Prefix(net.family, net.value, length)
    spelt = [text.net(side, prefix, inverted=inverted).text]
    if length == net.family.bits and not inverted:
        spelt.append(text.host(side, Address(net.family, net.value)).text)
    return _Fragment(tuple(spelt), rank, header=True)


def _set(match: SetMatch) -> _Fragment | None:
    if match != SetMatch(match.name, match.sides, match.inverted) or len(set(match.sides)) != 1 or len(match.sides) > 2:
        return None
    rank = (3 if match.sides[0] is Side.SRC else 7) + (2 if len(match.sides) == 2 else 0) + (10 if match.inverted else 0)
    return _Fragment((text.in_set(match.name, *match.sides, inverted=match.inverted).text,), rank)


def _ports(side: PortSide, ports: tuple[IntRange, ...], inverted: bool) -> _Fragment | None:
    sides = {PortSide.SOURCE: Side.SRC, PortSide.DESTINATION: Side.DST}
    if side not in sides:
        return None
    ranges = [PortRange(one.low, one.high) for one in ports if one.low <= one.high]
    rank = (4 if sides[side] is Side.SRC else 8) + (10 if inverted else 0)
    return _Fragment((text.ports(sides[side], ranges, inverted=inverted).text,), rank)


def _icmp(kind: int, codes: IntRange, inverted: bool, family: IPFamily) -> _Fragment | None:
    if codes == IntRange(0, 255):
        code = None
    elif codes.low == codes.high:
        code = codes.low
    else:
        return None
    return _Fragment((text.icmp(family, IcmpTest(kind, code), inverted=inverted).text,), 20 if inverted else 10)


def _mark(match: MarkMatch) -> _Fragment | None:
    if not match.mask or match.value & ~match.mask:
        return None
    if match.value:
        made = text.mark_is_not if match.inverted else text.mark_is
        return _Fragment((made(match.value, match.mask).text,), 21)
    zero = text.mark_not_clear(match.mask) if match.inverted else text.mark_clear(match.mask)
    other = text.mark_is_not(0, match.mask) if match.inverted else text.mark_is(0, match.mask)
    return _Fragment((zero.text, other.text), 21)


def _constant(match: Match) -> _Fragment | None:
    """Tests that Felix writes in a few fixed forms."""
    match match:
        case AddrtypeMatch() | RpfilterMatch():
            given = (text.SOURCE_LOCAL, text.SOURCE_NOT_LOCAL_OUT, text.DESTINATION_LOCAL, text.RPFILTER_FAILED)
            return next((_Fragment((one.text,)) for one in given if one.match == match), None)
        case ConntrackMatch(states=states):
            if states is None or states.inverted or match != ConntrackMatch(states=states):
                return None
            felix_order = (CtState.RELATED, CtState.ESTABLISHED, *CtState)
            given_states = dict.fromkeys(state for state in felix_order if state in states.value)
            return _Fragment((text.ct_state(*given_states).text,))
        case U32Match(tests=(test,)) if len(test.ranges) == 1:
            made = text.vxlan_vni(test.ranges[0].low)
            return _Fragment((made.text,)) if made.match == match else None
        case _:
            return None


# --- actions -----------------------------------------------------------------------------------------------------


def _actions(target: Target | None, family: IPFamily) -> tuple[str, ...]:
    """A target's spellings; none for a target that Felix never writes."""
    match target:
        case Accept():
            return (text.ACCEPT.text,)
        case Drop():
            return (text.DROP.text,)
        case Return():
            return (text.RETURN.text,)
        case Notrack():
            return (text.NOTRACK.text,)
        case Jump(chain):
            return (text.jump(chain).text,)
        case Goto(chain):
            return (text.goto(chain).text,)
        case Log(prefix=prefix, level=5):
            return (text.log(prefix.removesuffix(": ")).text,)
        case MarkTarget(value, mask):
            return _mark_actions(value, mask)
        case Dnat() | Snat() | Masquerade():
            return _translations(target, family)
        case _:
            return ()


def _mark_actions(value: int, mask: int) -> tuple[str, ...]:
    masked = text.set_masked_mark(value, mask).text
    return (text.clear_mark(mask).text, masked) if not value else (masked,)


def _translations(target: Dnat | Snat | Masquerade, family: IPFamily) -> tuple[str, ...]:
    match target:
        case Masquerade(ports=None, random_fully=fully):
            made = text.masquerade(random_fully=fully)
        case Masquerade(ports=IntRange(low, high), random_fully=fully):
            made = text.masquerade(random_fully=fully, to_ports=PortRange(low, high))
        case Dnat(range=NatRange(low=int(address), low_port=port)):
            made = text.dnat(Address(family, address), port or 0)
        case Snat(range=NatRange(low=int(address)), random_fully=fully):
            made = text.snat(Address(family, address), random_fully=fully)
        case _:
            return ()
    return (made.text,) if made.target == target else ()
