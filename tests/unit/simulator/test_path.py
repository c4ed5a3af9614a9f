"""A packet's way around the hooks: forwarded, delivered, sent, looped (spec: netfilter 2)."""

from __future__ import annotations

import pytest

from tests.node_builder import hits, left_as, node, packet, walk_packet
from tortie.net.address import parse_prefix
from tortie.net.node import InterfaceAddress, Link
from tortie.net.wire import parse_packet
from tortie.simulator.skb import Socket
from tortie.simulator.trace import Cause, Disposition, Verdict

A, B = "10.0.0.5", "10.1.0.9"
MANGLE = "*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"


def test_a_forwarded_packet_is_one_hop_older_in_forward() -> None:
    rules = "*filter\n:FORWARD DROP\n-A FORWARD -m ttl --ttl-eq 63 -j ACCEPT"
    trace = walk_packet(node(rules), packet("udp", f"{A}:1", f"{B}:2")).trace
    assert (trace.disposition, left_as(trace)) == (Disposition.FORWARDED, "e1 10.0.0.5:1>10.1.0.9:2")
    assert trace.out is not None
    assert trace.out.packet.ttl == 63


HOPS = {
    "V16: a hop limit raised in PREROUTING counts": ("-A PREROUTING -j TTL --ttl-inc 5", 1, 5),
    "V17: one lowered in FORWARD does not": ("-A FORWARD -j TTL --ttl-dec 100", 64, 0),
}


@pytest.mark.parametrize("name", HOPS)
def test_hop_limits(name: str) -> None:
    rules, ttl, left = HOPS[name]
    out = walk_packet(node(MANGLE + rules), packet("udp", f"{A}:1", f"{B}:2", ttl=ttl)).trace.out
    assert out is not None
    assert out.packet.ttl == left


def test_the_last_hop_is_answered_with_time_exceeded() -> None:
    """V18."""
    trace = walk_packet(node(MANGLE), packet("udp", f"{A}:1", f"{B}:2", ttl=1)).trace
    assert hits(trace) == ["mangle:PREROUTING:P1"]
    assert (trace.verdict, trace.decided_by.cause) == (Verdict.DROP, Cause.HEADER)
    (answer,) = trace.answers
    assert left_as(answer) == "e0 10.0.0.1>10.0.0.5"
    assert (answer.packet.icmp_type, answer.packet.icmp_code) == (11, 0)
    assert parse_packet(answer.packet.payload).ttl == 1


SMALL = (Link("t0", 9, mtu=1000, addresses=(InterfaceAddress(parse_prefix("10.9.0.1/24")),)),)


def test_a_packet_too_big_for_the_way_is_answered_or_leaves_in_fragments() -> None:
    made = node(extra_links=SMALL)
    big = packet("udp", f"{A}:1", "10.9.0.9:2", payload=bytes(1200), dont_fragment=True)
    trace = walk_packet(made, big).trace
    assert trace.verdict is Verdict.DROP
    answer = trace.answers[0].packet
    assert (answer.icmp_type, answer.icmp_code, answer.icmp_rest) == (3, 4, 1000)
    cut = walk_packet(made, packet("udp", f"{A}:1", "10.9.0.9:2", payload=bytes(1200)))
    assert cut.verdict is Verdict.ACCEPT


FRAMES = {"broadcast": Verdict.DROP, "multicast": Verdict.DROP, "otherhost": Verdict.DROP, "unicast": Verdict.ACCEPT}


@pytest.mark.parametrize("frame", FRAMES)
def test_only_frames_for_this_node_are_forwarded(frame: str) -> None:
    sent = packet("udp", f"{A}:1", f"{B}:2")
    assert walk_packet(node(), sent, frame_type=frame).verdict is FRAMES[frame]


def test_a_packet_for_the_node_is_delivered_in_input() -> None:
    trace = walk_packet(node(MANGLE), packet("udp", f"{A}:1", "10.2.0.1:2")).trace
    assert (trace.disposition, hits(trace)) == (Disposition.DELIVERED, ["mangle:PREROUTING:P1", "mangle:INPUT:P1"])
    assert trace.out is not None
    assert trace.out.iface == "e0"


def test_a_mark_survives_the_way_over_loopback_and_the_packet_is_not_routed_again() -> None:
    """Spec 2.6."""
    rules = MANGLE + "-A OUTPUT -j MARK --set-mark 5\n-A INPUT -i lo -m mark --mark 5"
    trace = walk_packet(node(rules), packet("udp", "10.0.0.1:1", "10.1.0.1:2"), None).trace
    assert trace.disposition is Disposition.DELIVERED
    assert "mangle:INPUT:1" in hits(trace)


def test_a_drop_in_output_fails_the_send() -> None:
    trace = walk_packet(node("*filter\n:OUTPUT DROP"), packet("udp", "10.0.0.1:1", f"{B}:2"), None).trace
    assert (trace.disposition, trace.errno) == (Disposition.DROPPED, "EPERM")


def test_without_a_route_no_table_sees_a_local_packet() -> None:
    trace = walk_packet(node(MANGLE), packet("udp", "10.0.0.1:1", "8.8.8.8:2"), None).trace
    assert (hits(trace), trace.errno, trace.decided_by.cause) == ([], "ENETUNREACH", Cause.ROUTE)


