"""Which tables run at which hook, and in which order (spec: netfilter 1.1)."""

from __future__ import annotations

import pytest

from tortie.netfilter.hook import BUILTIN_CHAINS, Hook, TableName, table_priority

ORDER = {
    Hook.PREROUTING: "raw mangle nat",
    Hook.INPUT: "mangle filter security nat",
    Hook.FORWARD: "mangle filter security",
    Hook.OUTPUT: "raw mangle nat filter security",
    Hook.POSTROUTING: "mangle nat",
}


@pytest.mark.parametrize(("hook", "tables"), ORDER.items(), ids=lambda part: getattr(part, "value", ""))
def test_the_order_of_tables(hook: Hook, tables: str) -> None:
    here = [table for table, hooks in BUILTIN_CHAINS.items() if hook in hooks]
    assert [table.value for table in sorted(here, key=lambda table: table_priority(table, hook))] == tables.split()


def test_nat_stands_where_the_side_that_it_changes_counts() -> None:
    priorities = {hook: table_priority(TableName.NAT, hook) for hook in BUILTIN_CHAINS[TableName.NAT]}
    assert priorities == {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}
