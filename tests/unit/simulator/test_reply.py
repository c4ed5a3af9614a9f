"""Packets the node makes because of another one (spec: netfilter 2.5, 6)."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.node_builder import hits, left_as, node, packet, walk_packet
from tortie.net.address import IPFamily, parse_prefix
from tortie.net.node import PolicyRule, RuleAction
from tortie.net.packet import Packet
from tortie.net.wire import format_packet, parse_packet
from tortie.simulator.trace import Disposition, Verdict
from tortie.simulator.walk import Arrival, walk

A, B = "10.0.0.5", "10.1.0.9"
SYN = packet("tcp", f"{A}:1", f"{B}:2", tcp_seq=100)


def rejecting(reject_with: str, match: str = "") -> str:
    rules = "\n".join(f"-A {chain} {match} -j REJECT{reject_with}" for chain in ("INPUT", "FORWARD"))
    return f"*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n{rules}"


RESET = rejecting(" --reject-with tcp-reset", "-p tcp")


def answer(rules: str, sent: Packet) -> Packet | None:
    trace = walk_packet(node(rules, rules.replace("icmp-", "icmp6-")), sent).trace
    assert trace.verdict is Verdict.REJECT
    return trace.answers[0].packet if trace.answers else None


def test_an_unreachable_quotes_the_packet_as_the_chain_saw_it_and_comes_from_the_way_back() -> None:
    """V19."""
    made = answer(rejecting(" --reject-with icmp-port-unreachable"), packet("udp", f"{A}:1", f"{B}:2"))
    assert made is not None
    assert (made.icmp_type, made.icmp_code, made.src) == (3, 3, 0x0A000001)
    assert parse_packet(made.payload).ttl == 63


KINDS = {
    "icmp-net-unreachable": (3, 0), "icmp-host-unreachable": (3, 1), "icmp-proto-unreachable": (3, 2),
    "icmp-net-prohibited": (3, 9), "icmp-host-prohibited": (3, 10), "icmp-admin-prohibited": (3, 13),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_each_kind_sends(kind: str) -> None:
    made = answer(rejecting(f" --reject-with {kind}"), packet("udp", f"{A}:1", f"{B}:2"))
    assert made is not None
    assert (made.icmp_type, made.icmp_code) == KINDS[kind]


def test_a_reset_answers_a_syn_with_an_acknowledgement_and_a_segment_with_a_bare_reset() -> None:
    """V20."""
    first = answer(RESET, SYN)
    assert first is not None
    assert (first.tcp_flags, first.tcp_seq, first.tcp_ack) == (4 | 16, 0, 101)
    assert (first.src, first.sport, first.dport) == (SYN.dst, 2, 1)
    later = answer(RESET, structs.replace(SYN, tcp_flags=16, tcp_ack=77))
    assert later is not None
    assert (later.tcp_flags, later.tcp_seq) == (4, 77)


SILENT = {
    "a reset": (RESET, structs.replace(SYN, tcp_flags=4)),
    "an ICMP error": (
        rejecting(" --reject-with icmp-port-unreachable"),
        packet("icmp", A, B, icmp_type=3, payload=format_packet(SYN)),
    ),
    "a later fragment": (
        rejecting(" --reject-with icmp-port-unreachable"),
        packet("udp", A, B, transport=bytes(8), fragment_offset=5),
    ),
    "a packet with a wrong checksum": (
        rejecting(" --reject-with icmp-port-unreachable"), packet("udp", f"{A}:1", f"{B}:2", checksum_ok=False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_some_packets_are_only_dropped(name: str) -> None:
    """V21."""
    assert answer(*SILENT[name]) is None


SUMMED = {
    "zeros": (bytes(24), True),
    "ones that sum to nothing": (b"\xff\xff" * 4, True),
    "anything else": (b"\1" * 8, False),
}


@pytest.mark.parametrize("name", SUMMED)
def test_a_protocol_without_a_known_checksum_is_believed_when_its_bytes_sum_to_nothing(name: str) -> None:
    """Observed on the kernel: nf_ip_checksum sums up whatever stands behind the IP header."""
    body, answered = SUMMED[name]
    sent = packet("ipcomp", A, B, transport=body)
    assert (answer(rejecting(" --reject-with icmp-port-unreachable"), sent) is not None) is answered


def test_the_answer_walks_the_output_path_itself() -> None:
    """V22: a rule in OUTPUT that rejects TCP drops its own reset."""
    rules = "*filter\n:OUTPUT ACCEPT\n-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset"
    trace = walk_packet(node(rules), packet("tcp", "10.0.0.1:1", f"{B}:2"), None).trace
    assert (trace.verdict, trace.errno) == (Verdict.REJECT, "EPERM")
    (reset,) = trace.answers
    assert (hits(reset), reset.verdict) == (["filter:OUTPUT:1"], Verdict.REJECT)


def test_the_answer_has_no_mark_unless_marks_are_reflected() -> None:
    rules = "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -j MARK --set-mark 9\n" + RESET
    for reflect, mark in (("0", 0), ("1", 9)):
        made = node(rules, sysctls={"net.ipv4.fwmark_reflect": reflect})
        out = walk_packet(made, SYN).trace.answers[0].out
        assert out is not None
        assert out.mark == mark


def test_an_answer_about_a_translated_packet_is_translated_back() -> None:
    """V88: the reset of a DNATed SYN leaves with the virtual address."""
    rules = f"*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A PREROUTING -p tcp -j DNAT --to-destination {B}:80\n{RESET}"
    trace = walk_packet(node(rules), packet("tcp", f"{A}:1", "10.0.0.1:8080")).trace
    assert left_as(trace.answers[0]) == "e0 10.0.0.1:8080>10.0.0.5:1"


def test_a_copy_goes_to_its_gateway_and_the_packet_goes_on() -> None:
    """Spec 2.8."""
    rules = "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -p udp -j TEE --gateway 10.2.0.7"
    trace = walk_packet(node(rules), packet("udp", f"{A}:1", f"{B}:2")).trace
    assert left_as(trace).startswith("e1")
    assert left_as(trace.answers[0]) == "e2 10.0.0.5:1>10.1.0.9:2"


@pytest.mark.parametrize(("action", "state"), [(RuleAction.TABLE, "CLOSE"), (RuleAction.BLACKHOLE, "ESTABLISHED")])
def test_only_a_reset_that_finds_a_way_ends_the_connection(action: RuleAction, state: str) -> None:
    """Rejected is the third segment; the rule of the last parameter holds for the node's own packets."""
    rules = rejecting(" --reject-with tcp-reset", "-p tcp --tcp-flags SYN,PSH PSH -m conntrack --ctstate ESTABLISHED")
    made = node(rules, policy=(PolicyRule(IPFamily.V4, 10, action, in_iface="lo"),))
    session = made.session()
    back = packet("tcp", f"{B}:2", f"{A}:1", "SA", tcp_seq=5, tcp_ack=101)
    walk(made, Arrival(SYN, "e0"), session)
    walk(made, Arrival(back, "e1"), session)
    for flags in ("A", "PA"):
        segment = packet("tcp", f"{A}:1", f"{B}:2", flags, tcp_seq=101, tcp_ack=6)
        trace = walk(made, Arrival(segment, "e0"), session).trace
    assert trace.verdict is Verdict.REJECT
    (after,) = session.connections
    assert after.tcp_state.value == state


