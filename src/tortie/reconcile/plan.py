"""The plan: everything that must change, in an order in which any step may be the last.

Goals: after each step no rule names a chain or set that is not there, and no packet gets through that both the old and the
new state drop. Tensions: a kernel takes one table at a time and one member of a set at a time, while what a packet meets
is all of them together; and dropping packets while things change would be safe always but is an outage, the worse the more
often it is done. The choice: order where order is proven safe, which is nearly always; a fence (`fence`) where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Rule, Ruleset, Table
from tortie.reconcile.difference import DESTINATION_CHAINS, translation_differences
from tortie.reconcile.edit import edit_table
from tortie.reconcile.family import PATH_ORDER, FamilyWork, Known
from tortie.reconcile.fence import fenced_table, in_own_chains, translation_fences, with_front_rules
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.step import Plan, SetCommand, SetEdit, Step, TableEdit
from tortie.reconcile.wanted import Held, WantedFamily, WantedTable


class Phase(IntEnum):
    """When a step is taken; all families go through them together."""

    PREPARE = 0
    CLOSE = 1
    FENCE = 2
    EXCHANGE = 3
    RULES = 4
    UNFENCE = 5
    OPEN = 6
    CLEAN = 7


def plan(wanted: Iterable[WantedFamily], held: Held, ownership: Ownership) -> Plan:
    """What turns the held state into the wanted one, in order; empty when nothing has to change.

    Families do not meet in a packet, so each is ordered by itself:

    1. PREPARE: sets are made and filled that no rule in force looks into. New rules will find them there.
    2. CLOSE: members change where that can only make the old rules drop more (`monotone`). All states up to here accept a
       part of what the old one accepts.
    3. RULES: tables become new, each in one step; each keeps what it names, since sets of new rules are there and sets of
       old rules still are.
    4. OPEN: members change where that can only make the new rules accept more: all states from RULES on accept a part of
       what the new one accepts.
    5. CLEAN: what no rule looks into any more is changed or destroyed.

    That is safe if at most one step, a *pivot*, leads from the old side to the new: one table that treats packets
    differently, or one step in a set that neither opens nor closes. With more pivots the states between two of them are
    mixtures that neither side answers for, so all pivots but one table are fenced: FENCE drops each packet that would meet
    one of them, table by table (states still accept a part of the old), EXCHANGE and RULES make the changes, which the
    packets left over cannot notice, and UNFENCE makes the last rules new, table by table (states accept a part of the new).

    Tables follow each other in the order in which packets meet them, so that a mark or a translation is made before rules
    rely on it; when ours go away, in the opposite order. That order is all that protects between tables while rules of
    ours in the kernel's own chains come or go (first start, upgrade, removal), where there is no fence.

    Raises `InvalidInput` for what cannot be read or cannot be replaced.
    """
    return Planner(ownership).plan(wanted, held)


class Planner:
    """Plans for one owner again and again: what was compared and proven about the very same objects is known already.

    What is planned depends on what is held and wanted alone, never on what was planned before.
    """

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self._known: dict[IPFamily, Known] = {}

    def plan(self, wanted: Iterable[WantedFamily], held: Held) -> Plan:
        """The same as `plan`."""
        works = [
            FamilyWork(family, held, self._ownership, self._known.setdefault(family.family, Known())) for family in wanted
        ]
        return _plan_of(works, self._ownership)


def _plan_of(works: Iterable[FamilyWork], ownership: Ownership) -> Plan:
    placed: list[tuple[Phase, Step]] = []
    remarks: list[str] = []
    after: dict[IPFamily, Ruleset] = {}
    for work in works:
        after[work.wanted.family] = work.after
        placed += _order(work, ownership)
        remarks += work.remarks
    placed.sort(key=lambda item: item[0])
    return Plan(tuple(_merged(step for _, step in placed)), tuple(remarks), after)


def plan_removal(held: Held, ownership: Ownership) -> Plan:
    """What removes all of ours from every table there is, and all our sets; nothing else changes."""
    return plan(
        [
            WantedFamily(family, {name: WantedTable() for name, table in ruleset.tables.items()})
            for family, ruleset in held.rulesets.items()
        ],
        held,
        ownership,
    )


def _order(work: FamilyWork, ownership: Ownership) -> Iterator[tuple[Phase, Step]]:
    """The steps of one family with their phases."""
    sets = work.sets
    yield from _set_steps(Phase.PREPARE, sets.first)
    yield from _set_steps(Phase.CLOSE, sets.closing)
    fenced = _fenced_tables(work, ownership) if work.needs_fence else {}
    for name in _table_order(work):
        if name in fenced:
            yield from _table_step(Phase.FENCE, work, work.old.tables[name], fenced[name], ownership)
    yield from _set_steps(Phase.EXCHANGE, sets.fenced)
    for name in sorted(_table_order(work), key=lambda name: name is not TableName.NAT if name in fenced else False):
        before = fenced.get(name, work.old.tables[name])
        phase = Phase.UNFENCE if name in fenced else Phase.RULES
        yield from _table_step(phase, work, before, work.new.tables[name], ownership)
    yield from _set_steps(Phase.OPEN, sets.opening)
    yield from _set_steps(Phase.CLEAN, sets.last)


def _table_order(work: FamilyWork) -> list[TableName]:
    """The path's order, or the opposite when every hook of ours goes."""
    names = [name for name in PATH_ORDER if name in work.wanted.tables]
    leaving = not any(table.hooks for table in work.wanted.tables.values())
    return names[::-1] if leaving else names


