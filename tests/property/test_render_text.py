"""The words that are hashed and the values that are loaded are one rule: `codec` reads the same from both texts."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.golden.render.test_vectors import DISPATCH, ENDPOINTS, IPIP_ADDRESS, METADATA, STATIC, VXLAN_ADDRESS, tables
from tests.strategies.view import active_rules, crowded_rules
from tortie.codec.rule import format_rule, parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule
from tortie.render.config import RenderConfig
from tortie.render.hash import numbered_rules
from tortie.render.policy import active_rule_rules
from tortie.render.state import NodeState, RenderContext, render_context
from tortie.render.text import FelixRule

CONTEXTS = [render_context(RenderConfig(felix_exact=exact), NodeState()) for exact in (True, False)]


def agree(made: FelixRule, family: IPFamily) -> None:
    value = Rule((*made.header, *made.matches), made.target)
    assert parse_rule(made.words, family) == value
    (numbered,) = numbered_rules("cali-any", [made])
    assert parse_rule(format_rule(numbered, family), family) == numbered


@pytest.mark.parametrize("family", IPFamily)
@given(st.data(), st.sampled_from(CONTEXTS))
def test_of_policy_rules(family: IPFamily, data: st.DataObject, context: RenderContext) -> None:
    drawn = data.draw(active_rules(family) | crowded_rules(family))
    if context.config.felix_exact:  # Felix writes two `-p` into one rule, which no tool reads (docs/felix-differences.md)
        assume(drawn.protocol is None or drawn.not_protocol is None)
    for made in active_rule_rules(drawn, family, context):
        agree(made, family)


@pytest.mark.parametrize("family", IPFamily)
@pytest.mark.parametrize("ipvs", [False, True])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {**IPIP_ADDRESS, **VXLAN_ADDRESS},
        METADATA,
        {"NATPortRange": "32768:65000", "IptablesFilterAllowAction": "RETURN"},
    ],
    ids=["plain", "tunnels", "OpenStack", "NAT ports"],
)
def test_of_static_chains(family: IPFamily, ipvs: bool, parameters: dict[str, str]) -> None:
    for chains in tables(family, parameters, ipvs=ipvs).values():
        for rules in chains.values():
            for made in rules:
                agree(made, family)


def test_of_every_vector() -> None:
    for chains in (STATIC, DISPATCH, ENDPOINTS):
        for rules in chains.values():
            for made in rules:
                agree(made, IPFamily.V4)
