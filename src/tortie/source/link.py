"""The way to a datastore: how often it is tried again, and what is told of it.

The first `Lost` of an interruption is told, not each try. A datastore that answers again has told what changed before
`Regained` is; `InSync` is told once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tortie.model.event import InSync, Lost, Regained, SourceEvent

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0


@dataclass(slots=True)
class BackOff:
    """Waits that double from `first_s` to `longest_s`; a random part keeps many nodes from trying at the same moment."""

    first_s: float = FIRST_WAIT_S
    longest_s: float = LONGEST_WAIT_S
    draw: Callable[[], float] = random.random
    _tries: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Seconds until the next try: between half of what has been reached and all of it."""
        reached = min(self.longest_s, self.first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return reached * (0.5 + self.draw() / 2)

    def reset(self) -> None:
        """It worked: the next failure starts over."""
        self._tries = 0


class Link:
    """Whether the datastore is reached, and what was told of that."""

    def __init__(self, back_off: BackOff) -> None:
        self.back_off = back_off
        self._in_sync = False
        self._lost = False

    def lost(self, reason: str) -> Iterator[SourceEvent]:
        """The datastore is not reached; told once until it is."""
        if not self._lost:
            self._lost = True
            yield Lost(reason)

    def reached(self) -> Iterator[SourceEvent]:
        """Everything that there is has been told."""
        self.back_off.reset()
        if self._lost:
            self._lost = False
            yield Regained()
        if not self._in_sync:
            self._in_sync = True
            yield InSync()
