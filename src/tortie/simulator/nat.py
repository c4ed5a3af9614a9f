"""Network address translation: choosing the new address and port, and rewriting packets.

A connection has two sides to decide, source and destination. Each is decided once, by the first rule that applies or by
a *null binding* (spec: netfilter 5.1); afterwards every packet is rewritten from the connection's two tuples alone.
Choosing follows nf_nat_core.c (spec 5.3, 5.4): deterministic except for the port search, whose start is random in the
kernel; there the range of possible ports is handed back beside the port that this walk takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import GRE, ICMP, ICMPV6
from tortie.net.wire import format_packet, parse_packet
from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.hook import Hook
from tortie.netfilter.match import CtState, Direction
from tortie.simulator.connection import Connection
from tortie.simulator.conntrack import invert_tuple
from tortie.simulator.quote import rewrite_quote
from tortie.simulator.release import DNAT_IN_ORDER, is_older
from tortie.simulator.session import Session
from tortie.simulator.skb import Skb
from tortie.simulator.tracking_table import ICMP_REDIRECT, KEYED_BY_PORTS

MOST_TRIES = 128
_GRE_HEADER = 8
_MASK32 = 0xFFFFFFFF


class Manipulation(Enum):
    """Which end of the connection is rewritten."""

    SOURCE = "source"
    DESTINATION = "destination"


MANIPULATION: dict[Hook, Manipulation] = {
    Hook.PREROUTING: Manipulation.DESTINATION,
    Hook.OUTPUT: Manipulation.DESTINATION,
    Hook.INPUT: Manipulation.SOURCE,
    Hook.POSTROUTING: Manipulation.SOURCE,
}
"""The side decided and rewritten at each hook (spec: netfilter 5.2)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a NAT target asks for: addresses and ports to choose from, None to leave them alone."""

    low: int | None = None
    high: int | None = None
    low_port: int | None = None
    high_port: int | None = None
    base_port: int | None = None
    random: bool = False
    persistent: bool = False


_WITH_IDENTIFIER = {
    IPFamily.V4: frozenset({0, 8, 13, 14, 15, 16, 17, 18}),
    IPFamily.V6: frozenset({128, 129}),
}
"""ICMP types whose identifier is rewritten; of all others only the addresses are (icmp_manip_pkt, icmpv6_manip_pkt)."""

PickPort = Callable[[Manipulation, int, int], int]
"""Chooses which port, source or destination, a walk shows where the kernel takes a random one of a range."""


def is_decided(connection: Connection, manipulation: Manipulation) -> bool:
    """True when this side of the connection is decided."""
    return connection.src_done if manipulation is Manipulation.SOURCE else connection.dst_done


def decide(
    session: Session, connection: Connection, manipulation: Manipulation, wish: Wish, pick: PickPort
) -> tuple[int, int] | None:
    """Decides one side of a connection as a rule wishes; returns the range of a randomly chosen port, else None."""
    current = invert_tuple(connection.reply)
    assert current is not None
    chosen, random_ports = _unique_tuple(session, connection, manipulation, wish, current, pick)
    changed = chosen != current
    if changed:
        reply = invert_tuple(chosen)
        assert reply is not None
        connection.reply = reply
    if manipulation is Manipulation.SOURCE:
        connection.src_done = True
        connection.src_nat = connection.src_nat or changed
    else:
        connection.dst_done = True
        connection.dst_nat = connection.dst_nat or changed
    return random_ports


def null_binding(
    session: Session, connection: Connection, manipulation: Manipulation, pick: PickPort
) -> tuple[int, int] | None:
    """Decides a side that no rule decided: the address stays, the source port only moves to resolve a clash."""
    if not session.taken(connection.reply, connection.zone_reply, connection):
        if manipulation is Manipulation.SOURCE:
            connection.src_done = True
        else:
            connection.dst_done = True
        return None
    address = connection.reply.dst if manipulation is Manipulation.SOURCE else connection.reply.src
    return decide(session, connection, manipulation, Wish(address, address), pick)


def _unique_tuple(
    session: Session,
    connection: Connection,
    manipulation: Manipulation,
    wish: Wish,
    current: ConnTuple,
    pick: PickPort,
) -> tuple[ConnTuple, tuple[int, int] | None]:
    def taken(candidate: ConnTuple) -> bool:
        reply = invert_tuple(candidate)
        return reply is None or session.taken(reply, connection.zone_reply, connection)

    if manipulation is Manipulation.SOURCE and not wish.random:
        if _in_range(current, wish):
            if not taken(current):
                return current, None
        else:
            reused = _existing_mapping(session, connection, wish, current)
            if reused is not None and not taken(reused):
                return reused, None
    chosen = _with_address(current, manipulation, _best_address(connection, manipulation, wish, current))
    if not wish.random:
        if wish.low_port is None:
            if not taken(chosen):
                return chosen, None
        elif wish.base_port is None and _port_in_range(chosen, manipulation, wish):
            if wish.low_port == wish.high_port or not taken(chosen):
                return chosen, None
    in_order = not wish.random and manipulation is Manipulation.DESTINATION and not is_older(session.release, DNAT_IN_ORDER)
    return _search_port(chosen, manipulation, wish, taken, pick, in_order=in_order)


def assumes_order(session: Session, manipulation: Manipulation, wish: Wish) -> bool:
    """True when a port of a range would be any of them on an older kernel, and the snapshot does not tell which it is."""
    ranged = wish.low_port != wish.high_port and wish.base_port is None and not wish.random
    return session.release is None and ranged and manipulation is Manipulation.DESTINATION


def _in_range(candidate: ConnTuple, wish: Wish) -> bool:
    if wish.low is not None and wish.high is not None and not wish.low <= candidate.src <= wish.high:
        return False
    return wish.low_port is None or _port_in_range(candidate, Manipulation.SOURCE, wish)


def _port_in_range(candidate: ConnTuple, manipulation: Manipulation, wish: Wish) -> bool:
    assert wish.low_port is not None and wish.high_port is not None
    if _is_icmp(candidate):
        return wish.low_port <= candidate.src_key <= wish.high_port
    if candidate.proto in KEYED_BY_PORTS:
        key = candidate.src_key if manipulation is Manipulation.SOURCE else candidate.dst_key
        return wish.low_port <= key <= wish.high_port
    return True


def _is_icmp(candidate: ConnTuple) -> bool:
    return candidate.proto == (ICMP if candidate.family is IPFamily.V4 else ICMPV6)


def _existing_mapping(session: Session, connection: Connection, wish: Wish, current: ConnTuple) -> ConnTuple | None:
    for other in session.same_source(current, connection.zone_original):
        mapped = invert_tuple(other.reply)
        if other is connection or mapped is None:
            continue
        candidate = replace(current, src=mapped.src, src_key=mapped.src_key)
        if _in_range(candidate, wish):
            return candidate
    return None


def _with_address(current: ConnTuple, manipulation: Manipulation, address: int) -> ConnTuple:
    if manipulation is Manipulation.SOURCE:
        return replace(current, src=address) if current.src != address else current
    return replace(current, dst=address) if current.dst != address else current


def _best_address(connection: Connection, manipulation: Manipulation, wish: Wish, current: ConnTuple) -> int:
    if wish.low is None or wish.high is None:
        return current.src if manipulation is Manipulation.SOURCE else current.dst
    if wish.low == wish.high:
        return wish.low
    return spread_address(
        current, wish.low, wish.high, manipulation, zone=connection.zone_original, persistent=wish.persistent
    )


def spread_address(
    current: ConnTuple, low: int, high: int, manipulation: Manipulation, *, zone: int, persistent: bool
) -> int:
    """The address the kernel takes from a range: a hash of the connection's addresses (spec: netfilter 5.3)."""
    words = 1 if current.family is IPFamily.V4 else 4
    source, target = _hash_words(current.src, words), _hash_words(current.dst, words)
    last = words - 1
    spread = jhash2((*source, *(0,) * (4 - words)), 0 if persistent else target[last] ^ zone)
    lows, highs = _host_words(low, words), _host_words(high, words)
    result = 0
    full = False
    for i in range(words):
        base, span = (0, _MASK32) if full else (lows[i], (highs[i] - lows[i] + 1) & _MASK32)
        word = (base + (spread * span >> 32)) & _MASK32
        result = result << 32 | word
        full = full or word != highs[i]
        if not persistent:
            # The kernel reads the destination where it has just written, when it is the destination that moves.
            spread ^= _swap32(word) if manipulation is Manipulation.DESTINATION else target[i]
    return result


