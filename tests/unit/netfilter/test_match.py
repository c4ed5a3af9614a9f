"""Ranges of numbers, which many tests are made of."""

from __future__ import annotations

import pytest

from tortie.netfilter.match import IntRange


@pytest.mark.parametrize(
    ("low", "high", "inside", "outside"),
    [(1, 3, [1, 2, 3], [0, 4]), (2, 2, [2], [1, 3]), (3, 1, [], [1, 2, 3])],
    ids=["several", "one", "none"],
)
def test_both_ends_are_inside(low: int, high: int, inside: list[int], outside: list[int]) -> None:
    numbers = IntRange(low, high)
    assert all(number in numbers for number in inside)
    assert not any(number in numbers for number in outside)
