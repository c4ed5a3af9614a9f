"""Translation: which address and port a connection gets, and how its packets are rewritten (spec: netfilter 5)."""

from __future__ import annotations

import pytest

from tests.node_builder import V4, V6, address, hits, left_as, node, packet, walk_packet
from tortie.net.wire import format_packet, parse_packet
from tortie.netfilter.conntrack import ConnTuple
from tortie.simulator.nat import Manipulation, jhash2, port_class, spread_address
from tortie.simulator.trace import Cause, NatStep, RouteStep, Verdict
from tortie.simulator.walk import Arrival, Node, walk

A, B = "10.0.0.5", "10.1.0.9"


def nat(rules: str, more: str = "") -> str:
    return f"*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n{rules}\n{more}"


def ways(made: Node, *sent: tuple[str, str, str], device: str = "e0") -> list[str]:
    """How packets (protocol, source, destination) left one after the other; a dropped one is its cause."""
    session = made.session()
    left = []
    for proto, source, destination in sent:
        trace = walk(made, Arrival(packet(proto, source, destination), device), session).trace
        left.append(left_as(trace) if trace.out is not None else trace.decided_by.cause.value)
    return left


# --- choosing ----------------------------------------------------------------------------------------------------


def test_the_hash_is_lookup3() -> None:
    """Known answers of jhash2 for no words and for one (linux/jhash.h)."""
    assert jhash2((), 0) == 0xDEADBEEF
    assert jhash2((), 1) == 0xDEADBEF0


SPREAD = {"zone 0": (0, "10.1.0.72"), "zone 5": (5, "10.1.0.22")}


@pytest.mark.parametrize("name", SPREAD)
def test_an_address_of_a_range_is_a_hash_of_the_connections_addresses(name: str) -> None:
    """V46, observed on the kernel."""
    zone, expected = SPREAD[name]
    current = ConnTuple(V4, 17, address(A).value, address(B).value, 1, 2)
    low, high = address("10.1.0.10").value, address("10.1.0.77").value
    chosen = spread_address(current, low, high, Manipulation.SOURCE, zone=zone, persistent=False)
    assert chosen == address(expected).value


def test_a_persistent_choice_does_not_look_at_the_destination() -> None:
    low, high = address("fd00:1::10").value, address("fd00:1::77").value
    chosen = {
        spread_address(
            ConnTuple(V6, 17, address("fd00::5").value, address(f"fd00:1::{last}").value, 1, 2), low, high,
            Manipulation.SOURCE, zone=0, persistent=True,
        )
        for last in range(9)
    }  # fmt: skip
    assert len(chosen) == 1
    assert low <= chosen.pop() <= high


@pytest.mark.parametrize(("port", "expected"), [(80, (1, 511)), (511, (1, 511)), (600, (600, 1023)), (1024, (1024, 65535))])
def test_the_class_of_a_port(port: int, expected: tuple[int, int]) -> None:
    assert port_class(port) == expected


