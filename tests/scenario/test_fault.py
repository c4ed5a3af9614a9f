"""What goes wrong, and what becomes of it: datastore, kernel, locks, disks, clocks, resources that cannot be read."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

import tortie.agent
from tests.fakes.tools import Fails, Failure, Lies
from tests.scenario.world import (
    PROFILE,
    Tools,
    World,
    configuration,
    fake_node,
    key,
    policy,
    resources,
    workload,
)
from tortie.agent.command import Level
from tortie.agent.event import Clock
from tortie.agent.report import EndpointStatus
from tortie.agent.status import NodeStatus
from tortie.agent.status_file import StatusFile
from tortie.calc.view import WorkloadId
from tortie.kernel.run import Ran
from tortie.model.event import InSync, Lost, Mended, Refused, Regained, Removed
from tortie.model.read import parse_resources
from tortie.net.error import InvalidInput

WEB = workload("web", "cali1", "10.65.0.2")
LOCKED = "Another app is currently holding the xtables lock; still 1s 0us time ahead to have a chance to grab the lock..."


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    made = fake_node(tmp_path)
    made.network.add_link("cali1")
    return made


@pytest.fixture
def world(tools: Tools) -> World:
    return World(tools)


class From(Mapping[int, Failure]):
    """Fails every write from one on, until it is told to stop."""

    def __init__(self, first: int, failure: Failure) -> None:
        self.first, self.failure, self.on = first, failure, True

    def __getitem__(self, number: int) -> Failure:
        if self.on and number >= self.first:
            return self.failure
        raise KeyError(number)

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def policy_rules(world: World, interface: str = "cali1") -> list[str]:
    """The rules of the policies that ingress of an interface asks."""
    jumps = [rule.split()[-1] for rule in world.chain(f"cali-tw-{interface}") or () if "-j cali-pi-" in rule]
    return [rule for chain in jumps for rule in world.chain(chain) or ()]


# --- the datastore ---


def test_the_last_known_policy_stands_while_the_datastore_is_down_for_an_hour(world: World) -> None:
    world.sync(PROFILE, WEB, policy("p", "web", 80))
    held, writes = world.tools.tables.kernel.copy(), world.writes
    world.tell(Lost("connection refused")).wait(3600)
    assert (world.tools.tables.kernel, world.writes) == (held, writes)
    assert world.statuses[-1].ready and world.statuses[-1].lost == "connection refused"
    world.tell(*resources(policy("p", "web", 81)), Regained()).wait(1)
    assert "--dports 81" in " ".join(policy_rules(world))
    assert world.statuses[-1].lost is None
    assert world.writes > writes


def test_damage_is_repaired_also_without_a_datastore(world: World) -> None:
    world.sync(PROFILE, WEB).tell(Lost("gone"))
    del world.tools.network.routes[next(iter(world.tools.network.routes))]
    world.wait(100)
    assert world.routes() == {"10.65.0.2/32": "cali1"}


def test_a_start_without_a_datastore_waits_for_it(world: World) -> None:
    world.tell(Lost("no route to host")).wait(3600)
    assert world.passes == []
    assert world.told(Level.WARNING) == ["the datastore cannot be read; nothing is known of it yet"]
    world.tell(*resources(PROFILE, WEB), Regained(), InSync()).wait(1)
    assert world.statuses[-1].ready


def test_a_cluster_that_is_not_ready_is_waited_for(world: World) -> None:
    information = configuration("datastoreReady: %s").replace("FelixConfiguration", "ClusterInformation")
    world.sync(PROFILE, WEB, information % "false").wait(60)
    assert world.passes == []
    assert "not ready" in (world.statuses[-1].held_back or "")
    world.tell(*resources(information % "true")).wait(1)
    assert world.statuses[-1].ready


# --- the kernel ---


def test_a_kernel_that_refuses_is_tried_again_ever_later(world: World) -> None:
    failing = world.tools.tables.failures = From(0, Fails("no memory"))
    world.sync(PROFILE, WEB).wait(300)
    starts = [at for at, _ in world.passes]
    gaps = [after - before for before, after in pairwise(starts)]
    assert gaps[0] < 3 and 25 < max(gaps) < 40
    assert len(starts) < 25
    errors = world.told(Level.ERROR)
    assert len(errors) <= 6 and "no memory" in errors[0]
    assert not world.statuses[-1].ready and "no memory" in world.statuses[-1].problems[0]
    failing.on = False
    world.wait(40)
    assert world.statuses[-1].ready and not world.statuses[-1].problems
    assert world.chain("cali-tw-cali1") is not None


def test_a_change_is_tried_at_once_although_the_last_pass_failed(world: World) -> None:
    failing = world.tools.tables.failures = From(0, Fails("no memory"))
    world.sync(PROFILE, WEB).wait(100)
    failing.on = False
    world.tell(*resources(policy("p", "web", 80))).wait(0.2)
    assert world.chain("cali-tw-cali1") is not None


def test_a_lock_that_is_held_for_minutes_is_waited_for(world: World) -> None:
    world.sync(PROFILE, WEB)
    held = world.tools.tables.kernel.copy()
    failing = world.tools.tables.failures = From(0, Fails(LOCKED))
    world.tell(*resources(policy("p", "web", 80))).wait(60)
    assert world.tools.tables.kernel.rulesets == held.rulesets
    assert any("xtables lock" in problem for problem in world.statuses[-1].problems)
    failing.on = False
    world.wait(40)
    assert world.statuses[-1].ready
    assert "--dports 80" in " ".join(policy_rules(world))


def test_tools_that_lie_are_found_out(world: World) -> None:
    failing = world.tools.tables.failures = From(0, Lies())
    world.sync(PROFILE, WEB).wait(10)
    assert not world.state.programmed
    failing.on = False
    assert world.wait(40).statuses[-1].ready


def test_routes_that_the_kernel_refuses_are_errors_of_their_endpoints_alone(tools: Tools) -> None:
    tools.network.add_link("cali2")
    world = World(tools)
    world.tools.network._add_route(_prefix("10.65.0.2/32"), ["dev", "eth0"])
    world.sync(PROFILE, WEB, workload("db", "cali2", "10.65.0.3"))
    assert world.statuses[-1].endpoints == {
        WorkloadId("k8s", "prod/web", "eth0"): EndpointStatus.ERROR,
        WorkloadId("k8s", "prod/db", "eth0"): EndpointStatus.UP,
    }
    assert world.statuses[-1].problems == (
        "ip route add 10.65.0.2/32 dev cali1 scope link proto boot table main: File exists",
    )
    assert world.chain("cali-tw-cali1") is not None


def test_rules_are_programmed_although_the_network_cannot_be_read(world: World) -> None:
    run = world.tools.network.__class__.__call__
    broken = True

    def without_routes(self: object, command: list[str], data: bytes = b"") -> Ran:
        return Ran(1, error="no netlink") if broken and "route" in command else run(world.tools.network, command, data)

    class Broken(type(world.tools.network)):  # type: ignore[misc]
        __call__ = without_routes

    world.tools.network.__class__ = Broken
    world.sync(PROFILE, WEB)
    assert world.chain("cali-tw-cali1") is not None
    assert "no netlink" in world.statuses[-1].problems[0]
    broken = False
    world.wait(40)
    assert world.routes() == {"10.65.0.2/32": "cali1"}


def test_a_set_that_is_full_says_so_and_does_not_stop_the_rest(world: World) -> None:
    selects = (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\n"
        "spec: {selector: all(), types: [Ingress], ingress: [{action: Allow, source: {selector: has(app)}}]}\n"
    )
    pods = [workload(f"p{number}", f"calix{number}", f"10.65.1.{number}") for number in range(5)]
    world.sync(configuration("maxIpsetSize: 3"), PROFILE, WEB, selects, *pods).wait(5)
    assert any("full" in problem for problem in world.statuses[-1].problems)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    world.tell(*resources(configuration("maxIpsetSize: 100"))).wait(5)
    assert world.statuses[-1].ready and not world.statuses[-1].problems


def test_without_ipip_in_the_kernel_the_rest_goes_on(world: World) -> None:
    world.sync(PROFILE, WEB, configuration("ipipEnabled: true"))
    world.wait(300)
    assert any("this kernel has no IPIP" in problem for problem in world.statuses[-1].problems)
    assert world.statuses[-1].ready
    assert sum("this kernel has no IPIP" in line for line in world.told(Level.ERROR)) <= 6
    assert not world.told(Level.WARNING)
    assert world.chain("cali-tw-cali1") is not None
    assert world.routes() == {"10.65.0.2/32": "cali1"}


def test_a_source_check_that_is_too_loose_keeps_everything_as_it_is(world: World) -> None:
    (world.tools.network.sysctls / "net/ipv4/conf/all/rp_filter").write_text("2\n")
    again = World(world.tools).sync(PROFILE, WEB).wait(5)
    assert again.passes == [] and "rp_filter is 2" in (again.statuses[-1].held_back or "")
    again.tell(*resources(configuration("ignoreLooseRPF: true"))).wait(1)
    assert again.statuses[-1].ready


# --- the disk and the clock ---


def test_a_status_that_cannot_be_written_is_said_once_and_stops_nothing(world: World) -> None:
    world.status_problem = os.strerror(errno.ENOSPC)
    world.sync(PROFILE, WEB).wait(300)
    assert world.told(Level.WARNING).count("the status cannot be written: No space left on device") == 1
    assert world.chain("cali-tw-cali1") is not None
    world.status_problem = None
    world.wait(60)
    assert "the status can be written again" in world.told(Level.INFO)


async def write(file: StatusFile, status: NodeStatus) -> None:
    await file.write(status)


def test_a_full_disk_leaves_the_old_status_file(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync(PROFILE)
    file = StatusFile(tmp_path / "run" / "status.json", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    file.replace(world.statuses[-1])
    before = file.path.read_text()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        file.replace(world.statuses[-1])
    assert file.path.read_text() == before
    assert os.listdir(file.path.parent) == ["status.json"]


_WALL_CLOCK = {"log.py", "status_file.py", "metric.py"}
"""Modules that may know the time of day: it stands in what they write, and nothing follows from it."""


@pytest.mark.parametrize("path", sorted(Path(tortie.agent.__path__[0]).glob("*.py")), ids=lambda path: path.stem)
def test_nothing_but_what_is_shown_knows_the_time_of_day(path: Path) -> None:
    imported = {
        name.name.partition(".")[0] if isinstance(node, ast.Import) else (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert path.name in _WALL_CLOCK or not imported & {"time", "datetime"}


# --- what cannot be read ---


def refused(kind: str, name: str, namespace: str = "", data: object = None) -> Refused:
    return Refused(f"test:{name}", InvalidInput("makes no sense"), key(kind, name, namespace), data)


BROKEN_POLICY = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "prod"},
    "spec": {"selector": "app == 'web'", "types": ["Ingress"], "ingress": [{"action": "Alow"}]},
}


def test_a_policy_that_cannot_be_read_denies_whatever_it_is_asked(world: World) -> None:
    world.tools.network.add_link("cali2")
    world.sync(PROFILE, WEB, workload("db", "cali2", "10.65.0.3"), policy("p", "web", 80))
    world.tell(refused("NetworkPolicy", "p", "prod", BROKEN_POLICY)).wait(1)
    (jump,) = [rule for rule in world.chain("cali-tw-cali1") or () if "-j cali-pi-" in rule]
    assert world.chain(jump.split()[-1]) == ["-j DROP"]
    assert not [rule for rule in world.chain("cali-tw-cali2") or () if "-j cali-pi-" in rule]
    status = world.statuses[-1]
    assert status.ready and status.unreadable[0].closed and status.unreadable[0].message == "makes no sense"
    assert "policy prod/default.p denies whatever it is asked" in " ".join(status.remarks)
    assert world.told(Level.ERROR) == ["a resource cannot be read: makes no sense"]
    world.tell(*resources(policy("p", "web", 80))).wait(1)
    assert world.chain(jump.split()[-1]) != ["-j DROP"]
    assert not world.statuses[-1].unreadable and not world.statuses[-1].remarks


def test_something_of_which_nothing_is_known_closes_every_endpoint(world: World) -> None:
    world.sync(PROFILE, WEB)
    before = world.chain("cali-tw-cali1")
    world.tell(Refused("test:file", InvalidInput("not YAML"))).wait(1)
    assert world.chain("cali-tw-cali1") != before
    assert "every endpoint of this node" in " ".join(world.statuses[-1].remarks)
    world.tell(Mended("test:file")).wait(1)
    assert world.chain("cali-tw-cali1") == before


def test_what_is_removed_is_no_longer_missed(world: World) -> None:
    world.sync(PROFILE, WEB)
    before = world.chain("cali-tw-cali1")
    world.tell(refused("NetworkPolicy", "p", "prod", BROKEN_POLICY)).wait(1)
    assert world.chain("cali-tw-cali1") != before
    world.tell(Removed(key("NetworkPolicy", "p", "prod"))).wait(1)
    assert world.chain("cali-tw-cali1") == before


def test_a_workload_that_cannot_be_read_is_closed(world: World) -> None:
    world.sync(PROFILE, WEB)
    world.tell(refused("WorkloadEndpoint", "node--1-k8s-web-eth0", "prod")).wait(12)
    assert world.chain("cali-tw-cali1") is None
    assert world.routes() == {}


def test_the_same_refusal_is_told_once_and_what_can_be_read_of_it_counts(world: World) -> None:
    world.sync(PROFILE, WEB).tell(refused("NetworkPolicy", "p", "prod")).wait(1)
    assert "every endpoint of this node" in " ".join(world.statuses[-1].remarks)
    world.tell(refused("NetworkPolicy", "p", "prod", BROKEN_POLICY)).wait(1)
    assert "policy prod/default.p denies" in " ".join(world.statuses[-1].remarks)
    assert len(world.told(Level.ERROR)) == 1


def test_a_configuration_that_cannot_be_read_leaves_the_one_before_in_force(world: World) -> None:
    world.sync(PROFILE, WEB, configuration("logPrefix: mine"))
    writes = world.writes
    world.tell(refused("FelixConfiguration", "default")).wait(30)
    assert world.writes == writes and world.state.parameters["LogPrefix"] == "mine"
    assert world.statuses[-1].ready and world.statuses[-1].unreadable


@pytest.mark.parametrize("name", ["default", "node.node-1"])
def test_a_new_configuration_that_cannot_be_read_changes_nothing_and_the_rest_goes_on(world: World, name: str) -> None:
    world.tools.network.add_link("cali2")
    world.sync(PROFILE, WEB).tell(refused("FelixConfiguration", name)).wait(1)
    assert world.told(Level.ERROR) == [
        "a resource cannot be read: makes no sense; the configuration before it stays in force"
    ]
    assert world.statuses[-1].ready and world.statuses[-1].held_back is None
    world.tell(*resources(workload("db", "cali2", "10.65.0.3"))).wait(1)
    assert world.routes() == {"10.65.0.2/32": "cali1", "10.65.0.3/32": "cali2"}
    information = configuration("clusterGUID: abc").replace("FelixConfiguration", "ClusterInformation")
    world.tell(*resources(information)).wait(1)
    assert world.state.parameters["ClusterGUID"] == "abc"
    world.tell(*resources(configuration("logPrefix: mine").replace("{name: default}", f"{{name: {name}}}"))).wait(1)
    assert world.state.parameters["LogPrefix"] == "mine" and not world.statuses[-1].unreadable


def test_what_is_refused_while_nothing_is_programmed_is_in_the_status(world: World) -> None:
    world.tell(refused("FelixConfiguration", "default")).sync(PROFILE, WEB).wait(1)
    world.tell(refused("NetworkPolicy", "p", "prod")).wait(1)
    assert {str(one.key) for one in world.statuses[-1].unreadable} == {
        "FelixConfiguration(default)",
        "NetworkPolicy(prod/p)",
    }
    world.tell(Mended("test:p")).wait(1)
    assert [str(one.key) for one in world.statuses[-1].unreadable] == ["FelixConfiguration(default)"]


def test_without_a_configuration_that_can_be_read_nothing_is_programmed(world: World) -> None:
    world.tell(refused("FelixConfiguration", "default")).sync(PROFILE, WEB).wait(60)
    assert world.passes == []
    assert "FelixConfiguration(default) cannot be read" in (world.statuses[-1].held_back or "")
    world.tell(*resources(configuration("logPrefix: mine"))).wait(1)
    assert world.statuses[-1].ready


def test_a_configuration_of_another_node_does_not_matter(world: World) -> None:
    world.tell(refused("FelixConfiguration", "node.other")).sync(PROFILE, WEB)
    assert world.statuses[-1].ready


def test_an_interface_name_that_is_too_long_is_named_and_the_rest_goes_on(world: World) -> None:
    long = workload("long", "cali0123456789abcdef", "10.65.0.9")
    (refusal,) = parse_resources([("test", long)], keep_going=True).refusals
    place = key("WorkloadEndpoint", "node--1-k8s-long-eth0", "prod")
    world.sync(PROFILE, WEB).tell(Refused("test", refusal.problem, place, refusal.data)).wait(1)
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert "'cali0123456789abcdef' is not an interface" in world.statuses[-1].unreadable[0].message
    assert world.statuses[-1].ready


def test_an_interface_name_that_no_device_can_have_is_named_and_the_rest_goes_on(world: World) -> None:
    world.sync(PROFILE, WEB, workload("long", "..", "10.65.0.9"))
    assert world.routes() == {"10.65.0.2/32": "cali1"}
    assert "workload prod/long: no interface can be called '..'" in world.statuses[-1].remarks
    assert world.statuses[-1].endpoints[WorkloadId("k8s", "prod/long", "eth0")] is EndpointStatus.ERROR


def test_a_pool_that_holds_the_nodes_own_address_is_named(world: World) -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pool}\nspec: {cidr: 10.20.0.0/16}\n"
    world.sync(PROFILE, WEB, pool)
    assert any("pool 10.20.0.0/16 holds 10.20.0.1" in remark for remark in world.statuses[-1].remarks)
    assert world.statuses[-1].ready


def test_every_clock_is_known() -> None:
    assert len(Clock) == len({clock.value for clock in Clock})


def _prefix(text: str) -> object:
    from tortie.net.address import parse_prefix

    return parse_prefix(text)
