"""A chain that was cut off is told by its end; of what configuration decides, nothing is said."""

from __future__ import annotations

import pytest

from tests.unit.render.test_ruleset import AT_START, BUSY, rendered
from tortie.audit.shape import ALWAYS_MADE, is_cut_off
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain
from tortie.netfilter.target import MarkTarget
from tortie.render.config import RenderConfig

V4 = IPFamily.V4
CONFIGS = {
    "default": RenderConfig(),
    "RETURN": RenderConfig(filter_allow_action="RETURN", mangle_allow_action="RETURN", endpoint_to_host_action="RETURN"),
    "OpenStack": RenderConfig(interface_prefixes=("cali", "tap"), metadata_host="10.0.0.1"),
    "tunnels": RenderConfig(ipip_enabled=True, vxlan_enabled=True),
}
NOT_TOLD = (
    "cali-failsafe-in",
    "cali-failsafe-out",
    "cali-fip-",
    "cali-nat-outgoing",
    "cali-sm-",
    "cali-from-h",
    "cali-to-h",
)
"""Chains of which nothing follows from the last rule."""


def chains(config: RenderConfig, *, ipvs: bool) -> list[tuple[TableName, Chain]]:
    made = rendered(BUSY, ipvs=ipvs, config=config).families.values()
    return [(table.name, one) for family in made for table in family.tables.values() for one in table.chains.values()]


@pytest.mark.parametrize("ipvs", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_nothing_that_is_rendered_is_cut_off(config: RenderConfig, ipvs: bool) -> None:
    assert [(table, chain.name) for table, chain in chains(config, ipvs=ipvs) if is_cut_off(table, chain)] == []


@pytest.mark.parametrize("ipvs", [False, True])
def test_without_its_last_rule_a_chain_is_cut_off(ipvs: bool) -> None:
    for table, chain in chains(CONFIGS["default"], ipvs=ipvs):
        if not chain.rules or chain.name.startswith(NOT_TOLD) or chain.name == "cali-set-endpoint-mark-1":
            continue
        assert is_cut_off(table, Chain(chain.name, chain.rules[:-1])), (table, chain.name)


def test_an_empty_chain_of_rules_is_no_sign() -> None:
    assert not is_cut_off(TableName.FILTER, Chain("cali-pi-x"))


def test_a_rule_that_allows_and_is_followed_by_nothing_is_cut_off() -> None:
    made = rendered(BUSY).families[V4].tables[TableName.FILTER].chains["cali-pi-default.normal"]
    assert isinstance(made.rules[0].target, MarkTarget)
    assert is_cut_off(TableName.FILTER, Chain(made.name, made.rules[:1]))


def test_the_chains_that_are_always_made() -> None:
    assert {table: set(given) for table, given in ALWAYS_MADE.items()} == {
        table: {f"cali-{word}" for word in words.split()} for table, words in AT_START.items()
    }
