"""What is proven about tables stays as long as the tables do."""

from __future__ import annotations

import weakref

from tests.table_text import table
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Table
from tortie.reconcile.table_views import KnownViews, TableViews

FILTER, MANGLE = TableName.FILTER, TableName.MANGLE
LOOKS = "-m set --match-set s src -j DROP"


def tables(**more: list[str]) -> dict[TableName, Table]:
    return {FILTER: table(FILTER, {"FORWARD": [LOOKS], **more}), MANGLE: table(MANGLE, {"PREROUTING": []})}


def test_views_of_the_same_tables_are_the_same() -> None:
    known, one = KnownViews(), tables()
    assert known.of(one) is known.of(dict(one))


def test_views_of_other_tables_are_others_though_the_tables_are_equal() -> None:
    known = KnownViews()
    assert known.of(tables()) is not known.of(tables())


def test_only_the_last_two_versions_are_known() -> None:
    known, versions = KnownViews(), [tables() for _ in range(3)]
    views = [known.of(one) for one in versions]
    assert known.of(versions[2]) is views[2]
    assert known.of(versions[1]) is views[1]
    assert known.of(versions[0]) is not views[0]


def test_what_was_proven_about_older_versions_is_let_go() -> None:
    known = KnownViews()
    first = weakref.ref(known.of(tables()))
    for _ in range(3):
        known.of(tables())
    assert first() is None


def test_proofs_about_a_table_that_stays_are_kept_when_another_changes() -> None:
    one = tables()
    other = one | {FILTER: table(FILTER, {"FORWARD": []})}
    before = TableViews(one)
    proofs = {name: before.monotony(name) for name in one}
    after = TableViews(other, [before])
    assert after.monotony(MANGLE) is proofs[MANGLE]
    assert after.monotony(FILTER) is not proofs[FILTER]
    assert (before.users("s"), after.users("s")) == ({FILTER}, set())


def test_proofs_are_not_kept_when_what_comes_behind_reads_other_marks() -> None:
    one = tables()
    other = one | {MANGLE: table(MANGLE, {"POSTROUTING": ["-m mark --mark 0x1/0x1 -j ACCEPT"]})}
    before = TableViews(one)
    assert TableViews(other, [before]).monotony(FILTER) is not before.monotony(FILTER)
