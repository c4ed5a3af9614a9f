"""Lists of whole states of a cluster, and the ways in which a calculation can come to them.

Whatever the way, what follows from a state is the same. A way is a list of runs, each a new calculation; a run is a list of
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from tests.plain_calculation import calculate_plainly
from tortie.calc.calculation import Calculation
from tortie.calc.change import Changes, MemberChange
from tortie.calc.view import NodeView
from tortie.model import v1
from tortie.model.read import Key


@dataclass(frozen=True)
class State:
    """What there is, by key, and the node's parameters."""

    name: str
    values: Mapping[Key, v1.Value] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> v1.Cluster:
        """The same for whoever wants everything at once."""

        def of(*classes: type) -> tuple[v1.Value, ...]:
            return tuple(value for value in self.values.values() if isinstance(value, classes))

        return v1.Cluster(
            of(v1.Policy), of(v1.Profile), of(v1.Workload), of(v1.HostEndpoint), of(v1.NetworkSet), of(v1.Pool),
            of(v1.Host), of(v1.Block),
        )  # type: ignore[arg-type]  # fmt: skip


EMPTY = State("empty")


class Step(NamedTuple):
    """A state to go to; whether to flush there; how often each update is told."""

    state: State
    flush: bool = True
    times: int = 1


Run: TypeAlias = list[Step]
Expansion: TypeAlias = Callable[[Sequence[State]], list[Run]]


def as_given(states: Sequence[State]) -> list[Run]:
    """One after the other."""
    return [[Step(state) for state in states]]


def reversed_states(states: Sequence[State]) -> list[Run]:
    """From the last to the first."""
    return [[Step(state) for state in reversed(states)]]


def empties_between(states: Sequence[State]) -> list[Run]:
    """With nothing at all between any two, and at the end."""
    return [[step for state in states for step in (Step(state), Step(EMPTY))]]


def each_alone(states: Sequence[State]) -> list[Run]:
    """Each from nothing."""
    return [[Step(state)] for state in states]


def squashed(states: Sequence[State]) -> list[Run]:
    """All updates at once: only the last state is ever looked at."""
    return [[Step(state, flush=False) for state in states[:-1]] + [Step(states[-1])]]


def repeated(states: Sequence[State]) -> list[Run]:
    """Each update told three times, and each state gone to twice."""
    return [[step for state in states for step in (Step(state, times=3), Step(state))]]


EXPANSIONS: tuple[Expansion, ...] = (as_given, reversed_states, empties_between, each_alone, squashed, repeated)


def run_and_check(run: Iterable[Step], hostname: str) -> None:
    """Goes through the steps; after each flush the view is what the state means, and changes are what became different."""
    calculation = Calculation(hostname)
    now = EMPTY
    seen = calculation.view()
    for step in run:
        _go(calculation, now, step)
        now = step.state
        if not step.flush:
            continue
        changes = calculation.flush()
        view = calculation.view()
        assert view == calculate_plainly(now.cluster, hostname, now.config), now.name
        assert changes == differences(seen, view), now.name
        assert not calculation.flush()
        assert calculation.view() is view
        seen = view


def views(run: Iterable[Step], hostname: str) -> Iterator[NodeView]:
    """Goes through the steps; the view after each flush."""
    calculation = Calculation(hostname)
    now = EMPTY
    for step in run:
        _go(calculation, now, step)
        now = step.state
        if step.flush:
            calculation.flush()
            yield calculation.view()


def _go(calculation: Calculation, before: State, step: Step) -> None:
    for _ in range(step.times):
        calculation.configure(step.state.config)
        for key in before.values.keys() - step.state.values.keys():
            calculation.tell(key, None)
        for key, value in step.state.values.items():
            if step.times > 1 or before.values.get(key) != value:
                calculation.tell(key, value)


def differences(before: NodeView, after: NodeView) -> Changes:
    """The changes from one view to another, found by comparing."""

    def of(table: str, key: Callable[..., object]) -> frozenset[object]:
        old = {key(one): one for one in getattr(before, table)}
        new = {key(one): one for one in getattr(after, table)}
        return frozenset(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))

    old = {one.id: one.members for one in before.ip_sets}
    new = {one.id: one.members for one in after.ip_sets}
    sets = {
        name: MemberChange(
            frozenset(new.get(name, frozenset())) - frozenset(old.get(name, frozenset())),
            frozenset(old.get(name, frozenset())) - frozenset(new.get(name, frozenset())),
        )
        for name in old.keys() | new.keys()
        if (name in old) is not (name in new) or old[name] != new[name]
    }
    return Changes(
        workloads=of("workloads", lambda one: one.id),
        host_endpoints=of("host_endpoints", lambda one: one.id),
        policies=of("policies", lambda one: one.name),
        profiles=of("profiles", lambda one: one.name),
        ip_sets=sets,
        pools=of("pools", lambda one: one.cidr),
        hosts=of("hosts", lambda one: one.hostname),
        vteps=of("vteps", lambda one: one.node),
        vxlan_routes=of("vxlan_routes", lambda one: one.destination),
        config=frozenset(
            name for name in before.config.keys() | after.config.keys() if before.config.get(name) != after.config.get(name)
        ),
    )  # type: ignore[arg-type]
