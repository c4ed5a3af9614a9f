"""When the agent programs, what, and how often: from the first word of the datastore to its end."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.tools import Crash, Crashes
from tests.scenario.world import (
    NODE,
    PROFILE,
    ScriptEnded,
    World,
    configuration,
    fake_node,
    key,
    policy,
    resources,
    workload,
)
from tortie.agent.command import Level
from tortie.agent.event import Clock as Timer
from tortie.agent.event import InterfaceChanged, Rang, Terminate
from tortie.agent.interface import Interface
from tortie.agent.report import EndpointStatus, Part
from tortie.calc.view import WorkloadId
from tortie.model.event import Changed, InSync, Removed

WEB = workload("web", "cali1", "10.65.0.2")
DB = workload("db", "cali2", "10.65.0.3")
WEB_ID = WorkloadId("k8s", "prod/web", "eth0")


@pytest.fixture
def world(tmp_path: Path) -> World:
    tools = fake_node(tmp_path)
    tools.network.add_link("cali1")
    tools.network.add_link("cali2")
    return World(tools)


def test_nothing_is_programmed_before_everything_was_told(world: World) -> None:
    world.tell(*resources(PROFILE, WEB, policy("p", "web", 80))).wait(3600)
    assert (world.writes, world.passes, world.routes()) == (0, [], {})
    assert world.statuses[-1].held_back == "the datastore is not in sync"
    world.tell(InSync()).wait(1)
    assert world.chain("cali-tw-cali1") is not None
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert world.statuses[-1].ready


def test_a_workload_is_set_up_whole(world: World) -> None:
    world.sync(PROFILE, WEB)
    network = world.tools.network
    assert network.neighbours == {("cali1", "10.65.0.2"): "02:00:00:00:00:aa"}
    values = {path: network.setting(path) for path in (
        "net/ipv4/conf/cali1/rp_filter", "net/ipv4/conf/cali1/proxy_arp", "net/ipv4/neigh/cali1/proxy_delay",
        "net/ipv6/conf/cali1/proxy_ndp", "net/ipv4/conf/default/rp_filter",
    )}  # fmt: skip
    assert list(values.values()) == ["1", "1", "0", "1", "1"]
    assert world.statuses[-1].endpoints == {WEB_ID: EndpointStatus.UP}


def test_settings_come_before_rules_and_routes_after_them(world: World) -> None:
    order: list[str] = []
    run, write = world.tools.network._line, Path.read_text
    world.tools.network._line = lambda tool, words: (order.append(words[0]), run(tool, words))[1]  # type: ignore[method-assign,func-returns-value]
    tables = world.tools.tables._restore_table

    def restored(*given: object) -> None:
        rp_filter = write(world.tools.network.sysctls / "net/ipv4/conf/cali1/rp_filter").strip()
        order.append(f"rules with rp_filter {rp_filter}")
        tables(*given)  # type: ignore[arg-type]

    world.tools.tables._restore_table = restored  # type: ignore[method-assign]
    world.sync(PROFILE, WEB)
    assert set(order[:-2]) == {"rules with rp_filter 1"}
    assert order[-2:] == ["neighbour", "route"]


def test_a_burst_is_one_pass(world: World) -> None:
    world.sync(PROFILE)
    passes = len(world.passes)
    world.tell(*resources(WEB, DB, *(policy(f"p{n}", "web", n) for n in range(80, 180)))).wait(0.09)
    assert len(world.passes) == passes + 1


def test_what_comes_during_a_pass_is_one_more_pass(world: World) -> None:
    world.sync(PROFILE)
    world.slow = True
    passes = len(world.passes)
    world.tell(*resources(WEB)).wait(0.05)
    for text in (DB, policy("p", "web", 80), policy("q", "db", 81)):
        world.tell(*resources(text)).wait(0.05)
    assert len(world.passes) == passes + 1
    world.slow = False
    world.finish().wait(0.2)
    assert len(world.passes) == passes + 2
    assert world.chain("cali-tw-cali2") is not None


def test_passes_are_not_made_more_often_than_ten_times_a_second(world: World) -> None:
    world.sync(PROFILE)
    passes = len(world.passes)
    for number in range(1000):
        world.tell(*resources(policy("p", "web", 1 + number))).wait(0.01)
    assert 50 < len(world.passes) - passes <= 101


def test_a_removed_workload_is_closed_and_forgotten(world: World) -> None:
    world.sync(PROFILE, WEB)
    world.tell(Removed(key("WorkloadEndpoint", "node--1-k8s-web-eth0", "prod"))).wait(12)
    assert world.chain("cali-tw-cali1") is None
    assert world.routes() == {}
    assert world.tools.network.forgotten == ["--orig-src 10.65.0.2", "--reply-src 10.65.0.2"]
    assert world.statuses[-1].endpoints == {}


# --- a restart ---


def test_a_new_agent_over_what_is_right_changes_nothing(world: World) -> None:
    world.sync(PROFILE, WEB, policy("p", "web", 80))
    writes = world.writes
    again = World(world.tools).sync(PROFILE, WEB, policy("p", "web", 80)).wait(30)
    assert again.writes == writes
    assert again.statuses[-1].ready
    assert [report.steps for report in again.reports] == [0] * len(again.reports)


def test_a_new_agent_without_a_datastore_leaves_everything_in_place(world: World) -> None:
    world.sync(PROFILE, WEB)
    writes, routes = world.writes, world.routes()
    again = World(world.tools).wait(3600)
    assert (again.writes, again.routes()) == (writes, routes)
    assert not again.statuses[-1].ready


def test_routes_that_are_not_told_yet_are_spared_for_a_while(world: World) -> None:
    world.sync(PROFILE, WEB, DB)
    again = World(world.tools).sync(PROFILE, WEB)
    assert again.routes() == {"10.65.0.2/32": "cali1", "10.65.0.3/32": "cali2"}
    again.wait(11)
    assert again.routes() == {"10.65.0.2/32": "cali1"}


def test_after_a_crash_at_any_write_the_next_agent_finishes(tmp_path: Path) -> None:
    wanted = None
    for write in range(40):
        tools = fake_node(tmp_path / str(write))
        tools.network.add_link("cali1")
        world = World(tools).sync(PROFILE, WEB, policy("p", "web", 80))
        tools.tables.failures = {len(tools.tables.writes) + write: Crashes(1)}
        crashed = False
        try:
            world.tell(*resources(policy("p", "web", 81), policy("q", "web", 82), DB)).wait(1)
        except Crash:
            crashed = True
        tools.tables.failures = {}
        again = World(tools).sync(PROFILE, WEB, policy("p", "web", 81), policy("q", "web", 82), DB)
        held = again.tools.tables.kernel.rulesets
        assert wanted is None or held == wanted
        wanted = held
        if not crashed:
            assert write > 0
            return
    raise AssertionError("it never finished")


# --- only what is known counts, not how it came ---


def _as_given(events: list[Changed]) -> list[Changed | Removed]:
    return list(events)


def _reversed(events: list[Changed]) -> list[Changed | Removed]:
    return events[::-1]  # type: ignore[return-value]


def _repeated(events: list[Changed]) -> list[Changed | Removed]:
    return [event for event in events for _ in range(3)]


def _taken_back(events: list[Changed]) -> list[Changed | Removed]:
    return [told for event in events for told in (event, Removed(event.key), event)]


def _shuffled(events: list[Changed]) -> list[Changed | Removed]:
    return random.Random(7).sample(events, len(events))  # type: ignore[return-value]


@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["squashed", "each alone"])
@pytest.mark.parametrize("order", [_as_given, _reversed, _repeated, _taken_back, _shuffled])
def test_the_way_to_a_state_does_not_count(
    tmp_path: Path, order: Callable[[list[Changed]], list[Changed | Removed]], pause: float
) -> None:
    events = resources(PROFILE, WEB, DB, policy("p", "web", 80), policy("q", "db", 5432), configuration("logPrefix: x"))
    held = []
    for name, told, wait in (("one", _as_given(events), 0.0), ("other", order(events), pause)):
        tools = fake_node(tmp_path / name)
        tools.network.add_link("cali1")
        tools.network.add_link("cali2")
        world = World(tools).tell(InSync())
        for event in told:
            world.tell(event)
            if wait:
                world.wait(wait)
        world.wait(15)
        held.append((world.tools.tables.kernel, world.routes(), world.tools.network.neighbours))
    assert held[0] == held[1]


# --- interfaces ---


def test_an_interface_that_comes_later_is_set_up_then(world: World) -> None:
    late = workload("late", "cali9", "10.65.0.9")
    world.sync(PROFILE, late)
    assert world.routes() == {}
    assert world.statuses[-1].endpoints[WorkloadId("k8s", "prod/late", "eth0")] is EndpointStatus.DOWN
    world.tools.network.add_link("cali9")
    world.tell(InterfaceChanged("cali9", Interface("cali9"))).wait(1)
    assert world.routes() == {"10.65.0.9/32": "cali9"}
    assert world.tools.network.setting("net/ipv4/conf/cali9/proxy_arp") == "1"
    assert world.statuses[-1].endpoints[WorkloadId("k8s", "prod/late", "eth0")] is EndpointStatus.UP


def test_an_interface_that_goes_and_comes_back_is_set_up_again(world: World) -> None:
    world.sync(PROFILE, WEB)
    world.tools.network.remove_link("cali1")
    world.tell(InterfaceChanged("cali1", None)).wait(1)
    assert world.statuses[-1].endpoints == {WEB_ID: EndpointStatus.DOWN}
    world.tools.network.add_link("cali1")
    world.tell(InterfaceChanged("cali1", Interface("cali1"))).wait(1)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert world.tools.network.setting("net/ipv4/conf/cali1/rp_filter") == "1"
    assert world.statuses[-1].endpoints == {WEB_ID: EndpointStatus.UP}


def test_an_interface_nobody_told_of_is_found_in_the_next_list(world: World) -> None:
    world.sync(PROFILE, workload("late", "cali9", "10.65.0.9"))
    world.tools.network.add_link("cali9")
    world.wait(11)
    assert world.routes() == {"10.65.0.9/32": "cali9"}


def test_a_new_address_of_the_node_is_in_its_set(world: World) -> None:
    world.sync()
    world.tools.network.links["eth0"].addresses.append("10.20.0.77/24")
    addresses = world.state.interfaces or {}
    world.wait(11)
    assert addresses is not None
    entries = {str(entry.parts[0]) for entry in world.tools.tables.kernel.ip_sets["cali40this-host"].entries}
    assert "10.20.0.77/32" in entries


# --- the end ---


def test_an_agent_that_is_told_to_end_leaves_everything_in_place(world: World) -> None:
    world.sync(PROFILE, WEB)
    writes, routes = world.writes, world.routes()
    world.tell(Terminate("SIGTERM"))
    assert world.ended is not None and world.ended.code == 0
    assert (world.writes, world.routes()) == (writes, routes)
    with pytest.raises(ScriptEnded):
        world.tell(InSync())


def test_a_pass_is_finished_before_the_end(world: World) -> None:
    world.sync(PROFILE)
    world.slow = True
    world.tell(*resources(WEB)).wait(0.1).tell(Terminate("SIGTERM"))
    assert world.ended is None
    world.tell(*resources(DB)).finish()
    assert world.ended is not None
    assert world.chain("cali-tw-cali1") is not None


def test_the_status_is_written_again_and_again(world: World) -> None:
    world.sync(PROFILE)
    before = len(world.statuses)
    world.wait(100)
    assert len(world.statuses) - before >= 3


def test_a_timer_that_nobody_waits_for_does_no_harm(world: World) -> None:
    for clock in Timer:
        world.tell(Rang(clock))
    world.sync(PROFILE, WEB)
    for clock in Timer:
        world.tell(Rang(clock))
    assert world.wait(1).state.programmed
    assert not world.told(Level.ERROR)
    assert NODE and Part.RULES in world.passes[0][1]
