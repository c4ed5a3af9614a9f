"""What the agent knows between two events: small values; the cluster itself is the calculation's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.agent.interface import Interface
from tortie.agent.report import Endpoint, EndpointStatus, Part
from tortie.agent.setting import DEFAULT_SETTINGS, Settings
from tortie.model.read import Key
from tortie.model.resource import Resource
from tortie.render.config import RenderConfig

UnreadableId = tuple[str, Key | None]
"""A place, which may hold several resources, and the resource there that cannot be read, None for what is none."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something at `place` that cannot be read; `closed` when what it could have stopped is closed meanwhile."""

    place: str
    key: Key | None
    message: str
    closed: bool

    @property
    def id(self) -> UnreadableId:
        """What it is told from others by."""
        return self.place, self.key


@dataclass(frozen=True, slots=True)
class Agent:
    """The whole state; nothing in it is ever changed in place."""

    hostname: str
    local: Mapping[str, str] = field(default_factory=dict)
    """Parameters of file and environment, which win over the datastore's."""

    # what is told
    in_sync: bool = False
    lost: str | None = None
    """Why the source cannot be reached, None while it can."""
    unreadable: Mapping[UnreadableId, Unreadable] = field(default_factory=dict)
    configuring: Mapping[Key, Resource] = field(default_factory=dict)
    """The resources that parameters come from."""
    interfaces: Mapping[str, Interface] | None = None
    """By name; None before they were listed once."""
    new_interfaces: frozenset[str] = frozenset()
    aging_interfaces: frozenset[str] = frozenset()
    """Those of the new ones that were there when the clock of grace was started."""

    # what follows from it
    parameters: Mapping[str, str] = field(default_factory=dict)
    config: RenderConfig | None = None
    """None while there is no configuration that can be worked with."""
    settings: Settings = DEFAULT_SETTINGS
    config_problem: str | None = None
    all_rp_filter: str | None = None
    """The node's setting for all interfaces, None where it could not be read."""

    # what is going on
    due: frozenset[Part] = frozenset()
    gathering: bool = False
    """True while the clock BATCH runs."""
    paused: bool = False
    """True while BATCH runs, but what is due waits for another clock."""
    programming: bool = False
    failures: int = 0
    """Passes in a row in which something was refused."""
    rules_failures: int = 0
    """Passes in a row in which rules and sets were not brought to what is wanted."""
    repairs: int = 0
    """Repairs of one another's work since it was last calm."""
    checking: bool = False
    """True while a pass runs for which nothing of ours had changed."""
    repair_due: bool = False
    """True while the clock REPAIR runs."""
    rules_damage: str = ""
    """What damage to rules was told last."""
    network_damage: Mapping[str, str] = field(default_factory=dict)
    """What damage to routes was told since they were looked at last, by device."""
    recheck_s: float = 0.0
    programmed: bool = False
    """True once rules and sets were as wanted."""
    ending: tuple[int, str] | None = None
    """Exit code and reason, while a pass is being waited for."""

    # what is said of it
    statuses: Mapping[Endpoint, EndpointStatus] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    rules_problems: tuple[str, ...] = ()
    network_problems: tuple[str, ...] = ()
    status_due: bool = False
    """True while the clock STATUS runs for something new."""
    status_problem: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the kernel is not as it should be, as of the last time that each half was programmed."""
        return (*self.rules_problems, *self.network_problems)

    @property
    def ready(self) -> bool:
        """True once rules were brought to what the datastore says, and while the kernel does not refuse them for long.

        What is wrong with a route or a device is a problem of some endpoints and makes the node no less safe.
        """
        return self.in_sync and self.programmed and self.rules_failures < MOST_FAILURES_READY


MOST_FAILURES_READY = 3
"""Failed passes in a row after which the agent says that it is not ready."""
