"""What a packet is looked up by in an ip set, and what the lookup answers.

Every dimension takes one part of the packet: an address, protocol and port, a MAC, the mark, an interface. Which side is
taken is said by the flags after the set's name, one for each dimension; fewer flags than dimensions never match, more are
ignored (ip_set_test in net/netfilter/ipset/ip_set_core.c; spec: netfilter 8.2). What cannot be read from a packet (the
ports of a later fragment) makes it no member; what Tortie is not told (a MAC) makes the answer a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.netfilter.ipset import IfacePart, IPSet, MacPart, SetEntry
from tortie.netfilter.match import Compare, CounterTest, Side
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipset import (
    FAMILY_FREE,
    NETWORK_DIMENSION,
    Key,
    KeyPart,
    SetIndex,
    address_mask,
    mark_mask,
)
from tortie.simulator.ipv6_header import protocol_behind, transport_bytes
from tortie.simulator.link_layer import frame_destination, frame_source
from tortie.simulator.skb import Skb

ReadPart: TypeAlias = Callable[[Skb], KeyPart | Doubt | None]
"""The part of a packet that belongs to a dimension; None where the packet has none."""
Values: TypeAlias = tuple[KeyPart, ...]

_BYTES_OF_HEADER = {TCP: 20, SCTP: 12, UDP: 8, UDPLITE: 8, ICMP: 8, ICMPV6: 8}
"""Protocols whose ports (or ICMP type) sets look at, and how much of their header has to be there (get_port in
net/netfilter/ipset/ip_set_getport.c). DCCP is not among them."""
_WITH_PORTS = frozenset({TCP, SCTP, UDP, UDPLITE})
_NO_NEXT_HEADER = 59
_NO_MAC = bytes(6)
UNKNOWN_MAC = b""
"""What an element of bitmap:ip,mac has learnt from a frame whose MACs are not known."""
_LEARNT = Doubt(DoubtKind.UNKNOWN, "the MAC that the set learnt from an earlier packet is this one's")


@dataclass(frozen=True, slots=True)
class CounterRule:
    """What a rule says about the counters of the element it finds."""

    update: bool = True
    packets: CounterTest | None = None
    bytes: CounterTest | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A lookup: the set as the rule names it and what to read from a packet.

    `parts` has one reader for each part of a key, `network` says which of them prefix lengths mask. `narrow` tests what
    is no part of the key: the interface of hash:net,iface, the MAC of bitmap:ip,mac, which `mac` reads.
    """

    name: str
    parts: tuple[ReadPart, ...]
    network: tuple[bool, ...]
    narrow: Callable[[SetEntry, Skb], bool | Doubt] | None = None
    mac: ReadPart | None = None
    one_network: bool = False
    """True for hash:net,iface: the longest prefix that holds the address for any interface at all is the last one looked
    at (IP_SET_HASH_WITH_MULTI in ip_set_hash_gen.h)."""

    def values(self, skb: Skb) -> Values | Doubt | None:
        """What this packet is looked up by; None when it lacks a part."""
        found: list[KeyPart] = []
        doubt: Doubt | None = None
        for read in self.parts:
            part = read(skb)
            if part is None:
                return None
            if isinstance(part, Doubt):
                doubt = part
            else:
                found.append(part)
        return doubt or tuple(found)

    def key(self, values: Values, masks: tuple[int, ...]) -> Key:
        """The key of these values among networks of one combination of lengths."""
        if not masks:
            return values[0] if len(values) == 1 else values
        remaining = iter(masks)
        masked = tuple(
            value & next(remaining) if network and isinstance(value, int) else value
            for value, network in zip(values, self.network, strict=True)
        )
        return masked[0] if len(masked) == 1 else masked


def compile_query(name: str, definition: IPSet, sides: tuple[Side, ...], context: Context) -> Query | None:
    """How to look packets up in a set; None when no packet can be a member (too few flags, another family)."""
    dimensions = definition.dimensions
    if len(sides) < len(dimensions) or not fits_family(definition, context.family):
        return None
    parts: list[ReadPart] = []
    network: list[bool] = []
    narrow: Callable[[SetEntry, Skb], bool | Doubt] | None = None
    mac: ReadPart | None = None
    for dimension, side in zip(dimensions, sides, strict=False):
        source = side is Side.SRC
        if dimension == "iface":
            narrow = _iface_test(name, source)
        elif dimension == "mac" and definition.type == "bitmap:ip,mac":
            mac = _mac_reader(source, context)
            narrow = _mac_test(mac)
        else:
            parts.append(_part_reader(dimension, definition, source, context))
            network.append(dimension == NETWORK_DIMENSION)
    return Query(name, tuple(parts), tuple(network), narrow, mac, definition.type == "hash:net,iface")


