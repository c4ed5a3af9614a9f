"""What the index of selectors tells; the same tests hold for the search of everything that judges it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable

import pytest

from tests.linear_index import LinearIndex
from tortie.selector.index import SelectorIndex
from tortie.selector.parse import parse_selector


class Told:
    """An index and what it told since it was last asked, such as `+s a` for selector s starting to select a."""

    def __init__(self, make: Callable[..., SelectorIndex[str, str] | LinearIndex]) -> None:
        self._told: list[str] = []
        self.index = make(self._teller("+"), self._teller("-"))

    def _teller(self, sign: str) -> Callable[[Hashable, Collection[Hashable]], None]:
        return lambda key, items: self._told.extend(f"{sign}{key} {item}" for item in items)

    def select(self, key: str, text: str) -> None:
        self.index.add_selector(key, parse_selector(text))

    def label(self, item: str, *parents: str, **labels: str) -> None:
        self.index.set_item(item, labels, parents)

    def give(self, parent: str, **labels: str) -> None:
        self.index.set_parent(parent, labels)

    def take(self) -> list[str]:
        told, self._told[:] = sorted(self._told), []
        return told


@pytest.fixture(params=[SelectorIndex, LinearIndex], ids=["index", "judge"])
def told(request: pytest.FixtureRequest) -> Told:
    return Told(request.param)


def test_an_object_that_comes_is_told_to_what_selects_it(told: Told) -> None:
    told.select("s", "a == '1'")
    told.select("t", "a == '2'")
    told.label("x", a="1")
    assert told.take() == ["+s x"]


def test_a_selector_that_comes_is_told_what_it_selects(told: Told) -> None:
    told.label("x", a="1")
    told.label("y", a="1")
    told.label("z", a="2")
    told.select("s", "a == '1'")
    assert told.take() == ["+s x", "+s y"]


def test_only_differences_are_told_when_labels_change(told: Told) -> None:
    told.select("s", "has(a)")
    told.select("t", "a == '1'")
    told.select("u", "a == '2'")
    told.label("x", a="1")
    told.take()
    told.label("x", a="2")
    assert told.take() == ["+u x", "-t x"]


def test_the_same_again_tells_nothing(told: Told) -> None:
    told.select("s", "has(a)")
    told.label("x", a="1")
    told.take()
    told.label("x", a="1")
    assert told.take() == []


def test_what_goes_is_told_as_stopped(told: Told) -> None:
    told.select("s", "has(a)")
    told.label("x", a="1")
    told.label("y", a="1")
    told.take()
    told.index.remove_item("x")
    assert told.take() == ["-s x"]
    told.index.remove_selector("s")
    assert told.take() == ["-s y"]
    told.label("z", a="1")
    assert told.take() == []


def test_an_object_that_is_not_there_can_be_removed(told: Told) -> None:
    told.index.remove_item("x")
    assert told.take() == []


def test_an_object_is_there_from_when_it_comes_until_it_goes(told: Told) -> None:
    assert "x" not in told.index
    told.label("x")
    assert "x" in told.index
    told.index.remove_item("x")
    assert "x" not in told.index


def test_a_key_is_there_once(told: Told) -> None:
    told.select("s", "has(a)")
    with pytest.raises(ValueError, match="there already"):
        told.select("s", "has(b)")


def test_labels_are_inherited_and_lost_again(told: Told) -> None:
    told.select("s", "team == 'red'")
    told.label("x", "p")
    told.label("y")
    assert told.take() == []
    told.give("p", team="red")
    assert told.take() == ["+s x"]
    told.give("p", team="blue")
    assert told.take() == ["-s x"]


def test_a_parent_may_come_before_its_children(told: Told) -> None:
    told.give("p", team="red")
    told.label("x", "p")
    told.select("s", "team == 'red'")
    assert told.take() == ["+s x"]


def test_labels_of_ones_own_go_first_then_the_first_parents(told: Told) -> None:
    told.give("p", k="p")
    told.give("q", k="q")
    for value in ("own", "p", "q"):
        told.select(value, f"k == '{value}'")
    told.label("x", "p", "q", k="own")
    told.label("y", "p", "q")
    told.label("z", "q", "p")
    assert told.take() == ["+own x", "+p y", "+q z"]
    told.give("p")
    assert told.take() == ["+q y", "-p y"]


def test_a_change_of_parents_is_a_change_of_labels(told: Told) -> None:
    told.give("p", k="p")
    told.select("s", "has(k)")
    told.label("x")
    told.label("x", "p")
    assert told.take() == ["+s x"]
    told.label("x")
    assert told.take() == ["-s x"]


@pytest.mark.parametrize(
    "text",
    [
        "all()", "!has(b)", "b != '1'", "b not in {'1'}", "!(b == '1')", "!(a != '1')", "!(a not in {'1', '2'})",
        "a == '1' || has(b)", "a == '1' || !has(b)", "has(b) || all()", "a == '1' && !has(b)", "!(has(b) || a != '1')",
        "a starts with ''", "a contains '1' && a ends with '1'", "a in {'1', '2'}", "!(a in {})", "!(!has(a) && b == '1')",
        "!(b starts with 'x')",
    ],
)  # fmt: skip
def test_selectors_that_do_not_say_what_must_be_there(told: Told, text: str) -> None:
    told.label("x", a="1")
    told.label("y", b="1")
    told.select("s", text)
    assert "+s x" in told.take()
    told.label("z", a="1")
    assert told.take() == ["+s z"]


@pytest.mark.parametrize("text", ["a in {}", "!all()", "a == '1' && !has(a)", "a in {} || !all()"])
def test_selectors_of_nothing(told: Told, text: str) -> None:
    told.label("x", a="1")
    told.select("s", text)
    told.label("y", a="1")
    assert told.take() == []


def test_a_condition_is_found_by_whichever_of_its_parts(told: Told) -> None:
    for number in range(40):
        told.label(f"x{number}", kind="common", name=str(number))
    told.select("s", "kind == 'common' && name == '7'")
    assert told.take() == ["+s x7"]
    told.label("y", name="7", kind="common")
    told.label("z", name="7")
    assert told.take() == ["+s y"]


def test_many_selectors_mention_a_label_that_a_parent_changes(told: Told) -> None:
    for number in range(50):
        told.select(f"s{number:02d}", f"team == 't{number}' && has(app)")
    told.select("other", "has(app)")
    told.label("x", "p", app="a")
    told.label("y", "p")
    assert told.take() == ["+other x"]
    told.give("p", team="t3")
    assert told.take() == ["+s03 x"]
    told.give("p", team="t44")
    assert told.take() == ["+s44 x", "-s03 x"]


def test_what_is_selected_can_be_asked(told: Told) -> None:
    told.select("s", "has(a)")
    told.select("t", "has(b)")
    told.label("x", a="1", b="1")
    told.label("y", a="1")
    assert sorted(told.index.selected("s")) == ["x", "y"]
    assert sorted(told.index.selected_by("x")) == ["s", "t"]
    assert (list(told.index.selected("none")), list(told.index.selected_by("none"))) == ([], [])
