"""What is known of a packet's frame."""

from __future__ import annotations

from tests.match_builder import Question
from tortie.net.node import Link
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.link_layer import frame_destination, frame_source, link_named

LINKS = (Link("e0", 2), Link("t0", 3, link_type="none"))
NODE = Snapshot("links", links=LINKS)
DOUBT = Doubt(DoubtKind.UNKNOWN, "the source MAC of the frame is the one asked for")


def test_the_source_of_a_frame() -> None:
    question = Question("-p udp")
    mac = bytes.fromhex("001122334455")
    assert frame_source(question.skb(mac_source=mac), NODE) == mac
    assert frame_source(question.skb(in_iface="t0"), NODE) is None
    assert frame_source(question.skb(in_iface="", local_output=True), NODE) is None
    assert frame_source(question.skb(), NODE) == DOUBT
    assert frame_source(question.skb(in_iface="e9"), NODE) == DOUBT
    assert frame_source(question.skb(in_iface=None), Snapshot("nothing")) == DOUBT


def test_the_destination_of_a_frame() -> None:
    question = Question("-p udp")
    mac = bytes.fromhex("001122334455")
    node = Snapshot("links", links=(Link("e0", 2, mac=mac), Link("t0", 3, link_type="none")))
    doubt = Doubt(DoubtKind.UNKNOWN, "the destination MAC of the frame is the one asked for")
    assert frame_destination(question.skb(mac_destination=bytes(6)), node) == bytes(6)
    assert frame_destination(question.skb(), node) == mac
    assert frame_destination(question.skb(frame_type="broadcast"), node) == b"\xff" * 6
    assert frame_destination(question.skb(frame_type="multicast"), node) == doubt
    assert frame_destination(question.skb(in_iface="t0"), node) is None
    assert frame_destination(question.skb(in_iface="", local_output=True), node) is None
    assert frame_destination(question.skb(), NODE) == doubt


def test_links_by_name() -> None:
    assert link_named(LINKS, "t0") is LINKS[1]
    assert link_named(LINKS, "e9") is None
    assert link_named(None, "e0") is None
