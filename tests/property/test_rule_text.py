"""Printing a rule and reading it gives the rule, for every option of every extension; no text makes a parser fail."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.matches import all_matches
from tests.strategies.rules import CHAINS, SETS
from tests.strategies.targets import all_targets
from tortie.codec.rule import format_match, format_rule, format_target, parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule

FAMILIES = [pytest.param(family, id=family.name) for family in IPFamily]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=400)
@given(data=st.data())
def test_a_printed_match_reads_as_itself(family: IPFamily, data: st.DataObject) -> None:
    match = data.draw(all_matches(family, SETS[family]))
    text = format_match(match, family)
    assert parse_rule(text, family) == Rule((match,))


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=300)
@given(data=st.data())
def test_a_printed_target_reads_as_itself(family: IPFamily, data: st.DataObject) -> None:
    target = data.draw(all_targets(family, SETS[family], CHAINS))
    text = format_target(target, family)
    assert parse_rule(text, family) == Rule((), target)
    assert format_rule(Rule((), target), family) == text
