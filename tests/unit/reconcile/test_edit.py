"""Few edits: what stays is not touched, foreign rules are never moved, chains come first and go last."""

from __future__ import annotations

import pytest

from tests.table_text import FILTER, OURS, V4, Texts, rules, table
from tortie.netfilter.hook import Backend
from tortie.reconcile.edit import common_ends, edit_rules, edit_table
from tortie.reconcile.step import TableEdit
from tortie.reconcile.text import restore_lines

NUMBERED = {letter: f"-s 10.0.0.{number}/32 -j DROP" for number, letter in enumerate("abcdefgh", 1)}


def lines(old: Texts, new: Texts) -> list[str]:
    edits = edit_table(table(FILTER, old), table(FILTER, new), OURS, V4)
    return list(restore_lines(TableEdit(V4, Backend.LEGACY, FILTER, edits)))[1:-1]


def short(text: str) -> str:
    for letter, rule in NUMBERED.items():
        text = text.replace(f" {rule}", f" {letter}")
    return text


CHAINS = {
    "the same": ("abc", "abc", []),
    "longer": ("ab", "abcd", ["-A our-x c", "-A our-x d"]),
    "shorter": ("abcd", "ab", ["-D our-x 4", "-D our-x 3"]),
    "one changed": ("abc", "adc", ["-R our-x 2 d"]),
    "one in front": ("abc", "dabc", ["-I our-x 1 d"]),
    "two in the middle": ("abc", "adebc", ["-I our-x 2 e", "-I our-x 2 d"]),
    "one out of the middle": ("abcd", "acd", ["-D our-x 2"]),
    "one of several replaced by two": ("abcd", "aefd", ["-R our-x 3 f", "-R our-x 2 e"]),
    "the last moved to the front": ("abcd", "dabc", ["-D our-x 4", "-I our-x 1 d"]),
    "several places": ("abcdef", "agcdh", ["-D our-x 6", "-R our-x 5 h", "-R our-x 2 g"]),
    "nothing kept": ("abc", "def", [":our-x - -", "-A our-x d", "-A our-x e", "-A our-x f"]),
    "emptied": ("abc", "", [":our-x - -"]),
    "filled": ("", "ab", ["-A our-x a", "-A our-x b"]),
    "a twin": ("aab", "ab", ["-D our-x 2"]),
}


@pytest.mark.parametrize(("old", "new", "expected"), CHAINS.values(), ids=CHAINS)
def test_chains_of_ours(old: str, new: str, expected: list[str]) -> None:
    def chain(letters: str) -> Texts:
        return {"our-x": [NUMBERED[letter] for letter in letters]}

    assert [short(line) for line in lines(chain(old), chain(new))] == expected


def test_a_rule_whose_body_was_edited_under_its_comment_is_put_right() -> None:
    comment = "-m comment --comment our_abc"
    assert lines({"our-x": [f"{comment} -j ACCEPT"]}, {"our-x": [f"{comment} -j DROP"]}) == [
        ":our-x - -",
        f"-A our-x {comment} -j DROP",
    ]


def test_chains_come_before_rules_and_go_after_them() -> None:
    old = {"FORWARD": ["-m comment --comment our_1 -j our-old"], "our-old": ["-j our-deep"], "our-deep": []}
    new = {"FORWARD": ["-m comment --comment our_2 -j our-new"], "our-new": ["-j DROP"]}
    assert lines(old, new) == [
        ":our-new - -",
        ":our-old - -",
        ":our-deep - -",
        "-A our-new -j DROP",
        "-D FORWARD -m comment --comment our_1 -j our-old",
        "-I FORWARD 1 -m comment --comment our_2 -j our-new",
        "-X our-old",
        "-X our-deep",
    ]


H, H2 = "-m comment --comment our_h -j our-x", "-m comment --comment our_h2 -j our-x"
SHARED = {
    "in front": ("F G", "H F G", ["-I FORWARD 1 H"]),
    "behind": ("F G", "F G H", ["-A FORWARD H"]),
    "gone": ("H F", "F", ["-D FORWARD H"]),
    "twice": ("H F H", "H F", ["-D FORWARD H", "-D FORWARD H", "-I FORWARD 1 H"]),
    "moved": ("F H", "H F", ["-D FORWARD H", "-I FORWARD 1 H"]),
    "another": ("H F", "H2 F", ["-D FORWARD H", "-I FORWARD 1 H2"]),
    "one more": ("H F", "H2 H F", ["-I FORWARD 1 H2"]),
    "one less": ("H2 H F", "H F", ["-D FORWARD H2"]),
    "two, into nothing": ("", "H H2", ["-I FORWARD 1 H2", "-I FORWARD 1 H"]),
}


@pytest.mark.parametrize(("old", "new", "expected"), SHARED.values(), ids=SHARED)
def test_chains_shared_with_others(old: str, new: str, expected: list[str]) -> None:
    words = {"H": H, "H2": H2, "F": "-s 10.0.0.1/32 -j DROP", "G": "-s 10.0.0.2/32 -j DROP"}

    def chains(given: str) -> Texts:
        return {"FORWARD": [words[word] for word in given.split()], "our-x": []}

    def named(line: str) -> str:
        return line.replace(H2, "H2").replace(H, "H")

    assert [named(line) for line in lines(chains(old), chains(new))] == expected


def test_foreign_rules_that_would_have_to_move_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="foreign rules of chain FORWARD"):
        lines({"FORWARD": ["-j ACCEPT", "-j DROP"]}, {"FORWARD": ["-j DROP", "-j ACCEPT"]})


def test_edits_by_place_run_from_the_back() -> None:
    old, new = rules(*(NUMBERED[x] for x in "abcdefg")), rules(*(NUMBERED[x] for x in "hbdxfg".replace("x", "a")))
    places = [edit.place for edit in edit_rules("our-x", old, new, V4) if hasattr(edit, "place")]
    assert places == sorted(places, reverse=True)


def test_common_ends_do_not_overlap() -> None:
    others = ("abc", "abd", "xbc", "ab", "", "aabc", "abcabc")
    assert [common_ends("abc", other) for other in others] == [(3, 0), (2, 0), (0, 2), (2, 0), (0, 0), (1, 2), (3, 0)]
