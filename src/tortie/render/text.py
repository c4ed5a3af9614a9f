"""Felix's words beside what they mean: criteria and actions as pairs of rule text and netfilter value.

A rule's hash runs over Felix's own words in Felix's order (spec: rules 1), which say more and less than the IR: `-p 17`
and `-p udp` are one match with two hashes, `0/0x10000` and `0x0/0x10000` one mark, and iptables-save prints a third
spelling in its own order. So neither text can be made from the other's value. Each builder here writes both side by side,
a `Criterion` or an `Action`; `rule` puts them together into a `FelixRule`, which has the words to hash and the matches in
iptables' order but no tracking comment yet, because that depends on the chain (`hash`). Nothing else makes rule text, and
nothing is ever loaded from the words: what is loaded is `codec`'s text of the IR. Tests read every text back with `codec`
and with the kernel, and compare.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tortie.calc.view import IcmpTest, PortRange, Protocol
from tortie.net.address import Address, AddressMask, IPFamily, Prefix, format_address
from tortie.net.protocol import parse_protocol
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
    Test,
    U32Match,
    U32Test,
)
from tortie.netfilter.rule import Rule, canonical_rule
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

LONGEST_LOG_PREFIX = 29
"""Bytes that xt_LOG keeps of a prefix; iptables cuts the rest without a word (linux/netfilter/xt_LOG.h, checked)."""

_HEADER = (SourceMatch, DestinationMatch, InInterfaceMatch, OutInterfaceMatch, ProtocolMatch)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One match fragment; `match` is None for a test that every packet of the family passes."""

    text: str
    match: Match | None


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule does: the action fragment and the target."""

    text: str
    target: Target


@dataclass(frozen=True, slots=True)
class FelixRule:
    """A rule of a chain but for its tracking comment, which stands between `header` and `matches`."""

    words: str
    """User comment, criteria and action, joined: what follows `HASH` in the hashed text."""
    header: tuple[Match, ...]
    """Tests that iptables keeps in the rule's header, in iptables-save's order."""
    matches: tuple[Match, ...]
    """The user comment and the other tests, in Felix's order."""
    target: Target


def rule(action: Action, *criteria: Criterion, comment: str = "") -> FelixRule:
    """A rule: its comment, its criteria in Felix's order, its action."""
    words = [f'-m comment --comment "{comment}"'] if comment else []
    words += [criterion.text for criterion in criteria]
    words.append(action.text)
    tests = [criterion.match for criterion in criteria if criterion.match is not None]
    header: tuple[Match, ...] = tuple(match for match in tests if isinstance(match, _HEADER))
    if len(header) > 1:
        header = canonical_rule(Rule(header)).matches
    rest = [match for match in tests if not isinstance(match, _HEADER)]
    remark = [CommentMatch(comment)] if comment else []
    return FelixRule(" ".join(words), header, (*remark, *rest), action.target)


# --- criteria (spec: rules 1.2) ----------------------------------------------------------------------------------


def mark_clear(mask: int) -> Criterion:
    """All bits of the mask are clear."""
    _need_bits(mask)
    return Criterion(f"-m mark --mark 0/{mask:#x}", MarkMatch(0, mask))


def mark_not_clear(mask: int) -> Criterion:
    """Some bit of the mask is set."""
    _need_bits(mask)
    return Criterion(f"-m mark ! --mark 0/{mask:#x}", MarkMatch(0, mask, inverted=True))


def mark_single_set(bit: int) -> Criterion:
    """The one bit is set; `ValueError` unless it is exactly one."""
    if bit.bit_count() != 1:
        raise ValueError(f"{bit:#x} is not a single bit")
    return Criterion(f"-m mark --mark {bit:#x}/{bit:#x}", MarkMatch(bit, bit))


def mark_is(value: int, mask: int) -> Criterion:
    """The mark under the mask is the value; `ValueError` when the value has bits outside."""
    _need_bits(mask, value)
    return Criterion(f"-m mark --mark {value:#x}/{mask:#x}", MarkMatch(value, mask))


def mark_is_not(value: int, mask: int) -> Criterion:
    """The mark under the mask is not the value; `ValueError` when the value has bits outside."""
    _need_bits(mask, value)
    return Criterion(f"-m mark ! --mark {value:#x}/{mask:#x}", MarkMatch(value, mask, inverted=True))


