"""The loop around `step`: owns the clock, tasks, threads and sockets, and decides nothing.

Events are handled one at a time in the order in which they come. Reading and programming the kernel block, so they run in a
thread, one pass at a time; events are taken meanwhile. Timers count on a clock that cannot be set. A task that fails with
something that nobody expected ends the agent: it is started again, and what is programmed stands meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, assert_never

from tortie.agent.account import Account
from tortie.agent.command import (
    Command,
    Configure,
    Learn,
    Level,
    ListInterfaces,
    Log,
    Lose,
    Program,
    Quit,
    SetTimer,
    WriteStatus,
)
from tortie.agent.event import (
    Clock,
    Event,
    InterfaceChanged,
    InterfacesListed,
    Programmed,
    Rang,
    StatusWritten,
    Terminate,
)
from tortie.agent.log import lost_lines, set_log_level, write_log
from tortie.agent.metric import CONTENT_TYPE, Figures, metrics_text
from tortie.agent.port import CannotRead, Knowledge, Network, Source, StatusSink, Watch
from tortie.agent.program import Programmer
from tortie.agent.report import Report
from tortie.agent.server import Answer, open_server
from tortie.agent.setting import Settings
from tortie.agent.state import Agent
from tortie.agent.status import NodeStatus, node_status
from tortie.agent.step import begin, held_back, step
from tortie.net.error import InvalidInput

T = TypeVar("T")

MOST_LISTINGS = 5
"""How often interfaces are listed again because they changed meanwhile."""
LONGEST_SILENCE_S = 60.0
"""Seconds without a sign of life after which the agent says that it is not alive."""
LONGEST_PASS_S = 600.0
"""Seconds after which a pass of programming counts as stuck: a lock that is held is waited for about two minutes."""
_YIELD_EVERY = 200
"""Events of a source in a row after which others get their turn."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the agent meets; `tools` gives what was run so far and for how many seconds."""

    source: Source
    knowledge: Knowledge
    programmer: Programmer
    network: Network
    watches: Sequence[Watch]
    sinks: Sequence[StatusSink]
    tools: Callable[[], tuple[Mapping[str, int], float]]
    pid: int


