"""What is ours among the kernel's objects, told by looks alone, so that a process without a memory can tell.

The spellings come from outside as one value (`render.names` has Calico's); nothing in this package knows a prefix. A rule
in a chain of ours is ours. In any other chain a rule is ours when its comment says so, or when it jumps to a chain of ours
or has a text that only older versions wrote (spec: rules 10.2). Everything else is foreign: never moved, never changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Jump


@dataclass(frozen=True, slots=True)
class Ownership:
    """How our chains, rules and sets look. Patterns are regular expressions."""

    chain_prefixes: tuple[str, ...]
    set_patterns: Mapping[IPFamily, str]
    """Matched at the start of a set's name."""
    rule_comment: str
    """Matched at the start of each comment of a rule."""
    temporary_sets: Mapping[IPFamily, str]
    """What the name of a set that is only there while another is rewritten starts with; a number follows."""
    fence_comment: str
    """The comment of rules that close a chain while it changes; `rule_comment` must match it."""
    old_rules: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)
    """Searched for in `-A CHAIN …` lines without a comment of ours, as older versions wrote them."""

    def __post_init__(self) -> None:
        if not re.match(self.rule_comment, self.fence_comment):
            raise ValueError(f"a rule with the comment {self.fence_comment!r} would not be known as ours")
        for family, prefix in self.temporary_sets.items():
            if not self.owns_set(family, f"{prefix}0"):
                raise ValueError(f"a set named {prefix}0 would not be known as ours")

    def owns_chain(self, name: str) -> bool:
        """True for a chain of ours, of this or an older version."""
        return name.startswith(self.chain_prefixes)

    def owns_set(self, family: IPFamily, name: str) -> bool:
        """True for a set of ours in a family, temporary ones included."""
        return re.match(self.set_patterns[family], name) is not None

    def owns_rule(self, table: TableName, chain: str, rule: Rule, family: IPFamily) -> bool:
        """True for a rule of ours wherever it stands."""
        if self.owns_chain(chain):
            return True
        for match in rule.matches:
            if isinstance(match, CommentMatch) and re.match(self.rule_comment, match.text):
                return True
        if isinstance(rule.target, Jump) and self.owns_chain(rule.target.chain):
            return True
        patterns = self.old_rules.get(table)
        if not patterns:
            return False
        line = f"-A {chain} {format_rule(rule, family)}"
        return any(re.search(pattern, line) for pattern in patterns)
