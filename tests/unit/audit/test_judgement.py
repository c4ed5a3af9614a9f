"""Edited, moved, missing, doubled and foreign rules are told, however right their comments look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.audit.judgement import Judgement, judge_chain
from tortie.codec.rule import format_rule, parse_rule
from tortie.net.address import IPFamily, parse_address
from tortie.netfilter.match import Side
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Accept
from tortie.render import text
from tortie.render.hash import numbered_rules
from tortie.render.text import rule

V4 = IPFamily.V4
GIVEN = [rule(text.DROP, text.host(Side.SRC, parse_address(f"10.0.0.{number}"))) for number in range(1, 6)]
A, B, C, D, E = numbered_rules("cali-x", GIVEN)
FOREIGN = parse_rule("-s 10.9.9.9/32 -j ACCEPT", V4)
STRAY = replace(A, matches=numbered_rules("cali-other", GIVEN)[0].matches)
EDITED = replace(B, target=Accept())
LIMITED = parse_rule('-m comment --comment "cali:0123456789abcdef" -m limit --limit 3/hour -j DROP', V4)


def with_log(prefix: str) -> list[Rule]:
    """A and a rule that logs, as the kernel shows them."""
    return [parse_rule(format_rule(one, V4), V4) for one in numbered_rules("cali-x", [GIVEN[0], rule(text.log(prefix))])]


CUT_LOG = with_log("x" * 28)[1]
LONG_LOG = with_log("x" * 27)
EDITED_LOG = replace(with_log("short")[1], target=text.log("other").target)
FENCE = parse_rule('-m comment --comment "cali:closed-while-changing" -j DROP', V4)

FITS, MOVED, TWICE, UNTRACKED = Judgement.FITS, Judgement.MOVED, Judgement.TWICE, Judgement.UNTRACKED
BROKEN, UNJUDGED, NO_PLACE = Judgement.BROKEN, Judgement.UNJUDGED, Judgement.STRAY

CHAINS: dict[str, tuple[list[Rule], list[Judgement]]] = {
    "right": ([A, B, C, D, E], [FITS] * 5),
    "cut off": ([A, B], [FITS, FITS]),
    "empty": ([], []),
    "a foreign rule in it": ([A, FOREIGN, B], [FITS, UNTRACKED, FITS]),
    "one edited": ([A, EDITED, C, D], [FITS, BROKEN, UNJUDGED, UNJUDGED]),
    "the first missing": ([B, C], [BROKEN, UNJUDGED]),
    "one missing": ([A, C, D], [FITS, BROKEN, UNJUDGED]),
    "two exchanged": ([A, C, B, D], [FITS, MOVED, FITS, FITS]),
    "the first moved to the end": ([B, C, D, A], [MOVED, FITS, FITS, MOVED]),
    "one twice": ([A, B, B, C], [FITS, FITS, TWICE, FITS]),
    "one twice, further on": ([A, B, C, A], [FITS, FITS, FITS, TWICE]),
    "another chain's": ([A, STRAY, B], [FITS, NO_PLACE, FITS]),
    "what Felix never writes": ([A, LIMITED], [FITS, Judgement.UNREADABLE]),
    "a cut log prefix": ([A, CUT_LOG, C, A], [FITS, Judgement.CUT, UNJUDGED, TWICE]),
    "a long log prefix": (LONG_LOG, [FITS, FITS]),
    "an edited log prefix": ([A, EDITED_LOG, C], [FITS, BROKEN, UNJUDGED]),
    "a fence": ([FENCE, A, B], [Judgement.FENCE, FITS, FITS]),
}


@pytest.mark.parametrize(("rules", "expected"), CHAINS.values(), ids=CHAINS)
def test_judgements(rules: list[Rule], expected: list[Judgement]) -> None:
    judged = judge_chain("cali-x", rules, V4)
    assert [one.judgement for one in judged] == expected
    assert [one.number for one in judged] == list(range(1, len(rules) + 1))


def test_the_chains_name_counts() -> None:
    assert [one.judgement for one in judge_chain("cali-y", [A, B], V4)] == [BROKEN, UNJUDGED]


def test_what_felix_never_writes_is_named() -> None:
    assert judge_chain("cali-x", [LIMITED], V4)[0].detail == "LimitMatch"
