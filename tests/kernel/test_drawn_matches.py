"""Rules, sets and packets drawn at random, asked of the real kernel by its counters; always the same ones here.

`make hunt` draws new ones (tests/hunt/test_match.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from tests.cases.match_case import Case, Result, simulate
from tests.kernel.drawn_case import Pool, draw_set_case, drops_after_counting
from tests.kernel.oracle.namespace import ToolFailed
from tests.kernel.oracle.node import KernelNode, Refused
from tests.kernel.test_matches import ask, node_of
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend

SET_CASES, MATCH_CASES, POOL = 30, 12, 100


class Drawn:
    """A node of each back-end; counts what was asked, so that a run that asked nothing shows."""

    def __init__(self) -> None:
        self._nodes = {backend: node_of(backend) for backend in Backend}
        self.packets = 0

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def judge_sets(self, seed: int) -> str | None:
        """Asks both about one drawn case on sets; a disagreement in words."""
        rng = Random(seed)
        node = self._nodes[rng.choice(list(Backend))]

        def read_sets(text: str) -> str | None:
            try:
                node.run("ipset", "restore", text=text)
                return node.run("ipset", "save")
            except ToolFailed:
                return None
            finally:
                node.clear()

        case = draw_set_case(rng, read_sets)
        return self._disagreement(node, case) if case is not None else None

    def judge_matches(self, pool: Pool, seed: int) -> str | None:
        """Asks both about one drawn case of tests on packets alone; a disagreement in words."""
        rng = Random(seed)
        node = self._nodes[rng.choice(list(Backend))]
        return self._disagreement(node, pool.case(rng))

    def _disagreement(self, node: KernelNode, case: Case) -> str | None:
        try:
            kernel = ask(node, case)
        except Refused:
            case = replace(case, rules=tuple(rule for rule in case.rules if _is_accepted(node, case, rule)))
            kernel = ask(node, case)
        self.packets += len(kernel)
        for number, (ours, theirs) in enumerate(zip(simulate(case, node.backend), kernel, strict=True)):
            if not _agree(case, node.backend, ours, theirs):
                rules = "\n".join(f"{place} {rule}" for place, rule in enumerate(case.rules, 1))
                hits = f"kernel {theirs.hits}, simulator {ours.hits}"
                return f"{node.backend.value}, packet {number} {case.shots[number][1]}: {hits}\n{rules}\n{case.sets}"
        return None


def _is_accepted(node: KernelNode, case: Case, rule: str) -> bool:
    try:
        ask(node, replace(case, rules=(rule,), packets=()))
    except Refused:
        return False
    return True


def _agree(case: Case, backend: Backend, ours: Result, theirs: Result) -> bool:
    if (ours.out is None) is not (theirs.out is None):
        return False
    hits = theirs.hits
    if theirs.out is None and hits != ours.hits and hits and drops_after_counting(case, backend, hits[-1]):
        hits = hits[:-1]
    return hits == ours.hits


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    made = Drawn()
    yield made
    made.close()


def test_drawn_sets(drawn: Drawn) -> None:
    for seed in range(SET_CASES):
        assert drawn.judge_sets(seed) is None
    assert drawn.packets > SET_CASES * 10


@pytest.mark.parametrize("family", IPFamily, ids=lambda family: family.name)
def test_drawn_matches(drawn: Drawn, family: IPFamily) -> None:
    pool = Pool(family, 1, POOL)
    for seed in range(MATCH_CASES):
        assert drawn.judge_matches(pool, seed) is None
    assert drawn.packets == MATCH_CASES * 12
