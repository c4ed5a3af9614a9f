"""Putting fragments together, as the kernel does before connection tracking and before local delivery.

Fragments wait in the session under the place that collects them (PREROUTING and OUTPUT of tracking, or local delivery
keep separate queues: net/ipv4/ip_fragment.c, IP_DEFRAG_*). A piece that is there already is dropped; one that overlaps
others takes all of them with it (RFC 5722; inet_frag_queue_insert in net/ipv4/inet_fragment.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import ICMPV6, TCP, UDP
from tortie.net.wire import format_packet, parse_packet
from tortie.simulator.session import Frame, Session

FRAGMENT_HEADER = 44
_UPPER_HEADER = {TCP: 20, UDP: 8, ICMPV6: 8}
"""What must be in the first IPv6 fragment; of other protocols one byte (ipv6frag_thdr_truncated)."""


def is_collected(packet: Packet) -> bool:
    """True for fragments that wait for the rest before connection tracking.

    An IPv6 fragment that is alone (neither offset nor more to come) only loses its header. A first one without the whole
    transport header passes by as it is (nf_ct_frag6_queue in nf_conntrack_reasm.c, RFC 8200 section 4.5).
    """
    if packet.family is IPFamily.V4:
        return packet.is_fragment
    if not any(number == FRAGMENT_HEADER for number, _ in packet.extensions):
        return False
    there = packet.transport
    return packet.is_later_fragment or there is None or len(there) >= _UPPER_HEADER.get(packet.proto, 1)


@dataclass(frozen=True, slots=True)
class Whole:
    """A packet put together: `largest` is the length of its longest fragment in bytes."""

    packet: Packet
    largest: int
    frame: Frame


_UNSAID = Frame()


def collect_fragment(session: Session, packet: Packet, place: str, frame: Frame = _UNSAID) -> Whole | None:
    """Adds a fragment to those that wait at a place; returns the whole packet once nothing is missing, else None."""
    # IPv6 lets the first fragment say which protocol follows.
    proto = packet.proto if packet.family is IPFamily.V4 else 0
    key = (place, packet.src, packet.dst, proto, packet.identification)
    waiting = session.fragments.get(key, ())
    low = packet.fragment_offset * 8
    high = low + len(_fragment_data(packet))
    for start, end in _runs([piece for piece, _ in waiting]):
        if start <= low and high <= end:
            return None
        if low < end and start < high:
            del session.fragments[key]
            return None
    pieces = sorted((*waiting, (packet, frame)), key=lambda piece: piece[0].fragment_offset)
    whole = _assemble([piece for piece, _ in pieces])
    if whole is None:
        session.fragments[key] = tuple(pieces)
        return None
    session.fragments.pop(key, None)
    return Whole(whole, max(piece.length for piece, _ in pieces), pieces[0][1])


def _runs(pieces: Sequence[Packet]) -> list[tuple[int, int]]:
    """First and last byte (exclusive) of every stretch without a gap; the pieces come in order."""
    runs: list[tuple[int, int]] = []
    for piece in pieces:
        start = piece.fragment_offset * 8
        end = start + len(_fragment_data(piece))
        if runs and runs[-1][1] == start:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))
    return runs


def _assemble(ordered: Sequence[Packet]) -> Packet | None:
    if ordered[0].fragment_offset != 0 or ordered[-1].more_fragments:
        return None
    body = b""
    for piece in ordered:
        data = _fragment_data(piece)
        if piece.fragment_offset * 8 != len(body):
            return None
        body += data
    first = ordered[0]
    extensions = tuple(entry for entry in first.extensions if entry[0] != FRAGMENT_HEADER)
    bare = replace(first, more_fragments=False, transport=body, payload=b"", extensions=extensions)
    return parse_packet(format_packet(bare))


def _fragment_data(piece: Packet) -> bytes:
    """The bytes a fragment carries behind its IP headers."""
    if piece.transport is not None:
        return piece.transport
    return format_packet(piece)[piece.header_length :]
