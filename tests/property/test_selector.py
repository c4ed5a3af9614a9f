"""Agreements about selectors: text and tree are two forms of one thing."""

from __future__ import annotations

from hypothesis import given

from tests.strategies.selector import labels, trees
from tortie.selector.canonical import format_selector
from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector
from tortie.selector.tree import And, Not, Or, Selector


@given(trees)
def test_canonical_text_parses_back_to_the_same_tree(tree: Selector) -> None:
    assert parse_selector(format_selector(tree)) == tree


@given(trees, trees, labels)
def test_negation_and_the_two_connectives_are_boolean(one: Selector, other: Selector, given_labels: dict[str, str]) -> None:
    first, second = selects(one, given_labels), selects(other, given_labels)
    assert selects(Not(one), given_labels) is not first
    assert selects(And((one, other)), given_labels) is (first and second)
    assert selects(Or((one, other)), given_labels) is (first or second)
