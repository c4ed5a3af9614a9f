"""Which labels a selector selects (spec: model 3.3)."""

from __future__ import annotations

import pytest

from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector

LABELS = {"a": "xyz", "empty": ""}

SELECTED = [
    "", "all()", "has(a)", "has(empty)", "a == 'xyz'", "a != 'x'", "no != 'x'", "a contains 'y'", "a contains ''",
    "a starts with 'xy'", "a ends with 'yz'", "a in {'q', 'xyz'}", "a not in {'q'}", "no not in {'q'}", "a not in {}",
    "empty == ''", "!has(no)", "!no == 'x'", "has(a) && has(empty)", "has(no) || has(a)",
]  # fmt: skip
LEFT = [
    "has(no)", "a == 'x'", "a == 'XYZ'", "no == ''", "a != 'xyz'", "no contains ''", "no starts with ''", "no ends with ''",
    "a contains 'Y'", "a in {}", "no in {''}", "a not in {'xyz'}", "!all()", "!has(a)", "has(a) && has(no)",
    "has(no) || !has(a)",
]  # fmt: skip


@pytest.mark.parametrize("text", SELECTED)
def test_selects(text: str) -> None:
    assert selects(parse_selector(text), LABELS)


@pytest.mark.parametrize("text", LEFT)
def test_leaves(text: str) -> None:
    assert not selects(parse_selector(text), LABELS)
