"""TCP rewriting: options, the path's MTU, and checksums. The rest is asked of the kernel."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.cases.matches import SYN, later, v4
from tests.match_builder import Question
from tortie.net.wire import format_packet, parse_packet
from tortie.simulator.answer import HOTDROP, Doubt, DoubtKind
from tortie.simulator.route import RouteDecision, RouteKind
from tortie.simulator.target_tcp import replace_word, rewrite, with_mss

CLAMP = "-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu"
ANNOUNCED = v4(proto=6, tcp_flags=SYN, tcp_options=b"\2\4\5\xb4")


@pytest.mark.parametrize(
    ("options", "payload", "mss", "after"),
    [
        (b"\2\4\5\xb4", b"", 1000, b"\2\4\x03\xe8"),
        (b"\2\4\5\xb4", b"", 1460, b"\2\4\5\xb4"),
        (b"", b"", 1000, b"\2\4\x02\x18"),
        (b"", b"", 300, b"\2\4\x01\x2c"),
        (b"", b"data", 300, b""),
        (b"\1" * 40, b"", 300, b"\1" * 40),
        (b"\2\3\1\1", b"data", 300, b"\2\3\1\1"),
    ],
    ids=["lowered", "not raised", "added", "added low", "data follows", "no room", "a wrong length"],
)
def test_mss(options: bytes, payload: bytes, mss: int, after: bytes) -> None:
    packet = v4(proto=6, tcp_flags=SYN, tcp_options=options, payload=payload)
    assert with_mss(packet, mss).tcp_options == after


def _route(mtu: int | None) -> RouteDecision:
    return RouteDecision(RouteKind.UNICAST, "", iface="e1", mtu=mtu)


def test_the_mss_is_clamped_to_the_path() -> None:
    question = Question(CLAMP)
    skb = question.skb(ANNOUNCED, route=_route(1400))
    assert question.run(skb) == (None, "MSS 1460 -> 1360")


def test_a_path_that_is_not_known_or_too_narrow() -> None:
    question = Question(CLAMP)
    unknown = Doubt(DoubtKind.UNKNOWN, "the MTU of the route is not known")
    assert question.run(question.skb(ANNOUNCED))[0] == unknown
    assert question.run(question.skb(ANNOUNCED, route=_route(None)))[0] == unknown
    assert question.run(question.skb(ANNOUNCED, route=_route(40)))[0] is HOTDROP


def test_a_right_checksum_stays_right_and_a_wrong_one_stays_wrong_by_as_much() -> None:
    wrong = replace(ANNOUNCED, checksum=0x1234, checksum_ok=False)
    assert rewrite(ANNOUNCED, with_mss(ANNOUNCED, 1000)).checksum is None
    changed = with_mss(wrong, 1000)
    assert parse_packet(format_packet(changed)).checksum_ok is False
    assert changed.checksum == replace_word(0x1234, 1460, 1000)


def test_a_misaligned_mss_spoils_the_checksum() -> None:
    packet = v4(proto=6, tcp_flags=SYN, tcp_options=b"\1\2\4\5\xb4\1\1\1")
    assert parse_packet(format_packet(with_mss(packet, 1000))).checksum_ok is False


@pytest.mark.parametrize(
    ("checksum", "old", "new", "after"), [(0, 0, 0, 0), (0, 0, 1, 0xFFFE), (0x1234, 5, 5, 0x1234), (0x1234, 0, 1, 0x1233)]
)
def test_checksums_are_corrected_by_a_word(checksum: int, old: int, new: int, after: int) -> None:
    assert replace_word(checksum, old, new) == after


@pytest.mark.parametrize("target", ["TCPMSS --set-mss 900", "TCPOPTSTRIP --strip-options mss"])
def test_later_fragments_are_left_alone_and_short_headers_dropped(target: str) -> None:
    question = Question(f"-p tcp -j {target}")
    fragment = question.skb(later(6, 2, bytes(30)))
    assert question.run(fragment)[0] is None
    assert fragment.packet.transport == bytes(30)
    assert question.run(question.skb(v4(proto=6, transport=bytes(19))))[0] is HOTDROP


def test_ecn_is_for_tcp_alone_in_the_transport_header() -> None:
    question = Question("-p tcp -j ECN --ecn-tcp-remove")
    other = question.skb(v4(tos=3))
    assert question.run(other)[0] is None
    assert other.packet == v4(tos=3)
