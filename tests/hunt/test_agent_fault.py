"""The agent killed, and kept from the kernel, for longer than a test of every day can last.

The short forms are in tests/kernel/test_agent.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.agent_node import PROFILE, AgentNode, allow_from, workload
from tests.kernel.conversation import kill_again_and_again
from tests.kernel.lock import locked_tables
from tests.requirement import missing_for_kernel

pytestmark = [
    pytest.mark.skipif(missing_for_kernel() is not None, reason=str(missing_for_kernel())),
    pytest.mark.timeout(1800),
]
ROUNDS = 100
HELD_S = 150
"""Longer than tools wait for the lock (ten seconds), than they are waited for, and than ten tries in a row last."""


@pytest.fixture
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AgentNode]:
    made = AgentNode(tmp_path, request.param)
    try:
        pods = {"a": 2, "b": 3, "c": 4}
        for name, number in pods.items():
            made.add_pod(name, number)
        made.write("cluster.yaml", PROFILE, *(workload(name, number) for name, number in pods.items()))
        made.write("policy.yaml", allow_from("p", "a", "b", 7000))
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("node", ["legacy", "nft"], indirect=True)
def test_killed_a_hundred_times(node: AgentNode) -> None:
    kill_again_and_again(node, random.Random(), ROUNDS)


@pytest.mark.parametrize("node", ["legacy"], indirect=True)
def test_a_lock_held_for_minutes(node: AgentNode) -> None:
    node.environment |= {"FELIX_HEALTHENABLED": "true", "FELIX_REPORTINGINTERVALSECS": "1"}
    node.start()
    node.until(node.is_ready)

    def holds(port: int) -> bool:
        jumps = [rule.split()[-1] for rule in node.rules("cali-tw-cali3") if "-j cali-pi-" in rule]
        return any(str(port) in rule for jump in jumps for rule in node.rules(jump))

    with locked_tables(node):
        node.write("policy.yaml", allow_from("p", "a", "b", 7001))
        end = time.monotonic() + HELD_S
        while time.monotonic() < end:
            assert node.health("liveness") == 204
            time.sleep(1)
        assert any("lock" in problem for problem in node.status()["problems"])
        node.write("policy.yaml", allow_from("p", "a", "b", 7002))
    assert node.until(lambda: holds(7002), 60) < 15
    node.until(lambda: not node.status()["problems"], 20)
    assert node.health("readiness") == 204
    assert node.log.read_text().count("not programmed") <= 4
