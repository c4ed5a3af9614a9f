"""A set that never changes and of which a changed copy is cheap: what a view holds of sets with many members.

A set is a base with what came and what went since; a copy shares the base. Once that is more than a few, the copy gets a
base of its own, which costs no more than copying a table, since members are not hashed again. So a view of a cluster with a
set of a quarter of a million addresses does not cost as many steps for each pod that comes or goes. As a value it is like a
frozenset: equal to any set with the same members, however it came to them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from itertools import chain
from typing import Any, TypeVar

MemberT = TypeVar("MemberT", bound=Hashable)

_FEW = 256
"""How much may have come and gone before there is a new base."""


class MemberSet(Set[MemberT]):
    """An immutable set; see the module for what it is good for."""

    __slots__ = ("_added", "_base", "_removed")

    def __init__(self, members: Iterable[MemberT] = ()) -> None:
        self._base: frozenset[MemberT] = frozenset(members)
        self._added: frozenset[MemberT] = frozenset()
        """None of these is in the base."""
        self._removed: frozenset[MemberT] = frozenset()
        """All of these are in the base."""

    def changed(self, added: Collection[MemberT], removed: Collection[MemberT]) -> MemberSet[MemberT]:
        """The set with other members; `added` are not in it, `removed` are."""
        came, went = frozenset(added), frozenset(removed)
        returned = came & self._removed
        copy: MemberSet[MemberT] = MemberSet.__new__(MemberSet)
        copy._base = self._base
        copy._added = (self._added - went) | (came - returned)
        copy._removed = (self._removed - returned) | (went - self._added)
        if len(copy._added) + len(copy._removed) > _FEW:
            copy._base, copy._added, copy._removed = copy._whole(), frozenset(), frozenset()
        return copy

    def _whole(self) -> frozenset[MemberT]:
        """All members; sets are joined here without asking members for their hash."""
        return self._base.union(self._added).difference(self._removed)

    def __contains__(self, member: object) -> bool:
        return member in self._added or (member in self._base and member not in self._removed)

    def __iter__(self) -> Iterator[MemberT]:
        stayed = self._base.difference(self._removed) if self._removed else self._base
        return chain(stayed, self._added)

    def __len__(self) -> int:
        return len(self._base) - len(self._removed) + len(self._added)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        if len(self) != len(other):
            return False
        if not isinstance(other, MemberSet):
            return self._whole() == other
        if self._base is other._base:
            return self._added == other._added and self._removed == other._removed
        return self._whole() == other._whole()

    def __hash__(self) -> int:
        return hash(self._whole())

    def __repr__(self) -> str:
        return f"MemberSet({set(self)!r})"

    def changes_to(self, other: MemberSet[MemberT]) -> tuple[Set[MemberT], Set[MemberT]]:
        """Which members the other set has more, and which it has not."""
        if self._base is not other._base:
            one, two = self._whole(), other._whole()
            return two - one, one - two
        came = (other._added - self._added) | (self._removed - other._removed)
        went = (self._added - other._added) | (other._removed - self._removed)
        return came, went

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> MemberSet[Any]:
        return cls(it)


def changed_members(before: Set[MemberT], after: Set[MemberT]) -> tuple[Set[MemberT], Set[MemberT]]:
    """Which members came and which went; in no time where the one set was made from the other."""
    if isinstance(before, MemberSet) and isinstance(after, MemberSet):
        return before.changes_to(after)
    return after - before, before - after
