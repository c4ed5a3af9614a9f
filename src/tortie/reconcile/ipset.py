"""From one set to another: members one by one, or a copy that is filled and swapped in.

What the kernel cannot change in a set that exists (type, family, size, options) needs a new set. Two sets of one type and
family can be exchanged while rules look into them (`ip_set_swap` in net/netfilter/ipset/ip_set_core.c wants equal features
and family); any other change means destroying the set, which the kernel refuses while a rule names it.

Members are compared as the kernel holds them: a net of length 0 is two halves, since hash:net takes no /0 (spec:
netfilter 8.2). Members with a time-out or other extensions, or that could not be read, are never edited; such a set
is exchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from tortie.net.address import Prefix
from tortie.netfilter.ipset import IPSet, Part, SetEntry
from tortie.reconcile.step import AddMember, CreateSet, DeleteMember, DestroySet, SetCommand, SwapSets

_US_FOR_EDIT = 8.0
_US_FOR_FILL = 3.4
_US_FOR_SWAP = 5000.0
"""Microseconds for a member of a set in use, for one of a new set, and for making, swapping, destroying one (measured)."""
_CHANGES_MEANING = frozenset({"timeout", "netmask", "bitmask", "markmask", "forceadd", "counters", "comment", "skbinfo"})
"""Options that a set must not have unless they are wanted."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Commands that lead from some contents of a set to others, and what packets see of it.

    `seen` is how many of the commands change what rules find in the set; `adds` and `deletes` say in which direction.
    """

    commands: tuple[SetCommand, ...]
    seen: int
    adds: bool
    deletes: bool


@dataclass(slots=True)
class TemporaryNames:
    """Hands out names for sets that live only while another is rewritten; counts up, passing over those in use."""

    prefix: str
    used: frozenset[str]
    number: int = 0
    given: list[str] = field(default_factory=list)

    def next(self) -> str:
        """A name that no set has."""
        while True:
            name = f"{self.prefix}{self.number}"
            self.number += 1
            if name not in self.used:
                self.given.append(name)
                return name


def members(one: IPSet) -> frozenset[SetEntry]:
    """The members as the kernel holds them."""
    if "net" not in one.dimensions or one.type == "hash:net,iface" or not holds_everything(one):
        return frozenset(one.entries)
    return frozenset(half for entry in one.entries for half in _halves(entry))


def holds_everything(one: IPSet) -> bool:
    """True when a member is as wide as a family, which is written as two halves; hardly ever."""
    for entry in one.entries:
        for part in entry.parts:
            if type(part) is Prefix and not part.length:
                return True
    return False


def _halves(entry: SetEntry) -> Iterator[SetEntry]:
    if not any(isinstance(part, Prefix) and part.length == 0 for part in entry.parts):
        yield entry
        return
    for parts in product(*([part] if not _is_everything(part) else _cut(part) for part in entry.parts)):
        yield replace(entry, parts=parts)


def _is_everything(part: Part) -> bool:
    return isinstance(part, Prefix) and part.length == 0


def _cut(part: Part) -> list[Part]:
    assert isinstance(part, Prefix)
    return [Prefix(part.family, 0, 1), Prefix(part.family, 1 << (part.family.bits - 1), 1)]


def same_kind(held: IPSet, wanted: IPSet) -> bool:
    """True when the set can stay and only members may differ."""
    return swappable(held, wanted) and held.complete and _same_options(held, wanted)


def swappable(held: IPSet, wanted: IPSet) -> bool:
    """True when the two could be exchanged while rules look into them."""
    return held.type == wanted.type and held.family == wanted.family


def _same_options(held: IPSet, wanted: IPSet) -> bool:
    given = {name: value for name, value in wanted.options.items() if name != "family"}
    unwanted = _CHANGES_MEANING & held.options.keys() - given.keys()
    return not unwanted and all(held.options.get(name, "") == value for name, value in given.items())


def editable(held: IPSet) -> bool:
    """True when every member is nothing but an element, so that adding and deleting say all."""
    return not any(
        entry.nomatch or entry.timeout_s is not None or entry.packets is not None or entry.bytes is not None
        or entry.comment is not None or entry.skb_mark is not None or entry.skb_prio is not None
        or entry.skb_queue is not None
        for entry in held.entries
    )  # fmt: skip


# --- passages ----------------------------------------------------------------------------------------------------


def make_set(wanted: IPSet) -> tuple[SetCommand, ...]:
    """Commands that make a set and fill it."""
    return (CreateSet(wanted), *_add_all(wanted.name, members(wanted)))


def rebuild_set(wanted: IPSet) -> tuple[SetCommand, ...]:
    """Commands that replace a set of another kind, while no rule names it."""
    return (DestroySet(wanted.name), *make_set(wanted))


def exchange_set(
    wanted: IPSet, before: frozenset[SetEntry] | None, after: frozenset[SetEntry], temporary: TemporaryNames
) -> Passage:
    """Fills a copy with `after` and swaps it in; `before` is None when it is not known what the set holds."""
    name = temporary.next()
    commands = (
        CreateSet(replace(wanted, name=name)),
        *_add_all(name, after),
        SwapSets(wanted.name, name),
        DestroySet(name),
    )
    if before is None:
        return Passage(commands, 1, True, True)
    return Passage(commands, int(before != after), not after <= before, not before <= after)


def change_members(
    wanted: IPSet, before: frozenset[SetEntry], after: frozenset[SetEntry], temporary: TemporaryNames
) -> Passage:
    """The cheaper of editing members in place, deletions first, and exchanging the set."""
    gone, come = before - after, after - before
    edits = len(gone) + len(come)
    if edits * _US_FOR_EDIT > len(after) * _US_FOR_FILL + _US_FOR_SWAP:
        return exchange_set(wanted, before, after, temporary)
    deleted = [DeleteMember(wanted.name, entry) for entry in _in_order(gone)]
    return Passage((*deleted, *_add_all(wanted.name, come)), edits, bool(come), bool(gone))


def _add_all(name: str, entries: Iterable[SetEntry]) -> Iterator[SetCommand]:
    return (AddMember(name, entry) for entry in _in_order(entries))


def _in_order(entries: Iterable[SetEntry]) -> list[SetEntry]:
    """Sorted, so that a plan is the same text each time."""
    return sorted(entries, key=_entry_key)


def _entry_key(entry: SetEntry) -> tuple[object, ...]:
    """Comparable with that of any entry of the same set."""
    if len(entry.parts) == 1:
        return _key(entry.parts[0])
    return tuple([_key(part) for part in entry.parts])


def _key(part: Part) -> tuple[object, ...]:
    if isinstance(part, Prefix):
        return (part.address, part.length)
    return (repr(part),)
