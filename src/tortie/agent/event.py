"""What the agent is told: by sources, by the node, by clocks and by those who carry out its commands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tortie.agent.interface import Interface
from tortie.agent.report import Part, Report
from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed


class Clock(Enum):
    """What a timer is for; each is set at most once at a time, and setting it again starts it anew."""

    BATCH = "batch"
    """What came in a burst is programmed together."""
    RETRY = "retry"
    """What the kernel refused is tried again."""
    REPAIR = "repair"
    """Damage that was told is looked at."""
    CALM = "calm"
    """No damage for so long that earlier damage counts no more."""
    RECHECK = "recheck"
    """What was written is looked at again, later and later."""
    RULES = "refresh of rules"
    SETS = "refresh of ip sets"
    ROUTES = "refresh of routes"
    LINKS = "list of interfaces"
    GRACE = "grace of new interfaces"
    """Routes of interfaces that are new are let alone no longer."""
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Rang:
    """A timer that was set has run out."""

    clock: Clock


@dataclass(frozen=True, slots=True)
class InterfacesListed:
    """All interfaces that there are, and what the node's `rp_filter` for all of them is, None where it cannot be read."""

    interfaces: tuple[Interface, ...]
    all_rp_filter: str | None = None


@dataclass(frozen=True, slots=True)
class InterfaceChanged:
    """One interface is new or different, or with None gone."""

    name: str
    interface: Interface | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """Somebody may have changed what is ours; `what` is in words, with who did it, or empty where nothing more is known."""

    part: Part
    what: str
    device: str = ""
    """The device whose route it is."""


@dataclass(frozen=True, slots=True)
class Programmed:
    """A `Program` command was carried out, with or without success."""

    report: Report


@dataclass(frozen=True, slots=True)
class StatusWritten:
    """A `WriteStatus` command was carried out; `problem` says what was wrong."""

    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Terminate:
    """The agent is asked to end."""

    why: str


Event: TypeAlias = (
    Changed
    | Removed
    | Refused
    | Mended
    | InSync
    | Lost
    | Regained
    | Rang
    | InterfacesListed
    | InterfaceChanged
    | Damaged
    | Programmed
    | StatusWritten
    | Terminate
)
"""Readers end in `assert_never`."""