def fits_family(definition: IPSet, family: IPFamily) -> bool:
    """True when rules of a family can find anything in the set."""
    return definition.type in FAMILY_FREE or (definition.family or IPFamily.V4) is family


def _part_reader(dimension: str, definition: IPSet, source: bool, context: Context) -> ReadPart:
    if dimension in ("ip", "net"):
        mask = address_mask(definition)
        if mask == (definition.family or IPFamily.V4).all_ones:
            return _read_source if source else _read_destination
        return (lambda skb: skb.packet.src & mask) if source else (lambda skb: skb.packet.dst & mask)
    if dimension == "port":
        if definition.type == "bitmap:port":
            return lambda skb: _bare_port(skb.packet, source)
        return lambda skb: port_part(skb.packet, source)
    if dimension == "mark":
        marks = mark_mask(definition)
        return lambda skb: skb.mark & marks
    assert dimension == "mac"
    return _mac_reader(source, context)


def _mac_reader(source: bool, context: Context) -> Callable[[Skb], bytes | Doubt | None]:
    """A frame without MACs, or with a MAC of zeros, is in no set (hash_mac4_kadt in ip_set_hash_mac.c)."""

    end = frame_source if source else frame_destination

    def read(skb: Skb) -> bytes | Doubt | None:
        mac = end(skb, context.snapshot)
        return None if mac == _NO_MAC else mac

    return read


def _iface_test(name: str, source: bool) -> Callable[[SetEntry, Skb], bool | Doubt]:
    def test(entry: SetEntry, skb: Skb) -> bool | Doubt:
        part = entry.parts[1]
        assert isinstance(part, IfacePart)
        iface = skb.in_iface if source else skb.out_iface
        if iface is None:
            return Doubt(DoubtKind.UNKNOWN, f"the {'input' if source else 'output'} interface is in set {name}")
        return bool(iface) and (iface.startswith(part.name) if part.wildcard else iface == part.name)

    return test


def _mac_test(read: ReadPart) -> Callable[[SetEntry, Skb], bool | Doubt]:
    def test(entry: SetEntry, skb: Skb) -> bool | Doubt:
        part, mac = entry.parts[1], read(skb)
        assert isinstance(part, MacPart)
        if mac is None or (isinstance(mac, Doubt) and part.address is not None):
            return mac or False
        if part.address == UNKNOWN_MAC:
            return _LEARNT
        return part.address is None or part.address == mac

    return test


def _read_source(skb: Skb) -> int:
    return skb.packet.src


def _read_destination(skb: Skb) -> int:
    return skb.packet.dst


def port_part(packet: Packet, source: bool) -> int | None:
    """Protocol and port of a packet as sets see them: type and code for ICMP, 0 for protocols without ports."""
    if packet.transport is None and packet.proto in _WITH_PORTS and not packet.extensions:
        return packet.proto << 16 | (packet.sport if source else packet.dport)
    return _odd_port_part(packet, source)


def _odd_port_part(packet: Packet, source: bool) -> int | None:
    proto: int | None = packet.proto
    if packet.family is IPFamily.V6:
        proto = None if packet.fragment_offset else protocol_behind(packet)
    if proto is None or proto == (0 if packet.family is IPFamily.V4 else _NO_NEXT_HEADER):
        return None
    needed = _BYTES_OF_HEADER.get(proto)
    if needed is None or (proto == ICMPV6 and packet.fragment_offset):
        return proto << 16
    if packet.transport is None:
        if proto in (ICMP, ICMPV6):
            return proto << 16 | packet.icmp_type << 8 | packet.icmp_code
        return proto << 16 | (packet.sport if source else packet.dport)
    raw = transport_bytes(packet)
    if packet.fragment_offset or len(raw) < needed:
        return None
    place = 0 if source or proto in (ICMP, ICMPV6) else 2
    return proto << 16 | int.from_bytes(raw[place : place + 2], "big")


