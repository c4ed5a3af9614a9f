"""Routing decisions against the real kernel: random nodes, many questions by netlink, real packets for the rest.

The seeds are fixed; tests/hunt/test_route.py draws its own.
"""

from __future__ import annotations

import random

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
from tests.kernel.routing.routed_node import bare_node, listening_node
from tests.kernel.routing.topology import draw_plan, draw_question
from tortie.net.address import IPFamily

QUESTIONS, PACKETS = 250, 200


@pytest.mark.parametrize("seed", range(24))
def test_answers_are_those_of_the_kernel(seed: int) -> None:
    rng = random.Random(seed)
    with bare_node(draw_plan(rng)) as bare:
        wrong = []
        for _ in range(QUESTIONS):
            question = draw_question(rng, rng.choice(tuple(IPFamily)))
            answer = bare.asker.ask(question)
            found = disagreement(question, answer, decide(bare.routers[question.family], question))
            if found is not None:
                wrong.append(f"{question}: {found}")
    assert wrong == []


@pytest.mark.parametrize("seed", range(100, 108))
def test_arriving_packets_go_where_the_kernel_sends_them(seed: int) -> None:
    rng = random.Random(seed)
    with listening_node(draw_plan(rng)) as listening:
        listening.node.prepare(ASKING)
        wrong = {str(question): arrive(listening, question) for question in arrivals(rng, listening, PACKETS)}
    assert {question: found for question, found in wrong.items() if found is not None} == {}


@pytest.mark.parametrize("seed", range(200, 206))
def test_sent_packets_leave_where_the_kernel_sends_them(seed: int) -> None:
    rng = random.Random(seed)
    with listening_node(draw_plan(rng)) as listening:
        listening.node.prepare(TRACED)
        wrong = {str(question): send(listening, question) for question in sendings(rng, listening, PACKETS)}
    assert {question: found for question, found in wrong.items() if found is not None} == {}


@pytest.mark.parametrize("seed", range(400, 406))
def test_marked_packets_are_routed_again_as_the_kernel_does(seed: int) -> None:
    rng = random.Random(seed)
    with listening_node(draw_plan(rng)) as listening:
        listening.node.prepare(MARKING)
        wrong = {str(question): send_marked(listening, question) for question in sendings(rng, listening, PACKETS)}
    assert {question: found for question, found in wrong.items() if found is not None} == {}


@pytest.mark.parametrize("seed", range(300, 308))
def test_masquerade_and_redirect_take_the_kernels_addresses(seed: int) -> None:
    rng = random.Random(seed)
    with listening_node(draw_plan(rng)) as listening:
        listening.node.prepare(TRANSLATING)
        wrong = {str(question): translate(listening, question) for question in translations(rng, listening, PACKETS)}
    assert {question: found for question, found in wrong.items() if found is not None} == {}
