"""Less common transport headers: reasons. What the tests mean is asked of the kernel."""

from __future__ import annotations

import pytest

from tests.cases.matches import later, v4
from tests.match_builder import why
from tortie.net.packet import Packet
from tortie.simulator.match_transport import whole_transport

INIT = v4(proto=132, sport=5, dport=9, payload=bytes([1, 0, 0, 4, 64, 0, 0, 4]))
SHORT = "the transport header is cut short"


@pytest.mark.parametrize(
    ("rule", "packet", "reason"),
    [
        ("-p sctp -m sctp --dport 8", INIT, "destination port is 9, not 8"),
        ("-p sctp -m sctp --chunk-types only INIT", INIT, "chunks are INIT,I_DATA"),
        ("-p sctp -m sctp --dport 8", v4(proto=132, transport=b"ab"), SHORT),
        ("-p dccp -m dccp --dccp-types DATA", v4(proto=33), "DCCP type is REQUEST"),
        ("-p dccp -m dccp ! --sport 0", v4(proto=33), "source port is 0"),
        ("-p dccp -m dccp --dport 8", v4(proto=33, transport=b"ab"), SHORT),
        ("-p tcp -m tcpmss --mss 1000:1400", v4(proto=6, tcp_options=b"\2\4\5\xb4"), "MSS is 1460, not in 1000 to 1400"),
        ("-p tcp -m tcpmss --mss 1000", v4(proto=6), "the packet announces no MSS"),
        ("-p ah -m ah --ahspi 5", v4(proto=51, transport=bytes(7) + b"\x09" + bytes(4)), "SPI is 9"),
        ("-p esp -m esp --espspi 5", v4(proto=50, transport=bytes(8)), "SPI is 0"),
        ("-p 108 -m ipcomp --ipcompspi 5", v4(proto=108, transport=bytes([6, 0, 1, 0])), "SPI is 256"),
        (
            "-p esp -m esp --espspi 5", later(50, 1, bytes(8)),
            "the packet is a later fragment (offset 8) without a transport header",
        ),
    ],
)  # fmt: skip
def test_reasons(rule: str, packet: Packet, reason: str) -> None:
    assert why(rule, packet) == reason


def test_bytes_of_a_packet_that_was_taken_apart() -> None:
    assert whole_transport(INIT)[:4] == bytes([0, 5, 0, 9])
    assert whole_transport(v4(transport=b"abc")) == b"abc"
