"""The tables of one family in one version, and what is proven about them.

Proofs (`monotone`) take longer than all else in a plan, and are about rules alone. Tables hardly ever change while sets
change often, so the views of a version are kept from one plan to the next (`KnownViews`), with what was proven on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Rule, Table
from tortie.reconcile.difference import DESTINATION_CHAINS, may_name, reached_chains, set_names
from tortie.reconcile.monotone import Monotony, SetUse, reads_marks

_AFTER_FILTER = {TableName.MANGLE: ("POSTROUTING",), TableName.NAT: ("POSTROUTING", "INPUT"), TableName.SECURITY: None}
"""Kernel chains that run behind filter, by table; None for all of a table's."""


class TableViews:
    """The tables of one family in one version, and who looks into which set in it."""

    def __init__(self, tables: Mapping[TableName, Table], before: Iterable[TableViews] = ()) -> None:
        """`before` are views of other versions, in which some tables may be the same."""
        self.tables = tables
        self._monotony: dict[TableName, Monotony] = {}
        self._before = tuple(before)
        self._users: dict[str, set[TableName]] = {}
        self._use: dict[str, SetUse] = {}

    def monotony(self, name: TableName) -> Monotony:
        """Proofs about one table, which is any but nat."""
        if name not in self._monotony:
            last = name is TableName.FILTER
            later = self._bits_after_filter() if last else 0xFFFFFFFF
            self._monotony[name] = self._known(name, last, later) or Monotony(
                self.tables[name], last_say=last, later_bits=later, like=self._like(name)
            )
        return self._monotony[name]

    def _known(self, name: TableName, last: bool, later: int) -> Monotony | None:
        """The proofs of another version in which the table is the same."""
        for views in self._before:
            found = views._monotony.get(name)
            if found is not None and views.tables[name] is self.tables[name]:
                return found if found.is_about(last_say=last, later_bits=later) else None
        return None

    def _like(self, name: TableName) -> Monotony | None:
        """Proofs about another version of the table."""
        return next((views._monotony[name] for views in self._before if name in views._monotony), None)

    def forget_before(self) -> None:
        """Lets go of other versions."""
        self._before = ()

    def _bits_after_filter(self) -> int:
        bits = 0
        for name, starts in _AFTER_FILTER.items():
            if name in self.tables:
                bits |= reads_marks(self.tables[name], starts)
        return bits

    def users(self, name: str) -> set[TableName]:
        """Tables in which a rule that can decide about a packet looks into the set."""
        if name not in self._users:
            users: set[TableName] = set()
            users |= {table for table in self.tables if table is not TableName.NAT and self.monotony(table).names(name)}
            if TableName.NAT in self.tables and any(uses_set(rule, name) for rule in self._nat_rules()):
                users.add(TableName.NAT)
            self._users[name] = users
        return self._users[name]

    def sending_rules(self, names: Iterable[str]) -> Iterator[Rule]:
        """Rules of nat that can decide where a packet goes and look into one of the sets."""
        wanted = set(names)
        if wanted and TableName.NAT in self.tables:
            yield from (rule for rule in self._nat_rules() if any(uses_set(rule, name) for name in wanted))

    def _nat_rules(self) -> Iterator[Rule]:
        table = self.tables[TableName.NAT]
        return (rule for name in reached_chains(table, DESTINATION_CHAINS) for rule in table.chains[name].rules)

    def use_of(self, name: str) -> SetUse:
        """Whether becoming a member of the set opens or closes, all tables together."""
        if name not in self._use:
            opens = closes = True
            for table in self.users(name):
                use = SetUse(False, False) if table is TableName.NAT else self.monotony(table).use_of(name)
                opens, closes = opens and use.opens, closes and use.closes
            self._use[name] = SetUse(opens, closes)
        return self._use[name]

    def named_anywhere(self, name: str) -> bool:
        """True when any rule names the set, reached or not."""
        return any(
            uses_set(rule, name)
            for table in self.tables.values()
            for chain in table.chains.values()
            for rule in chain.rules
        )


class KnownViews:
    """The views of the last two versions of one family's tables: what a plan starts from, and what it leads to."""

    def __init__(self) -> None:
        self._known: list[TableViews] = []

    def of(self, tables: Mapping[TableName, Table]) -> TableViews:
        """The views of tables; those of before, when they are about the very same objects."""
        for views in self._known:
            if views.tables.keys() == tables.keys() and all(views.tables[name] is tables[name] for name in tables):
                self._known.remove(views)
                break
        else:
            views = TableViews(tables, self._known)
            for other in self._known:
                other.forget_before()
        self._known = [views, *self._known[:1]]
        return views


def uses_set(rule: Rule, name: str) -> bool:
    """True when a rule looks into a set, or may."""
    return name in set_names(rule) or may_name(rule, name)