def _host_words(address: int, words: int) -> tuple[int, ...]:
    return tuple(address >> 32 * (words - 1 - i) & _MASK32 for i in range(words))


def _swap32(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "big"), "little")


def _hash_words(address: int, words: int) -> tuple[int, ...]:
    """Address words as a little-endian machine reads the wire's bytes."""
    return tuple(_swap32(word) for word in _host_words(address, words))


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _MASK32


def jhash2(words: tuple[int, ...], initval: int) -> int:
    """Bob Jenkins' lookup3 over 32-bit words, as linux/jhash.h has it."""
    a = b = c = (0xDEADBEEF + 4 * len(words) + initval) & _MASK32
    rest = list(words)
    while len(rest) > 3:
        a, b, c = (a + rest[0]) & _MASK32, (b + rest[1]) & _MASK32, (c + rest[2]) & _MASK32
        a = (a - c) & _MASK32 ^ _rotate(c, 4)
        c = (c + b) & _MASK32
        b = (b - a) & _MASK32 ^ _rotate(a, 6)
        a = (a + c) & _MASK32
        c = (c - b) & _MASK32 ^ _rotate(b, 8)
        b = (b + a) & _MASK32
        a = (a - c) & _MASK32 ^ _rotate(c, 16)
        c = (c + b) & _MASK32
        b = (b - a) & _MASK32 ^ _rotate(a, 19)
        a = (a + c) & _MASK32
        c = (c - b) & _MASK32 ^ _rotate(b, 4)
        b = (b + a) & _MASK32
        del rest[:3]
    if not rest:
        return c
    rest += [0] * (3 - len(rest))
    a, b, c = (a + rest[0]) & _MASK32, (b + rest[1]) & _MASK32, (c + rest[2]) & _MASK32
    c = ((c ^ b) - _rotate(b, 14)) & _MASK32
    a = ((a ^ c) - _rotate(c, 11)) & _MASK32
    b = ((b ^ a) - _rotate(a, 25)) & _MASK32
    c = ((c ^ b) - _rotate(b, 16)) & _MASK32
    a = ((a ^ c) - _rotate(c, 4)) & _MASK32
    b = ((b ^ a) - _rotate(a, 14)) & _MASK32
    return ((c ^ b) - _rotate(b, 24)) & _MASK32


