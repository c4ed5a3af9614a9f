"""Conversations: the first packet, the answer, and the next one."""

from __future__ import annotations

import pytest

from tests.node_builder import left_as, node, packet
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.flow import Flow, answer_packet, walk_flow
from tortie.simulator.walk import Arrival, Node

SYN = packet("tcp", "10.0.0.5:1", "10.1.0.9:80", tcp_seq=100)
UDP = packet("udp", "10.0.0.5:1", "10.1.0.9:53", payload=b"x")


def flow(rules: str, sent: Packet = SYN, device: str | None = "e0") -> Flow:
    return walk_flow(node(rules), Arrival(sent, device))


NEW_ONLY = "*filter\n:FORWARD DROP\n-A FORWARD -i e0 -j ACCEPT"
STATEFUL = NEW_ONLY + "\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"

WORKS = {
    "both directions": (STATEFUL, True, "both directions get through", 3),
    "no way back": (NEW_ONLY, False, "the answer does not get through", 2),
    "no way there": ("*filter\n:FORWARD DROP", False, "the first packet does not get through", 1),
    "nobody knows": (
        "*filter\n:FORWARD DROP\n-A FORWARD -m nosuchmatch -j ACCEPT", None, "what becomes of the first packet", 1,
    ),
    "chance": (
        "*filter\n:FORWARD DROP\n-A FORWARD -m statistic --mode random --probability 0.5 -j ACCEPT",
        None, "depends on chance", 1,
    ),
    "the next packet only": (
        STATEFUL.replace(
            "-A FORWARD -i e0", "-A FORWARD -i e0 -m conntrack --ctstate ESTABLISHED -j DROP\n-A FORWARD -i e0"
        ),
        False, "the next packet does not get through", 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS)
def test_whether_a_conversation_works(name: str) -> None:
    rules, works, text, packets = WORKS[name]
    made = flow(rules)
    assert (made.works, text in made.text) == (works, True), made.text
    assert sum(one is not None for one in (made.first, made.reply, made.again)) == packets


TWO_BACKENDS = (
    "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n"
    "-A PREROUTING -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.1.0.9\n"
    "-A PREROUTING -p tcp -j DNAT --to-destination 10.2.0.9\nCOMMIT\n"
)


@pytest.mark.parametrize(
    ("refused", "works", "text"),
    [
        ("10.9.9.9", True, "both directions get through (after each of the 2 outcomes)"),
        ("10.2.0.9", None, "outcomes differ; after outcome 2 the answer does not get through"),
        ("10.1.0.9", None, "outcomes differ; after outcome 1 the answer does not get through"),
        ("10.0.0.0/8", False, "the answer does not get through (after each of the 2 outcomes)"),
    ],
)
def test_every_outcome_is_followed(refused: str, works: bool | None, text: str) -> None:
    reply = f"-A FORWARD -m conntrack --ctdir REPLY -s {refused} -j DROP\n"
    made = flow(TWO_BACKENDS + f"*filter\n:FORWARD ACCEPT\n{reply}COMMIT\n", packet("tcp", "10.0.0.5:1", "10.3.0.7:80"))
    assert (made.works, made.text) == (works, text)


def test_an_answer_by_a_device_that_is_not_known_is_in_doubt_where_a_rule_asks_for_it() -> None:
    text = "*filter\n:FORWARD DROP\n-A FORWARD -i e0 -j ACCEPT\n-A FORWARD -i e1 -p tcp -j ACCEPT\nCOMMIT\n"
    snapshot = Snapshot("rules only", (parse_save(text, IPFamily.V4).ruleset,))
    made = walk_flow(Node.from_snapshot(snapshot), Arrival(SYN, "e0"), assume={"route": "forward"})
    assert made.first.trace.out is not None and made.first.trace.out.iface == ""
    assert made.reply is not None
    assert [condition.text for condition in made.reply.trace.conditions if not condition.assumed] == [
        "the input interface is e0"
    ]
    assert (made.works, made.text) == (None, "what becomes of the answer is not known")


def test_the_answer_comes_back_to_what_really_left() -> None:
    made = flow("*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE")
    assert made.reply is not None
    assert str(made.reply.trace.packet).startswith("tcp 10.1.0.9:80 > 10.1.0.1:1 SYN+ACK")
    assert left_as(made.reply.trace) == "e0 10.1.0.9:80>10.0.0.5:1"


def test_the_node_answers_what_is_delivered_to_it() -> None:
    made = flow("*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT", packet("tcp", "10.0.0.5:1", "10.0.0.1:22"))
    assert made.reply is not None
    assert (made.reply.trace.in_iface, left_as(made.reply.trace)) == (None, "e0 10.0.0.1:22>10.0.0.5:1")


def test_a_packet_of_the_node_is_answered_from_outside() -> None:
    made = flow("*filter\n:INPUT ACCEPT", packet("udp", "10.0.0.1:1", "10.0.0.9:53"), None)
    assert made.works is True
    assert made.reply is not None
    assert made.reply.trace.in_iface == "e0"


ANSWERS = {
    "a SYN": (SYN, "tcp 10.1.0.9:80 > 10.0.0.5:1 SYN+ACK ttl 64"),
    "a segment": (packet("tcp", "10.0.0.5:1", "10.1.0.9:80", "A"), "tcp 10.1.0.9:80 > 10.0.0.5:1 ACK ttl 64"),
    "a datagram": (UDP, "udp 10.1.0.9:53 > 10.0.0.5:1 ttl 64"),
    "an echo request": (packet("icmp", "10.0.0.5", "10.1.0.9"), "icmp 10.1.0.9 > 10.0.0.5 type 0 code 0 ttl 64"),
    "an echo request of IPv6": (
        packet("icmp", "fd00::5", "fd00:1::9"), "ipv6-icmp fd00:1::9 > fd00::5 type 129 code 0 ttl 64",
    ),
    "an ICMP error": (packet("icmp", "10.0.0.5", "10.1.0.9", icmp_type=3), None),
    "an unknown protocol": (packet("ospf", "10.0.0.5", "10.1.0.9"), "ospf 10.1.0.9 > 10.0.0.5 ttl 64"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_what_the_other_side_answers(name: str) -> None:
    sent, expected = ANSWERS[name]
    answer = answer_packet(sent)
    assert (str(answer) if answer is not None else None) == expected


def test_an_answer_acknowledges_what_was_sent() -> None:
    answer = answer_packet(SYN)
    assert answer is not None
    assert answer.tcp_ack == 101
