"""The tests iptables keeps in a rule's header: addresses, interfaces, protocol, fragment (spec: netfilter 7.1, 9.2).

A header test that cannot be read (a protocol name of another machine) becomes an `OpaqueMatch` with an empty name, whose
text is the whole option.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from tortie.codec.kind import read_interface, read_net
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.protocol import parse_protocol, protocol_name
from tortie.netfilter.match import (
    DestinationMatch,
    FragmentMatch,
    HeaderMatch,
    InInterfaceMatch,
    Match,
    OpaqueMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
)

HEADER_ORDER: dict[str, type[Any]] = {
    "-s": SourceMatch,
    "-d": DestinationMatch,
    "-i": InInterfaceMatch,
    "-o": OutInterfaceMatch,
    "-p": ProtocolMatch,
    "-f": FragmentMatch,
}
"""Header options in the order iptables-save prints them."""

_RANK: dict[type[Any], int] = {kind: rank for rank, kind in enumerate(HEADER_ORDER.values())}
_OPTION_RANK: dict[str, int] = {option: rank for rank, option in enumerate(HEADER_ORDER)}
BEHIND = len(HEADER_ORDER)
"""Rank of every test that is not of the header."""


_READERS: dict[str, Callable[[str, IPFamily, bool], HeaderMatch]] = {
    "-s": lambda text, family, inverted: SourceMatch(read_net(text, family), inverted),
    "-d": lambda text, family, inverted: DestinationMatch(read_net(text, family), inverted),
    "-i": lambda text, family, inverted: InInterfaceMatch(read_interface(text, family), inverted),
    "-o": lambda text, family, inverted: OutInterfaceMatch(read_interface(text, family), inverted),
    "-p": lambda text, family, inverted: ProtocolMatch(parse_protocol(text), inverted),
}


def read_header_option(option: str, argument: str, inverted: bool, family: IPFamily) -> Match:
    """One header test; raises `InvalidInput` when the argument cannot be read."""
    if option == "-f":
        return FragmentMatch(inverted)
    return _READERS[option](argument, family, inverted)


def is_vacuous(match: Match) -> bool:
    """True for tests that the tools drop: any address, any protocol, any interface."""
    match match:
        case SourceMatch(net, False) | DestinationMatch(net, False):
            return not net.mask
        case InInterfaceMatch(name, False) | OutInterfaceMatch(name, False):
            return name == "+"
        case ProtocolMatch(number, False):
            return number == 0
        case _:
            return False


def read_header(words: Sequence[str], family: IPFamily) -> tuple[Match, ...]:
    """The tests before the first `-m` or `-j`, in the order given; raises `InvalidInput` for any other word."""
    found: list[Match] = []
    position, end = 0, len(words)
    while position < end:
        inverted = words[position] == "!"
        position += inverted
        option = words[position] if position < end else ""
        if option not in HEADER_ORDER:
            raise InvalidInput(f"unknown option {option!r}")
        position += 1
        argument = ""
        if option != "-f":
            length = _argument_length(option, words, position)
            given = words[position : position + length]
            if any(" " in word for word in given):
                raise InvalidInput(f"a blank inside the argument of {option}: {' '.join(given)!r}")
            argument = " ".join(given)
            position += length
        try:
            if " " in argument:
                raise InvalidInput(f"a device's name cannot be read back: {argument!r}")
            match = read_header_option(option, argument, inverted, family)
            if not is_vacuous(match):
                found.append(match)
        except InvalidInput:
            if "," in argument and option in ("-s", "-d"):
                raise
            found.append(OpaqueMatch("", f"{'! ' if inverted else ''}{option} {argument}"))
    return tuple(found)


def _argument_length(option: str, words: Sequence[str], position: int) -> int:
    """How many words the argument takes: one, but a device's name with blanks in it is printed as it is."""
    if position == len(words):
        raise InvalidInput(f"{option} needs an argument")
    length = 1
    while option in ("-i", "-o") and position + length < len(words) and words[position + length][:1] not in ("-", "!"):
        length += 1
    return length


def format_header_match(match: HeaderMatch) -> str:
    """A header test as printed; empty for a protocol test that tests nothing."""
    bang = "! " if match.inverted else ""
    match match:
        case SourceMatch(net):
            return f"{bang}-s {net}"
        case DestinationMatch(net):
            return f"{bang}-d {net}"
        case InInterfaceMatch(name):
            return f"{bang}-i {name}"
        case OutInterfaceMatch(name):
            return f"{bang}-o {name}"
        case ProtocolMatch(number):
            return f"{bang}-p {protocol_name(number)}"
        case FragmentMatch():
            return f"{bang}-f"


def header_rank(match: Match) -> int:
    """Where a test stands in a printed rule: header tests first and in fixed order, all others behind."""
    if isinstance(match, OpaqueMatch) and not match.name:
        return _OPTION_RANK.get(match.text.removeprefix("! ")[:2], BEHIND)
    return _RANK.get(type(match), BEHIND)


def in_printed_order(matches: Sequence[Match]) -> Sequence[Match]:
    """The tests with those of the header first and in iptables-save's order; the others keep theirs."""
    ranks = [header_rank(match) for match in matches]
    if all(a <= b for a, b in pairwise(ranks)):
        return matches
    return sorted(matches, key=header_rank)
