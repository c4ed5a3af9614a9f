"""The kernel as the agent wants it: ports of `agent` over the tools of `kernel`, with Calico's names.

What a tool refuses or cannot print becomes a value here, or `CannotRead`; nothing is decided.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tortie.agent.event import Damaged, InterfaceChanged
from tortie.agent.interface import Interface, interface_of
from tortie.agent.intruder import intruders
from tortie.agent.port import CannotRead
from tortie.agent.report import Intruder, Part, RulesReport
from tortie.agent.sysctl import ALL_RP_FILTER
from tortie.cli.node_state import endpoint_marks
from tortie.cli.programming import CALICO, wanted_families
from tortie.kernel.legacy import table_sizes
from tortie.kernel.network import FailedStep
from tortie.kernel.network import Network as KernelNetwork
from tortie.kernel.observed import ObservedTools
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import run_together
from tortie.kernel.settle import settle
from tortie.kernel.tables import Tables
from tortie.kernel.watch import (
    KernelEvent,
    LinkGone,
    LinkSeen,
    LinkTable,
    MessagesLost,
    RouteTouched,
    SettingTouched,
    TablesTouched,
    watch_links,
    watch_settings,
    watch_tables,
)
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.reconcile.network import HeldNetwork, NetworkStep, WantedNetwork
from tortie.reconcile.plan import Planner
from tortie.reconcile.step import Plan
from tortie.reconcile.text import describe_step
from tortie.reconcile.wanted import Held
from tortie.render import names
from tortie.render.ruleset import OUR_TABLES, Rendering

_OUR_TABLES = frozenset(table.value for table in OUR_TABLES)
OUR_SET_PREFIXES = ("cali4", "cali6", "felix-")


def observed_tools() -> ObservedTools:
    """The node's tools, watched; what is ours counts when they are asked whether anything changed."""
    return ObservedTools(time.monotonic, names.OUR_CHAIN_PREFIXES, OUR_SET_PREFIXES)


