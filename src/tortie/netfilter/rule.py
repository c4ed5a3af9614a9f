"""Rules, chains, tables and rulesets: the values everything else reads.

A rule is its tests in order and its target. The tests that iptables keeps in the rule's header (addresses, interfaces,
protocol, fragment) are matches like any other; where text needs iptables' own order `canonical_rule` makes it. Counters
are no part of a rule's meaning and are left out of comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.match import (
    DestinationMatch,
    FragmentMatch,
    InInterfaceMatch,
    Match,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
)
from tortie.netfilter.target import Target


@dataclass(frozen=True, slots=True)
class Counters:
    """Packets and bytes."""

    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: all `matches` must hold for `target` to run; no target means that only the counters move."""

    matches: tuple[Match, ...] = ()
    target: Target | None = None
    counters: Counters | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; only built-in chains have a `policy` (`ACCEPT` or `DROP`)."""

    name: str
    rules: tuple[Rule, ...] = ()
    policy: str | None = None
    counters: Counters | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its chains by name, in the order of the text they came from."""

    name: TableName
    chains: Mapping[str, Chain]
    opaque: str | None = None
    """Set when the tool could not print the table (foreign nft expressions); then nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All tables of one family in one back-end. A table that is absent does not exist in the kernel."""

    family: IPFamily
    backend: Backend
    tables: Mapping[TableName, Table]


_HEADER_ORDER: tuple[type, ...] = (
    SourceMatch,
    DestinationMatch,
    InInterfaceMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    FragmentMatch,
)


def canonical_rule(rule: Rule) -> Rule:
    """The rule with its header tests first and in iptables-save's order (spec: netfilter 9.2); the meaning is the same."""
    header = sorted(
        (match for match in rule.matches if isinstance(match, _HEADER_ORDER)),
        key=lambda match: _HEADER_ORDER.index(type(match)),
    )
    rest = [match for match in rule.matches if not isinstance(match, _HEADER_ORDER)]
    return replace(rule, matches=(*header, *rest))
