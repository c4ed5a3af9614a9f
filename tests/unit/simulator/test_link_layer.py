"""What is known of a packet's frame."""

from __future__ import annotations

from tests.match_builder import Question
from tortie.net.node import Link
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.link_layer import frame_source, link_named

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


def test_links_by_name() -> None:
    assert link_named(LINKS, "t0") is LINKS[1]
    assert link_named(LINKS, "e9") is None
    assert link_named(None, "e0") is None
