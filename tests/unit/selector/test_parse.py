"""Selector text to trees: what is accepted, what it means, what is refused and where."""

from __future__ import annotations

import pytest

from tortie.net.error import InvalidInput
from tortie.selector.parse import DEEPEST, parse_selector
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

EQUAL = Relation.EQUAL
A, B, C = Has("a"), Has("b"), Has("c")

ACCEPTED: dict[str, Selector] = {
    "": All(),
    " \t": All(),
    "all()": All(),
    "all( )": All(),
    "has( a )": A,
    "a == 'x'": Compare("a", EQUAL, "x"),
    "a=='it is \"x\"'": Compare("a", EQUAL, 'it is "x"'),
    'a != ""': Compare("a", Relation.UNEQUAL, ""),
    "a contains 'x'": Compare("a", Relation.CONTAINS, "x"),
    "a starts with 'x'": Compare("a", Relation.STARTS_WITH, "x"),
    "a startswith'x'": Compare("a", Relation.STARTS_WITH, "x"),
    "a ends \t with 'x'": Compare("a", Relation.ENDS_WITH, "x"),
    "contains contains 'x'": Compare("contains", Relation.CONTAINS, "x"),
    "in in {'x'}": Member("in", frozenset("x")),
    "has == 'x'": Compare("has", EQUAL, "x"),
    "all in {}": Member("all", frozenset()),
    "a in {'x', 'y',}": Member("a", frozenset("xy")),
    "a notin {'x'}": Member("a", frozenset("x"), negated=True),
    "a not in{'x'}": Member("a", frozenset("x"), negated=True),
    "projectcalico.org/name_-1 == 'x'": Compare("projectcalico.org/name_-1", EQUAL, "x"),
    "!has(a)": Not(A),
    "!!has(a)": A,
    "! ! ! has(a)": Not(A),
    "!a == 'x'": Not(Compare("a", EQUAL, "x")),
    "has(a) && has(b) || has(c)": Or((And((A, B)), C)),
    "has(a) && (has(b) || has(c))": And((A, Or((B, C)))),
    "(has(a) && has(b)) && has(c)": And((And((A, B)), C)),
    "((has(a)))": A,
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_text_means(text: str) -> None:
    assert parse_selector(text) == ACCEPTED[text]


REFUSED = {
    "a": "expected an operator after label 'a'",
    "a foo": "expected an operator after label 'a'",
    "a = 'x'": "expected an operator",
    "a == x": "expected a string",
    "a == 'x": "unterminated string",
    "a in 'x'": "expected '{'",
    "a inx {'x'}": "expected an operator",
    "a in {x}": "expected a string or '}'",
    "a in {,}": "expected a string or '}'",
    "a in {'x' 'y'}": "expected ',' or '}'",
    "has (a)": "expected an operator",
    "has()": "expected an operator",
    "(has(a)": "expected ')'",
    "has(a))": "unexpected text behind",
    "has(a) & has(b)": "unexpected text behind",
    "has(a) &&": "expected a label",
    "|| has(a)": "expected a label",
    "has(a)\n": "unexpected text behind",
    "a == 'x' b": "unexpected text behind",
    f"{'a' * 513} == 'x'": "expected an operator",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="character") as refused:
        parse_selector(text)
    assert REFUSED[text] in refused.value.message


def test_nesting_is_limited() -> None:
    assert parse_selector("(" * DEEPEST + "has(a)" + ")" * DEEPEST) == A
    with pytest.raises(InvalidInput, match="parentheses are open"):
        parse_selector("(" * (DEEPEST + 1) + "has(a)" + ")" * (DEEPEST + 1))


def test_an_error_says_where() -> None:
    with pytest.raises(InvalidInput, match=r"at 'x' \(character 6\)"):
        parse_selector("a == x")
