"""What an audit finds, as values: where, of which kind, how grave, and in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tortie.audit.era import Era
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
    MISSING = "missing"
    """A chain, or the end of one, that Felix always makes."""
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


class Severity(Enum):
    """How grave a finding is, gravest first; `value` is its name in output."""

    ERROR = "error"
    """Packets meet something else than Felix's rules, or than the resources mean."""
    WARNING = "warning"
    """Something that is left over or about to go wrong; what packets meet is right."""
    NOTE = "note"
    """Something that cannot be told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is; what is not said is None."""

    family: IPFamily | None = None
    backend: Backend | None = None
    table: TableName | None = None
    chain: str | None = None
    rule: int | None = None
    ip_set: str | None = None

    def __str__(self) -> str:
        words = [
            None if self.family is None else f"IPv{self.family.value}",
            None if self.table is None else self.table.value,
            self.chain,
            None if self.rule is None else f"rule {self.rule}",
            None if self.ip_set is None else f"set {self.ip_set}",
            None if self.backend is None else f"({self.backend.value})",
        ]
        return " ".join(word for word in words if word is not None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or cannot be told."""

    kind: FindingKind
    place: Place
    text: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if str(self.place) else self.text


@dataclass(frozen=True, slots=True)
class AuditedChain:
    """One chain of ours: how many rules it has, how many of them fit their hashes, which Felix made it."""

    place: Place
    rules: int
    fitting: int
    era: Era


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings in the order of the rules, and every chain of ours that was looked at."""

    findings: tuple[Finding, ...]
    chains: tuple[AuditedChain, ...] = ()

    @property
    def fitting(self) -> int:
        """How many of our rules fit their hashes."""
        return sum(chain.fitting for chain in self.chains)

    @property
    def rules(self) -> int:
        """How many rules stand in chains of ours."""
        return sum(chain.rules for chain in self.chains)

    @property
    def eras(self) -> dict[Era, int]:
        """How many chains are of which era, in the order of eras."""
        return {era: count for era in Era if (count := sum(chain.era is era for chain in self.chains))}


_GRAVITY = {severity: rank for rank, severity in enumerate(Severity)}


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by severity; those of one severity stay in their order."""
    return sorted(findings, key=lambda finding: _GRAVITY[finding.severity])
