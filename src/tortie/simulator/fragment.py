"""Putting fragments together, as the kernel does before connection tracking and before local delivery.

Fragments wait in the session under the place that collects them (PREROUTING and OUTPUT of tracking, or local delivery
keep separate queues: net/ipv4/ip_fragment.c, IP_DEFRAG_*). Overlapping pieces are not resolved: such a packet never
becomes whole, which is what the kernel makes of it (RFC 5722; ip_frag_queue).
"""

from __future__ import annotations

from msgspec.structs import replace

from tortie.net.packet import Packet
from tortie.net.wire import format_packet, parse_packet
from tortie.simulator.session import Session

FRAGMENT_HEADER = 44


def collect_fragment(session: Session, packet: Packet, place: str) -> Packet | None:
    """Adds a fragment to those that wait at a place; returns the whole packet once nothing is missing, else None."""
    key = (place, packet.src, packet.dst, packet.proto, packet.identification)
    pieces = (*session.fragments.get(key, ()), packet)
    whole = _assemble(pieces)
    if whole is None:
        session.fragments[key] = pieces
    else:
        session.fragments.pop(key, None)
    return whole


def _assemble(pieces: tuple[Packet, ...]) -> Packet | None:
    ordered = sorted(pieces, key=lambda piece: piece.fragment_offset)
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
