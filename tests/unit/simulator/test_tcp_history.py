"""Sequence numbers around the wrap, options of a SYN, and what is remembered of a connection."""

from __future__ import annotations

import pytest

from tests.node_builder import packet
from tortie.netfilter.match import Direction
from tortie.simulator.tcp_history import TcpHistory, TcpSide, after, before, segment_end
from tortie.simulator.tracking_table import TcpKind

LAST = 0xFFFFFFFF


@pytest.mark.parametrize(("first", "second"), [(1, 2), (LAST, 0), (LAST - 5, 5), (0, 0x7FFFFFFF)])
def test_numbers_are_compared_around_the_wrap(first: int, second: int) -> None:
    assert before(first, second)
    assert after(second, first)
    assert not before(second, first)


def test_a_number_is_neither_before_nor_after_itself() -> None:
    assert not before(7, 7)
    assert not after(7, 7)


@pytest.mark.parametrize(
    ("flags", "sequence", "end"), [("S", 100, 104), ("A", 100, 103), ("FA", LAST, 3), ("SF", 100, 105)]
)
def test_syn_and_fin_take_a_number_each(flags: str, sequence: int, end: int) -> None:
    sent = packet("tcp", "10.0.0.5:1", "10.1.0.9:2", flags, tcp_seq=sequence, payload=b"abc")
    assert segment_end(sent) == end


OPTIONS = {
    "none": ("", (0, False, False)),
    "scale": ("01030307", (7, True, False)),
    "a scale beyond 14": ("030364", (14, True, False)),
    "selective acknowledgement behind padding": ("0101 0402", (0, False, True)),
    "behind the end of the list": ("00 030307", (0, False, False)),
    "a length that runs out of the header": ("0402 030a07", (0, False, True)),
    "a length of one": ("0301 0402", (0, False, False)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_syn(name: str) -> None:
    data, expected = OPTIONS[name]
    side = TcpSide()
    side.read_options(bytes.fromhex(data))
    assert (side.scale, side.window_scale, side.sack_permitted) == expected


def test_windows_are_scaled_only_when_both_sides_ask_for_it() -> None:
    scaled, plain = bytes.fromhex("030307"), b""
    for answered, expected in ((scaled, 7), (plain, 0)):
        client, server = TcpSide(), TcpSide()
        client.start(packet("tcp", "10.0.0.5:1", "10.1.0.9:2", tcp_options=scaled), 101, server, reply=False)
        answer = packet("tcp", "10.1.0.9:2", "10.0.0.5:1", "SA", tcp_options=answered)
        server.start(answer, 501, client, reply=True)
        assert (client.scale, server.scale) == (expected, expected)


def test_the_highest_selective_acknowledgement_counts_where_it_was_permitted() -> None:
    block = bytes([1, 1, 5, 10]) + (200).to_bytes(4, "big") + (300).to_bytes(4, "big")
    sent = packet("tcp", "10.0.0.5:1", "10.1.0.9:2", "A", tcp_options=block)
    side = TcpSide()
    assert side.last_selective_ack(sent, 150) == 150
    side.sack_permitted = True
    assert side.last_selective_ack(sent, 150) == 300
    assert side.last_selective_ack(sent, 400) == 400


def test_a_copy_is_independent() -> None:
    history = TcpHistory()
    history.last_kind = TcpKind.SYN
    twin = history.copy()
    twin.sides[0].end, twin.closing = 5, True
    assert (history.sides[0].end, history.closing, twin.last_kind) == (0, False, TcpKind.SYN)


def test_an_answered_syn_that_was_let_by_takes_over() -> None:
    history = TcpHistory()
    syn = packet("tcp", "10.0.0.5:1", "10.1.0.9:2", tcp_seq=7000, tcp_window=400)
    history.last_kind, history.last_direction, history.last_end = TcpKind.SYN, Direction.ORIGINAL, segment_end(syn)
    history.last_window = 400
    answer = packet("tcp", "10.1.0.9:2", "10.0.0.5:1", "SA", tcp_ack=7001)
    assert history.resynchronises(Direction.REPLY, answer, TcpKind.SYN_ACK)
    assert not history.resynchronises(Direction.ORIGINAL, answer, TcpKind.SYN_ACK)
    history.resynchronise(Direction.REPLY)
    assert (history.sides[0].end, history.sides[0].max_window, history.sides[1].max_window) == (7001, 400, 0)
