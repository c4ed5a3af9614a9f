"""A table under change: what each command does to chains and rules."""

from __future__ import annotations

import pytest

from tortie.codec.open_table import OpenTable, check_chain_name, is_builtin
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain, Counters, Rule, Table
from tortie.netfilter.target import Jump

V4 = IPFamily.V4
ACCEPT, DROP, TO_X = (parse_rule(text, V4) for text in ("-j ACCEPT", "-j DROP", "-j x"))


@pytest.fixture
def table() -> OpenTable:
    made = OpenTable.fresh(TableName.FILTER)
    made.new_chain("x", V4)
    made.append("INPUT", [ACCEPT, TO_X])
    return made


def test_a_fresh_table_has_its_built_in_chains_accepting() -> None:
    closed = OpenTable.fresh(TableName.RAW).close()
    assert [(chain.name, chain.policy, chain.counters) for chain in closed.chains.values()] == [
        ("PREROUTING", "ACCEPT", Counters(0, 0)),
        ("OUTPUT", "ACCEPT", Counters(0, 0)),
    ]


def test_chains_that_are_not_touched_keep_their_identity() -> None:
    chains = {"INPUT": Chain("INPUT", (ACCEPT,), "DROP"), "x": Chain("x", (DROP,))}
    opened = OpenTable.of(Table(TableName.FILTER, chains))
    opened.append("x", [ACCEPT])
    closed = opened.close()
    assert closed.chains["INPUT"] is chains["INPUT"]
    assert closed.chains["x"].rules == (DROP, ACCEPT)


def test_missing_built_in_chains_come_before_the_others() -> None:
    opened = OpenTable(TableName.FILTER)
    opened.declare_chain("x", None, None)
    opened.declare_chain("OUTPUT", "DROP", Counters(1, 2))
    opened.declare_builtin_chains()
    assert list(opened.close().chains) == ["INPUT", "FORWARD", "OUTPUT", "x"]
    assert opened.close().chains["OUTPUT"].policy == "DROP"


def test_inserted_rules_stand_in_front_the_last_one_first(table: OpenTable) -> None:
    table.insert("INPUT", 2, [DROP, ACCEPT])
    assert table.rules["INPUT"] == [ACCEPT, ACCEPT, DROP, TO_X]


def test_deleting_takes_the_first_equal_rule(table: OpenTable) -> None:
    table.append("INPUT", [ACCEPT])
    table.delete("INPUT", [ACCEPT])
    assert table.rules["INPUT"] == [TO_X, ACCEPT]


def test_jumps_follow_a_renamed_chain(table: OpenTable) -> None:
    table.rename_chain("x", "LOG")
    assert table.rules["INPUT"][1] == Rule((), Jump("LOG"))
    assert table.users_of("LOG") == ["INPUT"]


def test_a_chain_in_use_stays(table: OpenTable) -> None:
    with pytest.raises(InvalidInput, match="in use"):
        table.delete_chain("x")
    table.flush("INPUT")
    table.delete_chains()
    assert "x" not in table.close().chains


@pytest.mark.parametrize("name", ["", "x" * 29, "-x", "!x", "a b", "a\tb", "DROP", "MASQUERADE", "é" * 15])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_chain_name(name, V4)


@pytest.mark.parametrize("name", ["x", "x" * 28, "cali-FORWARD", "a:b/c", 'q"', "é" * 14, "ALLOW", "HL"])
def test_other_names_are_taken(name: str) -> None:
    check_chain_name(name, V4)


def test_built_in_chains_belong_to_their_table() -> None:
    assert is_builtin(TableName.NAT, "POSTROUTING")
    assert not is_builtin(TableName.FILTER, "POSTROUTING")
