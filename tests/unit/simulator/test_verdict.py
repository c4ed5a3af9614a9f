"""Targets that work out their own end."""

from __future__ import annotations

import pytest

from tests.node_builder import left_as, node, packet, walk_packet
from tortie.simulator.trace import RuleStep, Trace, Verdict

UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:2")
NAT = "*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"


def effects(trace: Trace) -> list[str]:
    return [step.effect for step in trace.steps if isinstance(step, RuleStep) and step.matched]


EFFECTS = {
    "SNAT": (NAT + "-A POSTROUTING -j SNAT --to-source 10.1.0.77", "source becomes 10.1.0.77:1"),
    "DNAT with a port": (
        NAT + "-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.77:99", "destination becomes 10.1.0.77:99",
    ),
    "MASQUERADE": (NAT + "-A POSTROUTING -j MASQUERADE", "source becomes 10.1.0.1:1"),
    "MASQUERADE at random": (
        NAT + "-A POSTROUTING -p udp -j MASQUERADE --random", "source becomes 10.1.0.1, port random in 1-511",
    ),
    "REDIRECT": (NAT + "-A PREROUTING -p udp -j REDIRECT --to-ports 53", "destination becomes 10.0.0.1:53"),
    "NETMAP": (NAT + "-A PREROUTING -j NETMAP --to 10.2.0.0/24", "destination becomes 10.2.0.9:2"),
    "REJECT": ("*filter\n:FORWARD ACCEPT\n-A FORWARD -j REJECT", "rejects with icmp-port-unreachable"),
    "TEE": ("*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -j TEE --gateway 10.2.0.7", "copies to 10.2.0.7"),
}  # fmt: skip


@pytest.mark.parametrize("name", EFFECTS)
def test_what_a_target_says_it_did(name: str) -> None:
    rules, expected = EFFECTS[name]
    assert effects(walk_packet(node(rules), UDP).trace) == [expected]


def test_redirect_goes_to_the_first_address_of_the_device_whatever_its_scope() -> None:
    """V50."""
    made = node(NAT + "-A PREROUTING -p udp -j REDIRECT", links="e2 169.254.9.9/16 10.2.0.1/24; e1 10.1.0.1/24")
    trace = walk_packet(made, packet("udp", "10.2.0.5:1", "10.1.0.9:2"), "e2").trace
    assert effects(trace) == ["destination becomes 169.254.9.9:2"]


def test_redirect_without_an_address_drops() -> None:
    """V51."""
    made = node(NAT + "-A PREROUTING -p udp -j REDIRECT", links="e0; e1 10.1.0.1/24")
    assert walk_packet(made, UDP).verdict is Verdict.DROP


def test_masquerade_takes_the_address_that_reaches_the_next_hop() -> None:
    """V47."""
    made = node(
        NAT + "-A POSTROUTING -j MASQUERADE",
        links="e0 10.0.0.1/24; e1 10.1.0.1/24 10.9.0.1/24",
        routes="80.0.0.0/8 via 10.9.0.254 dev e1; 81.0.0.0/8 via 10.1.0.254 dev e1",
    )
    for there, source in (("80.1.1.1", "10.9.0.1"), ("81.1.1.1", "10.1.0.1")):
        assert left_as(walk_packet(made, packet("udp", "10.0.0.5:1", f"{there}:2")).trace) == f"e1 {source}:1>{there}:2"


QUEUES = {
    "V14: with bypass the rest of the table is skipped": (
        "*filter\n:FORWARD ACCEPT\n-A FORWARD -j NFQUEUE --queue-bypass\n-A FORWARD -j DROP", ["accept", "drop"],
    ),
    "V15: without, nobody listening drops": ("*filter\n:FORWARD ACCEPT\n-A FORWARD -j NFQUEUE", ["accept", "drop"]),
}  # fmt: skip


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_leaves_both_ends_open(name: str) -> None:
    rules, options = QUEUES[name]
    walked = walk_packet(node(rules), UDP)
    assert walked.verdict is Verdict.UNKNOWN
    assert [one.conditions[0].option for one in walked.outcomes] == options
    assert [one.verdict for one in walked.outcomes] == [Verdict.ACCEPT, Verdict.DROP]
    assert ("nobody listens" in walked.outcomes[0].conditions[0].text) is ("bypass" in rules)


def test_tproxy_drops_where_nobody_listens_and_else_marks_and_accepts() -> None:
    rules = "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -p udp -j TPROXY --on-port 99 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1"
    there, gone = walk_packet(node(rules), UDP).outcomes
    assert there.out is not None
    assert (there.verdict, there.out.mark, gone.verdict) == (Verdict.ACCEPT, 1, Verdict.DROP)
