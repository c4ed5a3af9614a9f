"""Whatever policy is rendered, its words are found again from what the kernel keeps, and every change is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.audited_node import FOREIGN, MADE, RULES, SETS, changed
from tests.examples import examples
from tests.strategies.damage import damaged
from tests.strategies.view import active_rules, crowded_rules
from tests.unit.render.test_policy import CORRECTED
from tortie.audit.finding import FindingKind
from tortie.audit.judgement import Judgement, judge_chain
from tortie.audit.node import audit_node
from tortie.audit.words import felix_words
from tortie.calc.view import ActiveRule
from tortie.cli.audit_report import audit_document, audit_lines, find_owners
from tortie.cli.terminal import Paper, write_lines
from tortie.codec.ipset import format_ipset_save, parse_ipsets
from tortie.codec.rule import format_rule, parse_rule
from tortie.codec.save import SaveFile, format_save, parse_save
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.netfilter.target import Queue
from tortie.render.hash import numbered_rules
from tortie.render.policy import policy_rules

V4 = IPFamily.V4
NO_RULES_6 = Ruleset(IPFamily.V6, Backend.NFT, {})
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


@examples(60)
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


# --- a whole node ------------------------------------------------------------------------------------------------

DAMAGEABLE = [
    (table.name, name)
    for table in RULES.tables.values()
    for name, chain in table.chains.items()
    if name.startswith("cali-") and chain.rules
]


def damage(draw: Callable[[st.SearchStrategy[Any]], Any], rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules after something was done to one of them."""
    place = draw(st.integers(0, len(rules) - 1))
    how = draw(st.sampled_from(["edit", "remove", "move", "double", "insert"]))
    one, rest = rules[place], (*rules[:place], *rules[place + 1 :])
    to = draw(st.integers(0, len(rest)))
    match how:
        case "edit":
            return (*rules[:place], Rule(one.matches, Queue()), *rules[place + 1 :])
        case "remove":
            return rest
        case "move":
            return (*rest[:to], one, *rest[to:])
        case "double":
            return (*rules[:to], one, *rules[to:])
        case _:
            return (*rules[:to], FOREIGN, *rules[to:])


@examples(30)
@given(st.data())
def test_damage_to_a_node_is_found_where_it_is_and_nowhere_else(data: st.DataObject) -> None:
    table, chain = data.draw(st.sampled_from(DAMAGEABLE))
    before = RULES.tables[table].chains[chain].rules
    after = damage(data.draw, before)
    found = audit_node([changed(table, chain, lambda _: after), NO_RULES_6], SETS, MADE).findings
    assert {(finding.place.table, finding.place.chain) for finding in found} == (
        {(table, chain)} if after != before else set()
    )


@examples(30)
@given(st.data())
def test_without_a_rendering_only_what_the_configuration_decides_can_be_missing_unnoticed(data: st.DataObject) -> None:
    table, chain = data.draw(st.sampled_from(DAMAGEABLE))
    before = RULES.tables[table].chains[chain].rules
    after = damage(data.draw, before)
    found = audit_node([changed(table, chain, lambda _: after), NO_RULES_6], SETS).findings
    told = {finding.place.chain for finding in found if finding.kind is not FindingKind.UNREACHED}
    assert told <= {chain}
    cut_off = after == before[: len(after)]
    if after != before and not cut_off:
        assert told == {chain}


SAVED = format_save(SaveFile(RULES))
SAVED_SETS = format_ipset_save(SETS)


@examples(40)
@given(damaged(SAVED), damaged(SAVED_SETS))
def test_whatever_the_tools_print_can_be_audited_and_told(rules: str, sets: str) -> None:
    try:
        ruleset, held = parse_save(rules, V4).ruleset, parse_ipsets(sets)
    except InvalidInput:
        return
    for rendering in (None, MADE):
        audit = audit_node([ruleset, NO_RULES_6], held, rendering)
        assert write_lines(audit_lines(audit, find_owners(None)), Paper())
        json.dumps(audit_document(audit, find_owners(None), Snapshot("drawn"), None))
