"""The index of selectors agrees with the search of everything, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.linear_index import LinearIndex
from tests.strategies.selector import VALUES, labels, trees
from tortie.selector.evaluate import selects
from tortie.selector.index import SelectorIndex
from tortie.selector.predicate import compile_selector
from tortie.selector.tree import Selector

ITEMS = ("x", "y", "z", "u", "v")
PARENTS = ("p", "q")
KEYS = ("s", "t", "w")
_few_labels = st.dictionaries(st.sampled_from(("a", "b", "in")), st.sampled_from(VALUES), max_size=2)
_steps = st.one_of(
    st.tuples(
        st.just("item"),
        st.sampled_from(ITEMS),
        _few_labels,
        st.lists(st.sampled_from(PARENTS), max_size=2).map(tuple),
    ),
    st.tuples(st.just("no item"), st.sampled_from(ITEMS)),
    st.tuples(st.just("parent"), st.sampled_from(PARENTS), _few_labels),
    st.tuples(st.just("selector"), st.sampled_from(KEYS), trees),
    st.tuples(st.just("no selector"), st.sampled_from(KEYS)),
)


class Follower:
    """Keeps, from what an index tells, what is selected; whatever is told twice or untold is a mistake."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.selected: set[tuple[str, str]] = set()
        self.keys: set[str] = set()
        self.index = make(self._start, self._stop)

    def _start(self, key: str, items: Collection[str]) -> None:
        pairs = {(key, item) for item in items}
        assert not pairs & self.selected
        self.selected |= pairs

    def _stop(self, key: str, items: Collection[str]) -> None:
        pairs = {(key, item) for item in items}
        assert pairs <= self.selected
        self.selected -= pairs

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case "item", item, given_labels, parents:
                self.index.set_item(item, given_labels, parents)
            case "no item", item:
                self.index.remove_item(item)
            case "parent", parent, given_labels:
                self.index.set_parent(parent, given_labels)
            case "selector", key, tree:
                self.do(("no selector", key))
                self.index.add_selector(key, tree)
                self.keys.add(key)
            case "no selector", key:
                if key in self.keys:
                    self.index.remove_selector(key)
                    self.keys.remove(key)


@examples(150)
@given(st.lists(_steps, max_size=25))
def test_agrees_with_the_search_of_everything(steps: list[tuple[Any, ...]]) -> None:
    index, judge = Follower(SelectorIndex), Follower(LinearIndex)
    for step in steps:
        index.do(step)
        judge.do(step)
        assert index.selected == judge.selected
    assert index.selected == {(key, item) for key in KEYS for item in index.index.selected(key)}
    assert index.selected == {(key, item) for item in ITEMS for key in index.index.selected_by(item)}


@examples(100)
@given(st.lists(_steps, max_size=15))
def test_nothing_is_left_of_what_has_gone(steps: list[tuple[Any, ...]]) -> None:
    follower = Follower(SelectorIndex)
    for step in steps:
        follower.do(step)
    for step in [("no item", item) for item in ITEMS] + [("no selector", key) for key in KEYS]:
        follower.do(step)
    for parent in PARENTS:
        follower.do(("parent", parent, {}))
    index, kinds = follower.index, follower.index._kinds
    assert follower.selected == set()
    assert not any((index._entries, index._filed, index._without_clue, index._mentioning, index._kind_of))
    assert not any((kinds._known, kinds._own, kinds._own_count, kinds._of_parent, kinds._parents, kinds.inherited))


@examples(100)
@given(trees, labels)
def test_a_compiled_selector_agrees_with_the_plain_reading(tree: Selector, given_labels: dict[str, str]) -> None:
    assert compile_selector(tree)(given_labels) is selects(tree, given_labels)
