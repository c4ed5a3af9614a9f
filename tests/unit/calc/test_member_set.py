"""A set with cheap changed copies; that it is like a frozenset otherwise: tests/property/test_calculation.py."""

from __future__ import annotations

import pytest

from tortie.calc.member_set import MemberSet


def test_a_changed_copy_leaves_the_original_as_it_was() -> None:
    one = MemberSet({1, 2})
    other = one.changed({3}, {1})
    assert (set(one), set(other)) == ({1, 2}, {2, 3})


def test_a_changed_copy_of_a_large_set_shares_nearly_everything() -> None:
    large = MemberSet(range(100_000))
    other = large.changed({-5}, {7})
    different = [one for one, two in zip(large._buckets, other._buckets, strict=True) if one is not two]
    assert 1 <= len(different) <= 2
    assert len(large._buckets) > 1000


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_growing_and_shrinking_by_one(size: int) -> None:
    grown: MemberSet[int] = MemberSet()
    for number in range(size):
        grown = grown.changed({number}, ())
    assert grown == frozenset(range(size))
    for number in range(size):
        grown = grown.changed((), {number})
    assert grown == frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [({1}, {2}), ({1}, {1, 2}), ({1, 2}, {1}), (set(range(500)), set(range(1, 501)))],
    ids=["another", "one more", "one less", "many, one other"],
)
def test_sets_with_different_members_are_different(one: set[int], other: set[int]) -> None:
    assert MemberSet(one) != MemberSet(other)
    assert MemberSet(one) != other
    assert other != MemberSet(one)


def test_no_other_thing_is_equal_to_a_set() -> None:
    assert MemberSet({1}) != [1]


def test_the_usual_operations_of_sets() -> None:
    one, other = MemberSet({1, 2}), MemberSet({2, 3})
    assert (one | other, one & other, one - other) == ({1, 2, 3}, {2}, {1})
    assert repr(MemberSet({1})) == "MemberSet({1})"
