"""Members of sets, worked out once: a set of which one member changed costs no more than looking at which object that is.

Members are compared as the kernel holds them (`ipset.members`), which means hashing each of them. Whoever plans again and
again sees the same sets again, held ones and wanted ones, or changed copies that share all members but a few as the very
same objects. Those few are found by identity; what follows is the same as if all were hashed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.reconcile.ipset import editable, holds_everything, members

_MOST_KNOWN = 4
"""Sets of one name that are remembered: held and wanted, before and after."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A set, its members as the kernel holds them, whether they are plain, and whether each is one of its entries."""

    ip_set: IPSet
    members: frozenset[SetEntry]
    editable: bool
    as_written: bool


class KnownMembers:
    """What is known of the members of each set of one family."""

    def __init__(self) -> None:
        self._known: dict[str, list[_Known]] = {}

    def members(self, one: IPSet) -> frozenset[SetEntry]:
        """`ipset.members`."""
        return self._look(one).members

    def editable(self, one: IPSet) -> bool:
        """`ipset.editable`."""
        return self._look(one).editable

    def equal(self, held: IPSet, wanted: IPSet) -> bool:
        """Whether two sets have the same members; when they do, the members of both are one object from now on."""
        one, other = self._look(held), self._look(wanted)
        if one.members is other.members:
            return True
        if one.members != other.members:
            return False
        self._remember(replace(other, members=one.members))
        return True

    def forget_all_but(self, names: frozenset[str]) -> None:
        """Forgets sets of other names."""
        for name in self._known.keys() - names:
            del self._known[name]

    def _look(self, one: IPSet) -> _Known:
        known = self._known.get(one.name, [])
        for found in known:
            if found.ip_set is one:
                return found
        made = next((made for found in known if (made := _derived(found, one)) is not None), None)
        return self._remember(made or _Known(one, members(one), editable(one), not holds_everything(one)))

    def _remember(self, made: _Known) -> _Known:
        others = [found for found in self._known.get(made.ip_set.name, []) if found.ip_set is not made.ip_set]
        self._known[made.ip_set.name] = [made, *others[: _MOST_KNOWN - 1]]
        return made


def _derived(known: _Known, one: IPSet) -> _Known | None:
    """What is known of a set that shares most of its members with another; None where it is easier to look at all."""
    if known.ip_set.type != one.type or not known.editable or not known.as_written:
        return None
    before, after = {id(entry) for entry in known.ip_set.entries}, {id(entry) for entry in one.entries}
    if len(before) != len(known.ip_set.entries) or len(after) != len(one.entries):
        return None
    came = _with_entries(one, [entry for entry in one.entries if id(entry) not in before])
    went = _with_entries(one, [entry for entry in known.ip_set.entries if id(entry) not in after])
    if len(came.entries) > len(one.entries) // 4 or holds_everything(came):
        return None
    found = (known.members - members(went)) | members(came)
    if len(found) != len(one.entries):
        return None  # one member twice, in two objects
    return _Known(one, found, editable(came), as_written=True)


def _with_entries(one: IPSet, entries: Sequence[SetEntry]) -> IPSet:
    return replace(one, entries=tuple(entries))
