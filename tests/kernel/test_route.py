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
from tests.kernel.routing.read import read_snapshot
from tests.kernel.routing.routed_node import bare_node, listening_node
from tests.kernel.routing.topology import Plan, draw_plan, draw_question
from tests.kernel.scenario import Given
from tortie.net.address import IPFamily, parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import UDP
from tortie.net.wire import format_packet
from tortie.simulator.route import Router

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


def test_a_device_without_ipv6_refuses_before_any_table() -> None:
    plan = Plan(
        ("link set lo up", "link set e0 up"),
        ((IPFamily.V6, "addr add fd00::1/64 dev e0 nodad"),),
        (("net/ipv6/conf/all/forwarding", "1"),),
        (),
        frozenset(),
    )
    packet = Packet(IPFamily.V6, parse_address("fd00::5").value, parse_address("fd00::1").value, UDP, 1, 2)
    with listening_node(plan) as listening:
        listening.node.prepare(TRACED)
        assert listening.node.inject(Given(format_packet(packet), "e0")).own.steps
        listening.node.namespace.write_sysctls([("net/ipv6/conf/e0/disable_ipv6", "1")])
        outcome = listening.node.inject(Given(format_packet(packet), "e0"))
        made = Router(read_snapshot(listening.node.namespace), IPFamily.V6)
    refused = made.refuse_arrival(packet, "e0")
    assert refused is not None and refused.drop_reason is not None
    assert not outcome.own.steps and len(outcome.drops) == 1 and outcome.dropped_for(refused.drop_reason)


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