SNAT = nat("-A POSTROUTING -o e1 -j SNAT --to-source 10.1.0.1")
CHOSEN = {
    "V38: the port is kept while it is free": (
        SNAT, [("udp", f"{A}:5000", f"{B}:53")], ["e1 10.1.0.1:5000>10.1.0.9:53"],
    ),
    "V38: a second client gets a port of the class": (
        SNAT,
        [("udp", f"{A}:5000", f"{B}:53"), ("udp", "10.0.0.6:5000", f"{B}:53")],
        ["e1 10.1.0.1:5000>10.1.0.9:53", "e1 10.1.0.1:1024>10.1.0.9:53"],
    ),
    "the same port serves another server": (
        SNAT,
        [("udp", f"{A}:5000", f"{B}:53"), ("udp", "10.0.0.6:5000", f"{B}:54")],
        ["e1 10.1.0.1:5000>10.1.0.9:53", "e1 10.1.0.1:5000>10.1.0.9:54"],
    ),
    "V39: low ports stay low": (
        SNAT,
        [("udp", f"{A}:80", f"{B}:53"), ("udp", "10.0.0.6:80", f"{B}:53")],
        ["e1 10.1.0.1:80>10.1.0.9:53", "e1 10.1.0.1:1>10.1.0.9:53"],
    ),
    "V41: one port for two clients loses the second": (
        nat("-A POSTROUTING -p udp -j MASQUERADE --to-ports 3000"),
        [("udp", f"{A}:1", f"{B}:53"), ("udp", "10.0.0.6:1", f"{B}:53")],
        ["e1 10.1.0.1:3000>10.1.0.9:53", "conntrack"],
    ),
    "V42: a protocol without ports loses the second client": (
        SNAT, [("ospf", A, B), ("ospf", "10.0.0.6", B)], ["e1 10.1.0.1>10.1.0.9", "conntrack"],
    ),
    "DCCP keeps its ports, which tracking no longer knows": (
        SNAT, [("dccp", f"{A}:5000", f"{B}:80")], ["e1 10.1.0.1:5000>10.1.0.9:80"],
    ),
    "V43: a direct connection makes way for one that was translated to the same": (
        nat(f"-A PREROUTING -d 10.0.0.1/32 -j DNAT --to-destination {B}"),
        [("udp", f"{A}:1000", "10.0.0.1:53"), ("udp", f"{A}:1000", f"{B}:53")],
        ["e1 10.0.0.5:1000>10.1.0.9:53", "e1 10.0.0.5:600>10.1.0.9:53"],
    ),
    "V44: a port in the range is kept": (
        nat(f"-A PREROUTING -p udp -j DNAT --to-destination {B}:80-90"),
        [("udp", f"{A}:1", "10.0.0.1:85")], ["e1 10.0.0.5:1>10.1.0.9:85"],
    ),
    "V44: any other becomes the first of the range": (
        nat(f"-A PREROUTING -p udp -j DNAT --to-destination {B}:80-90"),
        [("udp", f"{A}:1", "10.0.0.1:53")], ["e1 10.0.0.5:1>10.1.0.9:80"],
    ),
    "V45: a shifted range": (
        nat(f"-A PREROUTING -p udp -j DNAT --to-destination {B}:5000-5010/7000"),
        [("udp", f"{A}:1", "10.0.0.1:7003")], ["e1 10.0.0.5:1>10.1.0.9:5003"],
    ),
    "the network part is mapped, the host part stays": (
        nat("-A PREROUTING -d 10.9.0.0/24 -j NETMAP --to 10.1.0.0/24"),
        [("udp", f"{A}:1", "10.9.0.9:2")], ["e1 10.0.0.5:1>10.1.0.9:2"],
    ),
    "V37: an invalid packet keeps its source": (
        nat("-A POSTROUTING -j MASQUERADE"), [("icmp", A, B)], ["e1 10.1.0.1>10.1.0.9"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOSEN)
def test_what_connections_become(name: str) -> None:
    rules, sent, expected = CHOSEN[name]
    assert ways(node(rules), *sent) == expected


def test_a_random_port_is_told_as_a_range() -> None:
    made = node(nat("-A POSTROUTING -p udp -j MASQUERADE --random"))
    out = walk_packet(made, packet("udp", f"{A}:5000", f"{B}:53")).trace.out
    assert out is not None
    assert out.random_sport == (1024, 65535)


# --- when --------------------------------------------------------------------------------------------------------


def test_the_table_is_asked_once_for_a_connection() -> None:
    """V05."""
    made = node(nat("-A PREROUTING -p udp -j ACCEPT\n-A PREROUTING -p udp -j DNAT --to-destination 10.1.0.77"))
    session = made.session()
    sent = packet("udp", f"{A}:1", f"{B}:2")
    first, second = (walk(made, Arrival(sent, "e0"), session).trace for _ in range(2))
    assert hits(first) == ["nat:PREROUTING:1", "nat:POSTROUTING:P1"]
    assert hits(second) == []


def test_a_policy_of_drop_acts_on_packets_that_ask() -> None:
    """V07."""
    rules = "*nat\n:PREROUTING DROP\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE"
    trace = walk_packet(node(rules), packet("udp", f"{A}:1", f"{B}:2")).trace
    assert (trace.verdict, trace.decided_by.cause) == (Verdict.DROP, Cause.CHAIN_POLICY)


def test_answers_are_translated_back() -> None:
    made = node(
        nat(
            f"-A PREROUTING -d 10.0.0.1/32 -j DNAT --to-destination {B}:8080\n-A POSTROUTING -j MASQUERADE".replace(
                "-d 10.0.0.1/32", "-d 10.0.0.1/32 -p tcp"
            )
        )
    )
    session = made.session()
    there = walk(made, Arrival(packet("tcp", f"{A}:1", "10.0.0.1:80"), "e0"), session).trace
    assert left_as(there) == "e1 10.1.0.1:1>10.1.0.9:8080"
    back = walk(made, Arrival(packet("tcp", f"{B}:8080", "10.1.0.1:1", "SA"), "e1"), session).trace
    assert left_as(back) == "e0 10.0.0.1:80>10.0.0.5:1"
    assert [step.hook.value for step in back.steps if isinstance(step, NatStep)] == ["PREROUTING", "POSTROUTING"]


def test_a_masqueraded_connection_that_moves_to_another_device_is_killed_and_starts_afresh() -> None:
    """V49."""
    rules = "-A POSTROUTING -j MASQUERADE"
    before = node(nat(rules), routes="9.0.0.0/8 via 10.1.0.254 dev e1")
    after = node(nat(rules), routes="9.0.0.0/8 via 10.2.0.254 dev e2")
    session = before.session()
    sent = packet("udp", f"{A}:1", "9.9.9.9:2")
    assert left_as(walk(before, Arrival(sent, "e0"), session).trace) == "e1 10.1.0.1:1>9.9.9.9:2"
    lost = walk(after, Arrival(sent, "e0"), session).trace
    assert (lost.verdict, lost.decided_by.cause) == (Verdict.DROP, Cause.NAT)
    assert left_as(walk(after, Arrival(sent, "e0"), session).trace) == "e2 10.2.0.1:1>9.9.9.9:2"


def test_errors_of_a_translated_connection_are_translated_inside_and_outside() -> None:
    """V53: a middle router's error about a DNATed flow seems to come from the virtual address."""
    made = node(nat("-A PREROUTING -p udp -d 10.0.0.1/32 -j DNAT --to-destination 10.1.0.9:5353"))
    session = made.session()
    there = walk(made, Arrival(packet("udp", f"{A}:1", "10.0.0.1:53"), "e0"), session).trace
    assert there.out is not None
    error = packet("icmp", "10.1.0.254", A, icmp_type=11, payload=format_packet(there.out.packet))
    back = walk(made, Arrival(error, "e1"), session).trace
    assert left_as(back) == "e0 10.0.0.1>10.0.0.5"
    assert back.out is not None
    inner = parse_packet(back.out.packet.payload)
    assert (inner.dst, inner.dport) == (address("10.0.0.1").value, 53)


def test_of_a_query_without_identifier_only_the_address_is_rewritten() -> None:
    """Observed on the kernel: ICMPv6 node information queries have a key in tracking, and no identifier."""
    made = node(nat(""), nat("-A POSTROUTING -j MASQUERADE --random"))
    sent = packet("ipv6-icmp", "fd00::5", "fd00:1::9", icmp_type=139, icmp_rest=0x10001)
    out = walk_packet(made, sent).trace.out
    assert out is not None
    assert (out.packet.src, out.packet.icmp_rest) == (address("fd00:1::1").value, 0x10001)


def test_an_error_about_an_answer_is_routed_again_though_its_own_destination_stays() -> None:
    """nf_nat_ipv4_local_fn looks at the connection, not at the packet."""
    rules = nat("-A PREROUTING -j DNAT --to-destination 10.1.0.9") + "\n*filter\n:FORWARD ACCEPT\n"
    made = node(rules + "-A FORWARD -i e1 -j REJECT")
    session = made.session()
    walk(made, Arrival(packet("udp", "10.0.0.5:1", "10.9.0.9:2"), "e0"), session)
    answered = walk(made, Arrival(packet("udp", "10.1.0.9:2", "10.0.0.5:1"), "e1"), session).trace
    (error,) = answered.answers
    assert [step.stage for step in error.steps if isinstance(step, RouteStep)] == [
        "output",
        "re-route: NAT changed the destination",
    ]
    assert left_as(error) == "e1 10.1.0.1>10.1.0.9"
