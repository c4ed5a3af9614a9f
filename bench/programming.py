"""Programming a kernel: against the tools alone with the same text, from nothing and for one pod more; a large set; memory.

Compared are times by the clock, since what counts is when the rules are there; beside them stands the processor time of
this process and of the tools together, in which what runs side by side counts in full. *In force* is the moment at which
the last restore has ended; *read back* is when the kernel was listed again and found to hold just what it should, which
the tools alone never do. Each run has a network namespace of its own.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure import Figure, peak_bytes, seconds
from bench.rendering import make_view, rule_count
from tests.kernel.oracle.namespace import Namespace
from tortie.calc.view import NetSet, NodeView, WorkloadEndpoint, WorkloadId
from tortie.cli.programming import CALICO, wanted_families
from tortie.cli.rendered_text import restore_text, sets_text
from tortie.cli.resource_files import load_resources
from tortie.kernel.generation import nft_generation
from tortie.kernel.run import run_together, run_tool
from tortie.kernel.tables import Tables
from tortie.net.address import IPFamily, Prefix
from tortie.netfilter.hook import Backend
from tortie.reconcile.plan import plan
from tortie.reconcile.step import Plan, SetEdit, TableEdit
from tortie.reconcile.text import format_ipset_restore, format_restore
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Renderer, Rendering, render_node
from tortie.render.state import NodeInterface, NodeState

_RUNS = 3
_MEMBERS = 100_000
_RESOURCES = 10_000
_STATE = NodeState((NodeInterface("eth0"),))
_PROGRAMS = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}


def figures(folder: Path) -> Iterator[Figure]:
    """All of it; what needs root is left out without."""
    yield from _loading(folder)
    if os.geteuid() != 0:
        yield Figure("programming", "left out: needs root")
        return
    os.environ["XTABLES_LOCKFILE"] = str(folder / "lock")
    view = make_view()
    gc.disable()  # as `tortie` does
    for backend in Backend:
        yield from _from_nothing(view, backend)
        yield from _one_pod(view, backend)
        gc.collect()
    yield from _large_set(view)
    gc.enable()
    yield _memory(view)


def _cpu() -> float:
    """Processor time of this process and of all tools that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@dataclass(frozen=True, slots=True)
class _Time:
    """Processor time and time by the clock, in seconds."""

    cpu: float
    clock: float

    def __add__(self, other: _Time) -> _Time:
        return _Time(self.cpu + other.cpu, self.clock + other.clock)


def _took(work: Callable[[], object]) -> _Time:
    start, clock = _cpu(), time.perf_counter()
    work()
    return _Time(_cpu() - start, time.perf_counter() - clock)


def _median(times: list[_Time]) -> _Time:
    return _Time(statistics.median(one.cpu for one in times), statistics.median(one.clock for one in times))