def port_class(port: int) -> tuple[int, int]:
    """The ports among which a source port is replaced when no range is given (spec: netfilter 5.4)."""
    if port < 512:
        return 1, 511
    return (600, 1023) if port < 1024 else (1024, 65535)


def _search_port(
    chosen: ConnTuple,
    manipulation: Manipulation,
    wish: Wish,
    taken: Callable[[ConnTuple], bool],
    pick: PickPort,
    *,
    in_order: bool,
) -> tuple[ConnTuple, tuple[int, int] | None]:
    icmp = _is_icmp(chosen)
    if not icmp and chosen.proto not in KEYED_BY_PORTS:
        return chosen, None
    source = icmp or manipulation is Manipulation.SOURCE
    key = chosen.src_key if source else chosen.dst_key
    if wish.low_port is not None and wish.high_port is not None:
        low, high = sorted((wish.low_port, wish.high_port))
    elif icmp:
        low, high = 0, 65535
    elif manipulation is Manipulation.DESTINATION:
        return chosen, None
    else:
        low, high = port_class(key)
    size = high - low + 1

    def at(offset: int) -> ConnTuple:
        port = low + (offset & 0xFFFF) % size
        return replace(chosen, src_key=port) if source else replace(chosen, dst_key=port)

    if wish.base_port is not None or in_order:
        start = (key - wish.base_port) & 0xFFFF if wish.base_port is not None else 0
        for i in range(min(size, MOST_TRIES)):
            if not taken(at(start + i)):
                return at(start + i), None
        return at(start + min(size, MOST_TRIES) - 1), None
    start = pick(manipulation, low, high) - low
    for i in range(size):
        if not taken(at(start + i)):
            return at(start + i), (low, high) if size > 1 else None
    return at(start), (low, high) if size > 1 else None


