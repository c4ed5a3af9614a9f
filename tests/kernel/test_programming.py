"""The real kernel passes the suite that the fake passes, keeps counters, and survives a kill at every write.

A process that programs is killed (SIGKILL) behind each of its writes, and within the writes of sets behind some of the
lines. What the kernel then holds is read back, and packets are walked through it: none that both the old and the new rules
drop gets through. Then another process finishes the work.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.programming import BUSY, OTHER, ProgrammingContract, check_holds, planner
from tests.kernel.oracle.namespace import Namespace
from tests.property.test_plan import few_arrivals, passes
from tests.rendered_node import node_of
from tests.strategies.node import CONFIG, PODS, POLICIES, PROFILE, ROUTES
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    NetSet,
    NodeView,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.cli.programming import CALICO, wanted_families
from tortie.kernel.run import Feed, Ran, run_tool
from tortie.kernel.settle import settle
from tortie.kernel.tables import Tables
from tortie.net.address import IPFamily, parse_prefix
from tortie.netfilter.hook import Backend
from tortie.reconcile.plan import plan
from tortie.reconcile.step import Plan
from tortie.reconcile.wanted import Held
from tortie.render.ruleset import render_node
from tortie.render.state import NodeState
from tortie.simulator.walk import Node

V4 = IPFamily.V4


@pytest.fixture(params=Backend, ids=lambda backend: backend.value)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


def inside(namespace: Namespace) -> Feed:
    def run(command: Sequence[str], data: bytes = b"") -> Ran:
        with namespace:
            return run_tool(command, data)

    return run


class TestRealKernel(ProgrammingContract):
    @pytest.fixture
    def run(self, namespace: Namespace) -> Feed:
        return inside(namespace)

    def test_rules_that_stay_keep_their_counters(self, tables: Tables, run: Feed, backend: Backend) -> None:
        self.program(tables, BUSY)
        counted = self.saved(run, backend).replace(b"[0:0] -A", b"[7:700] -A")
        assert run([f"iptables-{backend.value}-restore", "--counters"], counted).code == 0
        self.program(tables, OTHER)
        lines = self.saved(run, backend).decode().splitlines()
        kept = {line.split(" -A ")[1].split()[0] for line in lines if line.startswith("[7:700]")}
        new = {line.split(" -A ")[1].split()[0] for line in lines if line.startswith("[0:0]")}
        assert {"FORWARD", "cali-FORWARD", "cali-fw-cali11", "cali-pi-default.normal", "cali-fip-dnat"} <= kept - new
        assert "cali-from-wl-dispatch" in new - kept

    @staticmethod
    def saved(run: Feed, backend: Backend) -> bytes:
        return run([f"iptables-{backend.value}-save", "--counters"]).out


# --- killed -------------------------------------------------------------------------------------------------------

IN_SET, OUT_OF_SET = RuleSide(ip_sets=("s:some",)), RuleSide(not_ip_sets=("s:some",))
ALLOW, DENY = RuleAction.ALLOW, RuleAction.DENY


def view(rules: tuple[ActiveRule, ...], members: str, more: str) -> NodeView:
    tier = (EndpointTier(POLICIES[:1], POLICIES[:1]),)
    sets = {"s:some": members, "s:more": more}
    return NodeView(
        "node-1",
        workloads=(WorkloadEndpoint(WorkloadId("k8s", "ns/a", "eth0"), "cali1", profiles=(PROFILE,), tiers=tier),),
        policies=(ActivePolicy(POLICIES[0], rules, rules),),
        profiles=(ActiveProfile(PROFILE),),
        ip_sets=tuple(
            NetSet(name, frozenset(parse_prefix(f"{text}/32") for text in given.split())) for name, given in sets.items()
        ),
    )


BEFORE = view((ActiveRule(ALLOW, source=IN_SET),), "10.0.0.1", PODS["cali1"])
AFTER = view(
    (ActiveRule(DENY, source=IN_SET), ActiveRule(ALLOW, source=RuleSide(ip_sets=("s:more",)))),
    "10.0.0.1 10.1.0.1 10.1.0.130",
    "10.0.0.1 10.1.0.1",
)
"""10.1.0.1 joins the set that the old rules allow and the new ones deny."""


def planned(told: NodeView) -> Callable[[Held], Plan]:
    wanted = wanted_families(render_node(told, NodeState(), CONFIG))
    return lambda held: plan(wanted, held, CALICO)


class Dying:
    """Runs tools until the write with this number: of that it lets some lines through, all if None, and dies."""

    def __init__(self, run: Feed, write: int, lines: int | None) -> None:
        self._run = run
        self._left = write
        self._lines = lines

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        if not command[0].endswith("restore") and command[1:] != ["restore"]:
            return self._run(command, data)
        self._left -= 1
        if self._left >= 0:
            return self._run(command, data)
        if self._lines is not None:
            data = b"".join(data.splitlines(keepends=True)[: self._lines]) if command[0] == "ipset" else b""
        self._run(command, data)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def dies(namespace: Namespace, backend: Backend, write: int, lines: int | None) -> bool:
    """Programs the new view in a process of its own that is killed; False when it had finished before."""
    child = os.fork()
    if child == 0:
        try:
            tables = Tables(Dying(inside(namespace), write, lines), backend, [V4])
            settle(tables, planned(AFTER), lambda _: None)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def as_node(held: Held) -> Node:
    return node_of([replace(held.rulesets[V4], backend=Backend.LEGACY)], held.ip_sets, routes=ROUTES)


@pytest.mark.parametrize("lines", [None, 0, 1, 2])
def test_after_a_kill_at_any_write_the_node_is_not_more_open_and_the_work_is_finished(
    backend: Backend, lines: int | None
) -> None:
    ends: list[Node] = []
    for write in range(20):
        namespace = Namespace()
        try:
            tables = Tables(inside(namespace), backend, [V4])
            settle(tables, planned(BEFORE), pytest.fail)
            before = as_node(tables.read())
            if not dies(namespace, backend, write, lines):
                assert write >= 5
                return
            between = as_node(tables.read())
            settle(tables, planned(AFTER), lambda _: None)
            assert planned(AFTER)(tables.read()) == Plan()
            ends = [before, as_node(tables.read())]
            dropped = [one for one in few_arrivals() if not any(passes(end, one) for end in ends)]
            assert len(dropped) >= 2
            assert not [one for one in dropped if passes(between, one)]
        finally:
            namespace.close()
    raise AssertionError("it never finished")


def test_a_tool_that_is_killed_while_it_writes_leaves_the_old_table_or_the_new(
    namespace: Namespace, backend: Backend
) -> None:
    run = inside(namespace)
    tables = Tables(run, backend, IPFamily)
    settle(tables, planner(BUSY), pytest.fail)

    def killed(command: Sequence[str], data: bytes = b"") -> Ran:
        if not command[0].endswith("restore"):
            return run(command, data)
        with namespace, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as tool:
            assert tool.stdin is not None
            tool.stdin.write(data)
            tool.stdin.flush()
            tool.kill()
        return Ran(-9, error="killed")

    settle_or_give_up = Tables(killed, backend, IPFamily)
    for _ in range(3):
        with pytest.raises(Exception, match="killed"):
            settle_or_give_up.carry_out(planner(OTHER)(tables.read()))
    settle(tables, planner(OTHER), lambda _: None)
    check_holds(tables.read(), OTHER)