class Loop:
    """One agent from its first event to its exit code."""

    def __init__(self, state: Agent, world: World) -> None:
        self.state = state
        self._world = world
        self._account = Account(Figures())
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[Clock, asyncio.TimerHandle] = {}
        self._kernel = ThreadPoolExecutor(1, "kernel")
        self._others = ThreadPoolExecutor(2, "other")
        self._servers: dict[str, tuple[tuple[str | None, int], asyncio.Server]] = {}
        self._opening = asyncio.Lock()
        self._links_changed = 0
        self._frozen = False

    async def run(self) -> int:
        """Runs until asked to end; returns the exit code. Raises what a source or our own mistake raises."""
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[int] = self._loop.create_future()
        self._began = self._last_beat = self._loop.time()
        self._pass_began: float | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._terminate, number)
        try:
            self.state, commands = begin(self.state)
            self._carry_out(commands)
            self._start(self._follow_source())
            for watch in self._world.watches:
                self._start(self._follow(watch.events()))
            return await self._done
        finally:
            await self._close()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, server in self._servers.values():
            server.close()
        self._kernel.shutdown(wait=False, cancel_futures=True)
        self._others.shutdown(wait=False, cancel_futures=True)

    def _terminate(self, number: int) -> None:
        self._handle(Terminate(signal.Signals(number).name))

    # --- events ---

    def _handle(self, event: Event) -> None:
        self._account.happened(event)
        self.state, commands = step(self.state, event)
        if commands:
            self._carry_out(commands)

    async def _follow_source(self) -> None:
        count = 0
        async for event in self._world.source.events():
            self._handle(event)
            count += 1
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            if isinstance(event, InterfaceChanged):
                self._links_changed += 1
            self._handle(event)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._done.done():
            self._done.set_exception(error)

    # --- commands ---

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Learn(key, resource):
                    self._world.knowledge.learn(key, resource)
                case Lose(what, loss):
                    self._world.knowledge.lose(what, loss)
                case Configure(parameters, settings):
                    self._world.knowledge.configure(parameters)
                    set_log_level(settings.log_level)
                    self._start(self._open_servers(settings))
                case Program():
                    self._account.pass_begins(command.parts)
                    self._start(self._program(command))
                case SetTimer(clock, delay_s):
                    self._set_timer(clock, delay_s)
                case ListInterfaces():
                    self._start(self._list_interfaces())
                case WriteStatus():
                    self._start(self._write_status())
                case Log():
                    write_log(command)
                case Quit(code):
                    if not self._done.done():
                        self._done.set_result(code)
                case _:
                    assert_never(command)

    def _set_timer(self, clock: Clock, delay_s: float) -> None:
        running = self._timers.pop(clock, None)
        if running is not None:
            running.cancel()
        self._timers[clock] = self._loop.call_later(delay_s, self._rang, clock)

    def _rang(self, clock: Clock) -> None:
        self._timers.pop(clock, None)
        self._last_beat = self._loop.time()
        self._handle(Rang(clock))

    async def _program(self, order: Program) -> None:
        self._pass_began = self._loop.time()
        knowledge = self._world.knowledge
        try:
            view = knowledge.view()
        except InvalidInput as problem:
            report = Report(order.parts, refused=str(problem))
        else:
            run = self._world.programmer.run
            report = await self._loop.run_in_executor(self._kernel, run, order, view, knowledge.remarks())
        self._pass_began = None
        self._handle(Programmed(report))
        if not self._frozen and self.state.programmed:
            # What is known by now stays for long; without looking through it again, finding cycles costs nothing.
            self._frozen = True
            gc.collect()
            gc.freeze()
            gc.enable()

    async def _list_interfaces(self) -> None:
        network = self._world.network
        for _ in range(MOST_LISTINGS):
            before = self._links_changed
            try:
                found = await self._loop.run_in_executor(self._others, network.interfaces)
            except (CannotRead, InvalidInput) as problem:
                write_log(Log(Level.ERROR, f"the interfaces cannot be read: {problem}"))
                return
            if before == self._links_changed:
                break
        self._handle(InterfacesListed(found, network.all_rp_filter()))

    # --- what is said ---

    def status(self) -> NodeStatus:
        """How the agent does now."""
        return node_status(self.state, held_back(self.state), self._world.pid, self._loop.time() - self._began)

    async def _write_status(self) -> None:
        status = self.status()
        problem = None
        for sink in self._world.sinks:
            try:
                await sink.write(status)
            except OSError as error:
                problem = str(error)
        self._handle(StatusWritten(problem))

    async def _open_servers(self, settings: Settings) -> None:
        """Sockets follow the settings."""
        health = (settings.health_host or None, settings.health_port) if settings.health_enabled else None
        metrics = (None, settings.metrics_port) if settings.metrics_enabled else None
        page = metrics_text(self._account.figures, self._refresh, process=settings.process_metrics_enabled)
        pages = {
            "health": (health, {"/liveness": self._liveness, "/readiness": self._readiness}),
            "metrics": (metrics, {"/metrics": lambda: Answer(200, page(), CONTENT_TYPE)}),
        }
        async with self._opening:
            for name, (wanted, served) in pages.items():
                open_now = self._servers.get(name)
                if open_now is not None and open_now[0] != wanted:
                    open_now[1].close()
                    del self._servers[name]
                if wanted is not None and name not in self._servers:
                    try:
                        self._servers[name] = (wanted, await open_server(*wanted, served))
                    except OSError as error:
                        write_log(Log(Level.ERROR, f"cannot listen for {name} on port {wanted[1]}: {error}"))

    def _refresh(self) -> None:
        counts, seconds = self._world.tools()
        self._account.refresh(self.state, self._world.knowledge.counts(), counts, seconds)
        self._account.figures.counters["felix_log_errors"] = lost_lines()

    def _liveness(self) -> Answer:
        now = self._loop.time()
        stuck = self._pass_began is not None and now - self._pass_began > LONGEST_PASS_S
        alive = now - self._last_beat < LONGEST_SILENCE_S and not stuck
        return Answer(204) if alive else Answer(503, b"not alive\n")

    def _readiness(self) -> Answer:
        if self.state.ready:
            return Answer(204)
        why = held_back(self.state) or "; ".join(self.state.problems) or "the kernel is not yet as the datastore says"
        if self.state.lost is not None:
            why += f": {self.state.lost}"
        return Answer(503, f"{why}\n".encode())
