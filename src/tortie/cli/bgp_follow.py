"""BIRD's configuration kept at what a datastore says, until the end.

A burst of changes is one new configuration. A source that is lost changes nothing, and is told; so is what cannot be read.
What BIRD refuses is tried again with the next change. Blocks that are kept in files are looked at again and again, since
nobody tells of them.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, assert_never

from tortie.kernel.refusal import KernelRefused
from tortie.model.event import Changed, InSync, Lost, Mended, Refused, Regained, Removed, SourceEvent
from tortie.model.read import Key, Resources
from tortie.model.resource import Resource
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.agent.port import Source

QUIET_S = 0.2
"""Seconds that changes are gathered for."""
LOOK_S = 1.0
"""How often blocks in files are looked at."""


class Known:
    """What a source has told."""

    def __init__(self) -> None:
        self.in_sync = False
        self._found: dict[Key, Resource] = {}

    def hear(self, event: SourceEvent) -> bool:
        """Takes an event; True when there is something new to make a configuration of."""
        match event:
            case Changed(key, resource):
                self._found[key] = resource
            case Removed(key):
                self._found.pop(key, None)
            case Refused(_, _, key):
                if key is not None:
                    self._found.pop(key, None)
            case InSync():
                self.in_sync = True
            case Lost() | Regained() | Mended():
                return False
            case _:
                assert_never(event)
        return self.in_sync

    def resources(self) -> Resources:
        """Everything, as if it had been read from files."""
        by_kind: dict[type[Any], dict[tuple[str, str], Resource]] = {}
        for key in sorted(self._found):
            resource = self._found[key]
            by_kind.setdefault(type(resource), {})[key.namespace, key.name] = resource
        return Resources(by_kind)


async def follow(source: Source, bring: Callable[[Resources], None], *, polled: bool = False) -> None:
    """Calls `bring` with all resources after each burst of changes; never ends by itself.

    What `bring` raises about the outside world goes to stderr. With `polled` it is called every `LOOK_S` as well.
    """
    gc.enable()  # commands are too short to need it, this one is not
    known, news = Known(), asyncio.Event()
    listener = asyncio.create_task(_listen(source, known, news))
    said = ""
    try:
        while True:
            waited = asyncio.create_task(news.wait())
            await asyncio.wait({waited, listener}, timeout=LOOK_S if polled else None, return_when=asyncio.FIRST_COMPLETED)
            waited.cancel()
            if listener.done():
                listener.result()
                return
            if not known.in_sync:
                continue
            if news.is_set():
                await asyncio.sleep(QUIET_S)
                news.clear()
            problem = await asyncio.to_thread(_brought, bring, known.resources())
            if problem and problem != said:
                sys.stderr.write(f"tortie: {problem}\n")
            said = problem
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


def _remark(event: SourceEvent) -> str:
    """What people should know of an event beside what it changes, or nothing."""
    match event:
        case Lost(reason):
            return f"nothing new is heard for now: {reason}"
        case Regained():
            return "the source is back"
        case Refused(place, problem):
            return f"left out: {problem if problem.source else problem.at(source=place)}"
        case _:
            return ""


def _brought(bring: Callable[[Resources], None], resources: Resources) -> str:
    """What went wrong, or nothing."""
    try:
        bring(resources)
    except (InvalidInput, KernelRefused, OSError) as error:
        return str(error)
    return ""


async def _listen(source: Source, known: Known, news: asyncio.Event) -> None:
    async for event in source.events():
        if remark := _remark(event):
            sys.stderr.write(f"tortie: {remark}\n")
        if known.hear(event):
            news.set()
