"""Who stands where our rules should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.table_text import FILTER, V4, rules
from tortie.agent.intruder import intruders
from tortie.cli.programming import CALICO
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Chain, Ruleset, Table
from tortie.reconcile.wanted import Held, WantedFamily, WantedTable

HOOK = '-m comment --comment "cali:0123456789abcdef" -j cali-FORWARD'
OURS = rules(HOOK)
WANTED = WantedFamily(V4, {FILTER: WantedTable({}, {"FORWARD": OURS})})


def held(*texts: str) -> Held:
    chain = Chain("FORWARD", tuple(rule for text in texts for rule in rules(text)), policy="ACCEPT")
    tables = {FILTER: Table(FILTER, {"FORWARD": chain, "cali-FORWARD": Chain("cali-FORWARD", ())})}
    return Held({V4: Ruleset(V4, Backend.LEGACY, tables)}, {})


@pytest.mark.parametrize(
    ("texts", "append", "found"),
    [
        ((HOOK, "-j ACCEPT"), False, []),
        (("-s 10.0.0.0/8 -j ACCEPT", "-j DROP", HOOK), False, ["-s 10.0.0.0/8 -j ACCEPT", "-j DROP"]),
        (("-j ACCEPT",), False, []),
        (("-j ACCEPT", HOOK), True, []),
        ((HOOK, "-j ACCEPT"), True, ["-j ACCEPT"]),
    ],
    ids=["ours is first", "others in front", "ours is gone", "ours is last", "others behind"],
)
def test_rules_in_the_way(texts: tuple[str, ...], append: bool, found: list[str]) -> None:
    wanted = replace(WANTED, append_hooks=append)
    assert [one.rule for one in intruders([wanted], held(*texts), CALICO)] == found


def test_in_words() -> None:
    (one,) = intruders([WANTED], held("-j ACCEPT", HOOK), CALICO)
    assert str(one) == "iptables -t filter FORWARD: -j ACCEPT"


def test_tables_and_chains_that_are_not_there() -> None:
    assert list(intruders([WANTED], Held({}, {}), CALICO)) == []
    assert list(intruders([WANTED], Held({V4: Ruleset(V4, Backend.LEGACY, {})}, {}), CALICO)) == []
