"""Fragments: held until their packet is whole, where something needs whole packets (spec: netfilter 2.4, 7.1)."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec import structs

from tests.node_builder import hits, node, packet, walk_packet
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.simulator.fragment import collect_fragment
from tortie.simulator.session import Frame, Session
from tortie.simulator.trace import Disposition, Verdict
from tortie.simulator.walk import Arrival, walk

WHOLE = packet("udp", "10.0.0.5:1", "10.1.0.9:53", payload=bytes(range(64)), identification=7)


def fragments(whole: Packet, size: int = 24) -> list[Packet]:
    """An IPv4 packet cut into pieces of `size` bytes."""
    body = format_packet(whole)[20:]
    pieces = []
    for start in range(0, len(body), size):
        part, more = body[start : start + size], start + size < len(body)
        pieces.append(
            structs.replace(
                whole, payload=b"", transport=part, fragment_offset=start // 8, more_fragments=more, sport=0, dport=0
            )
        )
    return pieces


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_packet_becomes_whole_in_any_order(order: tuple[int, ...]) -> None:
    session = Session(None)
    pieces = fragments(WHOLE)
    found = [collect_fragment(session, pieces[number], "PREROUTING") for number in order]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert format_packet(found[2].packet) == format_packet(WHOLE)
    assert session.fragments == {}


def test_pieces_of_two_packets_are_kept_apart() -> None:
    session = Session(None)
    other = structs.replace(WHOLE, identification=8)
    assert all(
        collect_fragment(session, piece, "PREROUTING") is None for piece in (fragments(WHOLE)[0], *fragments(other)[1:])
    )


TRACKED = "*mangle\n:PREROUTING ACCEPT\n-A PREROUTING -f\n*filter\n:FORWARD ACCEPT\n-A FORWARD -m conntrack --ctstate NEW"


def test_with_tracking_no_rule_ever_sees_a_fragment() -> None:
    """V65."""
    made = node(TRACKED)
    session = made.session()
    traces = [walk(made, Arrival(piece, "e0"), session).trace for piece in fragments(WHOLE)]
    assert [trace.disposition for trace in traces] == [Disposition.HELD, Disposition.HELD, Disposition.FORWARDED]
    assert traces[0].verdict is Verdict.MAYBE
    assert "mangle:PREROUTING:1" not in hits(traces[2])


FILTERED = {
    "-p udp": True,
    "-p udp -m udp --dport 53": False,
    "-p udp -m udp ! --dport 53": False,
    "-f": True,
    "! -f": False,
}


@pytest.mark.parametrize("match", FILTERED)
def test_without_tracking_rules_see_fragments_as_they_are(match: str) -> None:
    """V63."""
    made = node(f"*filter\n:FORWARD DROP\n-A FORWARD {match} -j ACCEPT")
    assert (walk_packet(made, fragments(WHOLE)[1]).verdict is Verdict.ACCEPT) is FILTERED[match]


def test_for_the_node_itself_fragments_are_put_together_before_input() -> None:
    """V64."""
    made = node("*filter\n:INPUT ACCEPT\n-A INPUT -f")
    session = made.session()
    local = structs.replace(WHOLE, dst=0x0A000001)
    traces = [walk(made, Arrival(piece, "e0"), session).trace for piece in fragments(local)]
    assert [trace.disposition for trace in traces] == [Disposition.HELD, Disposition.HELD, Disposition.DELIVERED]
    assert hits(traces[2]) == ["filter:INPUT:P2"]


def test_ipv6_lets_the_first_fragment_say_the_protocol() -> None:
    """ip6_frag_queues are keyed by addresses and identification alone; those of IPv4 by the protocol too."""
    for source, destination, whole in (("fd00::5", "fd00:1::9", True), ("10.0.0.5", "10.1.0.9", False)):
        session = Session(None)
        last = packet("tcp", source, destination, transport=bytes(8), fragment_offset=1, identification=7)
        first = packet("udp", source, destination, transport=bytes(8), more_fragments=True, identification=7)
        header = ((44, bytes(8)),) if whole else ()
        last, first = (structs.replace(one, extensions=header) for one in (last, first))
        assert collect_fragment(session, last, "PREROUTING") is None
        assert (collect_fragment(session, first, "PREROUTING") is not None) is whole


def test_a_whole_packet_has_the_frame_of_its_first_fragment() -> None:
    session = Session(None)
    frames = [Frame(number, "broadcast", bytes(5) + bytes([number])) for number in range(3)]
    pieces = list(zip(fragments(WHOLE), frames, strict=True))
    found = [collect_fragment(session, piece, "INPUT", frame) for piece, frame in pieces[::-1]]
    assert found[2] is not None
    assert (found[2].frame, found[2].largest) == (frames[0], 44)


def test_tracking_looks_at_the_first_fragments_frame() -> None:
    made = node(TRACKED)
    session = made.session()
    for frame, verdict in (("unicast", Verdict.ACCEPT), ("broadcast", Verdict.DROP)):
        first, *others = fragments(WHOLE)
        walk(made, Arrival(first, "e0", frame_type=frame), session)
        assert [walk(made, Arrival(piece, "e0"), session).verdict for piece in others][-1] is verdict