def _need_bits(mask: int, value: int = 0) -> None:
    if not mask or value & ~mask:
        raise ValueError(f"mark {value:#x} cannot be tested under mask {mask:#x}")


def in_interface(name: str) -> Criterion:
    """The packet came in by this interface; a trailing `+` makes it a prefix."""
    return Criterion(f"--in-interface {name}", InInterfaceMatch(name))


def out_interface(name: str) -> Criterion:
    """The packet leaves by this interface; a trailing `+` makes it a prefix."""
    return Criterion(f"--out-interface {name}", OutInterfaceMatch(name))


RPFILTER_FAILED = Criterion("-m rpfilter --invert", RpfilterMatch(inverted=True))
"""The way back to the packet's source does not lead through the interface it came in by."""
SOURCE_LOCAL = Criterion("-m addrtype --src-type LOCAL", AddrtypeMatch(source=Test(("LOCAL",))))
"""The source is an address of this node."""
SOURCE_NOT_LOCAL_OUT = Criterion(
    "-m addrtype ! --src-type LOCAL --limit-iface-out",
    AddrtypeMatch(source=Test(("LOCAL",), inverted=True), limit_iface_out=True),
)
"""The source is no address of the interface that the packet leaves by."""
DESTINATION_LOCAL = Criterion("-m addrtype --dst-type LOCAL", AddrtypeMatch(destination=Test(("LOCAL",))))
"""The destination is an address of this node."""


def ct_state(*states: CtState) -> Criterion:
    """The connection is in one of these states, which are written in the order given."""
    words = ",".join(state.value for state in states)
    return Criterion(f"-m conntrack --ctstate {words}", ConntrackMatch(states=Test(frozenset(states))))


CT_ESTABLISHED = ct_state(CtState.RELATED, CtState.ESTABLISHED)
CT_INVALID = ct_state(CtState.INVALID)


def protocol(name: Protocol, *, inverted: bool = False) -> Criterion:
    """The protocol, spelt as given; numbers are cut to eight bits."""
    word = str(name & 255) if isinstance(name, int) else name
    text = f"! -p {word}" if inverted else f"-p {word}"
    return Criterion(text, ProtocolMatch(parse_protocol(word), inverted))


@lru_cache(maxsize=65536)
def net(side: Side, prefix: Prefix, *, inverted: bool = False) -> Criterion:
    """The source or destination lies in a network; `0.0.0.0/0` and `::/0` test nothing and are not stored."""
    return _address(side, f"{go_address(prefix.family, prefix.address)}/{prefix.length}", prefix, inverted)


def host(side: Side, address: Address) -> Criterion:
    """The source or destination is one address, written without a mask."""
    return _address(side, go_address(address.family, address.value), _host_prefix(address), False)


def _host_prefix(address: Address) -> Prefix:
    return Prefix(address.family, address.value, address.family.bits)


def _address(side: Side, word: str, prefix: Prefix, inverted: bool) -> Criterion:
    option, kind = ("--source", SourceMatch) if side is Side.SRC else ("--destination", DestinationMatch)
    text = f"! {option} {word}" if inverted else f"{option} {word}"
    if prefix.length == 0 and not inverted:
        return Criterion(text, None)
    return Criterion(text, kind(AddressMask(prefix.family, prefix.address, prefix.mask), inverted))


def go_address(family: IPFamily, value: int) -> str:
    """An address as Go prints it: like `format_address`, but hexadecimal throughout where glibc ends in dotted decimals."""
    if family is IPFamily.V4 or value >> 32 == 0xFFFF:
        return format_address(IPFamily.V4, value & 0xFFFFFFFF)
    return ipaddress.IPv6Address(value).compressed


def in_set(name: str, *sides: Side, inverted: bool = False) -> Criterion:
    """The packet's source or destination (twice: address and port) is in a set."""
    words = ",".join(side.value for side in sides)
    negation = "! " if inverted else ""
    return Criterion(f"-m set {negation}--match-set {name} {words}", SetMatch(name, sides, inverted))


def ports(side: Side, ranges: Sequence[PortRange], *, inverted: bool = False) -> Criterion:
    """The source or destination port is in one of at most seven ranges (fifteen slots)."""
    option, kind = (
        ("--source-ports", PortSide.SOURCE) if side is Side.SRC else ("--destination-ports", PortSide.DESTINATION)
    )
    words = ",".join(str(r.first) if r.first == r.last else f"{r.first}:{r.last}" for r in ranges)
    negation = "! " if inverted else ""
    return Criterion(
        f"-m multiport {negation}{option} {words}",
        MultiportMatch(kind, tuple(IntRange(r.first, r.last) for r in ranges), inverted),
    )


