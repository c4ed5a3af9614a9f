"""What others do to what is ours: found, repaired, and, when they keep doing it, said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.world import PROFILE, World, configuration, fake_node, policy, resources, workload
from tortie.agent.command import Level
from tortie.agent.event import Damaged
from tortie.agent.report import Part
from tortie.net.address import IPFamily, parse_prefix
from tortie.netfilter.hook import Backend

WEB = workload("web", "cali1", "10.65.0.2")
THEIRS = '-m comment --comment "theirs, first of all" -j ACCEPT'


@pytest.fixture
def world(tmp_path: Path) -> World:
    tools = fake_node(tmp_path)
    tools.network.add_link("cali1")
    return World(tools).sync(PROFILE, WEB, policy("p", "web", 80)).wait(200)


def meddle(world: World, *lines: str, table: str = "filter") -> None:
    text = "\n".join([f"*{table}", *lines, "COMMIT", ""])
    world.tools.tables.kernel.restore(IPFamily.V4, Backend.LEGACY, text)


def damaged(world: World) -> None:
    """What the kernel tells where it tells anything."""
    world.tell(Damaged(Part.CHECK_RULES, "evil (77) changed filter"))


MEDDLING = {
    "a flushed chain": ("-F cali-FORWARD",),
    "a removed rule": ("-D cali-tw-cali1 1",),
    "a changed rule": ("-R cali-tw-cali1 1 -j ACCEPT",),
    "a rule more": ("-A cali-FORWARD -j ACCEPT",),
    "a removed hook": ("-F FORWARD",),
    "a rule in front of the hook": ("-I FORWARD -j ACCEPT",),
    "everything": (),
}


@pytest.mark.parametrize("lines", MEDDLING.values(), ids=MEDDLING)
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_damaged_rules_are_repaired(world: World, lines: tuple[str, ...], told: bool) -> None:
    before = world.chain("cali-FORWARD"), world.chain("cali-tw-cali1"), (world.chain("FORWARD") or [""])[0]
    if not lines:
        world.tools.tables.kernel.rulesets.clear()
    else:
        meddle(world, *lines)
    if told:
        damaged(world)
    world.wait(1 if told else 91)
    after = world.chain("cali-FORWARD"), world.chain("cali-tw-cali1"), (world.chain("FORWARD") or [""])[0]
    assert after == before
    assert any(line.startswith("repaired what another program changed") for line in world.told(Level.WARNING))


def test_who_did_it_is_told(world: World) -> None:
    meddle(world, "-F cali-FORWARD")
    damaged(world)
    world.wait(1)
    (line,) = [line for line in world.logs if line.text.startswith("repaired")]
    assert line.fields["by"] == "evil (77) changed filter"
    assert "cali-FORWARD" in line.text


@pytest.mark.parametrize("gone", ["a member", "a set"])
def test_damaged_sets_are_repaired_within_their_interval(world: World, gone: str) -> None:
    kernel = world.tools.tables.kernel
    before = dict(kernel.ip_sets)
    if gone == "a member":
        kernel.ipset("del cali40this-host 10.20.0.1")
    else:
        kernel.rulesets.clear()
        for name in list(kernel.ip_sets):
            kernel.ipset(f"destroy {name}")
    world.wait(10.5)
    assert {n: frozenset(s.entries) for n, s in kernel.ip_sets.items()} == {
        n: frozenset(s.entries) for n, s in before.items()
    }


def test_a_removed_route_is_put_back(world: World) -> None:
    world.tools.network.routes.clear()
    world.tell(Damaged(Part.NETWORK, "process 9 changed a route by cali1", "cali1")).wait(0.5)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert "repaired a route that another program changed" in world.told(Level.WARNING)


def test_a_route_that_a_plugin_added_is_no_damage(world: World) -> None:
    """Nothing had to be put back by cali1, whatever else there was to do in the same pass."""
    world.tools.network.add_link("cali2")
    added = resources(workload("db", "cali2", "10.65.0.3"))
    world.tell(Damaged(Part.NETWORK, "process 9 changed a route by cali1", "cali1"), *added).wait(11)
    assert world.routes() == {"10.65.0.2/32": "cali1", "10.65.0.3/32": "cali2"}
    assert world.told(Level.WARNING) == []


@pytest.mark.parametrize("what", ["route", "setting"])
def test_what_nobody_tells_of_is_put_back_with_the_next_refresh(world: World, what: str) -> None:
    if what == "route":
        world.tools.network.routes.clear()
    else:
        (world.tools.network.sysctls / "net/ipv4/conf/cali1/rp_filter").write_text("0\n")
    world.wait(91)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert world.tools.network.setting("net/ipv4/conf/cali1/rp_filter") == "1"


def test_a_foreign_route_by_a_workloads_interface_goes(world: World) -> None:
    world.tools.network._add_route(parse_prefix("10.99.0.0/16"), ["dev", "cali1"])
    world.wait(91)
    assert world.routes() == {"10.65.0.2/32": "cali1"}


def test_checks_do_not_write(world: World) -> None:
    writes, reads = world.writes, len(world.passes)
    world.wait(600)
    assert world.writes == writes
    assert len(world.passes) - reads >= 60
    assert all(report.steps == 0 for report in world.reports[-60:])


def test_intervals_of_nought_are_never(tmp_path: Path) -> None:
    off = "iptablesRefreshInterval: 0s, ipsetsRefreshInterval: 0s, routeRefreshInterval: 0s"
    world = World(fake_node(tmp_path)).sync(configuration(off)).wait(7300)
    passes = len(world.passes)
    assert len(world.wait(7200).passes) == passes


def test_two_programs_that_fight_over_a_place_end_in_a_warning_with_its_rule(world: World) -> None:
    """Another program puts itself in front whenever we did, and the kernel tells at once."""
    passes = len(world.passes)
    for _ in range(300):
        if THEIRS not in (world.chain("FORWARD") or [""])[0]:
            meddle(world, f"-I FORWARD {THEIRS}")
            damaged(world)
        world.wait(1)
    warnings = [line for line in world.told(Level.WARNING) if "repairs are made more slowly" in line]
    assert len(warnings) == 1
    assert 'iptables -t filter FORWARD: -m comment --comment "theirs, first of all" -j ACCEPT' in warnings[0]
    repairs = [report for report in world.reports[passes:] if report.rules is not None and report.rules.steps]
    assert 5 <= len(repairs) < 300 / 5
    assert len(world.told(Level.WARNING)) < 20


def test_a_new_policy_is_programmed_at_once_in_spite_of_a_fight(world: World) -> None:
    for _ in range(20):
        meddle(world, f"-I FORWARD {THEIRS}")
        damaged(world)
        world.wait(2)
    before = len(world.reports)
    world.tell(*resources(policy("q", "web", 81))).wait(0.3)
    assert len(world.reports) > before
    assert (world.chain("FORWARD") or [""])[0].endswith("-j cali-FORWARD")


def test_after_a_calm_minute_damage_is_repaired_at_once_again(world: World) -> None:
    for _ in range(20):
        meddle(world, f"-I FORWARD {THEIRS}")
        damaged(world)
        world.wait(2)
    world.wait(200)
    meddle(world, f"-I FORWARD {THEIRS}")
    damaged(world)
    world.wait(1)
    assert (world.chain("FORWARD") or [""])[0].endswith("-j cali-FORWARD")


def test_a_program_that_strikes_while_we_write_is_named(world: World) -> None:
    """It comes back before the last look, so no pass ever succeeds."""
    restore, passes = world.tools.tables._restore_table, len(world.passes)

    def striking(family: IPFamily, backend: Backend, text: str) -> None:
        restore(family, backend, text)
        if family is IPFamily.V4 and "*filter" in text:
            meddle(world, f"-I FORWARD {THEIRS}")

    world.tools.tables._restore_table = striking  # type: ignore[method-assign]
    meddle(world, f"-I FORWARD {THEIRS}")
    damaged(world)
    world.wait(20)
    assert any("in front of our hook" in line and "theirs, first of all" in line for line in world.told(Level.WARNING))
    assert any("not as it was written" in line for line in world.told(Level.ERROR))
    assert len(world.passes) - passes < 30
