"""Addresses are read as the standard library reads them."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from tortie.net.address import IPFamily, format_address, parse_address
from tortie.net.error import InvalidInput

spellings = st.text(alphabet="0123fF:.", max_size=20) | st.ip_addresses().map(str)


@st.composite
def bent_spellings(draw: st.DrawFn) -> str:
    """An address with a character too many, too few or changed."""
    text = str(draw(st.ip_addresses()))
    place = draw(st.integers(0, len(text)))
    return (
        text[:place]
        + draw(st.sampled_from(["", "0", ":", "::", ".", "/", "%a", "g", " ", "_", "+", "١"]))
        + text[place + 1 :]
    )


@given(spellings | bent_spellings())
def test_the_same_texts_are_addresses(text: str) -> None:
    try:
        found = ipaddress.ip_address(text)
        expected = (found.version, int(found))
        if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
            raise ValueError
    except ValueError:
        try:
            parsed = parse_address(text)
        except InvalidInput:
            return
        raise AssertionError(f"{text!r} was read as {parsed}") from None
    assert (parse_address(text).family.value, parse_address(text).value) == expected


@given(st.sampled_from(IPFamily).flatmap(lambda family: st.tuples(st.just(family), st.integers(0, family.all_ones))))
def test_what_is_written_is_read_again(given: tuple[IPFamily, int]) -> None:
    family, value = given
    assert parse_address(format_address(family, value)).value == value
    assert ipaddress.ip_address(format_address(family, value)) == ipaddress.ip_address(
        value.to_bytes(family.bits // 8, "big")
    )
