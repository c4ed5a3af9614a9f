"""Whatever order operations on addresses take their steps in, and wherever they die: no address twice, none lost.

Every operation asks for one read or write at a time, so any interleaving and any death is a list of numbers to draw.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.calico_ipam import calico_assign, calico_release
from tests.fakes.ipam_store import MemoryStore, inconsistencies, make_node, make_pool
from tortie.ipam.assign import Assigned, AssignRequest, assign_address, auto_assign
from tortie.ipam.claim import release_affinity, release_host
from tortie.ipam.command import Command
from tortie.ipam.release import ReleaseResult, release_addresses, release_handle
from tortie.net.address import Address, parse_address, parse_prefix
from tortie.net.error import InvalidInput

EXAMPLES = max(300, settings().max_examples)
"""A hundred find too few of the ways in which two can meet; a hunt has more."""
HOSTS = ("a", "b")
ALL_BLOCKS = tuple(parse_prefix(f"10.0.0.{start}/30") for start in (0, 4, 8, 12))
BLOCKS = ALL_BLOCKS[:3]
HANDLES = ("h1", "h2", "h3")


@dataclass(frozen=True)
class Task:
    """One operation, made when it starts."""

    kind: str
    host: str
    handle: str
    count: int
    place: int

    def start(self) -> Generator[Command, Any, Any]:
        address = parse_address(f"10.0.0.{self.place}")
        request = AssignRequest(self.host, count=self.count, handle=self.handle, secondary={"node": self.host})
        match self.kind:
            case "auto":
                return auto_assign(request)
            case "named":
                return assign_address(address, request)
            case "release":
                return release_addresses((address,))
            case "handle":
                return release_handle(self.handle)
            case "calico auto":
                return calico_assign(self.host, self.handle, ALL_BLOCKS)
            case "calico handle":
                return calico_release(self.handle)
            case "affinity":
                return release_affinity(self.host, BLOCKS[self.place % 3], must_be_empty=self.count > 1)
            case _:
                return release_host(self.host)


KINDS = ("auto", "auto", "auto", "named", "release", "handle", "affinity", "host")
tasks = st.builds(
    Task,
    st.sampled_from(KINDS),
    st.sampled_from(HOSTS),
    st.sampled_from(HANDLES),
    st.integers(1, 3),
    st.integers(0, 11),
)
schedules = st.lists(st.integers(0, 3), min_size=30, max_size=120)


@dataclass
class Running:
    """An operation under way, and what it was answered last."""

    task: Task
    steps: Generator[Command, Any, Any]
    answer: Any = None
    result: Any = None
    ended: bool = False
    refused: bool = False

    def advance(self, store: MemoryStore) -> None:
        try:
            command = self.steps.send(self.answer)
        except StopIteration as end:
            self.result, self.ended = end.value, True
        except InvalidInput:
            self.ended = self.refused = True
        else:
            self.answer = store.answer(command)


def new_store() -> MemoryStore:
    return MemoryStore((make_pool("p", "10.0.0.0/28", 30),), {host: make_node(host) for host in HOSTS})


def interleaved(store: MemoryStore, drawn: list[Task], schedule: list[int], deaths: set[int]) -> list[Running]:
    """Runs operations side by side: each number is whose turn it is; at the steps in `deaths` one dies instead."""
    running = [Running(task, task.start()) for task in drawn]
    for step, turn in enumerate(schedule):
        alive = [one for one in running if not one.ended]
        if not alive:
            break
        chosen = alive[turn % len(alive)]
        if step in deaths:
            chosen.ended = True
        else:
            chosen.advance(store)
    for one in running:
        while not one.ended:
            one.advance(store)
    return running


def given_out(running: list[Running]) -> list[Address]:
    """What operations that came to their end gave."""
    named = [parse_address(f"10.0.0.{one.task.place}") for one in running if one.task.kind == "named" and not one.refused]
    theirs = [address for one in running if one.task.kind == "calico auto" for address in one.result or ()]
    ours = [address for one in running if isinstance(one.result, Assigned) for address in one.result.addresses]
    return named + theirs + ours


def problems(store: MemoryStore, *, quiet: bool) -> list[str]:
    return list(inconsistencies(store.blocks, store.handles, store.affinities, quiet=quiet))


assigning = tasks.filter(lambda task: task.kind in ("auto", "named"))


@examples(EXAMPLES)
@given(st.lists(assigning, min_size=1, max_size=4), schedules)
def test_no_address_is_given_twice(drawn: list[Task], schedule: list[int]) -> None:
    store = new_store()
    running = interleaved(store, drawn, schedule, set())
    given = given_out(running)
    assert len(set(given)) == len(given)
    assert set(given) == store.taken().keys()
    assert not problems(store, quiet=True)
    for one in running:
        if isinstance(one.result, Assigned):
            assert all(store.taken()[address] == one.task.handle for address in one.result.addresses)
            assert len(one.result.addresses) == one.task.count or one.result.shortage


@examples(EXAMPLES)
@given(st.lists(tasks, min_size=2, max_size=4), schedules)
def test_side_by_side_they_leave_what_one_after_the_other_could(drawn: list[Task], schedule: list[int]) -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", count=3, handle="h1")))
    store.run(auto_assign(AssignRequest("b", count=2, handle="h2")))
    before = set(store.taken())
    running = interleaved(store, drawn, schedule, set())
    assert not problems(store, quiet=True)
    released = [
        address
        for one in running
        for address in (
            one.result.released
            if isinstance(one.result, ReleaseResult)
            else one.result
            if one.task.kind == "handle"
            else ()
        )
        or ()
    ]
    assert all(address in released for address in before - store.taken().keys())


@examples(EXAMPLES)
@given(st.lists(tasks, min_size=2, max_size=4), schedules, st.sets(st.integers(0, 60), min_size=1, max_size=3))
def test_the_dead_leave_nothing_that_is_lost_for_ever(drawn: list[Task], schedule: list[int], deaths: set[int]) -> None:
    store = new_store()
    interleaved(store, drawn, schedule, deaths)
    assert not problems(store, quiet=False)
    # Everything can be taken back by what askers know of themselves ...
    for handle in HANDLES:
        store.run(release_handle(handle))
    assert store.taken() == {}
    assert store.handles == {}
    # ... and given out again, to one host or by turns.
    found = [store.run(auto_assign(AssignRequest(host, count=8, handle=f"new-{host}"))).addresses for host in HOSTS]
    assert len({*found[0], *found[1]}) == 16
    assert not [text for text in problems(store, quiet=True) if "claims" not in text and "know" not in text]


@given(st.lists(tasks, max_size=12))
def test_one_after_the_other_every_state_is_whole(drawn: list[Task]) -> None:
    store = new_store()
    for task in drawn:
        with suppress(InvalidInput):
            store.run(task.start())
        assert not problems(store, quiet=True)


CALICOS = ("calico 1", "calico 2")
beside = st.one_of(
    tasks.filter(lambda task: task.kind in ("auto", "named", "handle", "affinity")),
    st.builds(
        Task,
        st.sampled_from(("calico auto", "calico auto", "calico handle")),
        st.sampled_from(HOSTS),
        st.sampled_from(CALICOS),
        st.just(1),
        st.just(0),
    ),
)


@examples(EXAMPLES)
@given(st.lists(beside, min_size=2, max_size=4), schedules)
def test_beside_calicos_own_programs_no_address_is_given_twice_or_lost(drawn: list[Task], schedule: list[int]) -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", count=2, handle="h1")))
    store.run(calico_assign("a", CALICOS[0], ALL_BLOCKS))
    before = set(store.taken())
    running = interleaved(store, drawn, schedule, set())
    given = given_out(running)
    released = {one.task.handle for one in running if one.task.kind.endswith("handle")}
    if not released:
        assert len(set(given)) == len(given)
        assert set(store.taken()) == before | set(given)
    assert not problems(store, quiet=False)
    for handle in (*HANDLES, *CALICOS):
        store.run(release_handle(handle))
    assert store.taken() == {}
    assert store.handles == {}