def _checked(command: list[str], text: str) -> None:
    ran = run_tool(command, text.encode())
    assert ran.code == 0, ran.error


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A kernel that is programmed again and again."""

    tables: Tables

    @classmethod
    def of(cls, backend: Backend) -> _Kernel:
        """In the network namespace that this is called in."""
        generation = nft_generation if backend is Backend.NFT else lambda: None
        return cls(Tables(run_tool, backend, IPFamily, together=run_together, generation=generation))

    def plan(self, rendering: Rendering) -> Plan:
        """What is left to do."""
        return plan(wanted_families(rendering), self.tables.read(), CALICO)

    def enforce(self, rendering: Rendering) -> None:
        """Reads, plans, writes."""
        self.tables.carry_out(self.plan(rendering))

    def check(self, rendering: Rendering) -> None:
        """Reads back."""
        assert not self.plan(rendering).steps


def _compared(what: str, aim: float | None, ours: _Time, theirs: _Time) -> Figure:
    ratio, clock = ours.cpu / theirs.cpu, ours.clock / theirs.clock
    wanted = "" if aim is None else f"at most {aim}×"
    text = f"{clock:.2f}×: {ours.clock:.2f} s against {theirs.clock:.2f} s; processor time {ratio:.2f}×"
    return Figure(what, text, wanted, None if aim is None else clock <= aim)


# --- from nothing ------------------------------------------------------------------------------------------------


def _from_nothing(view: NodeView, backend: Backend) -> Iterator[Figure]:
    rendering = render_node(view, _STATE, RenderConfig())
    sets = sets_text(rendering.families.values())
    rules = {family: restore_text(one) for family, one in rendering.families.items()}
    alone, in_force, read_back = [], [], []
    for _ in range(_RUNS):
        with _inside():
            alone.append(_took(lambda: _tools_alone(backend, sets, rules)))
        with _inside():
            kernel = _Kernel.of(backend)
            in_force.append(_took(lambda kernel=kernel: kernel.enforce(rendering)))  # type: ignore[misc]
            read_back.append(_took(lambda kernel=kernel: kernel.check(rendering)))  # type: ignore[misc]
    theirs, ours = _median(alone), _median(in_force)
    name = f"from nothing, {rule_count(rendering):,} rules ({backend.value})"
    yield _compared(f"{name}: in force", 1.3, ours, theirs)
    yield _compared("  and read back", None, ours + _median(read_back), theirs)


def _tools_alone(backend: Backend, sets: str, rules: dict[IPFamily, str]) -> None:
    _checked(["ipset", "restore"], sets)
    for family, text in rules.items():
        _checked([f"{_PROGRAMS[family]}-{backend.value}-restore", "--noflush"], text)


class _inside:
    """A fresh network namespace, entered."""

    def __enter__(self) -> None:
        self._namespace = Namespace()
        self._namespace.__enter__()

    def __exit__(self, *error: object) -> None:
        self._namespace.__exit__(None, None, None)
        self._namespace.close()


# --- one pod more ------------------------------------------------------------------------------------------------


def _one_pod(view: NodeView, backend: Backend) -> Iterator[Figure]:
    alone, in_force, read_back = [], [], []
    with _inside():
        kernel = _Kernel.of(backend)
        renderer = Renderer()
        before = renderer.render(view, _STATE, RenderConfig())
        kernel.enforce(before)
        kernel.check(before)
        for number in range(_RUNS):
            more = _with_pod(view, number)

            def change(more: NodeView = more) -> None:
                kernel.enforce(renderer.render(more, _STATE, RenderConfig()))

            in_force.append(_took(change))
            after = renderer.render(more, _STATE, RenderConfig())
            read_back.append(_took(lambda after=after: kernel.check(after)))  # type: ignore[misc]
            kernel.enforce(before)
            kernel.check(before)
        for number in range(_RUNS):
            texts = _texts(kernel.plan(renderer.render(_with_pod(view, number), _STATE, RenderConfig())))
            alone.append(_took(lambda texts=texts: _restore(backend, texts)))  # type: ignore[misc]
            kernel.enforce(before)
    theirs, ours = _median(alone), _median(in_force)
    yield _compared(f"one pod more ({backend.value}): in force", 1.5, ours, theirs)
    yield _compared("  and read back", None, ours + _median(read_back), theirs)


def _with_pod(view: NodeView, number: int) -> NodeView:
    tiers = view.workloads[0].tiers
    pod = WorkloadEndpoint(
        WorkloadId("k8s", f"ns/new-{number}", "eth0"),
        f"cali0{number:x}234567890",
        profiles=view.workloads[0].profiles,
        tiers=tiers,
    )
    return replace(view, workloads=(*view.workloads, pod))


def _texts(planned: Plan) -> list[tuple[IPFamily, str]]:
    return [(step.family, format_restore(step)) for step in planned.steps if isinstance(step, TableEdit)]


def _restore(backend: Backend, texts: list[tuple[IPFamily, str]]) -> None:
    for family, text in texts:
        _checked([f"{_PROGRAMS[family]}-{backend.value}-restore", "--noflush"], text)


# --- a large set -------------------------------------------------------------------------------------------------


def _large_set(view: NodeView) -> Iterator[Figure]:
    """A set that rules look into gets many members, then one of them goes and another comes."""
    large, changed = (_with_members(view, first) for first in (0, 1))
    with _inside():
        kernel = _Kernel.of(Backend.NFT)
        kernel.enforce(render_node(view, _STATE, RenderConfig()))
        kernel.check(render_node(view, _STATE, RenderConfig()))
        wanted = render_node(large, _STATE, RenderConfig())
        text = "".join(format_ipset_restore(step) for step in kernel.plan(wanted).steps if isinstance(step, SetEdit))
        ours = _took(lambda: kernel.enforce(wanted))
        back = _took(lambda: kernel.check(wanted))
        one = render_node(changed, _STATE, RenderConfig())
        again = _took(lambda: kernel.enforce(one))
        read_again = _took(lambda: kernel.check(one))
    with _inside():
        kernel = _Kernel.of(Backend.NFT)
        kernel.enforce(render_node(view, _STATE, RenderConfig()))
        theirs = _took(lambda: _checked(["ipset", "restore"], text))
    yield _compared(f"an ip set of {_MEMBERS:,} members: in force", None, ours, theirs)
    yield Figure("  and read back", f"{(ours + back).cpu:.2f} s")
    yield Figure("  one of them changed: in force", f"{again.cpu:.2f} s, read back {(again + read_again).cpu:.2f} s")


def _with_members(view: NodeView, first: int) -> NodeView:
    members = frozenset(Prefix(IPFamily.V4, 0x0B000000 + number, 32) for number in range(first, first + _MEMBERS))
    return replace(view, ip_sets=(NetSet(view.ip_sets[0].id, members), *view.ip_sets[1:]))


# --- reading resources, memory -----------------------------------------------------------------------------------


def _loading(folder: Path) -> Iterator[Figure]:
    path = folder / "pods.yaml"
    path.write_text("".join(_pod(number) for number in range(_RESOURCES)))
    taken = seconds(lambda: load_resources([str(path)], report=False), runs=3)
    yield Figure(f"loading {_RESOURCES:,} pods as kubectl prints them", f"{taken:.2f} s", "under 5 s", taken < 5)


def _pod(number: int) -> str:
    return f"""---
