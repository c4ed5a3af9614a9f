"""Addresses, prefixes and masks: their text, and what lies inside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tortie.net.address import (
    AddressMask,
    AddressRange,
    IPFamily,
    Prefix,
    format_address,
    mask_length,
    parse_address,
    parse_address_mask,
    parse_ipv4,
    parse_ipv6,
    parse_prefix,
    prefix_mask,
)
from tortie.net.error import InvalidInput

V4, V6 = IPFamily.V4, IPFamily.V6

ADDRESSES = {
    "0.0.0.0": (V4, 0),
    "10.0.0.1": (V4, 0x0A000001),
    "255.255.255.255": (V4, 0xFFFFFFFF),
    "::": (V6, 0),
    "::1": (V6, 1),
    "fd00::1:0:0:1": (V6, 0xFD00 << 112 | 1 << 48 | 1),
    "::ffff:10.0.0.1": (V6, 0xFFFF0A000001),
    "::10.0.0.1": (V6, 0x0A000001),
    "1:2:3:4:5:6:7:8": (V6, 0x00010002000300040005000600070008),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_an_address_and_its_text(text: str, expected: tuple[IPFamily, int]) -> None:
    found = parse_address(text)
    assert (found.family, found.value) == expected
    assert str(found) == format_address(*expected) == text


@pytest.mark.parametrize(
    ("text", "usual"), [("FD00::0:1", "fd00::1"), ("0:0:0:0:0:0:0:0", "::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3")]
)
def test_other_spellings_of_ipv6(text: str, usual: str) -> None:
    assert str(parse_address(text)) == usual


REFUSED: list[tuple[Callable[[str], Any], list[str]]] = [
    (parse_ipv4, ["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", " 1.2.3.4", "1.2.3.-4", "1_0.0.0.1", "١.2.3.4"]),
    (parse_ipv6, ["", ":", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "g::"]),
    (parse_address, ["", "localhost", "10.0.0.1/8", "1.2.3.4.5"]),
    (parse_prefix, ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/٨", "fd00::/129", "10.0.0.0/8/8", "/8"]),
    (parse_address_mask, ["10.0.0.0/33", "10.0.0.0/fd00::", "10.0.0.0/x", "10.0.0.0/1000"]),
]


@pytest.mark.parametrize(("parse", "texts"), REFUSED, ids=lambda part: getattr(part, "__name__", ""))
def test_refused(parse: Callable[[str], Any], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(InvalidInput):
            parse(text)


def test_a_prefix_keeps_host_bits_and_knows_its_network() -> None:
    found = parse_prefix("10.1.2.3/8")
    assert (str(found), str(found.network)) == ("10.1.2.3/8", "10.0.0.0/8")
    assert parse_prefix("10.1.2.3") == Prefix(V4, 0x0A010203, 32)


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "9.255.255.255"]),
        ("10.1.2.3/31", ["10.1.2.2", "10.1.2.3"], ["10.1.2.4"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], []),
        ("fd00::/64", ["fd00::1"], ["fd00:0:0:1::1"]),
        ("::1/128", ["::1"], ["::2"]),
    ],
)
def test_what_lies_inside(prefix: str, inside: list[str], outside: list[str]) -> None:
    found = parse_prefix(prefix)
    assert all(found.contains(parse_address(text).value) for text in inside)
    assert not any(found.contains(parse_address(text).value) for text in outside)


@pytest.mark.parametrize(("family", "length"), [(V4, 33), (V4, -1), (V6, 129)])
def test_a_prefix_has_a_length_of_its_family(family: IPFamily, length: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Prefix(family, 0, length)


@pytest.mark.parametrize("family", IPFamily)
def test_masks_of_every_length(family: IPFamily) -> None:
    for length in range(family.bits + 1):
        mask = prefix_mask(family, length)
        assert mask.bit_count() == length
        assert mask_length(family, mask) == length
    assert mask_length(family, 0b101) is None


MASKS = {
    "10.1.2.3/255.0.0.0": ("10.0.0.0/8", 8),
    "10.1.2.3/8": ("10.0.0.0/8", 8),
    "10.1.2.3": ("10.1.2.3/32", 32),
    "10.1.2.3/255.0.0.255": ("10.0.0.3/255.0.0.255", None),
    "fd00::1/ffff::ff": ("fd00::1/ffff::ff", None),
    "1.2.3.4/0.0.0.0": ("0.0.0.0/0", 0),
}


@pytest.mark.parametrize(("text", "expected"), MASKS.items())
def test_an_address_with_any_mask(text: str, expected: tuple[str, int | None]) -> None:
    found = parse_address_mask(text)
    assert (str(found), found.prefix_length) == expected
    assert isinstance(found, AddressMask)


def test_a_range_is_written_with_a_dash() -> None:
    assert str(AddressRange(V4, 1, 0x0A000001)) == "0.0.0.1-10.0.0.1"
