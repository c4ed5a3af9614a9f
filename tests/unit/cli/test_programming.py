"""Calico's spellings as what planning takes for ours (spec: rules 9.1, 10.2)."""

from __future__ import annotations

import pytest

from tests.unit.render.test_ruleset import rendered
from tortie.cli.programming import CALICO, wanted_families
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.reconcile.plan import plan
from tortie.reconcile.step import Plan
from tortie.reconcile.wanted import Held
from tortie.render.ruleset import complete_ruleset

V4, V6 = IPFamily.V4, IPFamily.V6
RULES: dict[str, tuple[TableName, str, str, bool]] = {
    "a hook": (TableName.FILTER, "FORWARD", '-m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD', True),
    "a fence": (TableName.MANGLE, "OUTPUT", '-m comment --comment "cali:closed-while-changing" -j DROP', True),
    "an old hook": (TableName.FILTER, "FORWARD", "-j felix-FORWARD", True),
    "old masquerading": (
        TableName.NAT,
        "POSTROUTING",
        "-s 10.0.0.0/8 -m set --match-set felix-masq-ipam-pools src -j MASQUERADE",
        True,
    ),
    "old masquerading of the tunnel": (
        TableName.NAT,
        "POSTROUTING",
        "-o tunl0 -m addrtype ! --src-type LOCAL --limit-iface-out -m addrtype --src-type LOCAL -j MASQUERADE",
        True,
    ),
    "another's masquerading": (TableName.NAT, "POSTROUTING", "-o eth0 -j MASQUERADE", False),
    "another's comment": (TableName.FILTER, "FORWARD", '-m comment --comment "calico allows this" -j ACCEPT', False),
}


@pytest.mark.parametrize(("table", "chain", "text", "ours"), RULES.values(), ids=RULES)
def test_rules(table: TableName, chain: str, text: str, ours: bool) -> None:
    assert CALICO.owns_rule(table, chain, parse_rule(text, V4), V4) is ours


@pytest.mark.parametrize(
    ("family", "name", "ours"),
    [
        (V4, "cali40s:abc", True),
        (V4, "cali4-old", True),
        (V4, "cali4t7", True),
        (V4, "felix-4-x", True),
        (V4, "felix-all-ipam-pools", True),
        (V4, "cali60s:abc", False),
        (V6, "cali60s:abc", True),
        (V6, "felix-masq-ipam-pools", False),
        (V4, "calico", False),
    ],
)
def test_sets(family: IPFamily, name: str, ours: bool) -> None:
    assert CALICO.owns_set(family, name) is ours


def test_temporary_sets() -> None:
    assert CALICO.temporary_sets == {V4: "cali4t", V6: "cali6t"}


def test_a_node_that_holds_what_is_rendered_needs_nothing() -> None:
    made = rendered()
    rulesets = {family: complete_ruleset(one, Backend.NFT) for family, one in made.families.items()}
    sets = {name: one for family in made.families.values() for name, one in family.ip_sets.items()}
    assert plan(wanted_families(made), Held(rulesets, sets), CALICO) == Plan()