def icmp(family: IPFamily, test: IcmpTest, *, inverted: bool = False) -> Criterion:
    """The ICMP or ICMPv6 type, and the code if one is given; both are cut to eight bits."""
    kind = test.type & 255
    code = None if test.code is None else test.code & 255
    word = f"{kind}" if code is None else f"{kind}/{code}"
    codes = IntRange(0, 255) if code is None else IntRange(code, code)
    negation = "! " if inverted else ""
    if family is IPFamily.V4:
        return Criterion(f"-m icmp {negation}--icmp-type {word}", IcmpMatch(kind, codes, inverted))
    return Criterion(f"-m icmp6 {negation}--icmpv6-type {word}", Icmp6Match(kind, codes, inverted))


def vxlan_vni(vni: int) -> Criterion:
    """A UDP packet's payload is VXLAN of this network: 12 bytes behind the IP header, the upper 24 bits."""
    steps = ((">>", 22), ("&", 0x3C), ("@", 12), (">>", 8))
    return Criterion(f'-m u32 --u32 "0>>22&0x3C@12>>8={vni:#x}"', U32Match((U32Test(0, steps, (IntRange(vni, vni),)),)))


# --- actions (spec: rules 1.3) -----------------------------------------------------------------------------------

RETURN = Action("--jump RETURN", Return())
DROP = Action("--jump DROP", Drop())
ACCEPT = Action("--jump ACCEPT", Accept())
NOTRACK = Action("--jump NOTRACK", Notrack())


def jump(chain: str) -> Action:
    """Goes through another chain and comes back."""
    return Action(f"--jump {chain}", Jump(chain))


def goto(chain: str) -> Action:
    """Goes through another chain and does not come back."""
    return Action(f"--goto {chain}", Goto(chain))


def log(prefix: str) -> Action:
    """Logs with a prefix, to which a colon and a space are added; the kernel keeps what fits (`LONGEST_LOG_PREFIX`)."""
    kept = f"{prefix}: ".encode()[:LONGEST_LOG_PREFIX].decode(errors="ignore")
    return Action(f'--jump LOG --log-prefix "{prefix}: " --log-level 5', Log(prefix=kept, level=5))


def dnat(address: Address, port: int = 0) -> Action:
    """Sends the packet to an address, and to a port unless that is 0."""
    word = go_address(address.family, address.value)
    if not port:
        return Action(f"--jump DNAT --to-destination {word}", Dnat(NatRange(address.value, address.value)))
    return Action(f"--jump DNAT --to-destination {word}:{port}", Dnat(NatRange(address.value, address.value, port, port)))


def snat(address: Address, *, random_fully: bool) -> Action:
    """Gives the packet a source address."""
    text = f"--jump SNAT --to-source {go_address(address.family, address.value)}"
    if random_fully:
        text += " --random-fully"
    return Action(text, Snat(NatRange(address.value, address.value), random_fully=random_fully))


def masquerade(*, random_fully: bool, to_ports: PortRange | None = None) -> Action:
    """Gives the packet the address of the interface it leaves by, and a port of a range if one is given."""
    text = "--jump MASQUERADE"
    if to_ports is not None:
        text += f" --to-ports {to_ports.first}-{to_ports.last}"
    if random_fully:
        text += " --random-fully"
    wanted = None if to_ports is None else IntRange(to_ports.first, to_ports.last)
    return Action(text, Masquerade(wanted, random_fully=random_fully))


def clear_mark(mask: int) -> Action:
    """Clears the bits of the mask."""
    return Action(f"--jump MARK --set-mark 0/{mask:#x}", MarkTarget(0, mask))


def set_mark(bits: int) -> Action:
    """Sets the bits."""
    return Action(f"--jump MARK --set-mark {bits:#x}/{bits:#x}", MarkTarget(bits, bits))


def set_masked_mark(value: int, mask: int) -> Action:
    """Makes the bits of the mask those of the value; a zero is written `0x0` here, unlike in `clear_mark`."""
    return Action(f"--jump MARK --set-mark {value:#x}/{mask:#x}", MarkTarget(value, mask))
