"""Hears what a source tells, holds it to its word (tortie.model.event), and waits for what a test expects of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, assert_never

from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed, SourceEvent
from tortie.model.read import Key
from tortie.model.resource import Resource

LONGEST_S = 20.0
"""After this a test that waits fails; nothing takes so long."""


class Source(Protocol):
    """What every source is."""

    def events(self) -> AsyncIterator[SourceEvent]: ...
    async def close(self) -> None: ...


class NoSource:
    """For a hearer that is told by the test itself."""

    async def events(self) -> AsyncIterator[SourceEvent]:
        return
        yield

    async def close(self) -> None:
        return


@dataclass
class Hearer:
    """Listens to a source while its context is open; every word is checked against what was told before."""

    source: Source
    resources: dict[Key, Resource] = field(default_factory=dict)
    refused: dict[tuple[str, Key | None], str] = field(default_factory=dict)
    events: list[SourceEvent] = field(default_factory=list)
    in_sync: bool = False
    lost: str | None = None
    _said: dict[tuple[str, Key | None], object] = field(default_factory=dict)
    _turn: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Hearer:
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.source.close()

    async def _listen(self) -> None:
        try:
            async for event in self.source.events():
                self.hear(event)
                self._turn.set()
        finally:
            self._turn.set()

    def hear(self, event: SourceEvent) -> None:
        """One word, which must be news."""
        self.events.append(event)
        match event:
            case Changed(key, resource):
                assert self.resources.get(key) != resource, f"{key} was told twice"
                self.resources[key] = resource
                self._end_refusals(key)
            case Removed(key):
                assert key in self.resources or any(one == key for _, one in self.refused), f"{key} was not there"
                self.resources.pop(key, None)
                self._end_refusals(key)
            case Refused(place, problem, key):
                said = str(problem), event.data, event.superfluous
                assert self._said.get((place, key)) != said or (place, key) not in self.refused, f"{place} twice: {problem}"
                self.refused[place, key], self._said[place, key] = str(problem), said
                if key is not None:
                    self.resources.pop(key, None)
            case Mended(place):
                assert any(one == place for one, _ in self.refused), f"{place} was not refused"
                self.refused = {one: text for one, text in self.refused.items() if one[0] != place}
            case InSync():
                assert not self.in_sync
                self.in_sync = True
            case Lost(reason):
                assert self.lost is None
                self.lost = reason
            case Regained():
                assert self.lost is not None
                self.lost = None
            case _:
                assert_never(event)

    def _end_refusals(self, key: Key) -> None:
        self.refused = {one: text for one, text in self.refused.items() if one[1] != key}

    async def until(self, holds: Callable[[Hearer], bool], what: str = "") -> None:
        """Waits until something holds of what was heard; fails with all that was heard lately."""
        assert self._task is not None
        try:
            async with asyncio.timeout(LONGEST_S):
                while not holds(self):
                    if self._task.done():
                        self._task.result()
                        raise AssertionError("the source ended by itself")
                    self._turn.clear()
                    await self._turn.wait()
        except TimeoutError:
            raise AssertionError(f"never {what}; heard last: {self.events[-5:]}, refused: {self.refused}") from None

    async def until_in_sync(self) -> None:
        await self.until(lambda heard: heard.in_sync, "in sync")

    @property
    def keys(self) -> set[Key]:
        return set(self.resources)

    @property
    def refused_keys(self) -> set[Key]:
        return {key for _, key in self.refused if key is not None}
