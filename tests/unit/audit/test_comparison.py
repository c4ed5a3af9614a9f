"""Rules that differ from what was rendered, each with what its own hash says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.audited_node import FILTER, FOREIGN, V4
from tortie.audit.comparison import compare_chain
from tortie.audit.finding import Place
from tortie.audit.judgement import judge_chain
from tortie.audit.words import tracking_hash
from tortie.codec.rule import parse_rule
from tortie.net.address import parse_address
from tortie.netfilter.hook import Backend
from tortie.netfilter.match import Side
from tortie.netfilter.rule import Chain, Rule
from tortie.netfilter.target import Accept
from tortie.render import text
from tortie.render.hash import numbered_rules
from tortie.render.text import rule

GIVEN = [rule(text.DROP, text.host(Side.SRC, parse_address(f"10.0.0.{number}"))) for number in range(1, 6)]
A, B, C, D, E = WANTED = numbered_rules("cali-x", GIVEN)
STALE = numbered_rules("cali-x", [GIVEN[0], *GIVEN[2:]])
EDITED = replace(B, target=Accept())
WRONG_HASH = parse_rule('-s 10.0.0.2/32 -m comment --comment "cali:AAAAAAAAAAAAAAAA" -j DROP', V4)

CASES: dict[str, tuple[tuple[Rule, ...], list[str]]] = {
    "right": (WANTED, []),
    "edited": (
        (A, EDITED, C, D, E),
        [
            "rule 2: edited: is `-s 10.0.0.2/32 -j ACCEPT` and should be `-s 10.0.0.2/32 -j DROP`",
        ],
    ),
    "foreign": (
        (A, B, FOREIGN, C, D, E),
        ["rule 3: carries no hash: should not be there: `-s 10.9.9.9/32 -j ACCEPT`"],
    ),
    "missing": ((A, B, D, E), ["rule 3: a rule is missing here: `-s 10.0.0.3/32 -j DROP`"]),
    "missing at the end": (
        (A, B, C),
        [
            "rule 4: a rule is missing here: `-s 10.0.0.4/32 -j DROP`",
            "rule 5: a rule is missing here: `-s 10.0.0.5/32 -j DROP`",
        ],
    ),
    "twice": (
        (A, A, B, C, D, E),
        ["rule 2: stands in the chain a second time: should not be there: `-s 10.0.0.1/32 -j DROP`"],
    ),
    "of other resources": (
        (*STALE[:3], *numbered_rules("cali-x", [GIVEN[0], *GIVEN[2:4], GIVEN[1]])[3:]),
        [
            "rule 2: a rule is missing here: `-s 10.0.0.2/32 -j DROP`",
            "rule 4: stale: is `-s 10.0.0.2/32 -j DROP` and should be `-s 10.0.0.5/32 -j DROP`",
        ],
    ),
    "only a hash wrong": (
        (A, WRONG_HASH, C, D, E),
        [f"rule 2: does what it should, but its comment shows the hash AAAAAAAAAAAAAAAA, not {tracking_hash(B)}"],
    ),
    "empty": ((), [f"rule {n}: a rule is missing here: `-s 10.0.0.{n}/32 -j DROP`" for n in range(1, 6)]),
}


@pytest.mark.parametrize(("rules", "expected"), CASES.values(), ids=CASES)
def test_differences(rules: tuple[Rule, ...], expected: list[str]) -> None:
    place = Place(V4, Backend.NFT, FILTER, "cali-x")
    found = compare_chain(Chain("cali-x", rules), Chain("cali-x", WANTED), judge_chain("cali-x", rules, V4), place)
    assert [f"rule {finding.place.rule}: {finding.text}" for finding in found] == expected
