"""Much time at once, and changes at the worst moment: the agent catches up with one pass, and waits for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.tools import Fails
from tests.scenario.test_fault import From, policy_rules
from tests.scenario.world import PROFILE, World, configuration, fake_node, policy, resources, workload
from tortie.agent.event import Damaged
from tortie.agent.report import Part
from tortie.net.address import parse_prefix

WEB = workload("web", "cali1", "10.65.0.2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    tools = fake_node(tmp_path)
    tools.network.add_link("cali1")
    return World(tools)


@pytest.mark.parametrize("seconds", [5, 60, 3600, 365 * 86400])
def test_time_that_went_by_at_once_is_one_look_at_everything(world: World, seconds: float) -> None:
    world.sync(
        PROFILE, WEB, configuration("ipsetsRefreshInterval: 2s, iptablesRefreshInterval: 2s, routeRefreshInterval: 2s")
    )
    world.wait(20)
    passes, writes = len(world.passes), world.writes
    world.stand_still(seconds).wait(0.15)
    (caught_up,) = [parts for _, parts in world.passes[passes:]]
    assert caught_up == {Part.CHECK_RULES, Part.CHECK_SETS, Part.NETWORK}
    world.wait(20)
    assert 8 <= len(world.passes) - passes <= 34, "as often as before"
    assert world.writes == writes


def test_what_was_told_meanwhile_is_done_in_the_same_pass(world: World) -> None:
    world.sync(PROFILE, WEB).wait(20)
    passes = len(world.passes)
    del world.tools.network.routes[next(iter(world.tools.network.routes))]
    world.stand_still(3600)
    world.tell(*resources(policy("p", "web", 80)), Damaged(Part.NETWORK, "process 7 changed a route by cali1")).wait(0.02)
    assert len(world.passes) - passes == 1
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert "--dports 80" in " ".join(policy_rules(world))


def test_a_change_right_after_a_failed_pass_does_not_wait_for_the_next_try(world: World) -> None:
    failing = world.tools.tables.failures = From(0, Fails("no memory"))
    world.sync(PROFILE, WEB)
    failed = len(world.passes)
    while len(world.passes) < failed + 7:
        world.wait(0.01)  # The next try is half a minute away, and this pass has ended just now.
    failing.on = False
    world.tell(*resources(policy("p", "web", 80))).wait(0.15)
    assert world.chain("cali-tw-cali1") is not None


def test_a_route_that_was_refused_for_long_is_tried_again_within_half_a_minute(world: World) -> None:
    """Not by chance, when what was written is looked at again or routes are refreshed: neither is due in that time."""
    network = world.tools.network
    foreign = parse_prefix("10.65.0.2/32")
    network._add_route(foreign, ["dev", "eth0"])
    world.sync(PROFILE, WEB).wait(200)
    assert any("File exists" in problem for problem in world.statuses[-1].problems)
    del network.routes[foreign]
    world.wait(31)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert not world.statuses[-1].problems
