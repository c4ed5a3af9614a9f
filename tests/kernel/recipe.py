"""Makes a scenario's packets: given ones as they are, the others from what really left the node before.

`Memory` holds what was injected and what came of it. A recipe whose ingredient is missing (its packet was dropped, or
was a fragment) gives None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from msgspec import structs

from tests.kernel.fragment import reassemble
from tests.kernel.oracle.outcome import Outcome
from tests.kernel.scenario import Answer, ErrorAbout, Follow, Given, Recipe, Repeat
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, TCP
from tortie.net.wire import format_packet, parse_packet

_FIN, _SYN, _ACK = 1, 2, 16
_FIRST_SEQUENCE = 9000
_QUERY_TO_REPLY = {ICMP: {8: 0, 13: 14, 15: 16, 17: 18}, ICMPV6: {128: 129, 139: 140}}


@dataclass(slots=True)
class Memory:
    """Packets of one run by key: as injected, and what the kernel did with them."""

    given: dict[int, Given] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def keep(self, key: int, given: Given, outcome: Outcome) -> None:
        """Remembers one packet for later recipes."""
        self.given[key] = given
        self.outcomes[key] = outcome


def make(recipe: Recipe, memory: Memory) -> Given | None:
    """The packet to inject, or None when the recipe's ingredient is missing."""
    match recipe:
        case Given():
            return recipe
        case Repeat(of):
            return memory.given.get(of)
        case Follow():
            return _follow(recipe, memory)
        case Answer():
            return _answer(recipe, memory)
        case ErrorAbout():
            return _error(recipe, memory)


def read_packet(data: bytes, *, unfinished_checksums: bool = False) -> Packet | None:
    """The packet, or None for bytes that are none."""
    try:
        return parse_packet(data, unfinished_checksums=unfinished_checksums)
    except InvalidInput:
        return None


def whole_packet(pieces: Sequence[bytes]) -> Packet | None:
    """One packet out of what left: itself, or its fragments put together."""
    if len(pieces) == 1:
        return read_packet(pieces[0])
    joined = reassemble(pieces)
    return read_packet(joined) if joined is not None else None


def _follow(recipe: Follow, memory: Memory) -> Given | None:
    before = memory.given.get(recipe.of)
    packet = read_packet(before.data) if before is not None else None
    if before is None or packet is None or packet.transport is not None or packet.is_fragment:
        return None
    changed = structs.replace(packet, payload=recipe.payload, checksum=None, checksum_ok=True, length_field=None)
    if packet.proto == TCP:
        flags = packet.tcp_flags if recipe.tcp_flags is None else recipe.tcp_flags
        changed = structs.replace(changed, tcp_flags=flags, tcp_seq=_next_sequence(packet), tcp_options=b"")
    return replace(before, data=format_packet(changed))


def _next_sequence(packet: Packet) -> int:
    length = len(packet.payload) + bool(packet.tcp_flags & _SYN) + bool(packet.tcp_flags & _FIN)
    return (packet.tcp_seq + length) & 0xFFFFFFFF


def _receiver(key: int, memory: Memory) -> tuple[Packet, str | None] | None:
    """A packet as its receiver got it, and where the receiver is: behind a device, or (None) the node itself."""
    outcome = memory.outcomes.get(key)
    if outcome is None:
        return None
    if sent := outcome.sent:
        packet = whole_packet([departure.data for departure in sent])
        return (packet, sent[0].iface) if packet is not None else None
    if outcome.delivered:
        packet = read_packet(outcome.delivered[0].data)
        return (packet, None) if packet is not None else None
    return None


def _answer(recipe: Answer, memory: Memory) -> Given | None:
    received = _receiver(recipe.to, memory)
    if received is None:
        return None
    packet, iface = received
    answer = Packet(packet.family, packet.dst, packet.src, packet.proto, payload=recipe.payload)
    if packet.transport is not None:
        answer = structs.replace(answer, payload=b"", transport=packet.transport)
    elif packet.has_ports:
        port = packet.dport if recipe.other_port is None else recipe.other_port
        answer = structs.replace(answer, sport=port, dport=packet.sport)
        if packet.proto == TCP:
            sequence = packet.tcp_ack if packet.tcp_flags & _ACK else _FIRST_SEQUENCE
            answer = structs.replace(
                answer,
                tcp_flags=recipe.tcp_flags,
                tcp_seq=sequence,
                tcp_ack=_next_sequence(packet) * (recipe.tcp_flags >> 4 & 1),
            )
    elif packet.is_icmp:
        reply = _QUERY_TO_REPLY[packet.proto].get(packet.icmp_type)
        if reply is None:
            return None
        answer = structs.replace(answer, icmp_type=reply, icmp_rest=packet.icmp_rest, payload=packet.payload)
    return _given(answer, recipe.in_iface or iface)


def _error(recipe: ErrorAbout, memory: Memory) -> Given | None:
    received = _receiver(recipe.about, memory)
    if received is None:
        return None
    packet, iface = received
    sender = packet.dst if recipe.sender is None else parse_address(recipe.sender).value
    to = packet.src if recipe.to is None else parse_address(recipe.to).value
    error = Packet(
        packet.family,
        sender,
        to,
        ICMP if packet.family is IPFamily.V4 else ICMPV6,
        icmp_type=recipe.icmp_type,
        icmp_code=recipe.icmp_code,
        icmp_rest=recipe.rest,
        payload=format_packet(packet)[: recipe.quote_length],
    )
    return _given(error, iface)


def _given(packet: Packet, iface: str | None) -> Given:
    """A packet of the node itself needs an identification of its own, since the kernel fills in a zero one."""
    if iface is None and packet.family is IPFamily.V4 and packet.identification == 0:
        packet = structs.replace(packet, identification=1)
    return Given(format_packet(packet), iface)
