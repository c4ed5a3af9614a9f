"""Edits by place, carried out one after the other, make the new rules of the old and keep what both have in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.table_text import V4
from tests.table_text import rules as parse_rules
from tortie.netfilter.rule import Rule
from tortie.reconcile.edit import edit_rules
from tortie.reconcile.step import AppendRule, DeletePlace, InsertRule, ReplaceRule

RULES = parse_rules(*(f"-s 10.0.0.{number}/32 -j DROP" for number in range(9)))
some_rules = st.lists(st.sampled_from(RULES), max_size=12).map(tuple)
one_of_each = st.lists(st.sampled_from(RULES), max_size=9, unique=True).map(tuple)


def carried_out(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> tuple[list[Rule], int]:
    """The rules after all edits, and how many of the old were not touched."""
    held = list(old)
    touched = 0
    for edit in edit_rules("our-x", old, new, V4):
        match edit:
            case AppendRule(_, rule):
                held.append(rule)
            case InsertRule(_, place, rule):
                held.insert(place - 1, rule)
            case ReplaceRule(_, place, rule):
                held[place - 1] = rule
                touched += 1
            case DeletePlace(_, place):
                del held[place - 1]
                touched += 1
            case _:
                raise AssertionError(edit)
    return held, len(old) - touched


def longest_common(one: tuple[Rule, ...], other: tuple[Rule, ...]) -> int:
    """Length of the longest common subsequence, by the book."""
    row = [0] * (len(other) + 1)
    for a in one:
        before = row[:]
        for place, b in enumerate(other, 1):
            row[place] = before[place - 1] + 1 if a == b else max(before[place], row[place - 1])
    return row[-1]


@given(some_rules, some_rules)
def test_edits_make_the_new_rules_of_the_old(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> None:
    assert carried_out(old, new)[0] == list(new)


@given(one_of_each, one_of_each)
def test_as_many_rules_as_possible_keep_their_counters(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> None:
    assert carried_out(old, new)[1] == longest_common(old, new)
