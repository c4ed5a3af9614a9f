"""The walk through one table: jumps, returns, policies, tests without an answer (spec: netfilter 3, 14)."""

from __future__ import annotations

import pytest

from tests.node_builder import hits, node, packet, walk_packet
from tortie.netfilter.hook import Backend
from tortie.simulator.trace import Cause, Disposition, RuleStep, Verdict
from tortie.simulator.walk import Arrival, walk

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")


def filter_table(rules: str, *, policy: str = "ACCEPT", chains: str = "") -> str:
    return f"*filter\n:FORWARD {policy}\n{chains}\n{rules}\nCOMMIT"


PATHS = {
    "the policy decides when no rule does": (
        filter_table("-A FORWARD -p tcp -j ACCEPT", policy="DROP"),
        ["filter:FORWARD:P2"],
        Verdict.DROP,
    ),
    "V09: goto an empty chain from a built-in chain is the policy": (
        filter_table("-A FORWARD -g E\n-A FORWARD -j ACCEPT", policy="DROP", chains=":E -"),
        ["filter:FORWARD:1", "filter:E:R1", "filter:FORWARD:P3"],
        Verdict.DROP,
    ),
    "V10: a chain gone to returns to the last jump": (
        filter_table(
            "-A FORWARD -j A\n-A FORWARD -m comment --comment x\n-A A -j B\n-A A -m comment --comment y\n"
            "-A B -m comment --comment z\n-A B -g C\n-A B -j DROP\n-A C -p udp -j RETURN",
            chains=":A -\n:B -\n:C -",
        ),
        [
            "filter:FORWARD:1", "filter:A:1", "filter:B:1", "filter:B:2", "filter:C:1", "filter:A:2", "filter:A:R3",
            "filter:FORWARD:2", "filter:FORWARD:P3",
        ],
        Verdict.ACCEPT,
    ),
    "V11: after goto from a built-in chain its later rules are not looked at": (
        filter_table("-A FORWARD -g A\n-A FORWARD -p udp -j ACCEPT", policy="DROP", chains=":A -"),
        ["filter:FORWARD:1", "filter:A:R1", "filter:FORWARD:P3"],
        Verdict.DROP,
    ),
    "RETURN in a built-in chain is the policy": (
        filter_table("-A FORWARD -j RETURN\n-A FORWARD -j DROP"),
        ["filter:FORWARD:1", "filter:FORWARD:P3"],
        Verdict.ACCEPT,
    ),
    "a rule without target goes on": (
        filter_table("-A FORWARD -p udp\n-A FORWARD -p udp -j DROP"),
        ["filter:FORWARD:1", "filter:FORWARD:2"],
        Verdict.DROP,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_the_path_through_a_table(name: str) -> None:
    rules, path, verdict = PATHS[name]
    walked = walk_packet(node(rules), UDP)
    assert (hits(walked.trace), walked.verdict) == (path, verdict)


def test_accept_ends_a_table_and_drop_ends_everything() -> None:
    """V08."""
    rules = (
        "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -j ACCEPT\n*mangle\n:PREROUTING ACCEPT\n:FORWARD ACCEPT\n"
        "-A PREROUTING -j ACCEPT\n-A FORWARD -j ACCEPT\n*filter\n:FORWARD ACCEPT\n-A FORWARD -j DROP"
    )
    walked = walk_packet(node(rules), UDP)
    assert hits(walked.trace) == ["raw:PREROUTING:1", "mangle:PREROUTING:1", "mangle:FORWARD:1", "filter:FORWARD:1"]
    assert walked.trace.decided_by.number == 1
    assert walked.trace.disposition is Disposition.DROPPED


def test_a_miss_says_which_test_failed_on_what() -> None:
    rules = filter_table("-A FORWARD -p udp -m udp --dport 80 -j DROP\n-A FORWARD -p tcp -j DROP")
    steps = [step for step in walk_packet(node(rules), UDP).trace.steps if isinstance(step, RuleStep)]
    assert [(step.number, step.matched, step.reason) for step in steps] == [
        (1, False, "destination port is 2, not 80"),
        (2, False, "protocol is udp, not tcp"),
    ]


# --- tests without an answer -------------------------------------------------------------------------------------

OPAQUE = "-m nosuchmatch --really"


def test_a_doubt_forks_into_match_and_miss() -> None:
    walked = walk_packet(node(filter_table("-A FORWARD -m statistic --mode random --probability 0.25 -j DROP")), UDP)
    assert [(one.verdict, one.conditions[0].option, one.conditions[0].probability) for one in walked.outcomes] == [
        (Verdict.DROP, "match", 0.25),
        (Verdict.ACCEPT, "miss", 0.75),
    ]
    assert walked.verdict is Verdict.MAYBE


def test_a_match_that_cannot_be_read_makes_the_walk_unknown_because_of_its_rule() -> None:
    walked = walk_packet(node(filter_table(f"-A FORWARD {OPAQUE} -j DROP")), UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert {one.verdict for one in walked.outcomes} == {Verdict.DROP, Verdict.ACCEPT}
    condition = walked.outcomes[0].conditions[0]
    assert condition.subject == "filter:FORWARD:1"
    assert "nosuchmatch" in condition.text


CERTAIN = {
    "a later test fails": f"-A FORWARD {OPAQUE} -m mark --mark 0x1 -j DROP",
    "an earlier test fails": f"-A FORWARD -p tcp {OPAQUE} -j DROP",
    "both ways end the same": f"-A FORWARD {OPAQUE} -j ACCEPT",
    "the rule has no effect on the packet": f"-A FORWARD {OPAQUE} -j LOG",
    "the rule has no target": f"-A FORWARD {OPAQUE}",
}


@pytest.mark.parametrize("name", CERTAIN)
def test_a_doubt_that_does_not_matter_leaves_the_verdict_certain(name: str) -> None:
    assert walk_packet(node(filter_table(CERTAIN[name])), UDP).verdict is Verdict.ACCEPT


def test_a_rule_without_effect_that_may_match_is_told_as_such() -> None:
    walked = walk_packet(node(filter_table("-A FORWARD -m limit --limit 3/hour -j LOG")), UDP)
    (step,) = (step for step in walked.trace.steps if isinstance(step, RuleStep))
    assert (step.matched, step.maybe, len(walked.outcomes)) == (True, True, 1)


def test_an_assumption_picks_one_outcome() -> None:
    made = node(filter_table("-A FORWARD -m limit --limit 3/hour -j DROP"))
    walked = walk(made, Arrival(UDP, "e0"), assume={"filter:FORWARD:1": "miss"})
    assert (walked.verdict, walked.trace.conditions[0].assumed) == (Verdict.ACCEPT, True)


def test_an_unknown_target_leaves_both_doors_open() -> None:
    walked = walk_packet(node(filter_table("-A FORWARD -j NOSUCHTARGET --x")), UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert [one.conditions[0].option for one in walked.outcomes] == ["ignore", "unknown"]
    assert "NOSUCHTARGET" in walked.outcomes[1].decided_by.text


def test_a_target_whose_work_here_is_not_known_leaves_both_doors_open() -> None:
    rules = "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -j CT --zone 5\n-A PREROUTING -j CONNMARK --set-xmark 0x1/0xffffffff"
    walked = walk_packet(node(rules), UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert [one.conditions[0].option for one in walked.outcomes] == ["ignore", "unknown"]
    assert "template" in walked.outcomes[1].decided_by.text


def test_a_packet_too_short_for_a_match_is_dropped_by_it() -> None:
    """V101: legacy drops, nft passes on."""
    rules = "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp -m tcp --dport 80"
    short = packet("tcp", "10.0.0.5", "10.1.0.9", transport=bytes(10))
    dropped = walk_packet(node(rules), short)
    assert (dropped.verdict, dropped.trace.decided_by.cause) == (Verdict.DROP, Cause.HOTDROP)
    assert walk_packet(node(rules, backend=Backend.NFT), short).verdict is Verdict.ACCEPT


def test_misses_that_nobody_asks_about_are_only_counted() -> None:
    rules = ["-A FORWARD -s 1.1.1.1", "-A FORWARD -j X", "-A FORWARD -s 2.2.2.2", "-A X -s 3.3.3.3", "-A X -s 4.4.4.4"]
    made = node(filter_table("\n".join(rules), chains=":X -"))
    for keep, numbers in ((True, [1, 2, 1, 2, 3]), (False, [1, 2, 1, 1, 1])):
        steps = [one for one in walk(made, Arrival(UDP, "e0"), keep_misses=keep).trace.steps if isinstance(one, RuleStep)]
        assert [one.number for one in steps] == numbers
        assert [one.chain for one in steps] == ["FORWARD", "FORWARD", "X", "X", "FORWARD"]
        assert all(bool(one.reason) is keep for one in steps if not one.matched)
