"""What came of one programming: the value that the kernel's side hands back, and what of it is told on.

A `RulesReport` is what whoever programs rules says; a `Report` is all of one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tortie.calc.view import WorkloadId
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName


class Part(Enum):
    """What there is to program or to look at; `value` is its name in log and status.

    RULES and NETWORK are made anew from what is wanted. The checks look whether what was programmed still stands, and
    only where it does not program anew.
    """

    RULES = "rules"
    NETWORK = "network"
    CHECK_RULES = "check of rules"
    CHECK_SETS = "check of ip sets"


@dataclass(frozen=True, slots=True)
class Intruder:
    """A foreign rule that stands where ours should: in front of our first rule of a kernel chain."""

    family: IPFamily
    table: TableName
    chain: str
    rule: str
    """As iptables prints it, without `-A CHAIN`."""

    def __str__(self) -> str:
        tool = "iptables" if self.family is IPFamily.V4 else "ip6tables"
        return f"{tool} -t {self.table.value} {self.chain}: {self.rule}"


@dataclass(frozen=True, slots=True)
class RulesReport:
    """What became of rules and sets; `refused` says why they are not as wanted, None when they are."""

    steps: int = 0
    first_step: str = ""
    """The first difference that was found, in words."""
    failures: tuple[str, ...] = ()
    """What went wrong on the way and was overcome."""
    remarks: tuple[str, ...] = ()
    intruders: tuple[Intruder, ...] = ()
    refused: str | None = None


class EndpointStatus(Enum):
    """How an endpoint does (spec: model 7.5); `value` is the word in the datastore."""

    UP = "up"
    DOWN = "down"
    ERROR = "error"


Endpoint = WorkloadId | str
"""A workload endpoint by its id, a host endpoint by its name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How much was rendered: chains and rules by family and table, sets by family, parts of the view by name."""

    tables: Mapping[tuple[IPFamily, TableName], tuple[int, int]] = field(default_factory=dict)
    sets: Mapping[IPFamily, int] = field(default_factory=dict)
    view: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One pass: what was to be done, and what came of it."""

    parts: frozenset[Part]
    rules: RulesReport | None = None
    network_steps: int = 0
    restored: frozenset[str] = frozenset()
    """Devices whose routes were there after the pass before and were not any more."""
    network_failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str | None = None
    """Why nothing was programmed at all: what is wanted cannot be rendered, or the node cannot be read."""
    statuses: Mapping[Endpoint, EndpointStatus] = field(default_factory=dict)
    rendered: bool = False
    """True when what is wanted was worked out in this pass, so that `statuses` counts."""
    seconds: float = 0.0
    shape: Shape | None = None
    """For metrics; None when nothing new was rendered."""

    @property
    def steps(self) -> int:
        """All changes to the kernel."""
        return self.network_steps + (self.rules.steps if self.rules is not None else 0)

    @property
    def rules_problems(self) -> tuple[str, ...]:
        """Why rules and sets are not as they should be."""
        refused = [] if self.refused is None else [self.refused]
        if self.rules is not None and self.rules.refused is not None:
            refused.append(self.rules.refused)
        return tuple(refused)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the kernel is not as it should be."""
        return (*self.rules_problems, *self.network_failures)
