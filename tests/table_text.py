"""Tables, sets and wishes written as rule texts, and names of ours that are not Calico's, for tests of planning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import format_rule, parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.step import Plan, TableEdit
from tortie.reconcile.text import ipset_line, restore_lines
from tortie.reconcile.wanted import Held, WantedFamily, WantedTable

V4, V6 = IPFamily.V4, IPFamily.V6
RAW, MANGLE, NAT, FILTER = TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER
OURS = Ownership(
    chain_prefixes=("our-", "elder-"),
    set_patterns={V4: "our4", V6: "our6"},
    rule_comment="our_[a-z0-9]",
    temporary_sets={V4: "our4t", V6: "our6t"},
    fence_comment="our_fence",
    old_rules={NAT: ("^-A POSTROUTING .* elder-pools .*",)},
)
FENCE = "-m comment --comment our_fence"

Texts = Mapping[str, Sequence[str]]


def rules(*texts: str) -> tuple[Rule, ...]:
    """Rules as iptables-save prints them behind `-A CHAIN `."""
    return tuple(parse_rule(text, V4) for text in texts)


def texts(chain: Chain) -> list[str]:
    """What iptables-save prints behind `-A CHAIN `."""
    return [format_rule(rule, V4) for rule in chain.rules]


def table(name: TableName, chains: Texts) -> Table:
    """A table with all its kernel chains, which accept."""
    made = {hook.value: Chain(hook.value, policy="ACCEPT") for hook in BUILTIN_CHAINS[name]}
    made |= {chain: Chain(chain, rules(*given), "ACCEPT" if chain in made else None) for chain, given in chains.items()}
    return Table(name, made)


def ruleset(tables: Mapping[TableName, Texts], backend: Backend = Backend.LEGACY) -> Ruleset:
    """A ruleset of IPv4."""
    return Ruleset(V4, backend, {name: table(name, chains) for name, chains in tables.items()})


def sets(text: str = "") -> dict[str, IPSet]:
    """Sets from lines `NAME: MEMBER MEMBER`, all hash:net of IPv4."""
    lines = []
    for line in text.strip().splitlines():
        name, _, members = line.strip().partition(":")
        lines.append(f"create {name} hash:net family inet maxelem 100")
        lines += [f"add {name} {member}" for member in members.split()]
    return parse_ipsets("\n".join(lines)) if lines else {}


def held(tables: Mapping[TableName, Texts] | None = None, ip_sets: str = "") -> Held:
    """What a kernel of IPv4 holds."""
    return Held({V4: ruleset(tables or {})}, sets(ip_sets))


def wanted(tables: Mapping[TableName, Texts], ip_sets: str = "", *, append: bool = False) -> WantedFamily:
    """What it should hold of ours: chains of ours, and in kernel chains our rules alone."""
    made = {}
    for name, chains in tables.items():
        own = {chain: Chain(chain, rules(*given)) for chain, given in chains.items() if OURS.owns_chain(chain)}
        hooks = {chain: rules(*given) for chain, given in chains.items() if not OURS.owns_chain(chain)}
        made[name] = WantedTable(own, hooks)
    return WantedFamily(V4, made, sets(ip_sets), append)


def plan_lines(plan: Plan) -> list[str]:
    """A plan's lines, those of a table behind its name."""
    lines = []
    for step in plan.steps:
        if isinstance(step, TableEdit):
            lines += [f"{step.table.value} {line}" for line in list(restore_lines(step))[1:-1]]
        else:
            lines += [ipset_line(command) for command in step.commands]
    return lines
