"""A packet and its answer."""

from __future__ import annotations

import pytest

from tests.reference_builder import INTERFACES, WORLD, flow, global_policy, host, policy, profile, read, workload
from tortie.reference.conversation import decide_conversation
from tortie.reference.decision import Verdict
from tortie.reference.flow import Flow

ETH0 = host("h", "interfaceName: eth0, profiles: [open]") + profile("open")
UNTRACKED = "selector: host == 'eth', applyOnForward: true, doNotTrack: true"
TO_HOST = flow("tcp 10.0.0.1:1000 > 10.20.0.1:80", "eth0", None)
TO_WEB = flow("tcp 10.0.0.1:1000 > 10.65.0.2:80", "eth0", "cali1")
WEB = "WorkloadEndpoint(a/node--1-k8s-web-eth0)"


@pytest.mark.parametrize(
    ("more", "packet", "answer"),
    [
        pytest.param("", TO_WEB, f"allowed: egress of {WEB}: it belongs to a known connection", id="known"),
        pytest.param(
            policy("p", "a", "{types: [Egress]}"),
            TO_WEB,
            f"allowed: egress of {WEB}: it belongs to a known connection",
            id="known, whatever policy says",
        ),
        pytest.param(
            ETH0 + global_policy("p", f"{{{UNTRACKED}, egress: [{{action: Deny}}]}}"),
            TO_HOST,
            "denied: egress of HostEndpoint(h) (untracked policy): rule 1 of GlobalNetworkPolicy(p) denies it",
            id="untracked policy sees answers too",
        ),
        pytest.param(
            ETH0 + global_policy("p", f"{{{UNTRACKED}, ingress: [{{action: Allow}}]}}"),
            TO_HOST,
            "denied: egress of HostEndpoint(h): it belongs to no connection and cannot begin one",
            id="allowed untracked, and nothing allows the answer",
        ),
        pytest.param(
            ETH0 + global_policy("p", f"{{{UNTRACKED}, ingress: [{{action: Allow}}], egress: [{{action: Allow}}]}}"),
            TO_HOST,
            "allowed: egress of HostEndpoint(h) (untracked policy): rule 1 of GlobalNetworkPolicy(p) allows it",
            id="both untracked",
        ),
        pytest.param(
            host("h", "interfaceName: lo, profiles: [open]")
            + profile("open")
            + global_policy("p", f"{{{UNTRACKED}, ingress: [{{action: Allow}}]}}"),
            flow("tcp 10.20.0.1:1000 > 10.30.0.1:80", None, "lo"),
            "allowed: egress of HostEndpoint(h): it belongs to a known connection; "
            "ingress of HostEndpoint(h) (untracked policy): rule 1 of GlobalNetworkPolicy(p) allows it",
            id="what the node says to itself is tracked before it is let back in",
        ),
        pytest.param(
            policy("p", "a", "{ingress: [{action: Deny}]}"),
            flow("tcp 10.20.0.1:1000 > 10.65.0.2:80", None, "cali1"),
            f"allowed: egress of {WEB}: it belongs to a known connection",
            id="the node asks its workload",
        ),
    ],
)
def test_answers(more: str, packet: Flow, answer: str) -> None:
    found = decide_conversation(read(WORLD, more), "node-1", packet, interfaces=INTERFACES)
    assert found.first.verdict is Verdict.ALLOWED
    assert str(found.answer) == answer
    assert found.answer is not None and found.verdict is found.answer.verdict


def test_what_does_not_get_through_has_no_answer() -> None:
    found = decide_conversation(read(WORLD, policy("p", "a", "{}")), "node-1", TO_WEB, interfaces=INTERFACES)
    assert found.answer is None
    assert found.verdict is Verdict.DENIED


def test_the_answer_of_a_workload_behind_a_floating_address() -> None:
    made = workload("nat", "a", "cali5", "10.65.0.5", more="ipNATs: [{internalIP: 10.65.0.5, externalIP: 10.7.0.1}]")
    packet = flow("tcp 10.0.0.1:1000 > 10.7.0.1:80", "eth0", "cali5")
    found = decide_conversation(read(WORLD, made), "node-1", packet, interfaces=INTERFACES)
    assert str(found.answer) == (
        "allowed: egress of WorkloadEndpoint(a/node--1-k8s-nat-eth0): it belongs to a known connection"
    )
