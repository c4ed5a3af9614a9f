"""The tests of a rule's header, and their order."""

from __future__ import annotations

import pytest

from tortie.codec.header import in_printed_order, read_header
from tortie.codec.rule import format_match
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import MarkMatch, OpaqueMatch

V4 = IPFamily.V4

READ = {
    "! -s 10.0.0.0/8 -d 1.2.3.4/32 -i e+ ! -o lo -p tcp -f": "! -s 10.0.0.0/8 -d 1.2.3.4/32 -i e+ ! -o lo -p tcp -f",
    "-p 47 -s 10.0.0.1": "-s 10.0.0.1/32 -p gre",
    "-s 0.0.0.0/0 -i + -p all": "",
    "! -i +": "! -i +",
    "-p 253": "-p 253",
    "-o e0 -p mptcp -d 1.1.1.1": "-d 1.1.1.1/32 -o e0 -p mptcp",
    "! -p nosuch": "! -p nosuch",
}


@pytest.mark.parametrize(("text", "printed"), READ.items(), ids=READ.keys())
def test_header_tests_print_in_saves_order(text: str, printed: str) -> None:
    matches = in_printed_order(read_header(text.split(" "), V4))
    assert " ".join(format_match(match, V4) for match in matches) == printed


def test_an_unknown_protocol_is_kept_as_text() -> None:
    assert read_header(["!", "-p", "nosuch"], V4) == (OpaqueMatch("", "! -p nosuch"),)


@pytest.mark.parametrize("text", ["-q", "--source 1.1.1.1", "-s", "!", "-s 1.1.1.1,2.2.2.2", "tcp"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_header(text.split(" "), V4)


def test_a_device_with_a_blank_in_its_name_is_kept_as_text() -> None:
    assert read_header(["-i", "my", "link", "-o", "e0"], V4)[0] == OpaqueMatch("", "-i my link")
    assert read_header(["-i", "my", ""], V4) == (OpaqueMatch("", "-i my "),)


def test_matches_behind_the_header_keep_their_order() -> None:
    one, two = MarkMatch(1), MarkMatch(2)
    (source,) = read_header(["-s", "10.0.0.1"], V4)
    assert list(in_printed_order([two, source, one])) == [source, two, one]
