"""What has to change in one family, and what of it packets can notice.

Everything is compared once here; `plan` puts the results in order. A *pivot* is a change after which a packet could be
accepted that was not before and the other way round: a table that treats packets differently, a set whose change neither
opens nor closes for certain. Changes that nobody can notice (chains that no hook leads to, sets that no reached rule looks
into) are no pivots, and neither are changes of members that are proven to open or to close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName
from tortie.netfilter.ipset import IPSet, NamePart, SetEntry
from tortie.netfilter.rule import Rule, Table
from tortie.reconcile.difference import Difference, differences, set_names, translation_differences
from tortie.reconcile.ipset import (
    Passage,
    TemporaryNames,
    change_members,
    exchange_set,
    make_set,
    rebuild_set,
    same_kind,
    swappable,
)
from tortie.reconcile.members import KnownMembers
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.step import DestroySet, SetCommand
from tortie.reconcile.table import Completion, held_table
from tortie.reconcile.table_views import KnownViews, uses_set
from tortie.reconcile.wanted import Held, WantedFamily

PATH_ORDER = (TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER, TableName.SECURITY)
"""Tables in the order in which a packet that comes in meets them."""
MOST_EXCHANGED = 65536
"""A set with more members is not copied for the sake of one step; a fifth of a second of filling."""


@dataclass(slots=True)
class SetWork:
    """Commands on sets by when they belong: before all else, closing, within the fence, opening, after all else."""

    first: list[SetCommand] = field(default_factory=list)
    closing: list[SetCommand] = field(default_factory=list)
    fenced: list[SetCommand] = field(default_factory=list)
    opening: list[SetCommand] = field(default_factory=list)
    last: list[SetCommand] = field(default_factory=list)


class Known:
    """What comparing found the last time for one family of one owner; nothing of the work depends on it, but its time."""

    def __init__(self) -> None:
        self.tables: dict[TableName, Completion] = {}
        self.views = KnownViews()
        self.members = KnownMembers()
        self.equal_sets: dict[str, tuple[IPSet, IPSet]] = {}
        """Sets that are held and wanted, and were found to be equal, by name."""


class FamilyWork:
    """All work on one family, compared when made."""

    def __init__(self, wanted: WantedFamily, held: Held, ownership: Ownership, known: Known | None = None) -> None:
        """Raises `InvalidInput` for a table that cannot be read and a set that foreign rules keep from being replaced."""
        self.wanted = wanted
        self.ownership = ownership
        self.ruleset = held.rulesets[wanted.family]
        self.remarks: list[str] = []
        self._held_sets = held.ip_sets
        known = known or Known()
        self._members = known.members
        old: dict[TableName, Table] = dict(self.ruleset.tables)
        new = dict(old)
        for name in wanted.tables:
            old[name] = held_table(self.ruleset, name)
            new[name], remarks = known.tables.setdefault(name, Completion()).of(old[name], wanted, ownership)
            self.remarks += remarks
        after = {name: known.tables[name].after for name in wanted.tables}
        self.after = replace(self.ruleset, tables=new | after)
        self.old, self.new = known.views.of(_readable(old)), known.views.of(_readable(new))
        self.differences: dict[TableName, list[Difference]] = {
            name: differences(old[name], new[name]) for name in wanted.tables if name is not TableName.NAT
        }
        self.translations: dict[str, tuple[Rule, ...]] = (
            translation_differences(old[TableName.NAT], new[TableName.NAT]) if TableName.NAT in wanted.tables else {}
        )
        self.sets = SetWork()
        self.pivot_sets: set[str] = set()
        self.leaving_sets: set[str] = set()
        self.seen_in_fence = 0
        names = frozenset(held.ip_sets) | frozenset(wanted.ip_sets)
        self._temporary = TemporaryNames(ownership.temporary_sets[wanted.family], names)
        known.members.forget_all_but(frozenset(wanted.ip_sets))
        equal, known.equal_sets = known.equal_sets, {}
        for one in wanted.ip_sets.values():
            if self._is_right(one, equal.get(one.name)):
                known.equal_sets[one.name] = held.ip_sets[one.name], one
            else:
                self._want_set(one)
        self._drop_sets()

    # --- sets ---

    def _is_right(self, wanted: IPSet, known: tuple[IPSet, IPSet] | None) -> bool:
        """Whether the set is held just as it is wanted; `known` are two of its name that are equal."""
        held = self._held_sets.get(wanted.name)
        if held is None:
            return False
        if known is not None and known[0] is held and known[1] is wanted:
            return True
        return same_kind(held, wanted) and self._members.editable(held) and self._members.equal(held, wanted)

    def _want_set(self, wanted: IPSet) -> None:
        """Work on a set that is not right."""
        held = self._held_sets.get(wanted.name)
        if held is None:
            self.sets.first += make_set(wanted)
        elif not swappable(held, wanted):
            self._rebuild(wanted)
        elif not same_kind(held, wanted) or not self._members.editable(held):
            before = self._members.members(held) if held.complete and self._members.editable(held) else None
            self._place(wanted.name, exchange_set(wanted, before, self._members.members(wanted), self._temporary))
        else:
            self._change(wanted, self._members.members(held), self._members.members(wanted))

    def _rebuild(self, wanted: IPSet) -> None:
        """A set that must be destroyed first, which takes that no rule names it at that moment."""
        commands = rebuild_set(wanted)
        if not self.old.named_anywhere(wanted.name):
            self.sets.first += commands
            return
        if not self.new.named_anywhere(wanted.name):
            self.sets.last += commands
            return
        self._refuse_foreign(wanted.name)
        self.sets.fenced += commands
        self.leaving_sets.add(wanted.name)

    def _refuse_foreign(self, name: str) -> None:
        for table, chain, rule in self._rules_of_old():
            if uses_set(rule, name) and not self.ownership.owns_rule(table, chain, rule, self.wanted.family):
                raise InvalidInput(
                    f"set {name} has another type than it must have, and a rule in {table.value} {chain} that is not ours "
                    "names it",
                    remedy="remove that rule",
                )

    def _rules_of_old(self) -> Iterator[tuple[TableName, str, Rule]]:
        for name, table in self.old.tables.items():
            for chain in table.chains.values():
                for rule in chain.rules:
                    yield name, chain.name, rule

    def _change(self, wanted: IPSet, before: frozenset[SetEntry], after: frozenset[SetEntry]) -> None:
        """Deletions and additions each at their own time where that is safe, else both at once."""
        deletes_first = self._place_of(wanted.name, adds=True, deletes=False) is not self.sets.closing
        middle = before & after if deletes_first else before | after
        parts = [(a, b) for a, b in ((before, middle), (middle, after)) if a != b]
        passages = [change_members(wanted, a, b, self._temporary) for a, b in parts]
        if all(self._place_of(wanted.name, adds=p.adds, deletes=p.deletes) is not self.sets.fenced for p in passages):
            for passage in passages:
                self._place(wanted.name, passage)
            return
        whole = change_members(wanted, before, after, self._temporary)
        if whole.seen > 1 and len(after) <= MOST_EXCHANGED:
            whole = exchange_set(wanted, before, after, self._temporary)
        self._place(wanted.name, whole)

    def _place(self, name: str, passage: Passage) -> None:
        """Puts a passage where it is safe."""
        if not passage.seen:
            self.sets.first += passage.commands
            return
        place = self._place_of(name, adds=passage.adds, deletes=passage.deletes)
        place += passage.commands
        if place is self.sets.fenced:
            self.pivot_sets.add(name)
            self.seen_in_fence += passage.seen

    def _place_of(self, name: str, *, adds: bool, deletes: bool) -> list[SetCommand]:
        """When a set may change in this direction: see `plan.plan`."""
        if not self.old.users(name):
            return self.sets.first
        if not self.new.users(name):
            return self.sets.last
        old, new = self.old.use_of(name), self.new.use_of(name)
        if (old.closes or not adds) and (old.opens or not deletes):
            return self.sets.closing
        if (new.opens or not adds) and (new.closes or not deletes):
            return self.sets.opening
        return self.sets.fenced

    def _drop_sets(self) -> None:
        """Sets of ours that nobody wants, left-over temporary ones among them, go last, unless others use them."""
        family, ownership = self.wanted.family, self.ownership
        unwanted = [n for n in self._held_sets if ownership.owns_set(family, n) and n not in self.wanted.ip_sets]
        if not unwanted:
            return
        users = self._foreign_users(set(unwanted))
        for name in unwanted:
            if name in users:
                self.remarks.append(f"IPv{family.value}: set {name} stays: {users[name]} uses it")
            else:
                self.sets.last.append(DestroySet(name))

    def _foreign_users(self, names: set[str]) -> dict[str, str]:
        """Who of others uses each of our sets."""
        found = {}
        for one in self._held_sets.values():
            for entry in one.entries if one.name not in names else ():
                for part in entry.parts:
                    if isinstance(part, NamePart) and part.name in names:
                        found[part.name] = f"set {one.name}"
        for table in self.new.tables.values():
            for chain in table.chains.values():
                for rule in chain.rules:
                    for name in set_names(rule):
                        if name in names:
                            found[name] = f"a rule in {table.name.value} {chain.name}"
        return found

    # --- what packets can notice ---

    @property
    def pivots(self) -> int:
        """How many changes could let through what neither before nor after gets through, were they made apart."""
        tables = sum(bool(found) for found in self.differences.values())
        return tables + bool(self.translations) + len(self.pivot_sets | self.leaving_sets)

    @property
    def needs_fence(self) -> bool:
        """True when order alone is not safe."""
        return self.pivots > 1 or self.seen_in_fence > 1 or bool(self.leaving_sets)


def _readable(tables: Mapping[TableName, Table]) -> dict[TableName, Table]:
    return {name: table for name, table in tables.items() if table.opaque is None}
