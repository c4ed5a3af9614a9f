"""What of a family's changes packets can notice."""

from __future__ import annotations

from tests.table_text import FILTER, MANGLE, NAT, OURS, RAW, Texts, held, table, wanted
from tortie.netfilter.hook import TableName
from tortie.reconcile.family import FamilyWork
from tortie.reconcile.monotone import SetUse
from tortie.reconcile.table_views import TableViews

HOOK = "-m comment --comment our_h -j our-x"
IN = "-m set --match-set our4s src"
Tables = dict[TableName, Texts]


def work(before: Tables, after: Tables, old_sets: str = "", new_sets: str = "") -> FamilyWork:
    return FamilyWork(wanted(after, new_sets), held(before, old_sets), OURS)


def x(name: TableName, *rules: str) -> Tables:
    chain = "PREROUTING" if name in (RAW, NAT) else "FORWARD"
    return {name: {chain: [HOOK], "our-x": list(rules)}}


def views(tables: Tables) -> TableViews:
    return TableViews({name: table(name, chains) for name, chains in tables.items()})


def test_users_of_a_set_are_tables_that_can_decide() -> None:
    made = views(
        {
            RAW: {"our-x": [f"{IN} -j DROP"]},
            MANGLE: {"POSTROUTING": [f"{IN} -j DROP"]},
            NAT: {"POSTROUTING": [f"{IN} -j MASQUERADE"]},
            FILTER: {"FORWARD": [f"{IN} -j DROP"]},
        }
    )
    assert made.users("our4s") == {MANGLE, FILTER}
    assert made.named_anywhere("our4s") and not made.named_anywhere("our4t")
    assert views(x(NAT, f"{IN} -j DNAT --to-destination 10.0.0.1")).users("our4s") == {NAT}


def test_uses_in_all_tables_count() -> None:
    drop, accept = {"FORWARD": [f"{IN} -j DROP"]}, {"FORWARD": [f"{IN} -j ACCEPT"]}
    assert views({FILTER: drop}).use_of("our4s") == SetUse(False, True)
    assert views({FILTER: accept}).use_of("our4s") == SetUse(True, False)
    assert views({FILTER: accept, MANGLE: drop}).use_of("our4s") == SetUse(False, False)
    assert views(x(NAT, f"{IN} -j DNAT --to-destination 10.0.0.1")).use_of("our4s") == SetUse(False, False)


def test_marks_read_behind_filter_are_an_effect_there() -> None:
    marked: Tables = {FILTER: {"FORWARD": [f"{IN} -j MARK --set-xmark 0x1/0x1"]}}
    reader: Tables = {NAT: {"POSTROUTING": ["-m mark --mark 0x1/0x1 -j MASQUERADE"]}}
    assert views(marked).use_of("our4s") == SetUse(True, True)
    assert views(marked | reader).use_of("our4s") == SetUse(False, False)


def test_pivots() -> None:
    assert work(x(FILTER), x(FILTER)).pivots == 0
    assert work(x(FILTER, "-j DROP"), x(FILTER)).pivots == 1
    both = work(x(FILTER, "-j DROP") | x(RAW, "-j DROP"), x(FILTER) | x(RAW))
    assert (both.pivots, both.needs_fence) == (2, True)
    assert work(x(NAT), x(NAT, "-j DNAT --to-destination 10.0.0.1")).pivots == 1
    post: Tables = {NAT: {"POSTROUTING": [HOOK], "our-x": []}}
    assert work(post, {NAT: {"POSTROUTING": [HOOK], "our-x": ["-j MASQUERADE"]}}).pivots == 0


def test_a_set_whose_use_is_not_proven_is_a_pivot() -> None:
    same = x(FILTER, f"-i a {IN} -j ACCEPT", f"{IN} -j DROP")
    made = work(same, same, "our4s: 10.0.0.1", "our4s: 10.0.0.2")
    assert (made.pivots, made.seen_in_fence, made.needs_fence) == (1, 1, False)
    proven = x(FILTER, f"{IN} -j DROP")
    assert work(proven, proven, "our4s: 10.0.0.1", "our4s: 10.0.0.2").pivots == 0