def _bare_port(packet: Packet, source: bool) -> int | None:
    """The port for bitmap:port, which knows TCP and UDP only and does not tell them apart."""
    part = port_part(packet, source) if packet.proto in (TCP, UDP) else None
    return None if part is None else part & 0xFFFF


# --- finding -----------------------------------------------------------------------------------------------------


def find(query: Query, index: SetIndex, skb: Skb) -> Iterator[SetEntry | Doubt]:
    """Elements that contain the packet, longest prefix first; the first one whose counters agree decides."""
    values = query.values(skb)
    if isinstance(values, Doubt) and index.size:
        yield values
    if values is None or isinstance(values, Doubt):
        return
    for group in index.groups:
        last = False
        for entry in group.table.get(query.key(values, group.masks)) or ():
            if query.one_network and _is_for_bridge_port(entry):
                continue
            answer = query.narrow(entry, skb) if query.narrow is not None else True
            last = answer is False
            if answer is not False:
                yield entry if answer is True else answer
        if last and query.one_network:
            return


def _is_for_bridge_port(entry: SetEntry) -> bool:
    """True for `physdev:` elements of hash:net,iface.

    No rule of iptables asks for bridge ports (IPSET_FLAG_PHYSDEV), and as the flag is part of the hash such elements are
    not even seen on the way (seen on Linux 6.18).
    """
    part = entry.parts[1]
    return isinstance(part, IfacePart) and part.physdev


def decide(query: Query, skb: Skb, counters: CounterRule) -> SetEntry | Doubt | None:
    """The element that decides about the packet, after counting; None when there is none.

    The counters of an element are raised first and compared then; where they do not agree, the search goes on with the
    next shorter prefix (ip_set_match_extensions in ip_set_core.c).
    """
    index = set_index(skb, query.name)
    counting = "counters" in index.definition.options
    for found in find(query, index, skb):
        if isinstance(found, Doubt):
            return found
        if (learnt := _learn_mac(query, skb, found)) is not None or not counting:
            return learnt or found
        if count(query.name, skb, found, counters):
            return found
    return None


def _learn_mac(query: Query, skb: Skb, entry: SetEntry) -> SetEntry | None:
    """Gives an element of bitmap:ip,mac that has no MAC the packet's, as if it were added anew; None where it has one.

    The kernel completes it by adding, which sets all extensions (EAGAIN in ip_set_test, net/netfilter/ipset/ip_set_core.c).
    """
    if query.mac is None:
        return None
    address, part = entry.parts
    if not isinstance(part, MacPart) or part.address is not None:
        return None
    index = set_index(skb, query.name)
    changed = replace(entry, parts=(address, mac_part(query.mac(skb))), skb_mark=None)
    if "counters" in index.definition.options:
        changed = replace(changed, packets=1, bytes=skb.packet.length)
    skb.session.replace_set(query.name, index.with_entry(changed))
    return changed


def mac_part(mac: KeyPart | Doubt | None) -> MacPart:
    """The MAC that bitmap:ip,mac stores of a packet."""
    assert not isinstance(mac, int) and mac is not None
    return MacPart(UNKNOWN_MAC if isinstance(mac, Doubt) else mac)


def set_index(skb: Skb, name: str) -> SetIndex:
    """The set as it is now."""
    sets = skb.session.sets
    assert sets is not None
    return sets[name]


def count(name: str, skb: Skb, entry: SetEntry, rule: CounterRule) -> bool:
    """Counts the packet in an element, then says whether the rule's tests of its counters pass."""
    if rule.update:
        entry = replace(entry, packets=(entry.packets or 0) + 1, bytes=(entry.bytes or 0) + skb.packet.length)
        skb.session.replace_set(name, set_index(skb, name).with_entry(entry))
    return counter_holds(rule.packets, entry.packets or 0) and counter_holds(rule.bytes, entry.bytes or 0)


def counter_holds(test: CounterTest | None, value: int) -> bool:
    """Whether a counter passes a test; no test always passes."""
    if test is None:
        return True
    if test.compare is Compare.EQ:
        return (value == test.value) is not test.inverted
    return value < test.value if test.compare is Compare.LT else value > test.value
