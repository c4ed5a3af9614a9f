"""IPVS on the way of a packet (spec: netfilter 13.3); no kernel with IPVS confirmed these, they hold what is documented."""

from __future__ import annotations

import pytest

from tests.node_builder import address, hits, left_as, node, packet
from tortie.net.address import parse_prefix
from tortie.net.node import InterfaceAddress, Link
from tortie.simulator.flow import walk_flow
from tortie.simulator.trace import Disposition, NatStep, Trace, Verdict
from tortie.simulator.walk import Arrival, Node, walk

VIPS = (Link("kube-ipvs0", 9, up=False, addresses=(InterfaceAddress(parse_prefix("10.96.0.1/32")),)),)
ONE = "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.9:8080 -m -w 1"
TWO = ONE + "\n-a -t 10.96.0.1:80 -r 10.2.0.9:8080 -m -w 3"
TABLES = (
    "*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n"
    "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -m conntrack --ctstate NEW"
)
CONNTRACK = {"net.ipv4.vs.conntrack": "1"}


def balancing(services: str | None = ONE, rules: str = TABLES, **options: object) -> Node:
    return node(rules, extra_links=VIPS, ipvs=services, sysctls=CONNTRACK, **options)  # type: ignore[arg-type]


def first(made: Node, sent: str = "10.96.0.1:80", **fields: object) -> Trace:
    return walk(made, Arrival(packet("tcp", "10.0.0.5:1", sent, **fields), "e0")).trace  # type: ignore[arg-type]


def test_a_request_leaves_input_and_goes_out_through_output_past_forward() -> None:
    trace = first(balancing())
    assert [hit for hit in hits(trace) if "P" in hit.rpartition(":")[2]] == [
        "mangle:PREROUTING:P1", "mangle:INPUT:P1", "filter:INPUT:P2", "mangle:OUTPUT:P1", "filter:OUTPUT:P1",
        "mangle:POSTROUTING:P1",
    ]  # fmt: skip
    assert (trace.disposition, left_as(trace)) == (Disposition.FORWARDED, "e1 10.0.0.5:1>10.1.0.9:8080")
    assert trace.out is not None
    assert trace.out.packet.ttl == 63


def test_the_conversation_works_and_answers_come_from_the_service() -> None:
    made = balancing()
    flow = walk_flow(made, Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80"), "e0"))
    assert flow.works is True
    assert flow.reply is not None
    assert left_as(flow.reply.trace) == "e0 10.96.0.1:80>10.0.0.5:1"
    assert [step.text for step in flow.reply.trace.steps if isinstance(step, NatStep)] == [
        "IPVS restores the service's address 10.96.0.1:80"
    ]
    assert "mangle:FORWARD:P1" in hits(flow.reply.trace)
    assert flow.again is not None
    assert left_as(flow.again.trace) == "e1 10.0.0.5:1>10.1.0.9:8080"


def test_masquerading_after_it_works_on_the_server_as_destination() -> None:
    rules = (
        TABLES
        + "\n*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE"
    )
    made = balancing(rules=rules)
    flow = walk_flow(made, Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80"), "e0"))
    assert left_as(flow.first.trace) == "e1 10.1.0.1:1>10.1.0.9:8080"
    assert flow.reply is not None
    assert left_as(flow.reply.trace) == "e0 10.96.0.1:80>10.0.0.5:1"


def test_several_servers_fork_the_walk_by_their_weight() -> None:
    walked = walk(balancing(TWO), Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80"), "e0"))
    assert [(left_as(one).split()[0], one.conditions[0].probability) for one in walked.outcomes] == [
        ("e1", 0.25),
        ("e2", 0.75),
    ]


@pytest.mark.parametrize("options", ["-s rr -p 10800", "-s lc"], ids=["a client may have its server", "by connections"])
def test_chances_are_told_only_of_turns(options: str) -> None:
    walked = walk(balancing(TWO.replace("-s rr", options)), Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80"), "e0"))
    assert [one.conditions[0].probability for one in walked.outcomes] == [None, None]


def test_a_known_connection_keeps_its_server() -> None:
    made = balancing(TWO)
    session = made.session()
    sent = packet("tcp", "10.0.0.5:1", "10.96.0.1:80")
    walk(made, Arrival(sent, "e0"), session, assume={"ipvs:10.96.0.1:80": "10.2.0.9:8080"})
    again = walk(made, Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80", "A"), "e0"), session)
    assert [left_as(one).split()[0] for one in again.outcomes] == ["e2"]


LEFT_ALONE = {
    "another port": ("10.96.0.1:81", {}),
    "a segment that opens nothing": ("10.96.0.1:80", {"flags": "A"}),
    "another address of the node": ("10.1.0.1:80", {}),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_no_request_is_delivered(name: str) -> None:
    sent, fields = LEFT_ALONE[name]
    assert first(balancing(), sent, **fields).disposition is Disposition.DELIVERED


def test_a_service_without_servers_is_refused() -> None:
    trace = first(balancing("-A -t 10.96.0.1:80 -s rr"))
    assert trace.verdict is Verdict.REJECT
    assert (trace.answers[0].packet.icmp_type, trace.answers[0].packet.icmp_code) == (3, 3)


def test_a_server_on_this_node_is_delivered_to() -> None:
    trace = first(balancing("-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.1.0.1:8080 -m -w 1"))
    assert trace.disposition is Disposition.DELIVERED
    assert trace.out is not None
    assert (trace.out.packet.dst, trace.out.packet.dport) == (address("10.1.0.1").value, 8080)


def test_a_service_by_mark_is_found_by_the_mark() -> None:
    rules = TABLES.replace(":POSTROUTING ACCEPT\n", ":POSTROUTING ACCEPT\n-A PREROUTING -j MARK --set-mark 7\n", 1)
    trace = first(balancing("-A -f 7 -s rr\n-a -f 7 -r 10.2.0.9:0 -m -w 1", rules))
    assert left_as(trace) == "e2 10.0.0.5:1>10.2.0.9:80"


def test_a_tunnelled_packet_goes_out_wrapped() -> None:
    trace = first(balancing("-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.2.0.9:80 -i -w 1"))
    assert left_as(trace) == "e2 10.2.0.1>10.2.0.9"
    assert trace.out is not None
    assert trace.out.packet.proto == 4


def test_service_addresses_without_a_list_of_services_leave_the_walk_unknown() -> None:
    walked = walk(balancing(None), Arrival(packet("tcp", "10.0.0.5:1", "10.96.0.1:80"), "e0"))
    assert walked.verdict is Verdict.UNKNOWN
    assert "no IPVS services" in walked.outcomes[1].decided_by.text
