"""The loop over fakes and real time: events in order, one pass at a time, pages, and the end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.scenario.world import NODE, PROFILE, fake_node, resources, workload
from tortie.agent.event import Terminate
from tortie.agent.knowledge import Cluster
from tortie.agent.loop import Loop, World
from tortie.agent.program import Programmer
from tortie.agent.state import Agent
from tortie.agent.status import NodeStatus
from tortie.cli.agent_kernel import KernelRules, NodeNetwork
from tortie.kernel.observed import ObservedTools
from tortie.model.event import InSync, Lost, Regained, SourceEvent
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.render import names
from tortie.render.state import Features


@dataclass
class Script:
    """A source that tells this and then nothing more, or fails; and a place for the status."""

    events_told: tuple[SourceEvent, ...]
    error: Exception | None = None
    statuses: list[NodeStatus] = field(default_factory=list)

    async def events(self) -> AsyncIterator[SourceEvent]:
        for event in self.events_told:
            yield event
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()

    async def write(self, status: NodeStatus) -> None:
        self.statuses.append(status)


def loop_over(tmp_path: Path, script: Script, **local: str) -> tuple[Loop, NodeNetwork]:
    tools = fake_node(tmp_path)
    tools.network.add_link("cali1")
    observed = ObservedTools(iter(range(10**6)).__next__, names.OUR_CHAIN_PREFIXES, ("cali4",), tools)
    network = NodeNetwork(observed, tools.network.sysctls)
    rules = KernelRules(observed, Backend.LEGACY, lambda _: None)
    world = World(
        source=script,
        knowledge=Cluster(NODE),
        programmer=Programmer(rules, network, Features(), iter(range(10**6)).__next__),
        network=network,
        watches=(),
        sinks=(script,),
        tools=lambda: (observed.counts, 0.5),
        pid=os.getpid(),
    )
    return Loop(Agent(NODE, local), world), network


async def until(loop: Loop, script: Script) -> int:
    """Runs until the status says ready, then ends it as a signal would."""
    running = asyncio.create_task(loop.run())
    while not (script.statuses and script.statuses[-1].ready) and not running.done():
        await asyncio.sleep(0.01)
    loop._terminate(15)
    return await running


EVENTS = (*resources(PROFILE, workload("web", "cali1", "10.65.0.2")), InSync())


def test_from_the_first_event_to_the_exit_code(tmp_path: Path) -> None:
    script = Script(EVENTS)
    loop, network = loop_over(tmp_path, script)
    assert asyncio.run(until(loop, script)) == 0
    assert script.statuses[-1].endpoints
    assert network.interfaces()[0].name == "lo"


@pytest.mark.parametrize("error", [InvalidInput("no such certificate"), ValueError("our mistake")])
def test_what_a_source_raises_ends_it(tmp_path: Path, error: Exception) -> None:
    loop, _ = loop_over(tmp_path, Script((), error))
    with pytest.raises(type(error), match=str(error)):
        asyncio.run(loop.run())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def page(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body.decode()


def test_pages(tmp_path: Path) -> None:
    health, metrics = free_port(), free_port()
    script = Script(resources(PROFILE))  # never in sync
    loop, _ = loop_over(
        tmp_path, script, HealthEnabled="true", HealthHost="127.0.0.1", HealthPort=str(health),
        PrometheusMetricsEnabled="true", PrometheusMetricsPort=str(metrics),
    )  # fmt: skip

    async def ask() -> None:
        running = asyncio.create_task(loop.run())
        while len(loop._servers) < 2:
            await asyncio.sleep(0.01)
        assert (await page(health, "/liveness"))[0] == 204
        assert await page(health, "/readiness") == (503, "the datastore is not in sync\n")
        loop._handle(Lost("refused"))
        assert await page(health, "/readiness") == (503, "the datastore is not in sync: refused\n")
        loop._handle(Regained())
        assert "felix_resync_state 2.0" in (await page(metrics, "/metrics"))[1]
        loop._handle(InSync())
        while not loop.state.ready:
            await asyncio.sleep(0.01)
        assert (await page(health, "/readiness"))[0] == 204
        code, text = await page(metrics, "/metrics")
        assert code == 200 and "felix_cluster_num_profiles 1.0" in text and "tortie_ready 1.0" in text
        loop._handle(Terminate("test"))
        assert await running == 0

    asyncio.run(ask())


def test_a_port_that_is_taken_is_said_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        script = Script(EVENTS)
        port = str(taken.getsockname()[1])
        loop, _ = loop_over(tmp_path, script, HealthEnabled="true", HealthHost="127.0.0.1", HealthPort=port)
        assert asyncio.run(until(loop, script)) == 0
    assert any("cannot listen for health" in record.getMessage() for record in caplog.records)
