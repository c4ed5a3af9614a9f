"""What the agent wants done: values, carried out in order by the loop, or by a test over fakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tortie.agent.event import Clock
from tortie.agent.interface import Interface
from tortie.agent.report import Part
from tortie.agent.setting import Settings
from tortie.agent.state import UnreadableId
from tortie.model.closing import Loss
from tortie.model.read import Key
from tortie.model.resource import Resource
from tortie.render.config import RenderConfig


@dataclass(frozen=True, slots=True)
class Learn:
    """Tells the calculation that a resource is now this, or with None no more."""

    key: Key
    resource: Resource | None


@dataclass(frozen=True, slots=True)
class Lose:
    """Tells the calculation what is missing because of something that cannot be read; with None nothing is any more."""

    id: UnreadableId
    loss: Loss | None


@dataclass(frozen=True, slots=True)
class Configure:
    """Tells the calculation which parameters count, and the process its log level."""

    parameters: Mapping[str, str]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Program:
    """Brings the kernel to what is wanted, or looks whether it is there; answered with `Programmed`."""

    parts: frozenset[Part]
    config: RenderConfig
    settings: Settings
    interfaces: tuple[Interface, ...]
    new_interfaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Starts a clock, or starts it anew."""

    clock: Clock
    delay_s: float


@dataclass(frozen=True, slots=True)
class ListInterfaces:
    """Asks for `InterfacesListed`."""


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Writes down how the agent does; answered with `StatusWritten`."""


class Level(Enum):
    """How much a line of the log matters; `value` is its name."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Log:
    """Writes a line to the log, `fields` beside the text."""

    level: Level
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quit:
    """Ends the process with an exit code; what is programmed stays."""

    code: int
    why: str


Command: TypeAlias = Learn | Lose | Configure | Program | SetTimer | ListInterfaces | WriteStatus | Log | Quit
"""Readers end in `assert_never`."""
