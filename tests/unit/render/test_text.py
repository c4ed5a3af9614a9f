"""Felix's words beside their meaning: every fragment of spec rules 1.2 and 1.3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tortie.calc.view import IcmpTest, PortRange
from tortie.net.address import AddressMask, IPFamily, parse_address, parse_address_mask, parse_prefix
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
from tortie.render.text import Action, Criterion, rule

V4, V6 = IPFamily.V4, IPFamily.V6
LOCAL = Test(("LOCAL",))
NET, NET6 = parse_prefix("10.0.0.0/8"), parse_prefix("fd00:0:0:1::/64")
MANY = (PortRange(80, 80), PortRange(8000, 8080), PortRange(0, 1))
RANGES = (IntRange(80, 80), IntRange(8000, 8080), IntRange(0, 1))


def mask(words: str) -> AddressMask:
    return parse_address_mask(words)


CRITERIA: list[tuple[Criterion, str, Match | None]] = [
    (text.mark_clear(0xF0), "-m mark --mark 0/0xf0", MarkMatch(0, 0xF0)),
    (text.mark_not_clear(0xF0), "-m mark ! --mark 0/0xf0", MarkMatch(0, 0xF0, True)),
    (text.mark_single_set(0x10), "-m mark --mark 0x10/0x10", MarkMatch(0x10, 0x10)),
    (text.mark_is(0x30, 0xF0), "-m mark --mark 0x30/0xf0", MarkMatch(0x30, 0xF0)),
    (text.mark_is(0, 0xF0), "-m mark --mark 0x0/0xf0", MarkMatch(0, 0xF0)),
    (text.mark_is_not(0x30, 0xF0), "-m mark ! --mark 0x30/0xf0", MarkMatch(0x30, 0xF0, True)),
    (text.in_interface("cali+"), "--in-interface cali+", InInterfaceMatch("cali+")),
    (text.out_interface("tunl0"), "--out-interface tunl0", OutInterfaceMatch("tunl0")),
    (text.RPFILTER_FAILED, "-m rpfilter --invert", RpfilterMatch(inverted=True)),
    (text.SOURCE_LOCAL, "-m addrtype --src-type LOCAL", AddrtypeMatch(source=LOCAL)),
    (
        text.SOURCE_NOT_LOCAL_OUT,
        "-m addrtype ! --src-type LOCAL --limit-iface-out",
        AddrtypeMatch(source=Test(("LOCAL",), True), limit_iface_out=True),
    ),
    (text.DESTINATION_LOCAL, "-m addrtype --dst-type LOCAL", AddrtypeMatch(destination=LOCAL)),
    (
        text.CT_ESTABLISHED,
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        ConntrackMatch(states=Test(frozenset({CtState.RELATED, CtState.ESTABLISHED}))),
    ),
    (text.CT_INVALID, "-m conntrack --ctstate INVALID", ConntrackMatch(states=Test(frozenset({CtState.INVALID})))),
    (text.protocol("tcp"), "-p tcp", ProtocolMatch(6)),
    (text.protocol("icmpv6"), "-p icmpv6", ProtocolMatch(58)),
    (text.protocol(17), "-p 17", ProtocolMatch(17)),
    (text.protocol(17 + 256), "-p 17", ProtocolMatch(17)),
    (text.protocol("udp", inverted=True), "! -p udp", ProtocolMatch(17, True)),
    (text.net(Side.SRC, NET), "--source 10.0.0.0/8", SourceMatch(mask("10.0.0.0/8"))),
    (text.net(Side.DST, NET6), "--destination fd00:0:0:1::/64", DestinationMatch(mask("fd00:0:0:1::/64"))),
    (text.net(Side.SRC, NET, inverted=True), "! --source 10.0.0.0/8", SourceMatch(mask("10.0.0.0/8"), True)),
    (text.net(Side.DST, NET, inverted=True), "! --destination 10.0.0.0/8", DestinationMatch(mask("10.0.0.0/8"), True)),
    (text.net(Side.SRC, parse_prefix("0.0.0.0/0")), "--source 0.0.0.0/0", None),
    (text.net(Side.SRC, parse_prefix("::/0")), "--source ::/0", None),
    (
        text.net(Side.SRC, parse_prefix("0.0.0.0/0"), inverted=True),
        "! --source 0.0.0.0/0",
        SourceMatch(mask("0.0.0.0/0"), True),
    ),
    (text.host(Side.DST, parse_address("10.0.0.1")), "--destination 10.0.0.1", DestinationMatch(mask("10.0.0.1"))),
    (text.in_set("s", Side.SRC), "-m set --match-set s src", SetMatch("s", (Side.SRC,))),
    (text.in_set("s", Side.DST, Side.DST), "-m set --match-set s dst,dst", SetMatch("s", (Side.DST, Side.DST))),
    (text.in_set("s", Side.DST, inverted=True), "-m set ! --match-set s dst", SetMatch("s", (Side.DST,), True)),
    (
        text.ports(Side.SRC, MANY),
        "-m multiport --source-ports 80,8000:8080,0:1",
        MultiportMatch(PortSide.SOURCE, RANGES),
    ),
    (
        text.ports(Side.DST, MANY, inverted=True),
        "-m multiport ! --destination-ports 80,8000:8080,0:1",
        MultiportMatch(PortSide.DESTINATION, RANGES, True),
    ),
    (text.icmp(V4, IcmpTest(8)), "-m icmp --icmp-type 8", IcmpMatch(8, IntRange(0, 255))),
    (text.icmp(V4, IcmpTest(3, 4)), "-m icmp --icmp-type 3/4", IcmpMatch(3, IntRange(4, 4))),
    (text.icmp(V4, IcmpTest(8), inverted=True), "-m icmp ! --icmp-type 8", IcmpMatch(8, IntRange(0, 255), True)),
    (text.icmp(V4, IcmpTest(264, 257)), "-m icmp --icmp-type 8/1", IcmpMatch(8, IntRange(1, 1))),
    (text.icmp(V6, IcmpTest(135)), "-m icmp6 --icmpv6-type 135", Icmp6Match(135, IntRange(0, 255))),
    (text.icmp(V6, IcmpTest(1, 0), inverted=True), "-m icmp6 ! --icmpv6-type 1/0", Icmp6Match(1, IntRange(0, 0), True)),
    (
        text.vxlan_vni(4096),
        '-m u32 --u32 "0>>22&0x3C@12>>8=0x1000"',
        U32Match((U32Test(0, ((">>", 22), ("&", 0x3C), ("@", 12), (">>", 8)), (IntRange(4096, 4096),)),)),
    ),
]


@pytest.mark.parametrize(("criterion", "words", "match"), CRITERIA, ids=[row[1] for row in CRITERIA])
def test_criterion(criterion: Criterion, words: str, match: Match | None) -> None:
    assert criterion == Criterion(words, match)


ADDRESS, ADDRESS6 = parse_address("10.65.0.2"), parse_address("fd00::2")
ACTIONS: list[tuple[Action, str, Target]] = [
    (text.goto("cali-a"), "--goto cali-a", Goto("cali-a")),
    (text.jump("cali-a"), "--jump cali-a", Jump("cali-a")),
    (text.RETURN, "--jump RETURN", Return()),
    (text.DROP, "--jump DROP", Drop()),
    (text.ACCEPT, "--jump ACCEPT", Accept()),
    (text.NOTRACK, "--jump NOTRACK", Notrack()),
    (text.log("calico"), '--jump LOG --log-prefix "calico: " --log-level 5', Log("calico: ", 5)),
    (
        text.log("a" * 28),
        f'--jump LOG --log-prefix "{"a" * 28}: " --log-level 5',
        Log("a" * 28 + ":", 5),
    ),
    (
        text.dnat(ADDRESS),
        "--jump DNAT --to-destination 10.65.0.2",
        Dnat(NatRange(ADDRESS.value, ADDRESS.value)),
    ),
    (
        text.dnat(ADDRESS, 80),
        "--jump DNAT --to-destination 10.65.0.2:80",
        Dnat(NatRange(ADDRESS.value, ADDRESS.value, 80, 80)),
    ),
    (
        text.snat(ADDRESS6, random_fully=False),
        "--jump SNAT --to-source fd00::2",
        Snat(NatRange(ADDRESS6.value, ADDRESS6.value)),
    ),
    (
        text.snat(ADDRESS, random_fully=True),
        "--jump SNAT --to-source 10.65.0.2 --random-fully",
        Snat(NatRange(ADDRESS.value, ADDRESS.value), random_fully=True),
    ),
    (text.masquerade(random_fully=False), "--jump MASQUERADE", Masquerade()),
    (
        text.masquerade(random_fully=True, to_ports=PortRange(99, 99)),
        "--jump MASQUERADE --to-ports 99-99 --random-fully",
        Masquerade(IntRange(99, 99), random_fully=True),
    ),
    (text.clear_mark(0xF0), "--jump MARK --set-mark 0/0xf0", MarkTarget(0, 0xF0)),
    (text.set_mark(0x10), "--jump MARK --set-mark 0x10/0x10", MarkTarget(0x10, 0x10)),
    (text.set_masked_mark(0, 0xC0), "--jump MARK --set-mark 0x0/0xc0", MarkTarget(0, 0xC0)),
    (text.set_masked_mark(0x40, 0xC0), "--jump MARK --set-mark 0x40/0xc0", MarkTarget(0x40, 0xC0)),
]


@pytest.mark.parametrize(("action", "words", "target"), ACTIONS, ids=[row[1] for row in ACTIONS])
def test_action(action: Action, words: str, target: Target) -> None:
    assert action == Action(words, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: text.mark_clear(0), "cannot be tested"),
        (lambda: text.mark_not_clear(0), "cannot be tested"),
        (lambda: text.mark_single_set(0x30), "not a single bit"),
        (lambda: text.mark_single_set(0), "not a single bit"),
        (lambda: text.mark_is(0x100, 0xF0), "cannot be tested"),
        (lambda: text.mark_is_not(0, 0), "cannot be tested"),
    ],
)
def test_marks_that_felix_dies_of_are_refused(make: Callable[[], Criterion], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("fd00:0:1::", "fd00:0:1::"),
        ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
        ("::", "::"),
        ("::1.2.3.4", "::102:304"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
    ],
)
def test_addresses_are_written_as_go_writes_them(address: str, expected: str) -> None:
    found = parse_address(address)
    assert text.go_address(found.family, found.value) == expected


def test_words_keep_felix_order_and_the_header_takes_that_of_iptables() -> None:
    made = rule(
        text.DROP,
        text.protocol(17),
        text.ports(Side.DST, MANY),
        text.out_interface("b"),
        text.in_interface("a"),
        text.net(Side.DST, NET),
        text.net(Side.SRC, NET),
        text.mark_single_set(1),
        comment="why",
    )
    assert made.words == (
        '-m comment --comment "why" -p 17 -m multiport --destination-ports 80,8000:8080,0:1 --out-interface b '
        "--in-interface a --destination 10.0.0.0/8 --source 10.0.0.0/8 -m mark --mark 0x1/0x1 --jump DROP"
    )
    assert made.header == (
        SourceMatch(mask("10.0.0.0/8")),
        DestinationMatch(mask("10.0.0.0/8")),
        InInterfaceMatch("a"),
        OutInterfaceMatch("b"),
        ProtocolMatch(17),
    )
    assert made.matches == (CommentMatch("why"), MultiportMatch(PortSide.DESTINATION, RANGES), MarkMatch(1, 1))
    assert made.target == Drop()


def test_a_rule_of_an_action_alone_has_no_doubled_blanks() -> None:
    assert rule(text.DROP).words == "--jump DROP"
