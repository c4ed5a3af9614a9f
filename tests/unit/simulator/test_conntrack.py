"""Which state a packet is in, and why (spec: netfilter 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from tests.node_builder import node, packet, walk_packet
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.match import CtState, Direction
from tortie.simulator.session import Session
from tortie.simulator.trace import ConntrackStep, Verdict
from tortie.simulator.walk import Arrival, Node, walk

TRACKING = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -m conntrack --ctstate NEW"
A, B = "10.0.0.5", "10.1.0.9"


@pytest.fixture
def made() -> Node:
    return node(TRACKING)


def tracked(made: Node, session: Session | None, sent: Packet, device: str | None = "e0") -> ConntrackStep:
    """What tracking made of a packet where it first looked at it."""
    walked = walk(made, Arrival(sent, device), session)
    return next(step for step in walked.trace.steps if isinstance(step, ConntrackStep))


FIRST = {
    "a datagram": (packet("udp", f"{A}:1", f"{B}:2"), CtState.NEW),
    "an echo request": (packet("icmp", A, B), CtState.NEW),
    "an echo reply": (packet("icmp", A, B, icmp_type=0), CtState.INVALID),
    "an ICMP timestamp request": (packet("icmp", A, B, icmp_type=13), CtState.NEW),
    "a router advertisement": (packet("icmp", A, B, icmp_type=9), CtState.INVALID),
    "an unknown protocol": (packet("253", A, B), CtState.NEW),
    "a SYN with a wrong checksum": (packet("tcp", f"{A}:1", f"{B}:2", checksum_ok=False), CtState.INVALID),
    "a TCP header cut short": (packet("tcp", A, B, transport=bytes(10)), CtState.INVALID),
    "an ICMP error about nothing known": (
        packet("icmp", A, B, icmp_type=3, payload=format_packet(packet("udp", f"{B}:1", f"{A}:2"))),
        CtState.INVALID,
    ),
    "an SCTP packet that is no INIT": (packet("sctp", f"{A}:1", f"{B}:2", payload=b"\0\0\0\4"), CtState.INVALID),
    "an SCTP INIT": (packet("sctp", f"{A}:1", f"{B}:2", payload=b"\1\0\0\x14" + bytes(16)), CtState.NEW),
} | {
    f"V58: a first segment with {flags or 'no flag'}": (packet("tcp", f"{A}:1", f"{B}:2", flags), state)
    for flags, state in [
        ("S", CtState.NEW), ("SA", CtState.INVALID), ("A", CtState.NEW), ("PA", CtState.NEW), ("F", CtState.INVALID),
        ("FA", CtState.INVALID), ("R", CtState.INVALID), ("RA", CtState.INVALID), ("", CtState.INVALID),
        ("SF", CtState.INVALID),
    ]
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_the_state_of_a_first_packet(made: Node, name: str) -> None:
    sent, state = FIRST[name]
    assert tracked(made, None, sent).state is state


def test_a_first_ack_is_invalid_when_tracking_is_not_loose() -> None:
    """V59."""
    strict = node(TRACKING, sysctls={"net.netfilter.nf_conntrack_tcp_loose": "0"})
    assert tracked(strict, None, packet("tcp", f"{A}:1", f"{B}:2", "A")).state is CtState.INVALID


def test_a_wrong_checksum_is_tracked_when_checksums_are_not_looked_at() -> None:
    """V60."""
    trusting = node(TRACKING, sysctls={"net.netfilter.nf_conntrack_checksum": "0"})
    assert tracked(trusting, None, packet("tcp", f"{A}:1", f"{B}:2", checksum_ok=False)).state is CtState.NEW


def test_a_conversation(made: Node) -> None:
    """NEW until an answer was seen, then ESTABLISHED; assured once the handshake is complete."""
    session = made.session()
    there, back = packet("tcp", f"{A}:1", f"{B}:2"), packet("tcp", f"{B}:2", f"{A}:1", "SA")
    seen = [
        tracked(made, session, there),
        tracked(made, session, there),
        tracked(made, session, back, "e1"),
        tracked(made, session, structs.replace(there, tcp_flags=16)),
    ]
    assert [step.state for step in seen] == [CtState.NEW, CtState.NEW, CtState.ESTABLISHED, CtState.ESTABLISHED]
    assert [step.direction for step in seen[1:]] == [Direction.ORIGINAL, Direction.REPLY, Direction.ORIGINAL]
    assert [step.text for step in seen[1:]] == [
        "NEW: original direction of a known connection, TCP SYN_SENT, the SYN once more",
        "ESTABLISHED: reply direction of a known connection, TCP SYN_SENT to SYN_RECV",
        "ESTABLISHED: original direction of a known connection, TCP SYN_RECV to ESTABLISHED",
    ]
    (entry,) = (one.entry() for one in session.connections)
    assert (entry.state, entry.assured, entry.seen_reply) == ("ESTABLISHED", True, True)


def test_an_error_about_a_known_packet_is_related_and_no_answer(made: Node) -> None:
    session = made.session()
    there = packet("udp", f"{A}:1", f"{B}:2")
    tracked(made, session, there)
    error = packet("icmp", "10.1.0.254", A, icmp_type=11, payload=format_packet(there))
    seen = tracked(made, session, error, "e1")
    assert (seen.state, seen.direction) == (CtState.RELATED, Direction.REPLY)
    assert not session.connections[0].seen_reply


def test_an_error_sent_to_another_than_the_quoted_source_is_invalid(made: Node) -> None:
    """V61."""
    session = made.session()
    there = packet("udp", f"{A}:1", f"{B}:2")
    tracked(made, session, there)
    error = packet("icmp", "10.1.0.254", "10.0.0.6", icmp_type=3, icmp_code=3, payload=format_packet(there))
    assert tracked(made, session, error, "e1").state is CtState.INVALID


def test_a_dropped_first_packet_leaves_no_connection() -> None:
    """V06, spec 4.7."""
    made = node(TRACKING + "\n-A FORWARD -j DROP")
    session = made.session()
    walk(made, Arrival(packet("udp", f"{A}:1", f"{B}:2"), "e0"), session)
    assert session.connections == ()


def test_neighbour_discovery_is_never_tracked() -> None:
    made = node(TRACKING, TRACKING)
    sent = packet("ipv6-icmp", "fd00::5", "fd00::1", icmp_type=135, ttl=255)
    assert tracked(made, None, sent).state is CtState.UNTRACKED


def test_what_comes_back_by_lo_has_lost_its_zone() -> None:
    made = node("*raw\n:OUTPUT ACCEPT\n-A OUTPUT -p tcp --sport 2 -j CT --zone 5\n" + TRACKING)
    session = made.session()
    walk(made, Arrival(packet("tcp", "10.0.0.1:1", "10.2.0.1:2"), None), session)
    assert len(session.connections) == 1
    walk(made, Arrival(packet("tcp", "10.2.0.1:2", "10.0.0.1:1", "RA", tcp_ack=1), None), session)
    assert session.connections == ()


ZONES = "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -i e0 -j CT --zone 5\n" + TRACKING


def test_an_answer_outside_the_zone_of_its_connection_does_not_find_it() -> None:
    made = node(ZONES)
    session = made.session()
    walk(made, Arrival(packet("udp", f"{A}:1", f"{B}:2"), "e0"), session)
    (entry,) = (one.entry() for one in session.connections)
    assert (entry.zone_original, entry.zone_reply) == (5, 5)
    assert tracked(made, session, packet("udp", f"{B}:2", f"{A}:1"), "e1").state is CtState.NEW


def test_a_packet_not_tracked_by_order_is_untracked_although_its_connection_is_known() -> None:
    made = node("*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p udp -m mark --mark 0x1 -j CT --notrack\n" + TRACKING)
    session = made.session()
    sent = packet("udp", f"{A}:1", f"{B}:2")
    walk(made, Arrival(sent, "e0"), session)
    walked = walk(made, Arrival(sent, "e0", mark=1), session)
    step = next(step for step in walked.trace.steps if isinstance(step, ConntrackStep))
    assert step.state is CtState.UNTRACKED


@pytest.mark.parametrize("state", [CtState.ESTABLISHED, CtState.RELATED, CtState.INVALID, CtState.UNTRACKED, CtState.NEW])
def test_a_state_can_be_assumed(state: CtState) -> None:
    rules = f"*filter\n:FORWARD DROP\n-A FORWARD -m conntrack --ctstate {state.value} -j ACCEPT"
    made = node(rules)
    sent = packet("udp", f"{A}:1", f"{B}:2")
    assert walk_packet(made, sent, state=state).verdict is Verdict.ACCEPT
    other = CtState.NEW if state is not CtState.NEW else CtState.ESTABLISHED
    assert walk_packet(made, sent, state=other).verdict is Verdict.DROP


def test_without_a_table_of_connections_a_walk_says_what_it_took_for_granted() -> None:
    made = node(TRACKING)
    unknown = Node.from_snapshot(replace(made.snapshot, connections=None))
    said = walk_packet(unknown, packet("udp", f"{A}:1", f"{B}:2")).trace.assumptions
    assert any("first of its connection" in text for text in said)
    assert not walk_packet(made, packet("udp", f"{A}:1", f"{B}:2")).trace.assumptions
