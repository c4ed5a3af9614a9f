"""The reference node's resources lead, by the ordinary way, to the article's rules and to the whole snapshot.

Resources to the internal model, to this node's view, to rules and sets: no step knows the node. The rules of the article
must come out letter by letter, hashes included; then everything of Calico's in the snapshot, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.save_text import read_tables
from tortie.audit.node import audit_node
from tortie.calc.calculation import calculate
from tortie.cli.node_state import snapshot_state
from tortie.cli.resource_files import load_resources
from tortie.cli.snapshot_file import load_snapshot
from tortie.codec.ipset import format_ipset_save
from tortie.codec.rule import format_rule
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import IPFamily
from tortie.render.config import parse_config
from tortie.render.ruleset import Rendering, render_node

EXAMPLE = Path(__file__).parents[2] / "examples" / "reference-node"
SNAPSHOT = EXAMPLE / "snapshot"
ARTICLE = Path(__file__).parent / "reference_node"
NODE = "reference"
FILES = {IPFamily.V4: "iptables-save", IPFamily.V6: "ip6tables-save"}
EXACT = pytest.mark.parametrize("felix_exact", [True, False], ids=["as Felix", "corrected"])


@pytest.fixture(scope="module")
def resources() -> Resources:
    return load_resources([str(EXAMPLE / "resources")], report=False)


def rendered(resources: Resources, *, felix_exact: bool) -> Rendering:
    parameters = felix_parameters(resources, NODE)
    config, warnings = parse_config(parameters, felix_exact=felix_exact)
    assert warnings == ()
    view = calculate(resources_to_v1(resources, felix_exact=felix_exact), NODE, parameters)
    return render_node(view, snapshot_state(load_snapshot(str(SNAPSHOT))).state, config)


def lines_by_table(made: Rendering, family: IPFamily) -> dict[str, set[str]]:
    """Every rule and every chain of ours as iptables-save prints them."""
    found = {}
    for table in made.families[family].tables.values():
        rules = [*((name, chain.rules) for name, chain in table.chains.items()), *table.hooks.items()]
        lines = {f"-A {name} {format_rule(rule, family)}" for name, some in rules for rule in some}
        found[table.name.value] = lines | {f":{name} - [0:0]" for name in table.chains}
    return found


def is_ours(line: str) -> bool:
    return '--comment "cali:' in line or line.startswith((":cali-", "-A cali-"))


@EXACT
def test_the_articles_hashed_rules_come_out(resources: Resources, felix_exact: bool) -> None:
    made = lines_by_table(rendered(resources, felix_exact=felix_exact), IPFamily.V4)
    shown = {
        table: [line for line in lines if '--comment "cali:' in line]
        for table, lines in read_tables((ARTICLE / "article.rules").read_text()).items()
    }
    assert sum(map(len, shown.values())) == 34
    assert {table: [line for line in lines if line not in made[table]] for table, lines in shown.items()} == {
        table: [] for table in shown
    }


@EXACT
@pytest.mark.parametrize("family", IPFamily)
def test_nothing_else_of_calicos_stands_in_the_snapshot(resources: Resources, family: IPFamily, felix_exact: bool) -> None:
    printed = {
        table: {line for line in lines if is_ours(line)}
        for table, lines in read_tables((SNAPSHOT / FILES[family]).read_text()).items()
    }
    assert lines_by_table(rendered(resources, felix_exact=felix_exact), family) == printed


def test_the_sets_are_those_of_the_snapshot(resources: Resources) -> None:
    made = rendered(resources, felix_exact=True)
    text = format_ipset_save({name: one for family in made.families.values() for name, one in family.ip_sets.items()})
    # The kernel chooses and prints a size of its own for the table of hashes.
    saved = (SNAPSHOT / "ipset-save").read_text().replace(" hashsize 1024", "")
    assert sorted(text.splitlines()) == sorted(saved.splitlines())


def test_an_audit_of_the_snapshot_against_the_resources_finds_nothing(resources: Resources) -> None:
    held = load_snapshot(str(SNAPSHOT))
    audit = audit_node(held.rulesets, held.ip_sets, rendered(resources, felix_exact=True))
    assert audit.findings == ()


def test_all_is_read_and_nothing_passed_over(resources: Resources) -> None:
    assert (resources.problems, resources.remarks) == ((), ())
    assert len(resources) == 25
