"""The reference node rendered from its resources: its rules and sets come out as its tools printed them.

The article shows 34 rules that a real Felix 3.7 wrote there; the snapshot holds them and everything that the article leaves
out. Rules are compared as text, hashes included; sets by their members.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.golden.render.reference_view import STATE, VIEW
from tests.save_text import read_tables
from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import format_rule
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule
from tortie.render.config import RenderConfig
from tortie.render.names import OUR_CHAIN_PREFIXES
from tortie.render.ruleset import render_node

ROOT = Path(__file__).parents[3]
SNAPSHOT = ROOT / "examples" / "reference-node" / "snapshot"
ARTICLE = ROOT / "tests" / "golden" / "reference_node" / "article.rules"
SAVED = {IPFamily.V4: SNAPSHOT / "iptables-save", IPFamily.V6: SNAPSHOT / "ip6tables-save"}

Lines = dict[str, dict[str, list[str]]]


def ours(lines: Iterable[str]) -> dict[str, list[str]]:
    """What an iptables-save text says of our chains and of our rules in other chains."""
    found: dict[str, list[str]] = {}
    for line in lines:
        chain = line.lstrip(":-A ").split()[0]
        if line.startswith(":") and chain.startswith(OUR_CHAIN_PREFIXES):
            found[chain] = []
        elif line.startswith("-A") and "cali:" in line:
            found.setdefault(chain, []).append(line.removeprefix(f"-A {chain} "))
    return found


def saved(path: Path) -> Lines:
    return {table: ours(lines) for table, lines in read_tables(path.read_text()).items()}


@pytest.fixture(scope="module", params=[True, False], ids=["exact", "corrected"])
def rendered(request: pytest.FixtureRequest) -> dict[IPFamily, Lines]:
    def formatted(rules: Iterable[Rule], family: IPFamily) -> list[str]:
        return [format_rule(rule, family) for rule in rules]

    rendering = render_node(VIEW, STATE, RenderConfig(felix_exact=request.param))
    assert not rendering.remarks
    return {
        family: {
            table.name.value: {name: formatted(chain.rules, family) for name, chain in table.chains.items()}
            | {chain: formatted(rules, family) for chain, rules in table.hooks.items()}
            for table in made.tables.values()
        }
        for family, made in rendering.families.items()
    }


@pytest.mark.parametrize("family", IPFamily)
def test_every_chain_and_rule_of_the_snapshot_comes_out(rendered: dict[IPFamily, Lines], family: IPFamily) -> None:
    expected = saved(SAVED[family])
    assert rendered[family].keys() == expected.keys()
    for table, chains in expected.items():
        assert rendered[family][table] == chains


def test_every_rule_of_the_article_comes_out(rendered: dict[IPFamily, Lines]) -> None:
    shown = saved(ARTICLE)
    assert sum(len(rules) for chains in shown.values() for rules in chains.values()) == 34
    for table, chains in shown.items():
        for chain, rules in chains.items():
            if rules:
                assert rendered[IPFamily.V4][table][chain] == rules


@pytest.mark.parametrize("family", IPFamily)
def test_values_are_those_that_are_read_back(family: IPFamily) -> None:
    read = parse_save(SAVED[family].read_text(), family).ruleset
    made = render_node(VIEW, STATE, RenderConfig()).families[family]
    for name, table in made.tables.items():
        for chain, wanted in table.chains.items():
            assert read.tables[name].chains[chain].rules == wanted.rules


def test_sets_hold_what_the_kernel_holds() -> None:
    read = parse_ipsets((SNAPSHOT / "ipset-save").read_text())
    made = {
        name: one
        for family in render_node(VIEW, STATE, RenderConfig()).families.values()
        for name, one in family.ip_sets.items()
    }
    assert made.keys() == read.keys()
    for name, one in made.items():
        assert (one.type, one.family, set(one.entries)) == (read[name].type, read[name].family, set(read[name].entries))
