"""Frames that come in by a port of a bridge (spec: netfilter 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.node_builder import hits, left_as, node, packet
from tortie.net.address import parse_prefix
from tortie.net.node import InterfaceAddress, Link
from tortie.simulator.trace import Disposition, NoteStep, Trace, Verdict
from tortie.simulator.walk import Arrival, walk

MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000099")
BRIDGE = (
    Link("br0", 10, kind="bridge", mac=MAC, addresses=(InterfaceAddress(parse_prefix("10.5.0.1/24")),)),
    Link("p0", 11, kind="veth", master="br0"),
    Link("p1", 12, kind="veth", master="br0"),
)
ON = {"net.bridge.bridge-nf-call-iptables": "1"}
OFF = {"net.bridge.bridge-nf-call-iptables": "0"}
NEIGHBOUR = packet("udp", "10.5.0.5:1", "10.5.0.9:2")


def frame(rules: str, sent: object = NEIGHBOUR, sysctls: dict[str, str] = ON, mac: bytes | None = None) -> Trace:
    made = node(rules, extra_links=BRIDGE, sysctls=sysctls)
    return walk(made, Arrival(sent, "p0", mac_destination=mac)).trace  # type: ignore[arg-type]


def test_a_bridged_frame_walks_forward_with_the_bridge_as_both_devices_and_keeps_its_hop_limit() -> None:
    rules = (
        "*filter\n:FORWARD DROP\n-A FORWARD -i br0 -o br0 -m physdev --physdev-in p0 --physdev-out p1 "
        "--physdev-is-bridged -j ACCEPT"
    )
    trace = frame(rules)
    assert (trace.verdict, trace.disposition, left_as(trace)) == (
        Verdict.ACCEPT, Disposition.FORWARDED, "p1 10.5.0.5:1>10.5.0.9:2",
    )  # fmt: skip
    assert trace.out is not None
    assert trace.out.packet.ttl == 64


WAYS = {
    "a third port": (*BRIDGE, Link("p2", 13, kind="veth", master="br0")),
    "hairpin mode, in which a frame may leave by the port it came in": (
        BRIDGE[0], replace(BRIDGE[1], hairpin=True), BRIDGE[2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("links", WAYS.values(), ids=WAYS)
def test_where_a_frame_has_several_ways_the_port_it_leaves_by_is_not_known(links: tuple[Link, ...]) -> None:
    rules = "*filter\n:FORWARD DROP\n-A FORWARD -m physdev --physdev-out p1 -j ACCEPT"
    walked = walk(node(rules, extra_links=links, sysctls=ON), Arrival(NEIGHBOUR, "p0"))
    assert walked.verdict is Verdict.UNKNOWN
    assert any("a port that is not known" in step.text for step in walked.trace.steps if isinstance(step, NoteStep))


def test_the_policy_of_forward_stops_bridged_frames_when_the_switch_is_on() -> None:
    """V96."""
    assert frame("*filter\n:FORWARD DROP").verdict is Verdict.DROP


@pytest.mark.parametrize("sysctls", [OFF, {}], ids=["switch off", "no module"])
def test_bridged_frames_meet_no_table_when_it_is_off(sysctls: dict[str, str]) -> None:
    trace = frame("*filter\n:FORWARD DROP", sysctls=sysctls)
    assert (trace.verdict, hits(trace)) == (Verdict.ACCEPT, [])


def test_a_packet_for_somebody_behind_the_node_is_routed_and_remembers_its_port() -> None:
    sent = packet("udp", "10.5.0.5:1", "10.1.0.9:2")
    rules = "*filter\n:FORWARD DROP\n-A FORWARD -i br0 -o e1 -m physdev --physdev-in p0 -j ACCEPT"
    trace = frame(rules, sent)
    assert left_as(trace) == "e1 10.5.0.5:1>10.1.0.9:2"
    assert any("destination MAC" in text for text in trace.assumptions)


def test_the_frames_destination_decides_when_it_is_given() -> None:
    assert frame("*filter\n:FORWARD ACCEPT", mac=OTHER).disposition is Disposition.FORWARDED
    local = frame("*filter\n:INPUT ACCEPT", packet("udp", "10.5.0.5:1", "10.5.0.1:2"), mac=MAC)
    assert (local.disposition, local.assumptions) == (Disposition.DELIVERED, ())


def test_a_packet_to_the_bridge_that_is_sent_on_to_a_neighbour_becomes_bridged() -> None:
    rules = (
        "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n-A PREROUTING -d 10.5.0.1/32 -j DNAT --to-destination 10.5.0.9\n"
        "*filter\n:FORWARD DROP\n-A FORWARD -i br0 -o br0 -j ACCEPT"
    )
    trace = frame(rules, packet("udp", "10.5.0.5:1", "10.5.0.1:2"))
    assert trace.out is not None
    assert (trace.disposition, trace.out.packet.ttl) == (Disposition.FORWARDED, 64)


def test_a_bridge_may_show_its_frames_to_the_tables_by_itself() -> None:
    own = (replace(BRIDGE[0], nf_call_iptables=True), *BRIDGE[1:])
    made = node("*filter\n:FORWARD DROP", extra_links=own, sysctls=OFF)
    assert walk(made, Arrival(NEIGHBOUR, "p0")).verdict is Verdict.DROP
