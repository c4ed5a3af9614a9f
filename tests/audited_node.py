"""A busy node as it is rendered, with ways to damage it: for tests of the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.audit.node import audit_node
from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.render.ruleset import complete_ruleset

V4 = IPFamily.V4
FILTER, RAW, NAT, MANGLE = TableName.FILTER, TableName.RAW, TableName.NAT, TableName.MANGLE
_EVERYTHING = rendered(BUSY)
MADE = replace(_EVERYTHING, families={V4: _EVERYTHING.families[V4]})
"""What was rendered, IPv4 alone."""
RULES = complete_ruleset(MADE.families[V4], Backend.NFT)
SETS: Mapping[str, IPSet] = MADE.families[V4].ip_sets


def rule(text: str) -> Rule:
    """A rule of IPv4 from its text."""
    return parse_rule(text, V4)


FOREIGN = rule("-s 10.9.9.9/32 -j ACCEPT")


def changed(table: TableName, chain: str, change: Callable[[tuple[Rule, ...]], tuple[Rule, ...]]) -> Ruleset:
    """The node's rules with one chain's changed; a chain that is not there begins empty."""
    before = RULES.tables[table].chains.get(chain, Chain(chain))
    return with_chains(table, {chain: replace(before, rules=change(before.rules))})


def with_chains(table: TableName, chains: Mapping[str, Chain | None]) -> Ruleset:
    """The node's rules with chains replaced or added, or taken out where None is given."""
    held = RULES.tables[table].chains | chains
    kept = {name: chain for name, chain in held.items() if chain is not None}
    return replace(RULES, tables={**RULES.tables, table: Table(table, kept)})


def members(count: int, size: int, name: str = "cali40s:a") -> dict[str, IPSet]:
    """A set with this many members of so many."""
    lines = [f"create {name} hash:net family inet maxelem {size}"]
    return parse_ipsets("\n".join([*lines, *(f"add {name} 10.0.0.{number}" for number in range(count))]))


def told(*rulesets: Ruleset, sets: Mapping[str, IPSet] | None = None, compared: bool = False) -> list[str]:
    """Every finding as severity, kind and words; `compared` to what was rendered. IPv6 has no rules."""
    empty = Ruleset(IPFamily.V6, Backend.NFT, {})
    audit = audit_node([*rulesets, empty], SETS if sets is None else sets, MADE if compared else None)
    return [f"{finding.severity.value} {finding.kind.value}: {finding}" for finding in audit.findings]
