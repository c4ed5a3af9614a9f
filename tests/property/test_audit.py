"""Whatever policy is rendered, its words are found again from what the kernel keeps, and every change is noticed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.view import active_rules, crowded_rules
from tests.unit.render.test_policy import CORRECTED
from tortie.audit.judgement import Judgement, judge_chain
from tortie.audit.words import felix_words
from tortie.calc.view import ActiveRule
from tortie.codec.rule import format_rule, parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule
from tortie.render.hash import numbered_rules
from tortie.render.policy import policy_rules

V4 = IPFamily.V4
CHAIN = "cali-pi-p"


def kept(rules: list[ActiveRule], family: IPFamily) -> tuple[Rule, ...]:
    """The rules of a policy as they are read back."""
    numbered = numbered_rules(CHAIN, policy_rules(rules, family, CORRECTED))
    return tuple(parse_rule(format_rule(rule, family), family) for rule in numbered)


@st.composite
def policies(draw: st.DrawFn) -> tuple[list[ActiveRule], IPFamily]:
    family = draw(st.sampled_from(IPFamily))
    return draw(st.lists(active_rules(family) | crowded_rules(family), min_size=1, max_size=6)), family


@given(policies())
def test_words_are_found_again_and_hashes_fit(policy: tuple[list[ActiveRule], IPFamily]) -> None:
    rules, family = policy
    made, read = policy_rules(rules, family, CORRECTED), kept(rules, family)
    assert all(one.words in felix_words(rule, family) for one, rule in zip(made, read, strict=True))
    assert {one.judgement for one in judge_chain(CHAIN, read, family)} <= {Judgement.FITS}


@settings(max_examples=60)
@given(policies(), st.data())
def test_every_change_is_noticed(policy: tuple[list[ActiveRule], IPFamily], data: st.DataObject) -> None:
    rules, family = policy
    read = list(kept(rules, family))
    if not read:
        return
    place = data.draw(st.integers(0, len(read) - 1))
    others = [rule for rule in (*read, parse_rule("-j ACCEPT", family)) if rule.target != read[place].target]
    how = data.draw(st.sampled_from(["edit", "remove", "move", "double"]))
    if how == "edit" and others:
        target = data.draw(st.sampled_from(others)).target
        read[place] = Rule(read[place].matches, target)
    elif how == "remove" and place < len(read) - 1:
        del read[place]
    elif how == "move" and place < len(read) - 1:
        read.append(read.pop(place))
    else:
        read.insert(data.draw(st.integers(0, len(read))), read[place])
    assert any(one.judgement is not Judgement.FITS for one in judge_chain(CHAIN, read, family))
