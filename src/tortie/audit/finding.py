"""What an audit finds, as values: where, of which kind, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName


class FindingKind(Enum):
    """Kinds of findings; `value` is their name in output."""

    RULE = "rule"
    """A rule in a chain of ours that is not what its hash says, or not where it belongs."""
    FOREIGN_RULE = "foreign-rule"
    """A rule in a chain of ours that nobody of ours wrote."""
    UNJUDGED = "unjudged"
    """Rules about which nothing can be said."""
    OLD_VERSION = "old-version"
    """Chains or rules that an older Felix left or made."""
    HOOK = "hook"
    """A jump into our chains that is missing, in the wrong place, stale or there twice."""
    UNREACHED = "unreached"
    """A chain of ours to which no rule leads."""
    BOTH_BACKENDS = "both-backends"
    """Chains of ours in both back-ends, both of which act."""
    SET = "set"
    """An ip set that is missing, full, left over or not as it should be."""
    DIFFERENCE = "difference"
    """Something that is not as rendered."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is; what is not said is None."""

    family: IPFamily | None = None
    backend: Backend | None = None
    table: TableName | None = None
    chain: str | None = None
    rule: int | None = None

    def __str__(self) -> str:
        words = [
            None if self.family is None else f"IPv{self.family.value}",
            None if self.table is None else self.table.value,
            self.chain,
            None if self.rule is None else f"rule {self.rule}",
            None if self.backend is None else f"({self.backend.value})",
        ]
        return " ".join(word for word in words if word is not None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or cannot be told."""

    kind: FindingKind
    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if str(self.place) else self.text


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings, and how many of our rules fit their hashes out of how many."""

    findings: tuple[Finding, ...]
    fitting: int
    rules: int
