"""A compiled selector says what the plain reading says (spec: model 3.3)."""

from __future__ import annotations

import pytest

from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector
from tortie.selector.predicate import compile_selector

LABELS = (
    {},
    {"a": ""},
    {"a": "x"},
    {"a": "xy"},
    {"a": "yx"},
    {"b": "x"},
    {"a": "x", "b": "y"},
    {"a": "x", "b": "y", "c": ""},
)
SELECTORS = (
    "all()", "has(a)", "!has(a)", "a == 'x'", "a != 'x'", "a contains 'x'", "a starts with 'x'", "a ends with 'x'",
    "a in {'x', ''}", "a not in {'x', ''}", "a in {}", "a not in {}", "has(a) && has(b)", "has(a) || has(b)",
    "has(a) && has(b) && has(c)", "has(a) || has(b) || has(c)", "!(a == 'x' && !has(b))",
)  # fmt: skip


@pytest.mark.parametrize("text", SELECTORS)
def test_says_what_the_plain_reading_says(text: str) -> None:
    tree = parse_selector(text)
    compiled = compile_selector(tree)
    assert [compiled(labels) for labels in LABELS] == [selects(tree, labels) for labels in LABELS]
