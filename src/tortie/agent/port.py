"""What the agent needs of the world, as Protocols; `kernel`, `source` and the tests' fakes fit them, `cli` chooses.

Each is called from one thread at a time. What is blocking says so, and the loop gives it a thread of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from tortie.agent.event import Damaged, InterfaceChanged
from tortie.agent.interface import Interface
from tortie.agent.report import RulesReport
from tortie.agent.state import UnreadableId
from tortie.agent.status import NodeStatus
from tortie.calc.view import NodeView
from tortie.model.closing import Loss
from tortie.model.event import SourceEvent
from tortie.model.read import Key
from tortie.model.resource import Resource
from tortie.reconcile.network import HeldNetwork, NetworkStep, WantedNetwork
from tortie.render.ruleset import Rendering


class Source(Protocol):
    """Where resources come from."""

    def events(self) -> AsyncIterator[SourceEvent]:
        """Everything there is, `InSync`, then changes; ends never, and raises nothing that it can wait out."""
        ...


class Knowledge(Protocol):
    """What is known of the cluster; the calculation of this node's view of it."""

    def learn(self, key: Key, resource: Resource | None) -> None:
        """Takes a resource as it is now; None for one that is no more."""
        ...

    def lose(self, what: UnreadableId, loss: Loss | None) -> None:
        """Takes what is missing because of something that cannot be read; None when nothing is any more."""
        ...

    def configure(self, parameters: Mapping[str, str]) -> None:
        """Takes the effective parameters."""
        ...

    def view(self) -> NodeView:
        """All that is in force for the node now; raises `InvalidInput` for a gap that it cannot be without."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """What was closed in the view because something is missing."""
        ...

    def counts(self) -> Counter[str]:
        """How many resources of each kind are known."""
        ...


class Rules(Protocol):
    """Rules and sets of the kernel; blocking."""

    def program(self, rendering: Rendering) -> RulesReport:
        """Brings the kernel to hold what was rendered, and reads it again to be sure; a refusal is in the report."""
        ...

    def endpoint_marks(self) -> Mapping[str, int]:
        """The marks of endpoints that rules in the kernel give out, by interface; empty when nobody can tell."""
        ...

    def intact(self, *, rules: bool, sets: bool) -> bool:
        """Whether the kernel still holds what was read last; False also when nobody can tell."""
        ...


class FailedStep(Protocol):
    """A step that was not done."""

    @property
    def step(self) -> NetworkStep:
        """Which."""
        ...

    @property
    def message(self) -> str:
        """What was said."""
        ...


class Network(Protocol):
    """Routes, neighbours, settings and devices of the kernel; blocking."""

    def read(self, wanted: WantedNetwork) -> HeldNetwork:
        """What is held of what the wanted network speaks of; raises `CannotRead`."""
        ...

    def carry_out(self, steps: Sequence[NetworkStep]) -> Sequence[FailedStep]:
        """Takes the steps in order, whatever becomes of each."""
        ...

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces; raises `CannotRead`."""
        ...

    def all_rp_filter(self) -> str | None:
        """The check of source addresses for all interfaces; None where it cannot be read."""
        ...


class CannotRead(Exception):
    """The kernel, or a tool that knows it, does not tell what it holds."""


class Watch(Protocol):
    """What the kernel tells by itself."""

    def events(self) -> AsyncIterator[InterfaceChanged | Damaged]:
        """Changes of interfaces, and damage, as they happen; begins with what happens after the call."""
        ...


class StatusSink(Protocol):
    """Where the agent's status is written."""

    async def write(self, status: NodeStatus) -> None:
        """Replaces what was written before; raises `OSError`."""
        ...
