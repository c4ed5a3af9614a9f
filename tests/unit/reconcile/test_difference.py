"""Where two versions of a table part, for packets that get there."""

from __future__ import annotations

import pytest

from tests.table_text import FILTER, NAT, Texts, rules, table
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.reconcile.difference import (
    changes_nothing,
    differences,
    is_opaque,
    may_name,
    reached_chains,
    set_names,
    translation_differences,
)

A, B, C, D = (f"-s 10.0.0.{number}/32 -j DROP" for number in range(1, 5))
HOOKED: Texts = {"FORWARD": ["-j our-x"]}


def found(old: Texts, new: Texts) -> list[tuple[str, int, list[str], list[str]]]:
    def words(given: tuple) -> list[str]:  # type: ignore[type-arg]
        return [format_rule(rule, IPFamily.V4) for rule in given]

    made = differences(table(FILTER, {**HOOKED, **old}), table(FILTER, {**HOOKED, **new}))
    return [(one.chain, one.place, words(one.old), words(one.new)) for one in made]


COMMENTED = "-s 10.0.0.1/32 -m comment --comment our_1 -j DROP"
CASES: dict[str, tuple[Texts, Texts, list[tuple[str, int, list[str], list[str]]]]] = {
    "the same": ({"our-x": [A, B]}, {"our-x": [A, B]}, []),
    "another comment": ({"our-x": [A]}, {"our-x": [COMMENTED]}, []),
    "in the middle": ({"our-x": [A, B, D]}, {"our-x": [A, C, D]}, [("our-x", 1, [B], [C])]),
    "one more": ({"our-x": [A, D]}, {"our-x": [A, C, D]}, [("our-x", 1, [], [C])]),
    "at the end": ({"our-x": [A]}, {"our-x": [A, B]}, [("our-x", 1, [], [B])]),
    "only a log": ({"our-x": [A]}, {"our-x": [A, "-j LOG"]}, []),
    "in a chain that none reaches": ({"our-x": [], "our-y": [A]}, {"our-x": [], "our-y": [B]}, []),
    "in a chain further on": (
        {"our-x": ["-j our-y"], "our-y": [A]},
        {"our-x": ["-j our-y"], "our-y": [B]},
        [("our-y", 0, [A], [B])],
    ),
    "behind a rule that changes": (
        {"our-x": ["-i a -j our-y"], "our-y": [A]},
        {"our-x": ["-i b -j our-y"], "our-y": [B]},
        [("our-x", 0, ["-i a -j our-y"], ["-i b -j our-y"])],
    ),
    "in a kernel chain": (
        {"FORWARD": [A, "-j our-x"], "our-x": []},
        {"FORWARD": ["-j our-x"], "our-x": []},
        [("FORWARD", 0, [A], [])],
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), CASES.values(), ids=CASES)
def test_differences(old: Texts, new: Texts, expected: list[tuple[str, int, list[str], list[str]]]) -> None:
    assert found(old, new) == expected


def test_chains_behind_lasting_ways_are_looked_into() -> None:
    leaf = {"our-1": [A], "our-2": [], "our-tree": ["-i a1 -g our-1", "-i a2 -g our-2"]}
    old = {"our-x": ["-i a1 -g our-1"], **leaf}
    new = {"our-x": ["-i a+ -g our-tree"], **leaf, "our-1": [B]}
    made = differences(table(FILTER, {**HOOKED, **old}), table(FILTER, {**HOOKED, **new}))
    assert [one.chain for one in made] == ["our-1", "our-x"]
    assert made[1].ways == rules("-i a1 -g our-1")


def test_reached_chains() -> None:
    made = table(FILTER, {**HOOKED, "our-x": ["-g our-y"], "our-y": [], "our-z": ["-j our-y"]})
    assert reached_chains(made) == {"INPUT", "FORWARD", "OUTPUT", "our-x", "our-y"}
    assert reached_chains(made, ("our-z",)) == {"our-z", "our-y"}


# --- translation -------------------------------------------------------------------------------------------------

TO_1, TO_2 = "-d 10.9.0.1/32 -j DNAT --to-destination 10.0.0.1", "-d 10.9.0.2/32 -j DNAT --to-destination 10.0.0.2"
NAT_HOOKS: Texts = {"PREROUTING": ["-j our-pre"], "OUTPUT": ["-j our-pre"], "POSTROUTING": ["-j our-post"]}


def translated(old: Texts, new: Texts) -> dict[str, list[str]]:
    made = translation_differences(table(NAT, old), table(NAT, new))
    return {chain: [format_rule(rule, IPFamily.V4) for rule in given] for chain, given in made.items()}


def test_translation_that_stays() -> None:
    old: Texts = {**NAT_HOOKS, "our-pre": ["-j our-fip"], "our-fip": [TO_1], "our-post": []}
    new: Texts = {**NAT_HOOKS, "our-pre": [TO_1], "our-post": ["-j MASQUERADE"]}
    assert translated(old, new) == {}


def test_translation_that_changes_in_both_chains() -> None:
    old: Texts = {**NAT_HOOKS, "our-pre": [TO_1], "our-post": []}
    new: Texts = {**NAT_HOOKS, "our-pre": [TO_1, TO_2], "our-post": []}
    assert translated(old, new) == {"PREROUTING": [TO_2], "OUTPUT": [TO_2]}


def test_a_hook_that_comes_with_nothing_behind_it_sends_nothing_elsewhere() -> None:
    assert translated({}, {**NAT_HOOKS, "our-pre": [], "our-post": []}) == {}


def test_tests_on_the_way_count() -> None:
    old: Texts = {"PREROUTING": ["-i a -j our-pre"], "our-pre": [TO_1]}
    new: Texts = {"PREROUTING": ["-i b -j our-pre"], "our-pre": [TO_1]}
    assert translated(old, new) == {"PREROUTING": [TO_1]}


# --- what a rule is about ----------------------------------------------------------------------------------------


def test_sets_that_rules_name() -> None:
    looking, changing, unread = rules(
        "-m set --match-set one src -m set ! --match-set two dst -j DROP",
        "-j SET --add-set three src",
        "-m novel --of four -j DROP",
    )
    assert [list(set_names(rule)) for rule in (looking, changing, unread)] == [["one", "two"], ["three"], []]
    assert (is_opaque(unread), may_name(unread, "four"), may_name(unread, "five")) == (True, True, False)
    assert not is_opaque(looking) and not may_name(looking, "one")


def test_targets_that_change_nothing() -> None:
    given = rules("", "-j LOG", "-j NFLOG", "-j MARK --set-xmark 0x1/0x1", "-j RETURN")
    assert [changes_nothing(rule.target) for rule in given] == [True, True, True, False, False]