def _set_steps(phase: Phase, commands: list[SetCommand]) -> Iterator[tuple[Phase, Step]]:
    if commands:
        yield phase, SetEdit(tuple(commands))


def _table_step(
    phase: Phase, work: FamilyWork, old: Table, new: Table, ownership: Ownership
) -> Iterator[tuple[Phase, Step]]:
    edits = edit_table(old, new, ownership, work.wanted.family)
    if edits:
        yield phase, TableEdit(work.wanted.family, work.ruleset.backend, old.name, edits, phase is Phase.FENCE)


def _fenced_tables(work: FamilyWork, ownership: Ownership) -> dict[TableName, Table]:
    """The tables that are closed while others change, with their fences."""
    spared = _spared_table(work)
    leaving, sets = frozenset(work.leaving_sets), frozenset(work.pivot_sets)
    found = {}
    for name in work.wanted.tables:
        changes = [] if name in (spared, TableName.NAT) else in_own_chains(work.differences[name], name)
        found[name] = fenced_table(
            work.old.tables[name], changes, ownership, work.wanted.family, sets=sets, leaving=leaving
        )
    sent_elsewhere = _sent_elsewhere(work, found, spared)
    if sent_elsewhere and TableName.MANGLE in found:
        front = translation_fences(sent_elsewhere, ownership)
        found[TableName.MANGLE] = with_front_rules(found[TableName.MANGLE], front)
    return {name: table for name, table in found.items() if table != work.old.tables[name]}


def _sent_elsewhere(
    work: FamilyWork, fenced: Mapping[TableName, Table], spared: TableName | None
) -> dict[str, tuple[Rule, ...]]:
    """Rules by which nat may send packets elsewhere while the fence stands, by kernel chain."""
    found = {} if spared is TableName.NAT else dict(work.translations)
    parts = [list(work.old.sending_rules(work.pivot_sets))]
    if TableName.NAT in fenced:
        apart = translation_differences(work.old.tables[TableName.NAT], fenced[TableName.NAT])
        parts += [list(rules) for rules in apart.values()]
    for rules in parts:
        for chain in DESTINATION_CHAINS if rules else ():
            found[chain] = tuple(dict.fromkeys((*found.get(chain, ()), *rules)))
    return found


def _spared_table(work: FamilyWork) -> TableName | None:
    """The one table that may change without a fence: one that cannot have a whole one, else filter, else any."""
    asked = {table for name in work.pivot_sets | work.leaving_sets for table in work.old.users(name)}
    changing = [name for name, found in work.differences.items() if found and name not in asked]
    if work.translations and TableName.NAT not in asked:
        changing.append(TableName.NAT)

    def rank(name: TableName) -> tuple[bool, bool]:
        found = work.differences.get(name, [])
        return len(in_own_chains(found, name)) == len(found), name is not TableName.FILTER

    return min(changing, key=rank, default=None)


def _merged(steps: Iterable[Step]) -> Iterator[Step]:
    """Commands on sets that follow each other as one step list."""
    waiting: list[SetCommand] = []
    for step in steps:
        if isinstance(step, SetEdit):
            waiting += step.commands
            continue
        if waiting:
            yield SetEdit(tuple(waiting))
            waiting = []
        yield step
    if waiting:
        yield SetEdit(tuple(waiting))
