"""Indexed sets against a slow reading of their members: the same answers, also after changes."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tortie.net.address import IPFamily, Prefix
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, TCP, UDP
from tortie.netfilter.hook import Backend
from tortie.netfilter.ipset import (
    SET_DIMENSIONS,
    IfacePart,
    IPSet,
    MacPart,
    MarkPart,
    Part,
    PortPart,
    SetEntry,
)
from tortie.netfilter.match import SetMatch, Side
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.context import Context
from tortie.simulator.ipset import SetIndex
from tortie.simulator.match_set import compile_set
from tortie.simulator.route import Router
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb

V4 = IPFamily.V4
TYPES = sorted(SET_DIMENSIONS.keys() - {"list:set", "bitmap:ip,mac"})
MACS = (b"\2\0\0\0\0\1", b"\2\0\0\0\0\2")
addresses = st.integers(0x0A000000, 0x0A00000F) | st.integers(0x0A000000, 0x0A0000FF)
"""Few enough for prefixes to overlap and packets to hit."""


def parts(dimension: str, kind: str) -> st.SearchStrategy[Part]:
    """What one dimension of a member holds."""
    if dimension == "ip":
        return addresses.map(lambda value: Prefix(V4, value, 32))
    if dimension == "net":
        lengths = st.sampled_from([0, 1, 8, 24, 28, 30, 31, 32])
        return st.tuples(addresses, lengths).map(lambda pair: Prefix(V4, *pair).network)
    if dimension == "port":
        protos = st.just(None) if kind == "bitmap:port" else st.sampled_from([TCP, UDP, ICMP, 89])
        return st.builds(PortPart, protos, st.sampled_from([0, 5, 80, 8 << 8]))
    if dimension == "iface":
        return st.builds(IfacePart, st.sampled_from(["e0", "e1", "e", "x"]), st.booleans(), st.booleans())
    return st.sampled_from(MACS).map(MacPart) if dimension == "mac" else st.integers(0, 3).map(MarkPart)


@st.composite
def sets(draw: st.DrawFn) -> IPSet:
    """A set of any type, without two members of the same parts."""
    kind = draw(st.sampled_from(TYPES))
    dimensions = SET_DIMENSIONS[kind]
    members: dict[tuple[Part, ...], SetEntry] = {}
    for _ in range(draw(st.integers(0, 12))):
        made = tuple(draw(parts(dimension, kind)) for dimension in dimensions)
        members[made] = SetEntry(made, nomatch="net" in dimensions and draw(st.booleans()))
    return IPSet("s", kind, V4, tuple(members.values()))


@st.composite
def skbs(draw: st.DrawFn) -> Skb:
    """A packet that may well be in such a set."""
    proto = draw(st.sampled_from([TCP, UDP, ICMP, 89]))
    packet = Packet(
        V4, draw(addresses), draw(addresses), proto, sport=draw(st.sampled_from([5, 80])),
        dport=draw(st.sampled_from([5, 80])),
        icmp_type=draw(st.sampled_from([0, 8])), transport=b"abcd" if proto == 89 else None,
    )  # fmt: skip
    skb = Skb(packet, Session({}), in_iface=draw(st.sampled_from(["e0", "e1", "x9", ""])), mark=draw(st.integers(0, 3)))
    skb.out_iface = draw(st.sampled_from(["e0", "x", ""]))
    skb.mac_source = draw(st.sampled_from([*MACS, bytes(6)]))
    return skb


sides = st.lists(st.sampled_from(Side), min_size=1, max_size=4).map(tuple)


# --- the slow reading --------------------------------------------------------------------------------------------


def contains(part: Part, side: Side, skb: Skb) -> bool:
    """Whether one part of a member fits the packet."""
    packet = skb.packet
    match part:
        case Prefix():
            return part.contains(packet.src if side is Side.SRC else packet.dst)
        case PortPart(None, port):
            return packet.proto in (TCP, UDP) and port == (packet.sport if side is Side.SRC else packet.dport)
        case PortPart(proto, port):
            seen = {ICMP: packet.icmp_type << 8, 89: 0}.get(
                packet.proto, packet.sport if side is Side.SRC else packet.dport
            )
            return (proto, port) == (packet.proto, seen)
        case MarkPart(value):
            return value == skb.mark
        case MacPart(address):
            return side is Side.SRC and address == skb.mac_source
        case IfacePart(name, _, wildcard):
            iface = skb.in_iface if side is Side.SRC else skb.out_iface
            return bool(iface) and (iface or "").startswith(name) and (wildcard or iface == name)
        case _:
            raise AssertionError(part)


def slow_member(definition: IPSet, given_sides: tuple[Side, ...], skb: Skb, *, return_nomatch: bool) -> bool:
    """Reads every member: the one with the longest prefixes that fits decides (spec: netfilter 8.2)."""
    if len(given_sides) < len(definition.dimensions):
        return False
    entries = [
        entry for entry in definition.entries if not any(isinstance(p, IfacePart) and p.physdev for p in entry.parts)
    ]
    if definition.type == "hash:net,iface":
        # Only the longest network with the address counts, whatever its interface.
        within = [entry for entry in entries if contains(entry.parts[0], given_sides[0], skb)]
        longest = max((_lengths(entry) for entry in within), default=())
        entries = [entry for entry in within if _lengths(entry) == longest]
    fitting = [
        entry
        for entry in entries
        if all(contains(part, side, skb) for part, side in zip(entry.parts, given_sides, strict=False))
    ]
    if not fitting:
        return False
    decisive = max(fitting, key=_lengths)
    return decisive.nomatch is (return_nomatch and "net" in definition.dimensions)


def _lengths(entry: SetEntry) -> tuple[int, ...]:
    return tuple(part.length for part in entry.parts if isinstance(part, Prefix))


# --- agreements --------------------------------------------------------------------------------------------------


def _asks_for_destination_mac(definition: IPSet, given_sides: tuple[Side, ...]) -> bool:
    pairs = zip(definition.dimensions, given_sides, strict=False)
    return any(dimension == "mac" and side is Side.DST for dimension, side in pairs)


@examples(400)
@given(sets(), skbs(), sides, st.booleans(), st.booleans())
def test_the_index_answers_as_reading_every_member_does(
    definition: IPSet, skb: Skb, given_sides: tuple[Side, ...], inverted: bool, return_nomatch: bool
) -> None:
    if _asks_for_destination_mac(definition, given_sides):
        return
    skb.session.sets = {"s": SetIndex(definition)}
    snapshot = Snapshot("drawn", ip_sets={"s": definition})
    context = Context(V4, Backend.LEGACY, ("filter", "X", 1, 0), cast(Router, None), snapshot)
    match = SetMatch("s", given_sides, inverted, return_nomatch)
    expected = slow_member(definition, given_sides, skb, return_nomatch=return_nomatch) is not inverted
    assert compile_set(match, context)(skb) is expected


def _sorted(entries: object) -> list[str]:
    return sorted(map(repr, cast(list[SetEntry], entries)))


@examples(100)
@given(sets(), st.data())
def test_a_changed_index_is_the_index_of_the_changed_members(definition: IPSet, data: st.DataObject) -> None:
    index = SetIndex(definition)
    members = {entry.parts: entry for entry in definition.entries}
    dimensions = definition.dimensions
    for _ in range(data.draw(st.integers(0, 6))):
        made = tuple(data.draw(parts(dimension, definition.type)) for dimension in dimensions)
        before, kept = index, _sorted(index.entries)
        if data.draw(st.booleans()):
            members[made] = SetEntry(made, comment="new")
            index = index.with_entry(members[made])
        else:
            members.pop(made, None)
            index = index.without_entry(SetEntry(made))
        assert _sorted(before.entries) == kept
    assert _sorted(index.entries) == _sorted(members.values())
    assert index.size == len(members)
    rebuilt = SetIndex(replace(definition, entries=tuple(members.values())))
    assert [(group.lengths, group.size) for group in index.groups] == [
        (group.lengths, group.size) for group in rebuilt.groups
    ]


def test_many_changes_of_a_big_set_do_not_slow_it_down_or_lose_any() -> None:
    index = SetIndex(IPSet("s", "hash:ip", V4, tuple(SetEntry((Prefix(V4, value, 32),)) for value in range(5000))))
    for value in range(5000, 6000):
        index = index.with_entry(SetEntry((Prefix(V4, value, 32),)))
        index = index.without_entry(SetEntry((Prefix(V4, value - 5000, 32),)))
    assert {cast(Prefix, entry.parts[0]).address for entry in index.entries} == set(range(1000, 6000))
