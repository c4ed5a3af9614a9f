"""The judge of `selector.index`: asks every selector of every object after every change. Never make it faster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from tortie.selector.evaluate import selects
from tortie.selector.tree import Selector


class LinearIndex:
    """Says the same as `SelectorIndex`, slowly."""

    def __init__(
        self, started: Callable[[str, Collection[str]], None], stopped: Callable[[str, Collection[str]], None]
    ) -> None:
        self._started = started
        self._stopped = stopped
        self._selectors: dict[str, Selector] = {}
        self._items: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {}
        self._parents: dict[str, Mapping[str, str]] = {}
        self._told: set[tuple[str, str]] = set()

    def __contains__(self, item: str) -> bool:
        return item in self._items

    def selected_by(self, item: str) -> Iterator[str]:
        return (key for key, selected in self._told if selected == item)

    def selected(self, key: str) -> Iterator[str]:
        return (item for selecting, item in self._told if selecting == key)

    def add_selector(self, key: str, tree: Selector) -> None:
        if key in self._selectors:
            raise ValueError(f"selector {key!r} is there already")
        self._selectors[key] = tree
        self._tell()

    def remove_selector(self, key: str) -> None:
        del self._selectors[key]
        self._tell()

    def set_item(self, item: str, labels: Mapping[str, str], parents: tuple[str, ...] = ()) -> None:
        self._items[item] = (labels, parents)
        self._tell()

    def remove_item(self, item: str) -> None:
        self._items.pop(item, None)
        self._tell()

    def set_parent(self, parent: str, labels: Mapping[str, str]) -> None:
        self._parents[parent] = labels
        self._tell()

    def _labels(self, item: str) -> dict[str, str]:
        labels, parents = self._items[item]
        found = dict(labels)
        for parent in parents:
            for label, value in self._parents.get(parent, {}).items():
                if label not in found:
                    found[label] = value
        return found

    def _tell(self) -> None:
        now = {
            (key, item)
            for key, tree in self._selectors.items()
            for item in self._items
            if selects(tree, self._labels(item))
        }
        for key, item in self._told - now:
            self._stopped(key, (item,))
        for key, item in now - self._told:
            self._started(key, (item,))
        self._told = now
