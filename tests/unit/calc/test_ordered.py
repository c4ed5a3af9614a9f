"""Values by key, in the order of keys, and what of them changed."""

from __future__ import annotations

import pytest

from tortie.calc.ordered import Ordered


@pytest.fixture
def table() -> Ordered[str, int]:
    made = Ordered[str, int]()
    for key, value in (("b", 2), ("c", 3), ("a", 1)):
        made.set(key, value)
    made.take_changed()
    return made


def test_values_are_in_the_order_of_keys(table: Ordered[str, int]) -> None:
    assert table.values() == (1, 2, 3)
    assert table.values() is table.values()


def test_a_value_is_got_by_its_key(table: Ordered[str, int]) -> None:
    assert (table.get("b"), table.get("x")) == (2, None)


def test_what_changed_is_told_once(table: Ordered[str, int]) -> None:
    table.set("a", 5)
    table.set("b", None)
    table.set("d", 4)
    assert table.values() == (5, 3, 4)
    assert table.take_changed() == {"a", "b", "d"}
    assert table.take_changed() == frozenset()


def test_what_came_back_did_not_change(table: Ordered[str, int]) -> None:
    table.set("a", None)
    table.set("a", 1)
    table.set("x", 1)
    table.set("x", None)
    table.set("b", 2)
    assert table.take_changed() == frozenset()
    assert table.values() == (1, 2, 3)


def test_all_values_can_be_replaced(table: Ordered[str, int]) -> None:
    table.replace({"b": 2, "c": 4, "d": 5})
    assert table.values() == (2, 4, 5)
    assert table.take_changed() == {"a", "c", "d"}