# --- rewriting ---------------------------------------------------------------------------------------------------


def _changes(connection: Connection, manipulation: Manipulation, direction: Direction) -> bool:
    """True when a packet in this direction is rewritten on this side (spec: netfilter 5.2)."""
    source_side = (manipulation is Manipulation.SOURCE) == (direction is Direction.ORIGINAL)
    return connection.src_nat if source_side else connection.dst_nat


def translate(skb: Skb, manipulation: Manipulation) -> bool | None:
    """Rewrites a packet of a translated connection at one hook.

    Returns whether it changed, or None when the kernel drops it: a GRE header too short to be rewritten (gre_manip_pkt in
    nf_nat_proto.c).
    """
    connection = skb.connection
    assert connection is not None
    if not _changes(connection, manipulation, skb.ct_direction):
        return False
    target = invert_tuple(connection.reply if skb.ct_direction is Direction.ORIGINAL else connection.original)
    assert target is not None
    before = skb.packet
    if before.proto == GRE and len(before.transport or b"") < _GRE_HEADER:
        return None
    skb.packet = _rewrite(before, manipulation, target)
    return skb.packet != before


def _rewrite(packet: Packet, manipulation: Manipulation, target: ConnTuple) -> Packet:
    source = manipulation is Manipulation.SOURCE
    if packet.is_icmp and packet.icmp_type in _WITH_IDENTIFIER[packet.family]:
        rest = target.src_key << 16 | packet.icmp_rest & 0xFFFF
        if source:
            return replace(packet, src=target.src, icmp_rest=rest)
        return replace(packet, dst=target.dst, icmp_rest=rest)
    if packet.has_ports and packet.proto in KEYED_BY_PORTS:
        if source:
            return replace(packet, src=target.src, sport=target.src_key)
        return replace(packet, dst=target.dst, dport=target.dst_key)
    moved = replace(packet, src=target.src) if source else replace(packet, dst=target.dst)
    return _with_old_transport(moved, packet) if packet.has_ports else moved


def _with_old_transport(moved: Packet, before: Packet) -> Packet:
    """A packet at new addresses whose checksum nobody has put right, since NAT does not know its protocol."""
    start = before.header_length
    return parse_packet(format_packet(moved)[:start] + format_packet(before)[start:])


def translate_error(skb: Skb, manipulation: Manipulation) -> bool | None:
    """Rewrites an ICMP error about a translated connection, inside and outside.

    Returns whether it changed, or None when the kernel drops it: a redirect for a connection that is translated or whose
    NAT is not decided yet (spec: netfilter 5.8), a wrong checksum, or a quote too short to be rewritten
    (nf_nat_icmp_reply_translation in nf_nat_proto.c).
    """
    connection = skb.connection
    assert connection is not None
    packet = skb.packet
    if packet.family is IPFamily.V4 and packet.icmp_type == ICMP_REDIRECT:
        if not (connection.src_done and connection.dst_done) or connection.src_nat or connection.dst_nat:
            return None
    if not _changes(connection, manipulation, skb.ct_direction):
        return False
    own, other = connection.original, connection.reply
    if skb.ct_direction is Direction.REPLY:
        own, other = other, own
    outer = invert_tuple(other)
    assert outer is not None
    # The quoted packet ran the other way: where the error's source is rewritten, the quote's destination is.
    payload = rewrite_quote(packet, other, source=manipulation is Manipulation.DESTINATION)
    if payload is None or not packet.checksum_ok:
        return None
    if manipulation is Manipulation.SOURCE:
        skb.packet = replace(packet, src=outer.src, payload=payload)
    else:
        skb.packet = replace(packet, dst=outer.dst, payload=payload)
    return skb.packet != packet


def leaves_by_another_device(skb: Skb) -> bool:
    """True when a masqueraded connection now leaves by another device than it was masqueraded for (spec: netfilter 5.5)."""
    connection = skb.connection
    return (
        connection is not None
        and connection.masquerade_iface is not None
        and skb.ct_direction is Direction.ORIGINAL
        and skb.ct_state in (CtState.NEW, CtState.ESTABLISHED, CtState.RELATED)
        and connection.masquerade_iface != skb.out_iface
    )