class KernelRules:
    """Rules and sets in one back-end; `sleep` waits for seconds between tries.

    `generation` is the number of the back-end's rules, where it has one: as long as it is that of the last reading, nobody
    changed anything.
    """

    def __init__(
        self,
        tools: ObservedTools,
        backend: Backend,
        sleep: Callable[[float], None] = time.sleep,
        generation: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._sleep = sleep
        self._tools = tools
        self._backend = backend
        self._generation = generation
        self._tables: dict[tuple[IPFamily, ...], Tables] = {}
        self._planner = Planner(CALICO)
        self._right: int | None = None
        """The number of the rules when they were last found to be right."""

    def program(self, rendering: Rendering) -> RulesReport:
        """Brings the kernel to hold what was rendered, and reads it again to be sure."""
        wanted = wanted_families(rendering)
        families = tuple(family.family for family in wanted)
        tables = self._tables.get(families)
        if tables is None:
            tables = Tables(self._tools, self._backend, families, together=run_together, generation=self._generation)
            self._tables = {families: tables}
        found: list[Intruder] = []
        first: list[str] = []

        def planner(held: Held) -> Plan:
            made = self._planner.plan(wanted, held)
            if made.steps:
                found[:] = intruders(wanted, held, CALICO)
                first.append(describe_step(made.steps[0]))
            return made

        try:
            settled = settle(tables, planner, self._sleep)
        except (KernelRefused, InvalidInput) as problem:
            self._tools.forget()
            self._right = None
            return RulesReport(first_step="".join(first[:1]), intruders=tuple(found), refused=str(problem))
        self._right = tables.read_generation
        return RulesReport(settled.steps, "".join(first[:1]), settled.failures, settled.remarks, tuple(found))

    def endpoint_marks(self) -> Mapping[str, int]:
        """The marks of endpoints that rules in the kernel give out."""
        try:
            return endpoint_marks(Tables(self._tools, self._backend, IPFamily).read().rulesets.values())
        except (KernelRefused, InvalidInput):
            return {}

    def intact(self, *, rules: bool, sets: bool) -> bool:
        """Whether the kernel still holds what was read last."""
        if rules and self._right is not None and self._generation() == self._right:
            rules = False
            if not sets:
                return True
        return self._tools.unchanged(rules=rules, sets=sets)


class NodeNetwork:
    """Routes, neighbours, settings and devices; keeps the table of links that events are about."""

    def __init__(self, tools: ObservedTools, sysctls: Path = Path("/proc/sys")) -> None:
        self._network = KernelNetwork(tools, sysctls)
        self._sysctls = sysctls
        self.links = LinkTable()

    def read(self, wanted: WantedNetwork) -> HeldNetwork:
        """What is held of what the wanted network speaks of."""
        try:
            return self._network.read(wanted)
        except KernelRefused as refusal:
            raise CannotRead(str(refusal)) from None

    def carry_out(self, steps: Sequence[NetworkStep]) -> tuple[FailedStep, ...]:
        """Takes the steps in order, whatever becomes of each."""
        return self._network.carry_out(steps)

    def interfaces(self) -> tuple[Interface, ...]:
        """All interfaces."""
        try:
            links = self._network.links()
        except KernelRefused as refusal:
            raise CannotRead(str(refusal)) from None
        self.links.take(links)
        return tuple(map(interface_of, links))

    def all_rp_filter(self) -> str | None:
        """The check of source addresses for all interfaces."""
        try:
            return (self._sysctls / ALL_RP_FILTER).read_text().strip()
        except OSError:
            return None


class KernelWatch:
    """Events of links and routes; `prefixes` are those of workloads' interfaces, asked each time."""

    def __init__(self, tools: ObservedTools, network: NodeNetwork) -> None:
        self._tools = tools
        self._network = network

    async def events(self) -> AsyncIterator[InterfaceChanged | Damaged]:
        """What concerns us, and was not done by us."""
        async for event in watch_links(self._network.links):
            for told in self._told(event):
                yield told

    def _told(self, event: KernelEvent) -> tuple[InterfaceChanged | Damaged, ...]:
        match event:
            case LinkSeen(name, running, addresses):
                return (InterfaceChanged(name, Interface(name, running, addresses)),)
            case LinkGone(name):
                return (InterfaceChanged(name, None),)
            case RouteTouched(device, process) if process and not self._tools.ran(process):
                return (Damaged(Part.NETWORK, f"process {process} changed a route by {device}", device),)
            case SettingTouched(_, values) if any(value != 1 for _, value in values):
                # Who wrote it is not told, so nobody is named; 1 is what workloads' interfaces have.
                return (Damaged(Part.NETWORK, ""),)
            case TablesTouched(tables, process, program):
                ours = sorted(name for _, name in tables if name in _OUR_TABLES)
                if not ours or self._tools.ran(process):
                    return ()
                what = f"{program or 'a process'} ({process}) changed {', '.join(dict.fromkeys(ours))}"
                return (Damaged(Part.CHECK_RULES, what),)
            case MessagesLost(what):
                # That says nothing about who did anything, so nobody is named.
                return (Damaged(Part.CHECK_RULES if what == "nf_tables" else Part.NETWORK, ""),)
            case _:
                return ()


class SettingsWatch(KernelWatch):
    """Events of interfaces' settings."""

    async def events(self) -> AsyncIterator[InterfaceChanged | Damaged]:
        """What is not as workloads' interfaces have it."""
        async for event in watch_settings(self._network.links):
            for told in self._told(event):
                yield told


class TablesWatch(KernelWatch):
    """Events of nf_tables."""

    async def events(self) -> AsyncIterator[InterfaceChanged | Damaged]:
        """What concerns us, and was not done by us."""
        async for event in watch_tables():
            for told in self._told(event):
                yield told


LOOK_S = 1.0
"""Between two looks at the sizes of legacy tables."""


class LegacyWatch:
    """Looks at the sizes of legacy tables, which tell nothing by themselves. `wait` lets seconds pass."""

    def __init__(
        self,
        tools: ObservedTools,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        sizes: Callable[[IPFamily, Iterable[str]], Mapping[str, tuple[int, ...]]] = table_sizes,
    ) -> None:
        self._tools = tools
        self._wait = wait
        self._sizes = sizes

    async def events(self) -> AsyncIterator[InterfaceChanged | Damaged]:
        """Damage, when a table has another size than after the last write of ours."""
        before, written = self._look(), self._written()
        while True:
            await self._wait(LOOK_S)
            now, written_now = self._look(), self._written()
            if written_now == written:
                for place in sorted(key for key in now.keys() & before.keys() if now[key] != before[key]):
                    tool = "iptables" if place[0] == IPFamily.V4.value else "ip6tables"
                    yield Damaged(Part.CHECK_RULES, f"another program changed {tool} -t {place[1]}")
            before, written = now, written_now

    def _look(self) -> dict[tuple[int, str], tuple[int, ...]]:
        return {
            (family.value, name): size
            for family in IPFamily
            for name, size in self._sizes(family, sorted(_OUR_TABLES)).items()
        }

    def _written(self) -> int:
        return self._tools.counts["iptables-restore calls"]
