"""The fake kernel passes the suite of the real one, and recovers from every failure that it can be told to have."""

from __future__ import annotations

from functools import cache

import pytest

from tests.contract.programming import BUSY, OTHER, ProgrammingContract, check_holds, planner
from tests.fakes.kernel import FakeKernel
from tests.fakes.tools import Crash, Crashes, Fails, Failure, FakeTools, Lies
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.settle import FIRST_PAUSE_S, settle
from tortie.kernel.tables import Tables
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend


@pytest.fixture(params=Backend, ids=lambda backend: backend.value)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def run(backend: Backend) -> FakeTools:
    return FakeTools(plain=backend)


class TestFakeKernel(ProgrammingContract):
    pass


@cache
def holding_one_view() -> FakeKernel:
    tools = FakeTools()
    settle(Tables(tools, Backend.LEGACY, IPFamily), planner(BUSY), pytest.fail)
    return tools.kernel


@cache
def writes_needed() -> int:
    """How many writes lead to the other view."""
    tools = FakeTools(holding_one_view().copy())
    settle(Tables(tools, Backend.LEGACY, IPFamily), planner(OTHER), pytest.fail)
    return len(tools.writes)


def failing(failures: dict[int, Failure]) -> tuple[FakeTools, Tables]:
    tools = FakeTools(holding_one_view().copy(), failures)
    return tools, Tables(tools, Backend.LEGACY, IPFamily)


@pytest.mark.parametrize("failure", [Fails(), Lies()], ids=["fails", "lies"])
def test_a_write_that_does_nothing_is_done_again(failure: Failure) -> None:
    for write in range(writes_needed()):
        _, tables = failing({write: failure})
        pauses: list[float] = []
        made = settle(tables, planner(OTHER), pauses.append)
        assert pauses == [FIRST_PAUSE_S]
        assert len(made.failures) == 1
        check_holds(tables.read(), OTHER)


@pytest.mark.parametrize("lines", [1, 10_000])
def test_after_a_crash_at_any_write_the_next_process_finishes(lines: int) -> None:
    for write in range(writes_needed()):
        tools, tables = failing({write: Crashes(lines)})
        with pytest.raises(Crash):
            settle(tables, planner(OTHER), pytest.fail)
        tools.failures = {}
        following = Tables(tools, Backend.LEGACY, IPFamily)
        settle(following, planner(OTHER), pytest.fail)
        check_holds(following.read(), OTHER)


def test_a_kernel_that_keeps_refusing_is_given_up() -> None:
    _, tables = failing(dict.fromkeys(range(100), Fails("no memory")))
    pauses: list[float] = []
    with pytest.raises(KernelRefused, match="no memory"):
        settle(tables, planner(OTHER), pauses.append)
    assert pauses == [FIRST_PAUSE_S * 2**number for number in range(10)]