def test_an_error_about_an_own_packet_sent_to_the_node_itself_comes_from_the_address_it_went_to() -> None:
    rules = "*nat\n:OUTPUT ACCEPT\n-A OUTPUT -p udp -j REDIRECT\n*filter\n:OUTPUT ACCEPT\n-A OUTPUT -p udp -j REJECT"
    trace = walk_packet(node("", rules), packet("udp", "[fd00:3::1]:1", "[fd00:1::9]:2"), None).trace
    assert trace.answers[0].packet.src == 1


def test_a_reset_does_not_end_a_connection_that_never_left() -> None:
    """nf_conntrack_tcp_set_closing wants a confirmed connection; here an error about the reset confirms it afterwards."""
    tracked = "*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -p tcp -m conntrack --ctstate RELATED -j REJECT"
    made = node("", f"{tracked}\n-A OUTPUT -p tcp --syn -j REJECT --reject-with tcp-reset")
    trace = walk_packet(made, packet("tcp", "[fd00::1]:1", "[fd00:1::9]:2"), None).trace
    assert trace.answers[0].answers[0].connection is not None
    assert trace.answers[0].answers[0].connection.state == "SYN_SENT"


TRACKED = "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n-A PREROUTING -m conntrack --ctstate INVALID"
UNREACHABLE = rejecting(" --reject-with icmp-port-unreachable")
STAMPED = {
    "an unreachable": (B, UNREACHABLE, False),
    "an unreachable, tracked": (B, f"{UNREACHABLE}\n{TRACKED}", True),
    "forwarded": (B, RESET, False),
    "to the node": ("10.0.0.1", RESET, False),
    "forwarded, tracked": (B, f"{RESET}\n{TRACKED}", False),
    "to the node, tracked": ("10.0.0.1", f"{RESET}\n{TRACKED}", True),
}


