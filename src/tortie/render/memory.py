"""Keeping what was made, for as long as what it was made from is the same.

Rendering is a function of its input. A node is rendered again for every change, though, and hardly anything of it is ever
another. So results are kept beside what they were made from, and made again only when that is not equal any more. What is
kept decides nothing but how long it takes: the same input gives an equal result with it and without it. What is the same as
before is the same object, which makes it cheap for others to see.

Equal values are compared by identity first (as tuples do), so it pays to hand in the very objects of last time. Each
keeper holds on to one generation: what is not asked for is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
GivenT = TypeVar("GivenT")
MadeT = TypeVar("MadeT")

Make = Callable[[KeyT, GivenT, tuple[GivenT, MadeT] | None], MadeT]
"""Makes the result for a key; the last argument is what was given and made for it the last time."""


class Same(Generic[MadeT]):
    """One result, which stays while everything that it was made from does."""

    def __init__(self) -> None:
        self._held: tuple[tuple[object, ...], MadeT] | None = None

    def of(self, given: tuple[object, ...], make: Callable[[], MadeT]) -> MadeT:
        """The result for what is given, which holds everything that `make` depends on."""
        if self._held is None or self._held[0] != given:
            self._held = given, make()
        return self._held[1]


class Kept(Generic[KeyT, GivenT, MadeT]):
    """A table of results, each made from its key and what is given for the key."""

    def __init__(self, make: Make[KeyT, GivenT, MadeT]) -> None:
        self._make = make
        self._held: dict[KeyT, tuple[GivenT, MadeT]] = {}
        self._made: dict[KeyT, MadeT] = {}

    def renew(self, given: Mapping[KeyT, GivenT]) -> dict[KeyT, MadeT]:
        """The results in the order of what is given; the same table as last time when all of it is the same."""
        held, now, changed = self._held, {}, False
        for key, one in given.items():
            known = held.get(key)
            if known is None or (known[0] is not one and known[0] != one):
                known, changed = (one, self._make(key, one, known)), True
            now[key] = known
        self._held = now
        if changed or list(now) != list(self._made):
            self._made = {key: made for key, (_, made) in now.items()}
        return self._made


class Joined(Generic[KeyT, MadeT]):
    """Tables put together into one, which stays while the tables are the same objects."""

    def __init__(self) -> None:
        self._parts: tuple[Mapping[KeyT, MadeT], ...] = ()
        self._whole: dict[KeyT, MadeT] = {}

    def of(self, *parts: Mapping[KeyT, MadeT]) -> dict[KeyT, MadeT]:
        """All of the parts in their order; of a key that several have the last counts, as in `dict.update`."""
        if not _are_same(parts, self._parts):
            self._parts, self._whole = parts, {}
            for part in parts:
                self._whole.update(part)
        return self._whole


def _are_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
