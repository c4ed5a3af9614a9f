"""A long search for routing questions that the simulator answers otherwise than the kernel: new nodes in every run.

A disagreement names its seed; `SEED` below, or tests/kernel/test_route.py, repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from tests.kernel.routing.compare import decide, disagreement
from tests.kernel.routing.packet import (
    ASKING,
    MARKING,
    TRACED,
    TRANSLATING,
    arrivals,
    arrive,
    send,
    send_marked,
    sendings,
    translate,
    translations,
)
from tests.kernel.routing.question import Question
from tests.kernel.routing.routed_node import Listening, bare_node, listening_node
from tests.kernel.routing.topology import draw_plan, draw_question
from tests.requirement import missing_for_kernel
from tortie.net.address import IPFamily

pytestmark = [
    pytest.mark.skipif(missing_for_kernel() is not None, reason=str(missing_for_kernel())),
    pytest.mark.timeout(1800),
]

NODES, QUESTIONS, PACKETS = 400, 1000, 400
SEED: int | None = None
"""Set to the seed of a disagreement to see it again, alone."""


def _seeds(count: int) -> Iterable[int]:
    return [SEED] if SEED is not None else [random.SystemRandom().randrange(1 << 48) for _ in range(count)]


def test_answers_by_netlink() -> None:
    for seed in _seeds(NODES):
        rng = random.Random(seed)
        with bare_node(draw_plan(rng)) as bare:
            for _ in range(QUESTIONS):
                question = draw_question(rng, rng.choice(tuple(IPFamily)))
                answer = bare.asker.ask(question)
                found = disagreement(question, answer, decide(bare.routers[question.family], question))
                assert found is None, f"seed {seed}, {question}: {found}"


Draw = Callable[[random.Random, Listening, int], Iterable[Question]]
Judge = Callable[[Listening, Question], str | None]


@pytest.mark.parametrize(
    ("rules", "draw", "judge"),
    [
        pytest.param(ASKING, arrivals, arrive, id="arriving"),
        pytest.param(TRACED, sendings, send, id="sent"),
        pytest.param(MARKING, sendings, send_marked, id="routed again"),
        pytest.param(TRANSLATING, translations, translate, id="translated"),
    ],
)
def test_real_packets(rules: dict[IPFamily, str], draw: Draw, judge: Judge) -> None:
    for seed in _seeds(NODES // 4):
        rng = random.Random(seed)
        with listening_node(draw_plan(rng)) as listening:
            listening.node.prepare(rules)
            for question in draw(rng, listening, PACKETS):
                found = judge(listening, question)
                assert found is None, f"seed {seed}, {question}: {found}"