@pytest.mark.parametrize("name", STAMPED)
def test_a_packet_whose_options_record_the_way_has_a_wrong_sum_until_it_leaves(name: str) -> None:
    """Observed on the kernel: REJECT does not answer it, unless tracking had added it up before."""
    destination, rules, answered = STAMPED[name]
    sent = packet("tcp", f"{A}:1", f"{destination}:2", options=bytes.fromhex("0707040000000000"))
    assert (answer(rules, sent) is not None) is answered


def test_an_own_packet_is_reset_by_the_device_its_socket_is_bound_to() -> None:
    """IPv4 looks for the way with the sending socket (nf_send_reset), even to an own address; IPv6 without."""
    rules = "*filter\n:OUTPUT ACCEPT\n-A OUTPUT -p tcp --syn -j REJECT --reject-with tcp-reset"
    made = node(rules, rules)
    for source, destination, iface in (("10.2.0.1:1", "99.0.0.1:2", "e1"), ("[fd00:2::1]:1", "[fd00:1::9]:2", "lo")):
        trace = walk_packet(made, packet("tcp", source, destination), None, out_iface="e1").trace
        (reset,) = trace.answers
        assert reset.out is not None
        assert reset.out.iface == iface


def test_a_reset_may_go_to_an_anycast_address() -> None:
    rules = "*filter\n:OUTPUT ACCEPT\n-A OUTPUT -p tcp --syn -j REJECT --reject-with tcp-reset"
    trace = walk_packet(node("", rules), packet("tcp", "[fd00:1::]:1", "[fd00:2::9]:2"), None).trace
    assert trace.answers[0].verdict is Verdict.ACCEPT


def test_an_error_about_a_packet_to_no_address_comes_from_one_of_the_node() -> None:
    rules = "*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n-A INPUT -p udp -j REJECT"
    trace = walk_packet(node(rules), packet("udp", "10.1.0.1:1", "0.0.0.0:2"), None).trace
    assert trace.answers[0].packet.src == 0x0A010001


INBOUND = {"net.ipv4.icmp_errors_use_inbound_ifaddr": "1"}


def test_the_address_of_the_input_device_is_chosen_before_the_way_back() -> None:
    made = node(
        rejecting(""),
        sysctls=INBOUND,
        policy=(PolicyRule(IPFamily.V4, 5, RuleAction.UNREACHABLE, source=parse_prefix("10.0.0.1/32")),),
    )
    trace = walk_packet(made, packet("udp", f"{A}:1", f"{B}:2")).trace
    assert trace.answers[0].disposition is Disposition.DROPPED
    assert trace.answers[0].packet.src == 0x0A000001


def test_an_own_packet_has_no_input_device_whatever_its_socket_is_bound_to() -> None:
    made = node("*filter\n:OUTPUT ACCEPT\n-A OUTPUT -p udp -j REJECT", sysctls=INBOUND)
    trace = walk_packet(made, packet("udp", f"{A}:1", f"{B}:2"), None, out_iface="e1").trace
    assert trace.answers[0].packet.src == 0x0A000001


@pytest.mark.parametrize(("destination", "answered"), [("fd00:1::9", True), ("::", False)])
def test_a_reset_over_ipv6_is_for_unicast_addresses(destination: str, answered: bool) -> None:
    sent = packet("tcp", "[fd00::5]:1", f"[{destination}]:2")
    trace = walk_packet(node("", RESET, routes="::/0 dev e1"), sent).trace
    assert trace.verdict is Verdict.REJECT
    assert bool(trace.answers) is answered
