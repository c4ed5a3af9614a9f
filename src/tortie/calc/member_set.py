"""A set that never changes and of which a changed copy is cheap: what a view holds of sets with many members.

Members are spread over buckets by their hash; a copy shares all buckets but those that a change is in. So a view of a
cluster with a set of a quarter of a million addresses does not cost that many steps for each pod that comes or goes, and
whoever keeps the last view can tell two versions apart bucket by bucket. As a value it is like a frozenset: equal to any
set with the same members, however it came to them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from typing import Any, TypeVar

MemberT = TypeVar("MemberT", bound=Hashable)

_MOST, _USUAL, _LEAST = 64, 32, 8
"""Members for each bucket: above and below which there are made more or fewer buckets, and how many there are then."""


class MemberSet(Set[MemberT]):
    """An immutable set; see the module for what it is good for."""

    __slots__ = ("_buckets", "_size")

    _buckets: tuple[frozenset[MemberT], ...]

    def __init__(self, members: Iterable[MemberT] = ()) -> None:
        found = frozenset(members)
        self._size = len(found)
        count = _bucket_count(self._size)
        buckets: list[list[MemberT]] = [[] for _ in range(count)]
        for member in found:
            buckets[hash(member) % count].append(member)
        self._buckets = tuple(map(frozenset, buckets)) if count > 1 else (found,)

    def changed(self, added: Collection[MemberT], removed: Collection[MemberT]) -> MemberSet[MemberT]:
        """The set with other members; `added` are not in it, `removed` are."""
        size = self._size + len(added) - len(removed)
        count = len(self._buckets)
        if size > _MOST * count or (size < _LEAST * count and count > 1):
            return MemberSet((self | frozenset(added)) - frozenset(removed) if self._size else added)
        incoming, outgoing = _by_bucket(added, count), _by_bucket(removed, count)
        buckets = list(self._buckets)
        for place in incoming.keys() | outgoing.keys():
            buckets[place] = buckets[place].union(incoming.get(place, ())).difference(outgoing.get(place, ()))
        copy: MemberSet[MemberT] = MemberSet.__new__(MemberSet)
        copy._size, copy._buckets = size, tuple(buckets)
        return copy

    def __contains__(self, member: object) -> bool:
        return member in self._buckets[hash(member) % len(self._buckets)]

    def __iter__(self) -> Iterator[MemberT]:
        for bucket in self._buckets:
            yield from bucket

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Set):
            return NotImplemented
        if self._size != len(other):
            return False
        if isinstance(other, MemberSet) and len(self._buckets) == len(other._buckets):
            return self._buckets == other._buckets
        return all(member in other for member in self)

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"MemberSet({set(self)!r})"

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> MemberSet[Any]:
        return cls(it)


def _bucket_count(size: int) -> int:
    """An odd number, so that members of one bucket differ in the bits by which sets place them."""
    return max(1, size // _USUAL) | 1


def _by_bucket(members: Collection[MemberT], count: int) -> dict[int, list[MemberT]]:
    found: dict[int, list[MemberT]] = {}
    for member in members:
        found.setdefault(hash(member) % count, []).append(member)
    return found
