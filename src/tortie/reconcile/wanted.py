"""What the kernel should hold of ours and what it does hold: the two sides of a comparison.

A side that is not mentioned is not touched: a family that is not wanted keeps all its rules and sets, a table that is not
wanted keeps its rules. To remove what is ours from a table, want it empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset


@dataclass(frozen=True, slots=True)
class WantedTable:
    """Our part of a table: `chains` complete and only ours, `hooks` our rules in the kernel's chains."""

    chains: Mapping[str, Chain] = field(default_factory=dict)
    hooks: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WantedFamily:
    """Our part of one family; with `append_hooks` our rules stand behind foreign ones, else in front."""

    family: IPFamily
    tables: Mapping[TableName, WantedTable]
    ip_sets: Mapping[str, IPSet] = field(default_factory=dict)
    append_hooks: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds: the rules of each family in the back-end that is written to, and all sets."""

    rulesets: Mapping[IPFamily, Ruleset]
    ip_sets: Mapping[str, IPSet]
