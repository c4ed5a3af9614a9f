"""A long search for tests, sets and targets that the simulator carries out otherwise than the kernel; always new ones.

A disagreement names its seed; `Drawn` with that seed repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.kernel.drawn_case import Pool
from tests.kernel.test_drawn_matches import Drawn
from tests.requirement import missing_for_kernel
from tortie.net.address import IPFamily

pytestmark = pytest.mark.skipif(missing_for_kernel() is not None, reason=str(missing_for_kernel()))

CASES, POOLS = 2000, 10


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    made = Drawn()
    yield made
    made.close()


def _seeds(count: int) -> list[int]:
    return [random.SystemRandom().randrange(1 << 48) for _ in range(count)]


def test_sets(drawn: Drawn) -> None:
    for seed in _seeds(CASES):
        found = drawn.judge_sets(seed)
        assert found is None, f"seed {seed}: {found}"


@pytest.mark.parametrize("family", IPFamily, ids=lambda family: family.name)
def test_matches(drawn: Drawn, family: IPFamily) -> None:
    for start in _seeds(POOLS):
        pool = Pool(family, start, 1000)
        for seed in _seeds(CASES // POOLS):
            found = drawn.judge_matches(pool, seed)
            assert found is None, f"pool {start}, seed {seed}: {found}"
