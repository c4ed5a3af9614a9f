"""One change after the other: what it costs until it is in force, against bare restores of just what it changes; at size.

Times are processor time, that of the tools included, since nothing here waits. From a resource to the kernel: it is told to
the calculation, the view is rendered, planned against what the kernel holds, written. Read back is the same with the last
look.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import agent
from bench.measure import Figure
from tests.kernel.oracle.namespace import Namespace
from tortie.agent.knowledge import Cluster
from tortie.calc.member_set import MemberSet
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    NetSet,
    NodeView,
    PortRange,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.cli.programming import CALICO, wanted_families
from tortie.kernel.generation import nft_generation
from tortie.kernel.run import run_together, run_tool
from tortie.kernel.tables import Tables
from tortie.model.read import key_of
from tortie.model.resource import ReadOptions, read_resource
from tortie.net.address import IPFamily, Prefix
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.plan import Planner
from tortie.reconcile.step import Plan, TableEdit
from tortie.reconcile.text import format_ipset_restore, format_restore
from tortie.reconcile.wanted import Held
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Renderer
from tortie.render.state import NodeInterface, NodeState

_RUNS = 9
_MOST_RATIO = 1.5
_STATE = NodeState((NodeInterface("eth0"),))
_CONFIG = RenderConfig()
_PROGRAMS = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}

LARGE_POLICIES, LARGE_WORKLOADS, POLICIES_EACH, SETS, MEMBERS = 10_000, 200, 300, 100, 1000


def figures(folder: Path) -> Iterator[Figure]:
    """Changes of a node in a kernel, which needs root, and of a large one without."""
    gc.disable()  # as `tortie` does
    if os.geteuid() == 0:
        os.environ["XTABLES_LOCKFILE"] = str(folder / "lock")
        for backend in Backend:
            yield from _in_kernel(backend)
    else:
        yield Figure("changes in the kernel", "left out: needs root")
    yield from _at_size()
    gc.enable()


# --- in a kernel -------------------------------------------------------------------------------------------------


class _Node:
    """A node as the agent keeps it, but for its network; in the network namespace that it is made in."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._cluster = Cluster(agent.NODE)
        self._renderer, self._planner = Renderer(), Planner(CALICO)
        generation = nft_generation if backend is Backend.NFT else lambda: None
        self._tables = Tables(run_tool, backend, IPFamily, together=run_together, generation=generation)
        self.plan = Plan()
        self.written = False
        """Whether the last way to a state had to write anything."""

    def learn(self, document: dict[str, Any]) -> None:
        """Takes a resource."""
        found = read_resource(document, ReadOptions())
        self._cluster.learn(key_of(found), found)

    def go_to(self, document: dict[str, Any]) -> None:
        """Takes a resource, writes what follows and reads back."""
        self.learn(document)
        self.enforce()
        self.written = bool(self.plan.steps)
        self.check()

    def enforce(self) -> None:
        """Works out what follows and writes it."""
        self.plan = self._left()
        self._tables.carry_out(self.plan)

    def check(self) -> None:
        """Reads back."""
        assert not self._left().steps

    def _left(self) -> Plan:
        rendering = self._renderer.render(self._cluster.view(), _STATE, _CONFIG)
        return self._planner.plan(wanted_families(rendering), self._tables.read())


def _in_kernel(backend: Backend) -> Iterator[Figure]:
    with Namespace():
        node = _Node(backend)
        for number in range(100):
            node.learn(agent._profile(number))
        for number in range(agent.POLICIES):
            node.learn(agent._policy(number, 80))
        for number in range(agent.WORKLOADS):
            node.learn(_pod(number))
        node.enforce()
        node.check()
        yield Figure(
            f"changes of {agent.WORKLOADS} workloads, {agent.POLICIES} policies ({backend.value})", f"{_RUNS} of each kind"
        )
        kinds: dict[str, Callable[[int], dict[str, Any]]] = {
            "a policy's port": lambda run: agent._policy(0, 1000 + run),
            "a pod's label, for other policies": lambda run: _pod(7, app="a107" if run else "a7"),
            "a pod's label, for other pods": lambda run: _pod(7, role="r7" if run else "r8"),
        }
        for what, changed in kinds.items():
            yield from _kind(what, node, changed)


def _kind(what: str, node: _Node, changed: Callable[[int], dict[str, Any]]) -> Iterator[Figure]:
    """Makes one kind of change a few times; each is then taken back and made by the tools alone."""
    in_force, read_back, alone = [], [], []
    for run in range(1, _RUNS + 1):
        node.go_to(changed(0))
        node.learn(changed(run))
        in_force.append(_took(node.enforce))
        plan = node.plan
        assert plan.steps
        read_back.append(in_force[-1] + _took(node.check))
        node.go_to(changed(0))
        alone.append(_took(lambda plan=plan: _restore(node.backend, plan)))  # type: ignore[misc]
        node.go_to(changed(run))
        assert not node.written, "the tools alone came elsewhere"
    has_rules = any(isinstance(step, TableEdit) for step in plan.steps)
    yield _compared(f"  {what}: in force", in_force, alone, _MOST_RATIO if has_rules else None)
    yield _compared("    and read back", read_back, alone, None)


def _restore(backend: Backend, plan: Plan) -> None:
    for step in plan.steps:
        if isinstance(step, TableEdit):
            command = [f"{_PROGRAMS[step.family]}-{backend.value}-restore", "--noflush"]
            ran = run_tool(command, format_restore(step).encode())
        else:
            ran = run_tool(["ipset", "restore"], format_ipset_restore(step).encode())
        assert ran.code == 0, ran.error


