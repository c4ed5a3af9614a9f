"""Values by key that come out in the order of their keys, and that tell which keys changed.

Keys are kept sorted, so that a change costs one shift and a reading between changes nothing. A value that is again what it
was when changes were last asked for has not changed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar


class Orderable(Protocol):
    """What keys have in common."""

    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...


KeyT = TypeVar("KeyT", bound=Orderable)
ValueT = TypeVar("ValueT")


class Ordered(Generic[KeyT, ValueT]):
    """A table of values that are in force; `values` is made anew only when something changed."""

    def __init__(self) -> None:
        self._values: dict[KeyT, ValueT] = {}
        self._keys: list[KeyT] = []
        self._made: tuple[ValueT, ...] | None = ()
        self._before: dict[KeyT, ValueT | None] = {}
        """What keys had that were given something else, when it was asked last what changed."""

    def get(self, key: KeyT) -> ValueT | None:
        """The value of a key, or None."""
        return self._values.get(key)

    def set(self, key: KeyT, value: ValueT | None) -> None:
        """Gives a key a value, or with None takes it away."""
        before = self._values.get(key)
        if before == value:
            return
        if value is None:
            del self._values[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if before is None:
                insort(self._keys, key)
            self._values[key] = value
        self._made = None
        self._before.setdefault(key, before)

    def replace(self, values: Mapping[KeyT, ValueT]) -> None:
        """Makes these the values of all keys."""
        for key in [key for key in self._keys if key not in values]:
            self.set(key, None)
        for key, value in values.items():
            self.set(key, value)

    def values(self) -> tuple[ValueT, ...]:
        """The values in the order of their keys."""
        if self._made is None:
            self._made = tuple(map(self._values.__getitem__, self._keys))
        return self._made

    def take_changed(self) -> frozenset[KeyT]:
        """The keys that have another value than when this was asked last."""
        before, self._before = self._before, {}
        return frozenset(key for key, value in before.items() if self._values.get(key) != value)
