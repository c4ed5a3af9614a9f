"""Finding headers in IPv6 packets, whole ones and such that are cut short (seen on Linux 6.18)."""

from __future__ import annotations

import pytest

from tests.cases.matches import AUTH, CUT6, DST, HBH, later, later6, v6
from tortie.net.packet import Packet
from tortie.net.wire import format_packet, fragment_header
from tortie.simulator.ipv6_header import (
    find_header,
    is_cut_short,
    is_later_fragment,
    protocol_behind,
    transport_bytes,
    unguarded_bytes,
)

FIRST = v6(
    proto=6, more_fragments=True, identification=5, extensions=(fragment_header(6, offset=0, more=True, identification=5),)
)


@pytest.mark.parametrize(
    ("name", "packet", "legacy", "nft"),
    [
        ("plain", v6(), 17, 17),
        ("behind headers", v6(proto=6, extensions=(HBH, DST)), 6, 6),
        ("behind AH", v6(proto=6, extensions=(AUTH,)), 6, 51),
        ("a later fragment", later6(6, 2, bytes(8)), 6, 6),
        ("a later fragment of a header", CUT6["later fragment of options"], None, None),
        ("cut options", CUT6["options"], 6, 6),
        ("one byte of options", CUT6["options, one byte"], None, None),
        ("cut options before routing", CUT6["options, then routing"], None, None),
        ("three bytes of a fragment header", CUT6["fragment, three bytes"], None, None),
        ("four bytes of a fragment header", CUT6["first fragment"], 6, 6),
        ("cut AH", CUT6["AH"], 6, 51),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_protocol_behind_the_headers(name: str, packet: Packet, legacy: int | None, nft: int | None) -> None:
    assert protocol_behind(packet) == legacy
    assert protocol_behind(packet, stop_at_ah=True) == nft


def test_headers_are_found_by_their_kind() -> None:
    packet = v6(proto=6, extensions=(HBH, DST))
    assert find_header(packet, 60) == DST[1] + format_packet(packet)[-20:]
    assert find_header(packet, 43) is None
    assert find_header(CUT6["options"], 60) == bytes([6, 9, 0, 0, 0, 0, 0, 0])
    assert find_header(CUT6["options"], 43) is None
    assert find_header(CUT6["options, one byte"], 43) == "broken"
    assert find_header(CUT6["options, then routing"], 43) == "broken"
    assert find_header(later6(60, 2, bytes(8)), 60) is None


def test_a_fragment_header_is_read_from_the_packet() -> None:
    found = find_header(FIRST, 44)
    assert found is not None
    assert found[:8] == bytes([6, 0, 0, 1, 0, 0, 0, 5])


def test_nothing_stands_behind_a_header_that_is_cut_short() -> None:
    assert is_cut_short(CUT6["options"])
    assert transport_bytes(CUT6["options"]) == b""
    assert not is_cut_short(v6())
    assert transport_bytes(v6(proto=89, transport=b"abc")) == b"abc"


def test_what_an_unguarded_test_reads() -> None:
    fragment = later6(6, 2, bytes(8))
    assert unguarded_bytes(fragment) == format_packet(fragment)
    assert unguarded_bytes(later(6, 2, b"abc")) == b"abc"
    assert unguarded_bytes(v6(proto=89, transport=b"abc")) == b"abc"


def test_later_fragments() -> None:
    assert is_later_fragment(later6(6, 2, bytes(8)))
    assert is_later_fragment(CUT6["later fragment"])
    assert not is_later_fragment(CUT6["first fragment"])
    assert not is_later_fragment(FIRST)
