"""From one interface or mark to one chain, however the tree between is cut."""

from __future__ import annotations

import pytest

from tests.table_text import FILTER, Texts, rules, table, texts
from tortie.netfilter.rule import Chain
from tortie.reconcile.way import lasting_ways, way_rule

LEAVES: Texts = {"our-1": ["-m conntrack --ctstate ESTABLISHED -j ACCEPT"], "our-2": [], "our-3": []}
FLAT = ["-i a1 -g our-1", "-i a2 -g our-2"]
TREE = ["-i a+ -g our-tree"]
BRANCH: Texts = {"our-tree": ["-i a1 -g our-1", "-i a2 -g our-2", "-j DROP"]}

CASES: dict[str, tuple[list[str], list[str], list[str]]] = {
    "cut differently": (FLAT, TREE, FLAT),
    "grown together": (TREE, FLAT, FLAT),
    "one to another chain": (FLAT, ["-i a1 -g our-1", "-i a2 -g our-3"], ["-i a1 -g our-1"]),
    "one gone": (FLAT, ["-i a1 -g our-1"], ["-i a1 -g our-1"]),
    "to a chain that goes": (["-i a1 -g our-gone"], ["-i a1 -g our-gone"], []),
    "hidden by a rule in front": (FLAT, ["-i a+ -j DROP", *FLAT], []),
    "perhaps hidden by a rule in front": (FLAT, ["-s 10.0.0.1/32 -j DROP", *FLAT], []),
    "not hidden by another's": (FLAT, ["-i b -j DROP", *FLAT], FLAT),
    "by jumps, which come back": (["-i a1 -j our-1"], ["-i a1 -j our-1"], []),
    "output interfaces": (["-o a1 -g our-1"], ["-o b -j DROP", "-o a1 -g our-1"], ["-o a1 -g our-1"]),
    "all but one interface": (["! -i a1 -g our-1"], ["! -i a1 -g our-1"], []),
    "marks": (
        ["-m mark --mark 0x1/0xf -g our-1", "-m mark --mark 0x2/0xf -g our-2"],
        ["-m mark --mark 0x2/0xf -g our-2", "-m mark --mark 0x1/0xf -g our-3"],
        ["-m mark --mark 0x2/0xf -g our-2"],
    ),
    "marks under another mask": (
        ["-m mark --mark 0x1/0xf -g our-1"],
        ["-m mark --mark 0x10/0xf0 -g our-2", "-m mark --mark 0x1/0xf -g our-1"],
        [],
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), CASES.values(), ids=CASES)
def test_lasting_ways(old: list[str], new: list[str], expected: list[str]) -> None:
    before, after = table(FILTER, {**LEAVES, **BRANCH, "our-gone": []}), table(FILTER, {**LEAVES, **BRANCH})
    assert texts(Chain("ways", lasting_ways(before, rules(*old), after, rules(*new)))) == expected


def test_a_way_as_a_rule_of_ours() -> None:
    (way,) = rules("-i a1 -g our-1")
    assert texts(Chain("", (way_rule(way, "our_fence"),))) == ["-i a1 -m comment --comment our_fence -g our-1"]
