"""The oracle itself: what it reads from traces is what the kernel counted, and both back-ends tell the same story."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import cache

import pytest

from tests.kernel.generate.scenario import draw_scenario
from tests.kernel.generate.shaped_rules import draw_shaped_scenario
from tests.kernel.oracle.device import CannotBind
from tests.kernel.oracle.node import KernelNode
from tests.kernel.oracle.outcome import Outcome, StepKind
from tests.kernel.recipe import Memory, make, read_packet
from tests.kernel.scenario import Scenario
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend

Rule = tuple[int, str, str, int]
"""Family, table, chain and number of a rule."""


def run(scenario: Scenario) -> tuple[KernelNode, list[Outcome]]:
    """Lets the kernel answer all packets of a scenario; the node is still there, to be asked more and closed."""
    node = KernelNode(scenario.topology, scenario.backend)
    memory, outcomes = Memory(), []
    try:
        node.prepare(scenario.rules, scenario.ip_sets, scenario.sysctls)
        for shot in scenario.shots:
            given = make(shot.recipe, memory)
            if given is None:
                continue
            with suppress(CannotBind):
                outcomes.append(node.inject(given))
                memory.keep(shot.key, given, outcomes[-1])
    except BaseException:
        node.close()
        raise
    return node, outcomes


def counted(node: KernelNode) -> Counter[Rule]:
    """How often each rule matched, by its own counter."""
    found: Counter[Rule] = Counter()
    for family in IPFamily:
        table, numbers = "", Counter[str]()
        for line in node.save(family, node.backend, counters=True).splitlines():
            if line.startswith("*"):
                table, numbers = line[1:], Counter()
            elif line.startswith("["):
                counter, _, rule = line.partition(" ")
                chain = rule.split()[1]
                numbers[chain] += 1
                found[family.value, table, chain, numbers[chain]] = int(counter[1:].partition(":")[0])
    return +found


def seen(outcomes: list[Outcome], backend: Backend) -> Counter[Rule]:
    """How often each rule matched, by the traces of all packets."""
    return Counter(
        (step.family.value, step.table, step.chain, step.number)
        for outcome in outcomes
        for walk in outcome.walks
        for step in walk.steps
        if step.kind is StepKind.RULE and step.backend is backend
    )


@pytest.mark.parametrize("seed", range(1000, 1024))
def test_traces_and_counters_agree(seed: int) -> None:
    """The counters of IPv6 also hold what the node says by itself, such as multicast listener reports."""
    scenario = (draw_scenario, draw_shaped_scenario)[seed % 2](seed)
    node, outcomes = run(scenario)
    try:
        traced, counters = seen(outcomes, scenario.backend), counted(node)
    finally:
        node.close()
    assert traced - counters == Counter()
    assert [rule for rule in counters - traced if rule[0] == IPFamily.V4.value] == []


def story(outcome: Outcome) -> tuple[object, ...]:
    """What both back-ends must tell of a packet alike: rules, marks, devices, addresses, the sender's error."""
    steps = [
        (walk.kind, step.hook, step.table, step.chain, step.number, step.kind)
        for walk in outcome.walks
        for step in walk.steps
        if step.kind is not StepKind.RETURN and step.table != "raw"
    ]
    left = [
        (departure.iface, departure.origin, sent.src, sent.dst, sent.ttl, sent.tos)
        for departure in outcome.departures
        if (sent := read_packet(departure.data)) is not None
    ]
    return steps, left, len(outcome.delivered), outcome.errno


def _leaves_to_chance(scenario: Scenario) -> bool:
    return any("--mode random" in text for text in scenario.rules.values())


@cache
def certain() -> list[Scenario]:
    """Drawn when the first is asked for, not when tests are collected."""
    return [one for one in map(draw_shaped_scenario, range(60)) if not _leaves_to_chance(one)][:24]


@pytest.mark.parametrize("number", range(24))
def test_both_back_ends_tell_the_same_story(number: int) -> None:
    told = []
    for backend in Backend:
        node, outcomes = run(replace(certain()[number], backend=backend))
        node.close()
        told.append([story(outcome) for outcome in outcomes])
    assert told[0] == told[1]
