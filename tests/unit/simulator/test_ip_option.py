"""Options of IPv4 headers (RFC 791), and which of them the kernel writes into."""

from __future__ import annotations

import pytest

from tortie.simulator.ip_option import is_written_into, read_options

LISTS = {
    "none": ("", []),
    "a route behind padding": ("01 0707040a000009 00 44", [1, 7]),
    "behind the end of the list": ("00 8303", []),
    "one that runs out of the header": ("01 8309", [1, 131]),
    "one of no length": ("8300 44", [131]),
    "one without a length": ("83", [131]),
}


@pytest.mark.parametrize("name", LISTS)
def test_which_options_there_are(name: str) -> None:
    data, kinds = LISTS[name]
    assert [kind for kind, _ in read_options(bytes.fromhex(data))] == kinds


WRITTEN = {
    "a route with room": ("07070400000000", True),
    "a full route": ("0707080a000009", False),
    "a time with room": ("44080500 00000000", True),
    "full times, of which the header counts the missing": ("44080900 00000000", True),
    "full times of named addresses": ("440c0d03 0a00000900000000", False),
    "a router alert": ("94040000", False),
    "a route behind a router alert": ("9404000007070400000000", True),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_which_options_are_written_into(name: str) -> None:
    data, expected = WRITTEN[name]
    assert is_written_into(bytes.fromhex(data)) is expected