def _pod(number: int, **labels: str) -> dict[str, Any]:
    pod = agent._workload(number, agent.NODE, f"cali{number}")
    pod["metadata"]["labels"] |= labels
    return pod


def _took(work: Callable[[], object]) -> float:
    """Processor time of this process and of all tools that it ran, in seconds."""
    start = _processor_s()
    work()
    return _processor_s() - start


def _processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _compared(what: str, ours: list[float], theirs: list[float], aim: float | None) -> Figure:
    median, alone = statistics.median(ours), statistics.median(theirs)
    ratio = median / alone
    text = f"{ratio:.2f}×: {median * 1000:.0f} ms (worst {max(ours) * 1000:.0f}) against {alone * 1000:.0f} ms"
    return Figure(what, text, "" if aim is None else f"at most {aim}×", None if aim is None else ratio <= aim)


# --- at size -----------------------------------------------------------------------------------------------------


def _at_size() -> Iterator[Figure]:
    """A node with thousands of active policies, whose kernel is taken to hold what was planned."""
    view, renderer, planner = _large_view(), Renderer(), Planner(CALICO)
    held = Held({family: Ruleset(family, Backend.NFT, {}) for family in IPFamily}, {})

    def work(wanted: NodeView) -> tuple[float, float, Plan]:
        nonlocal held
        start = time.process_time()
        rendering = renderer.render(wanted, _STATE, _CONFIG)
        rendered = time.process_time()
        plan = planner.plan(wanted_families(rendering), held)
        ended = time.process_time()
        sets = {name: one for family in rendering.families.values() for name, one in family.ip_sets.items()}
        held = Held(plan.after, sets)
        return rendered - start, ended - rendered, plan

    size = f"{LARGE_POLICIES:,} active policies, {LARGE_WORKLOADS} workloads with {POLICIES_EACH} each"
    first = work(view)
    yield Figure(size, f"rendered in {first[0]:.1f} s, planned in {first[1]:.1f} s from nothing")
    work(view)
    yield _two("  nothing changes", [work(replace(view)) for _ in range(_RUNS)])
    for what, change in _LARGE_CHANGES.items():
        times = []
        for run in range(_RUNS):
            view = change(view, run)
            times.append(work(view))
        yield _two(f"  {what}", times)


def _two(what: str, times: list[tuple[float, float, Plan]]) -> Figure:
    rendered, planned = (statistics.median(one[place] for one in times) * 1000 for place in (0, 1))
    slowest = max(one[0] + one[1] for one in times) * 1000
    return Figure(what, f"rendered in {rendered:.0f} ms, planned in {planned:.0f} ms; slowest, both: {slowest:.0f} ms")


def _large_view() -> NodeView:
    sets = tuple(
        NetSet(f"s:{at:03d}{'x' * 35}", MemberSet(Prefix(IPFamily.V4, (at << 16) + n, 32) for n in range(MEMBERS)))
        for at in range(1, SETS + 1)
    )
    names = [f"default.policy-{number:05d}" for number in range(LARGE_POLICIES)]
    policies = tuple(ActivePolicy(name, (_rule(sets[at % SETS].id, 80),), (ActiveRule(),)) for at, name in enumerate(names))
    workloads = []
    for number in range(LARGE_WORKLOADS):
        chosen = tuple(names[(number * 50 + step) % LARGE_POLICIES] for step in range(POLICIES_EACH))
        workloads.append(_workload(number, (EndpointTier(chosen, ()),)))
    profiles = (ActiveProfile("kns.ns", (ActiveRule(),), (ActiveRule(),)),)
    return NodeView("bench", workloads=tuple(workloads), policies=policies, profiles=profiles, ip_sets=sets)


def _rule(set_id: str, port: int) -> ActiveRule:
    source, destination = RuleSide(ip_sets=(set_id,)), RuleSide(ports=(PortRange(port, port),))
    return ActiveRule(protocol="tcp", source=source, destination=destination)


def _workload(number: int, tiers: tuple[EndpointTier, ...]) -> WorkloadEndpoint:
    return WorkloadEndpoint(
        WorkloadId("k8s", f"ns/pod-{number}", "eth0"), f"cali{number:05d}", profiles=("kns.ns",), tiers=tiers
    )


def _other_member(view: NodeView, run: int) -> NodeView:
    changed = view.ip_sets[run]
    assert isinstance(changed, NetSet) and isinstance(changed.members, MemberSet)
    came, went = Prefix(IPFamily.V4, 0xC0000000 + run, 32), next(iter(changed.members))
    members = changed.members.changed({came}, {went})
    return replace(view, ip_sets=(*view.ip_sets[:run], NetSet(changed.id, members), *view.ip_sets[run + 1 :]))


def _other_policy(view: NodeView, run: int) -> NodeView:
    at = run * 100
    changed = replace(view.policies[at], inbound=(_rule(view.ip_sets[0].id, 1000 + run),))
    return replace(view, policies=(*view.policies[:at], changed, *view.policies[at + 1 :]))


def _one_more(view: NodeView, run: int) -> NodeView:
    return replace(view, workloads=(*view.workloads, _workload(50_000 + run, view.workloads[run].tiers)))


_LARGE_CHANGES: dict[str, Callable[[NodeView, int], NodeView]] = {
    "a member of a set": _other_member,
    "a policy's rule": _other_policy,
    "a workload comes": _one_more,
}