apiVersion: v1
kind: Pod
metadata:
  annotations:
    cni.projectcalico.org/podIP: 10.{number >> 14 & 63}.{number >> 7 & 127}.{number & 127}/32
  creationTimestamp: "2019-08-01T10:00:00Z"
  labels: {{app: web, number: "{number}"}}
  name: web-{number}
  namespace: team-{number % 50}
  uid: 8b9c-{number}
spec:
  containers:
  - image: nginx:1.17
    name: web
    ports:
    - {{containerPort: 8080, name: http, protocol: TCP}}
    volumeMounts:
    - {{mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: token, readOnly: true}}
  nodeName: node-{number % 50}
  serviceAccountName: default
  volumes:
  - name: token
    secret: {{defaultMode: 420, secretName: token}}
status:
  phase: Running
  podIP: 10.{number >> 14 & 63}.{number >> 7 & 127}.{number & 127}
"""


def _memory(view: NodeView) -> Figure:
    def work() -> tuple[Plan, _Kernel]:
        kernel = _Kernel.of(Backend.NFT)
        rendering = render_node(view, _STATE, RenderConfig())
        planned = kernel.plan(rendering)
        kernel.tables.carry_out(planned)
        kernel.check(rendering)
        return planned, kernel

    with _inside():
        peak = peak_bytes(work)
    return Figure("peak memory of rendering, planning and programming it", f"{peak / 2**20:.0f} MiB")
