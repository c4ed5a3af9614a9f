"""A set with cheap changed copies; that it is like a frozenset otherwise: tests/property/test_calculation.py."""

from __future__ import annotations

import pytest

from tortie.calc.member_set import MemberSet, changed_members


def test_a_changed_copy_leaves_the_original_as_it_was() -> None:
    one = MemberSet({1, 2})
    other = one.changed({3}, {1})
    assert (set(one), set(other)) == ({1, 2}, {2, 3})


def test_a_changed_copy_shares_all_that_did_not_change() -> None:
    large = MemberSet(range(100_000))
    assert large.changed({-5}, {7})._base is large._base


@pytest.mark.parametrize("size", [0, 1, 100, 256, 257, 1000])
def test_growing_and_shrinking_by_one(size: int) -> None:
    grown: MemberSet[int] = MemberSet()
    for number in range(size):
        grown = grown.changed({number}, ())
    assert grown == frozenset(range(size))
    for number in range(size):
        grown = grown.changed((), {number})
    assert grown == frozenset()


def test_what_goes_and_comes_back_makes_an_equal_set() -> None:
    one = MemberSet({1, 2, 3})
    there = one.changed({4}, {1}).changed({1}, {4})
    assert there == one
    assert hash(there) == hash(one) == hash(frozenset({1, 2, 3}))


def test_changes_do_not_pile_up() -> None:
    now = MemberSet(range(10))
    for number in range(10_000):
        now = now.changed({number + 10}, {number})
    assert now == frozenset(range(10_000, 10_010))
    assert len(now._base) + len(now._added) + len(now._removed) < 1000


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


@pytest.mark.parametrize("size", [0, 3, 1000])
def test_what_came_and_went_between_two_copies(size: int) -> None:
    first = MemberSet(range(size))
    one = first.changed({-1, -2}, set(range(size // 2)))
    other = first.changed({-2, -3}, set(range(size // 3)))
    for before, after in ((first, one), (one, other), (other, one), (one, first), (one, MemberSet({5}))):
        assert changed_members(before, after) == (set(after) - set(before), set(before) - set(after))


def test_what_came_and_went_between_other_sets() -> None:
    assert changed_members(frozenset({1, 2}), frozenset({2, 3})) == ({3}, {1})
    assert changed_members(MemberSet({1, 2}), frozenset({2, 3})) == ({3}, {1})


def test_the_usual_operations_of_sets() -> None:
    one, other = MemberSet({1, 2}), MemberSet({2, 3})
    assert (one | other, one & other, one - other) == ({1, 2, 3}, {2}, {1})
    assert repr(MemberSet({1})) == "MemberSet({1})"
