"""Protocols by number and by name."""

from __future__ import annotations

import pytest

from tortie.net.error import InvalidInput
from tortie.net.protocol import PROTOCOL_NAMES, parse_protocol, protocol_name

READ = {"tcp": 6, "TCP": 6, "6": 6, "0": 0, "255": 255, "icmpv6": 58, "ipv6-icmp": 58, "all": 0, "mh": 135, "ax.25": 93}


@pytest.mark.parametrize(("text", "number"), READ.items())
def test_read(text: str, number: int) -> None:
    assert parse_protocol(text) == number


@pytest.mark.parametrize("text", ["", "256", "-1", "tcpp", "٦", "0x6"])
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="unknown protocol"):
        parse_protocol(text)


def test_every_name_reads_back() -> None:
    assert {parse_protocol(name): name for name in PROTOCOL_NAMES.values()} == PROTOCOL_NAMES


def test_a_protocol_without_a_name_is_its_number() -> None:
    assert [protocol_name(number) for number in (6, 7, 255)] == ["tcp", "7", "255"]
