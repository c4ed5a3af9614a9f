"""A clock that stands still until a test moves it, and lets whoever waits for it go on."""

from __future__ import annotations

import asyncio

_TURNS = 200
_FINEST_S = 1e-6
"""No wait is shorter, so that one for the rest of a rounded number comes to an end."""


class StoppedClock:
    """Seconds that pass only by `advance`."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._waits: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now_s

    async def wait(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append((self._now_s + max(seconds, _FINEST_S), future))
        await future

    @property
    def waits_s(self) -> list[float]:
        """What is waited for, in seconds from now."""
        return sorted(end - self._now_s for end, future in self._waits if not future.done())

    async def turn(self) -> None:
        """Lets everything that can go on do so."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Lets time pass, step by step, so that each wait ends at its moment."""
        end = self._now_s + seconds
        await self.turn()
        while True:
            due = min((moment for moment, future in self._waits if not future.done()), default=end)
            moment = min(max(due, self._now_s), end)
            self._now_s = moment
            ready = [future for when, future in self._waits if when <= moment and not future.done()]
            self._waits = [(when, future) for when, future in self._waits if when > moment and not future.done()]
            for future in ready:
                future.set_result(None)
            await self.turn()
            if moment >= end and not any(when <= end for when, _ in self._waits):
                return
