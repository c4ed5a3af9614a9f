"""From one Calico rule to iptables rules (spec: rules 7), and where the default is right and Felix is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.calc.view import ActiveRule, IcmpTest, PortRange, Protocol, RuleAction, RuleSide
from tortie.net.address import IPFamily, parse_prefix
from tortie.render.config import RenderConfig
from tortie.render.policy import active_rule_rules, policy_rules, split_ports
from tortie.render.state import NodeState, render_context

V4, V6 = IPFamily.V4, IPFamily.V6
CORRECTED = render_context(RenderConfig(log_prefix="seen"), NodeState())
EXACT = render_context(RenderConfig(log_prefix="seen", felix_exact=True), NodeState())
BOTH = pytest.mark.parametrize("context", [CORRECTED, EXACT], ids=["corrected", "exact"])
DENY = ActiveRule(RuleAction.DENY)


def words(rule: ActiveRule, family: IPFamily = V4, *, exact: bool = False) -> list[str]:
    return [made.words for made in active_rule_rules(rule, family, EXACT if exact else CORRECTED)]


def side(
    nets: str = "",
    not_nets: str = "",
    ports: tuple[PortRange, ...] = (),
    named: tuple[str, ...] = (),
    **more: tuple[str, ...],
) -> RuleSide:
    return RuleSide(
        nets=tuple(parse_prefix(word) for word in nets.split()),
        not_nets=tuple(parse_prefix(word) for word in not_nets.split()),
        ports=ports,
        named_port_sets=named,
        **more,  # type: ignore[arg-type]
    )


def single(*numbers: int) -> tuple[PortRange, ...]:
    return tuple(PortRange(number, number) for number in numbers)


def spans(*firsts: int) -> tuple[PortRange, ...]:
    return tuple(PortRange(first, first + 1) for first in firsts)


# --- port splitting (7.4) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ranges", "lengths"),
    [
        ((), []),
        (single(*range(15)), [15]),
        (single(*range(16)), [15, 1]),
        (spans(*range(0, 80, 10)), [7, 1]),
        ((*spans(*range(0, 70, 10)), *single(99)), [8]),
        ((*single(1), *spans(*range(10, 80, 10))), [8]),
        ((*single(1, 2), *spans(*range(10, 80, 10))), [8, 1]),
    ],
    ids=["none", "15 ports", "16 ports", "8 ranges", "7 ranges and a port", "a port and 7 ranges", "2 ports and 7 ranges"],
)
def test_ports_are_split_by_slots(ranges: tuple[PortRange, ...], lengths: list[int]) -> None:
    splits = split_ports(ranges)
    assert [len(split) for split in splits] == lengths
    assert tuple(item for split in splits for item in split) == ranges


# --- actions (7.6) -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (
            RuleAction.ALLOW,
            ["-p tcp --jump MARK --set-mark 0x10000/0x10000", "-m mark --mark 0x10000/0x10000 --jump RETURN"],
        ),
        (
            RuleAction.NEXT_TIER,
            ["-p tcp --jump MARK --set-mark 0x20000/0x20000", "-m mark --mark 0x20000/0x20000 --jump RETURN"],
        ),
        (RuleAction.DENY, ["-p tcp --jump DROP"]),
        (RuleAction.LOG, ['-p tcp --jump LOG --log-prefix "seen: " --log-level 5']),
    ],
)
def test_action(action: RuleAction, expected: list[str]) -> None:
    assert words(ActiveRule(action, protocol="tcp")) == expected


def test_rules_follow_each_other() -> None:
    made = policy_rules([DENY, ActiveRule(RuleAction.DENY, protocol=6)], V4, CORRECTED)
    assert [rule.words for rule in made] == ["--jump DROP", "-p 6 --jump DROP"]


# --- family (7.2) ------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("rule", "families"),
    [
        (DENY, [V4, V6]),
        (replace(DENY, ip_version=V4), [V4]),
        (replace(DENY, ip_version=V6), [V6]),
        (replace(DENY, source=side("10.0.0.0/8")), [V4]),
        (replace(DENY, destination=side("fd00::/64")), [V6]),
        (replace(DENY, source=side(not_nets="10.0.0.0/8")), [V4]),
        (replace(DENY, destination=side(not_nets="fd00::/64 fd01::/64")), [V6]),
        (replace(DENY, source=side("10.0.0.0/8 fd00::/64")), [V4, V6]),
        (replace(DENY, source=side("10.0.0.0/8"), destination=side("fd00::/64")), []),
    ],
)
def test_a_rule_is_rendered_in_its_families_only(context: object, rule: ActiveRule, families: list[IPFamily]) -> None:
    exact = context is EXACT
    assert [family for family in IPFamily if words(rule, family, exact=exact)] == families


# --- the main rule (7.5) -----------------------------------------------------------------------------------------

EVERYTHING = ActiveRule(
    RuleAction.DENY,
    protocol="tcp",
    source=side(
        "10.0.0.0/24",
        ports=single(1, 2),
        ip_sets=("s:a",),
        not_ip_sets=("s:b",),
        not_named_port_sets=("n:b", "n:c"),
    ),
    destination=side(
        "10.0.1.0/24",
        named=("n:a",),
        ip_sets=("s:c",),
        not_ip_sets=("s:d",),
        not_named_port_sets=("n:d",),
    ),
)


@BOTH
def test_criteria_stand_in_the_order_of_the_original(context: object) -> None:
    rule = replace(EVERYTHING, source=replace(EVERYTHING.source, not_ports=single(*range(16))))
    rule = replace(rule, destination=replace(EVERYTHING.destination, not_ports=spans(7)))
    assert words(rule, exact=context is EXACT) == [
        "-p tcp --source 10.0.0.0/24 -m set --match-set cali40s:a src -m multiport --source-ports 1,2 "
        "--destination 10.0.1.0/24 -m set --match-set cali40s:c dst -m set --match-set cali40n:a dst,dst "
        "-m set ! --match-set cali40s:b src -m multiport ! --source-ports 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14 "
        "-m multiport ! --source-ports 15 -m set ! --match-set cali40n:b src,src -m set ! --match-set cali40n:c src,src "
        "-m set ! --match-set cali40s:d dst -m multiport ! --destination-ports 7:8 "
        "-m set ! --match-set cali40n:d dst,dst --jump DROP"
    ]


@BOTH
def test_a_negated_net_alone_and_a_negated_protocol_stay_in_the_main_rule(context: object) -> None:
    rule = replace(DENY, not_protocol=17, source=side(not_nets="10.0.0.0/8"), destination=side(not_nets="10.1.0.0/16"))
    assert words(rule, exact=context is EXACT) == ["! -p 17 ! --source 10.0.0.0/8 ! --destination 10.1.0.0/16 --jump DROP"]


@BOTH
@pytest.mark.parametrize(
    ("family", "protocol", "expected"),
    [
        (V4, "icmp", "-p icmp -m icmp --icmp-type 8 -m icmp ! --icmp-type 8/1 --jump DROP"),
        (V6, "icmpv6", "-p icmpv6 -m icmp6 --icmpv6-type 8 -m icmp6 ! --icmpv6-type 8/1 --jump DROP"),
    ],
)
def test_icmp_is_that_of_the_family(context: object, family: IPFamily, protocol: Protocol, expected: str) -> None:
    rule = replace(DENY, ip_version=family, protocol=protocol, icmp=IcmpTest(8), not_icmp=IcmpTest(8, 1))
    assert words(rule, family, exact=context is EXACT) == [expected]


# --- blocks (7.3) ------------------------------------------------------------------------------------------------

FIRST = "--jump MARK --set-mark 0x40000/0x40000"
LATER = "--jump MARK --set-mark 0x80000/0x80000"
JOIN = "-m mark --mark 0/0x80000 --jump MARK --set-mark 0/0x40000"
EXCEPT = "--jump MARK --set-mark 0/0x40000"
START, START_TRUE = "--jump MARK --set-mark 0x0/0xc0000", "--jump MARK --set-mark 0x40000/0xc0000"
RESET = "--jump MARK --set-mark 0/0x80000"
END = "-m mark --mark 0x40000/0x40000 --jump DROP"

TWO_SOURCES = side("10.0.0.0/24 10.0.1.0/24")


@BOTH
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (replace(DENY, source=TWO_SOURCES), [START, f"--source 10.0.0.0/24 {FIRST}", f"--source 10.0.1.0/24 {FIRST}", END]),
        (
            replace(DENY, source=side(not_nets="10.0.0.0/24 10.0.1.0/24")),
            [START_TRUE, f"--source 10.0.0.0/24 {EXCEPT}", f"--source 10.0.1.0/24 {EXCEPT}", END],
        ),
        (
            replace(DENY, destination=side("10.0.0.0/8", "10.0.1.0/24")),
            [START_TRUE, f"--destination 10.0.1.0/24 {EXCEPT}", f"--destination 10.0.0.0/8 {END}"],
        ),
        (
            replace(DENY, source=side("10.0.0.0/24 10.0.1.0/24", "10.0.0.1/32")),
            [START, f"--source 10.0.0.0/24 {FIRST}", f"--source 10.0.1.0/24 {FIRST}", f"! --source 10.0.0.1/32 {END}"],
        ),
        (
            replace(DENY, source=TWO_SOURCES, destination=side("10.0.0.0/24 10.0.1.0/24")),
            [
                START,
                f"--source 10.0.0.0/24 {FIRST}",
                f"--source 10.0.1.0/24 {FIRST}",
                f"--destination 10.0.0.0/24 {LATER}",
                f"--destination 10.0.1.0/24 {LATER}",
                JOIN,
                END,
            ],
        ),
        (
            replace(DENY, protocol="udp", source=side(ports=single(*range(16)))),
            [
                START,
                f"-p udp -m multiport --source-ports 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14 {FIRST}",
                f"-p udp -m multiport --source-ports 15 {FIRST}",
                f"-p udp {END}",
            ],
        ),
        (
            replace(DENY, not_protocol="udp", destination=side(named=("n:a", "n:b"))),
            [
                START,
                f"-m set --match-set cali40n:a dst,dst {FIRST}",
                f"-m set --match-set cali40n:b dst,dst {FIRST}",
                f"! -p udp {END}",
            ],
        ),
    ],
    ids=[
        "two nets",
        "two excepted nets",
        "a net and an excepted one",
        "two nets and an excepted one",
        "two lists of nets",
        "more ports than slots",
        "named ports never with a negated protocol",
    ],
)
def test_blocks(context: object, rule: ActiveRule, expected: list[str]) -> None:
    assert words(rule, exact=context is EXACT) == expected


THREE_BLOCKS = replace(
    DENY,
    protocol="tcp",
    source=replace(TWO_SOURCES, named_port_sets=("n:a", "n:b")),
    destination=side("10.0.2.0/24 10.0.3.0/24"),
)
OF_THREE = [
    START,
    f"-m set --match-set cali40n:a src,src {FIRST}",
    f"-m set --match-set cali40n:b src,src {FIRST}",
    f"--source 10.0.0.0/24 {LATER}",
    f"--source 10.0.1.0/24 {LATER}",
    JOIN,
    f"--destination 10.0.2.0/24 {LATER}",
    f"--destination 10.0.3.0/24 {LATER}",
    JOIN,
    f"-p tcp {END}",
]


def test_from_the_third_block_of_alternatives_on_the_scratch_bit_is_cleared_first_which_felix_forgets() -> None:
    assert words(THREE_BLOCKS, exact=True) == OF_THREE
    assert words(THREE_BLOCKS) == [*OF_THREE[:6], RESET, *OF_THREE[6:]]


def test_blocks_of_exceptions_need_no_clearing() -> None:
    rule = replace(THREE_BLOCKS, source=replace(TWO_SOURCES, not_nets=(parse_prefix("10.0.0.1/32"),) * 2))
    assert words(rule) == words(rule, exact=True)


# --- what iptables takes (docs/felix-differences.md) -------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "family", "exact", "corrected"),
    [
        (replace(DENY, protocol="tcp", not_protocol="udp"), V4, ["-p tcp ! -p udp --jump DROP"], ["-p tcp --jump DROP"]),
        (replace(DENY, protocol="tcp", not_protocol=6), V4, ["-p tcp ! -p 6 --jump DROP"], []),
        (replace(DENY, source=side(not_nets="0.0.0.0/0")), V4, ["! --source 0.0.0.0/0 --jump DROP"], []),
        (
            replace(DENY, icmp=IcmpTest(8)),
            V4,
            ["-m icmp --icmp-type 8 --jump DROP"],
            ["-p 1 -m icmp --icmp-type 8 --jump DROP"],
        ),
        (
            replace(DENY, icmp=IcmpTest(8), not_protocol="icmpv6"),
            V6,
            ["-m icmp6 --icmpv6-type 8 ! -p icmpv6 --jump DROP"],
            [],
        ),
        (replace(DENY, protocol=1, icmp=IcmpTest(8)), V6, ["-p 1 -m icmp6 --icmpv6-type 8 --jump DROP"], []),
        (
            replace(DENY, protocol=1, not_icmp=IcmpTest(8)),
            V6,
            ["-p 1 -m icmp6 ! --icmpv6-type 8 --jump DROP"],
            ["-p 1 --jump DROP"],
        ),
        (
            replace(DENY, not_icmp=IcmpTest(8)),
            V4,
            ["-m icmp ! --icmp-type 8 --jump DROP"],
            [START_TRUE, f"-p 1 -m icmp --icmp-type 8 {EXCEPT}", END],
        ),
    ],
    ids=[
        "two protocols",
        "a protocol that is excepted",
        "every address excepted",
        "ICMP without its protocol",
        "ICMP without its protocol, which is excepted",
        "ICMP in IPv6",
        "no ICMP in IPv6",
        "not ICMP of a type, whatever else",
    ],
)
def test_what_iptables_refuses_is_said_otherwise(
    rule: ActiveRule, family: IPFamily, exact: list[str], corrected: list[str]
) -> None:
    assert words(rule, family, exact=True) == exact
    assert words(rule, family) == corrected
