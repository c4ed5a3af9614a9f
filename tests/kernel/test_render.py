"""Real kernels take what is rendered and print it back as predicted, byte for byte, with both back-ends and families.

Two texts are loaded: Felix's own words with the hash in front, as Felix would write them, and `codec`'s text of the
rendered values. Both must print back as `codec` predicts from the values; so the words, the values and the kernel agree.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden.render.reference_view import STATE, VIEW
from tests.golden.render.test_vectors import DISPATCH, ENDPOINTS, IPIP_ADDRESS, METADATA, NO_METADATA, VXLAN_ADDRESS, tables
from tests.save_text import read_tables
from tests.strategies.view import SETS, active_rules, crowded_rules
from tests.unit.render.test_policy import CORRECTED
from tests.unit.render.test_ruleset import BUSY
from tests.unit.render.test_ruleset import STATE as BUSY_STATE
from tortie.calc.view import ActivePolicy, ActiveRule, IcmpTest, NodeView, RuleAction, RuleSide
from tortie.codec.ipset import format_ipset_save
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily, parse_prefix
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.match import SetMatch
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Goto, Jump
from tortie.render.config import RenderConfig, parse_config
from tortie.render.hash import numbered_rules, rule_hashes
from tortie.render.policy import policy_rules
from tortie.render.ruleset import RenderedFamily, render_node
from tortie.render.state import NodeState
from tortie.render.text import DROP, FelixRule, in_interface
from tortie.render.text import rule as felix_rule

PROGRAM = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}
BACKENDS = pytest.mark.parametrize("backend", ["legacy", "nft"])
FAMILIES = pytest.mark.parametrize("family", IPFamily)
Lines = dict[str, dict[str, list[str]]]


class Refused(Exception):
    """The tools did not load what they were given."""


def load(family: IPFamily, backend: str, rules: str, sets: str, folder: Path) -> Lines:
    """Loads sets and rules in a new network namespace; what the kernel then holds, by table and chain."""
    (folder / "sets").write_text(sets)
    (folder / "rules").write_text(rules)
    program = f"{PROGRAM[family]}-{backend}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", f"ipset restore <sets; {program}-restore --noflush <rules; {program}-save"],
        cwd=folder,
        env={**os.environ, "XTABLES_LOCKFILE": str(folder / "lock")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return {table: by_chain(lines) for table, lines in read_tables(done.stdout).items()}


def by_chain(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith(":"):
            found[line[1:].split()[0]] = []
        else:
            chain = line.split()[1]
            found[chain].append(line.removeprefix(f"-A {chain}").strip())
    return found


def restore_text(table: TableName, chains: Mapping[str, Iterable[str]]) -> str:
    """Restore input that makes and fills chains; kernel chains are only filled."""
    builtin = {hook.value for hook in BUILTIN_CHAINS[table]}
    made = [f":{name} - [0:0]" for name in chains if name not in builtin]
    rules = [f"-A {name} {words}" for name, lines in chains.items() for words in lines]
    return "\n".join([f"*{table.value}", *made, *rules, "COMMIT", ""])


def with_builtin(table: TableName, chains: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {hook.value: [] for hook in BUILTIN_CHAINS[table]} | dict(chains)


# --- rendered values ---------------------------------------------------------------------------------------------


def formatted(made: RenderedFamily) -> dict[TableName, dict[str, list[str]]]:
    def lines(rules: Iterable[Rule]) -> list[str]:
        return [format_rule(rule, made.family) for rule in rules]

    return {
        name: {chain: lines(value.rules) for chain, value in table.chains.items()}
        | {chain: lines(rules) for chain, rules in table.hooks.items()}
        for name, table in made.tables.items()
    }


def check_node(
    view: NodeView, state: NodeState, config: RenderConfig, family: IPFamily, backend: str, folder: Path
) -> None:
    made = render_node(view, state, config).families[family]
    predicted = formatted(made)
    rules = "".join(restore_text(table, chains) for table, chains in predicted.items())
    printed = load(family, backend, rules, format_ipset_save(made.ip_sets), folder)
    assert printed == {table.value: with_builtin(table, chains) for table, chains in predicted.items()}


CONFIGS = {
    "plain": {},
    "tunnels": {**IPIP_ADDRESS, **VXLAN_ADDRESS, "IptablesFilterAllowAction": "RETURN", "InterfacePrefix": "cali,tap"},
    "OpenStack": {**METADATA, "NATPortRange": "32768:65000", "IptablesNATOutgoingInterfaceFilter": "eth+"},
    "small mask": {"IptablesMarkMask": "0xf8000000"},
}


@FAMILIES
@BACKENDS
@pytest.mark.parametrize("parameters", CONFIGS.values(), ids=CONFIGS)
def test_a_busy_node(parameters: dict[str, str], backend: str, family: IPFamily, tmp_path: Path) -> None:
    config, _ = parse_config(parameters)
    check_node(BUSY, replace(BUSY_STATE, ipvs=True), config, family, backend, tmp_path)


@FAMILIES
@BACKENDS
def test_the_reference_node(backend: str, family: IPFamily, tmp_path: Path) -> None:
    check_node(VIEW, STATE, RenderConfig(), family, backend, tmp_path)


@FAMILIES
@BACKENDS
@settings(max_examples=5)
@given(data=st.data())
def test_drawn_policies(
    backend: str, family: IPFamily, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = data.draw(st.lists(active_rules(family) | crowded_rules(family), min_size=20, max_size=20))
    view = NodeView("node-1", policies=(ActivePolicy("default.p", tuple(rules)),), ip_sets=tuple(SETS.values()))
    config = RenderConfig(log_prefix='a "long" prefix that the kernel cuts')
    check_node(view, NodeState(), config, family, backend, tmp_path_factory.mktemp("drawn"))


# --- Felix's words -----------------------------------------------------------------------------------------------

EMPTY_SETS = {"n": "hash:ip,port", "this-host": "hash:ip"}


def check_words(
    chains: Mapping[TableName, Mapping[str, list[FelixRule]]], family: IPFamily, backend: str, folder: Path
) -> None:
    text, predicted, sets = "", {}, {}
    for table, rules_of in chains.items():
        wanted = {
            rule.target.chain for rules in rules_of.values() for rule in rules if isinstance(rule.target, Jump | Goto)
        }
        whole: dict[str, list[FelixRule]] = {name: [] for name in sorted(wanted)} | dict(rules_of)
        text += restore_text(table, {name: felix_lines(name, rules) for name, rules in whole.items()})
        values = {
            name: [format_rule(rule, family) for rule in numbered_rules(name, rules)] for name, rules in whole.items()
        }
        predicted[table.value] = with_builtin(table, values)
        sets |= {one.name: one for rules in whole.values() for rule in rules for one in empty_sets(rule, family)}
    assert load(family, backend, text, format_ipset_save(sets), folder) == predicted


def felix_lines(chain: str, rules: list[FelixRule]) -> list[str]:
    words = [rule.words for rule in rules]
    hashes = rule_hashes(chain, words)
    return [f'-m comment --comment "cali:{digest}" {text}' for digest, text in zip(hashes, words, strict=True)]


def empty_sets(rule: FelixRule, family: IPFamily) -> Iterable[IPSet]:
    for match in rule.matches:
        if isinstance(match, SetMatch):
            kind = EMPTY_SETS.get(match.name[6:].partition(":")[0], "hash:net")
            word = "inet" if family is IPFamily.V4 else "inet6"
            yield IPSet(match.name, kind, family, (), {"family": word, "maxelem": "1048576"})


@FAMILIES
@BACKENDS
@pytest.mark.parametrize("parameters", [{}, {**IPIP_ADDRESS, **VXLAN_ADDRESS}, METADATA, NO_METADATA], ids=str)
def test_the_words_of_static_chains(parameters: dict[str, str], backend: str, family: IPFamily, tmp_path: Path) -> None:
    check_words(tables(family, parameters, ipvs=True), family, backend, tmp_path)


@FAMILIES
@BACKENDS
def test_the_words_of_dispatch_and_endpoint_chains(backend: str, family: IPFamily, tmp_path: Path) -> None:
    endpoints = {name.partition(":")[0]: rules for name, rules in ENDPOINTS.items() if ": raw" not in name}
    raw = {"cali-fh-eth0": ENDPOINTS["cali-fh-eth0: raw; untracked policy notrack"]}
    check_words({TableName.RAW: raw, TableName.FILTER: {**DISPATCH, **endpoints}}, family, backend, tmp_path)


@FAMILIES
@BACKENDS
@settings(max_examples=3)
@given(data=st.data())
def test_the_words_of_drawn_policies(
    backend: str, family: IPFamily, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:

    rules = data.draw(st.lists(active_rules(family) | crowded_rules(family), min_size=20, max_size=20))
    chains = {"cali-pi-p": policy_rules(rules, family, CORRECTED)}
    check_words({TableName.FILTER: chains}, family, backend, tmp_path_factory.mktemp("drawn"))


# --- what Felix writes and iptables refuses (docs/felix-differences.md) -------------------------------------------

EXACT = replace(CORRECTED, config=RenderConfig(felix_exact=True))
DENY = ActiveRule(RuleAction.DENY)
EVERYTHING = RuleSide(not_nets=(parse_prefix("0.0.0.0/0"),))
REFUSED = {
    "two protocols": (replace(DENY, protocol="tcp", not_protocol="udp"), IPFamily.V4, {"legacy", "nft"}),
    "a protocol that is excepted": (replace(DENY, protocol=6, not_protocol="tcp"), IPFamily.V4, {"legacy", "nft"}),
    "ICMP without its protocol": (replace(DENY, icmp=IcmpTest(8)), IPFamily.V4, {"legacy", "nft"}),
    "not ICMP, without its protocol": (replace(DENY, not_icmp=IcmpTest(8)), IPFamily.V6, {"legacy", "nft"}),
    "ICMP in IPv6": (replace(DENY, protocol=1, icmp=IcmpTest(8)), IPFamily.V6, {"legacy", "nft"}),
    "every address excepted": (replace(DENY, source=EVERYTHING), IPFamily.V4, {"nft"}),
}


@BACKENDS
@pytest.mark.parametrize(("rule", "family", "refused_by"), REFUSED.values(), ids=REFUSED)
def test_what_felix_writes_is_refused_where_the_default_loads(
    rule: ActiveRule, family: IPFamily, refused_by: set[str], backend: str, tmp_path: Path
) -> None:
    check_words({TableName.FILTER: {"cali-pi-p": policy_rules([rule], family, CORRECTED)}}, family, backend, tmp_path)
    exact = {TableName.FILTER: {"cali-pi-p": policy_rules([rule], family, EXACT)}}
    if backend in refused_by:
        with pytest.raises(Refused):
            check_words(exact, family, backend, tmp_path)
    else:
        check_words(exact, family, backend, tmp_path)


@FAMILIES
@BACKENDS
@pytest.mark.parametrize("interface", ["sixteen-letters-", "fifteen-letters+", "has blank"])
def test_interfaces_that_iptables_refuses(interface: str, backend: str, family: IPFamily, tmp_path: Path) -> None:
    chains = {TableName.FILTER: {"cali-pi-p": [felix_rule(DROP, in_interface(interface))]}}
    with pytest.raises(Refused):
        check_words(chains, family, backend, tmp_path)