def test_a_broadcast_is_heard_by_the_node_itself() -> None:
    """V77, for a broadcast: POSTROUTING, a copy comes back in by the device, POSTROUTING again."""
    sent = packet("udp", "10.0.0.1:1", "10.0.0.255:2")
    trace = walk_packet(node(MANGLE + "-A INPUT -i e0"), sent, None).trace
    assert hits(trace) == [
        "mangle:OUTPUT:P1", "mangle:POSTROUTING:P1", "mangle:PREROUTING:P1", "mangle:INPUT:1", "mangle:INPUT:P2",
        "mangle:POSTROUTING:P1",
    ]  # fmt: skip
    assert trace.disposition is Disposition.SENT


def test_a_copy_that_names_its_own_way_is_not_heard() -> None:
    sent = packet("udp", "10.0.0.1:1", "10.0.0.255:2", options=bytes.fromhex("8307040a00000900"))
    trace = walk_packet(node(MANGLE), sent, None).trace
    assert hits(trace)[2:] == ["mangle:PREROUTING:P1", "mangle:POSTROUTING:P1"]
    assert trace.disposition is Disposition.SENT


REFUSED6 = {
    "from ::1": ("::1", "fd00:1::9"),
    "to ::1": ("fd00::5", "::1"),
    "from a group": ("ff02::5", "fd00:1::9"),
}


@pytest.mark.parametrize("name", REFUSED6)
def test_addresses_no_node_takes_from_outside(name: str) -> None:
    source, destination = REFUSED6[name]
    rules = MANGLE
    trace = walk_packet(node(rules, rules), packet("udp", f"[{source}]:1", f"[{destination}]:2")).trace
    assert (hits(trace), trace.decided_by.cause) == ([], Cause.HEADER)


def test_a_link_local_source_does_not_leave_its_link() -> None:
    trace = walk_packet(node(), packet("udp", "[fe80::5]:1", "[fd00:1::9]:2")).trace
    assert trace.verdict is Verdict.DROP
    assert trace.decided_by.cause is Cause.HEADER


def test_the_devices_a_user_chain_sees_depend_on_where_it_was_called() -> None:
    """V12."""
    rules = "*filter\n:INPUT ACCEPT\n:X -\n-A INPUT -j X\n-A X -o e0\n-A X ! -o e0\n-A X -i e0\n-A X ! -i e0\n-A X -o +"
    trace = walk_packet(node(rules), packet("udp", f"{A}:1", "10.0.0.1:2")).trace
    assert [hit for hit in hits(trace) if hit.startswith("filter:X") and "R" not in hit] == [
        "filter:X:2", "filter:X:3", "filter:X:5",
    ]  # fmt: skip


def test_a_group_hears_a_packet_without_hops_on_this_node_only() -> None:
    rules = MANGLE + "-A INPUT -i e0"
    trace = walk_packet(node(rules), packet("udp", "10.0.0.1:1", "224.0.0.1:2", ttl=0), None, out_iface="e0").trace
    assert "mangle:INPUT:1" in hits(trace)
    assert trace.disposition is Disposition.DELIVERED
    deaf = walk_packet(node(MANGLE + "-A INPUT -j DROP"), trace.packet, None, out_iface="e0").trace
    assert (deaf.verdict, deaf.decided_by.cause) == (Verdict.DROP, Cause.HEADER)


def test_a_group_of_ipv6_hears_a_packet_without_hops_on_this_node_only() -> None:
    sent = packet("udp", "[fd00::1]:1", "[ff02::1]:2", ttl=0)
    trace = walk_packet(node("", MANGLE), sent, None, out_iface="e0").trace
    assert trace.disposition is Disposition.DELIVERED
    assert trace.out is not None
    assert trace.out.iface == "e0"


def test_the_kernels_own_sockets_ask_for_a_device_and_are_not_bound_to_it() -> None:
    rules = "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n-A OUTPUT -j DNAT --to-destination fd00::1"
    sent = packet("udp", "[fd00::1]:1", "[fe80::1]:2")
    for kernels, iface in ((True, "lo"), (False, "e1")):
        made = node("", rules, routes="::/0 dev e1")
        trace = walk_packet(made, sent, None, out_iface="e1", socket=Socket(has_file=not kernels)).trace
        assert trace.out is not None
        assert trace.out.iface == iface


@pytest.mark.parametrize(
    ("destination", "frame", "verdict"),
    [("fd00::1", "unicast", Verdict.ACCEPT), ("fd00::1", "broadcast", Verdict.DROP), ("ff02::1", "unicast", Verdict.DROP)],
)
def test_a_routing_header_is_taken_only_from_a_frame_and_a_packet_for_the_node(
    destination: str, frame: str, verdict: Verdict
) -> None:
    sent = packet("udp", "[fd00::5]:1", f"[{destination}]:2", extensions=((43, b"\x11\x02" + bytes(22)),))
    trace = walk_packet(node("", MANGLE), sent, frame_type=frame).trace
    assert hits(trace) == ["mangle:PREROUTING:P1", "mangle:INPUT:P1"]
    assert trace.verdict is verdict
