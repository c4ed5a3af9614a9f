"""Tests of the less common transport headers: SCTP, DCCP, the MSS option, AH and ESP, IPcomp (spec: netfilter 7.2).

As in `match_l4`, a later fragment is a miss and a header that is too short drops the packet, in both back-ends.
Sources: net/netfilter/xt_sctp.c, xt_dccp.c, xt_tcpmss.c, xt_esp.c, xt_ipcomp.c, net/ipv4/netfilter/ipt_ah.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.match import (
    AhMatch,
    DccpMatch,
    EspMatch,
    IpcompMatch,
    SctpChunksTest,
    SctpMatch,
    TcpmssMatch,
)
from tortie.simulator.answer import HOTDROP, Answer
from tortie.simulator.ipv6_header import is_later_fragment, transport_bytes, unguarded_bytes
from tortie.simulator.match_header import Holds
from tortie.simulator.match_ipv6 import in_range
from tortie.simulator.match_l4 import explain_ports, no_header
from tortie.simulator.skb import Skb
from tortie.simulator.tcp_option import has_option, mss_of

_TCP_HEADER, _SCTP_HEADER, _DCCP_HEADER = 20, 12, 12


def _on_bytes(least: int, test: Callable[[bytes], Answer]) -> Holds:
    """A test of the bytes after the IP header: a later fragment misses, fewer than `least` bytes drop the packet."""

    def run(skb: Skb) -> Answer:
        packet = skb.packet
        if is_later_fragment(packet):
            return False
        data = transport_bytes(packet)
        return test(data) if len(data) >= least else HOTDROP

    return run


def whole_transport(packet: Packet) -> bytes:
    """Transport header and payload as bytes, also of a packet that was taken apart."""
    if packet.transport is not None:
        return transport_bytes(packet)
    return format_packet(packet)[packet.header_length :]


# --- SCTP --------------------------------------------------------------------------------------------------------

CHUNK_NUMBERS: dict[str, int] = {
    "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6, "SHUTDOWN": 7,
    "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "ECN_ECNE": 12, "ECN_CWR": 13,
    "SHUTDOWN_COMPLETE": 14, "I_DATA": 64, "ASCONF_ACK": 128, "RE_CONFIG": 130, "PAD": 132, "FORWARD_TSN": 192,
    "ASCONF": 193,
}  # fmt: skip
"""SCTP chunk types by the names that `--chunk-types` takes (RFC 9260, 3.2, and the documents that extend it)."""
_FLAG_BITS = {"I": 8, "U": 4, "B": 2, "E": 1, "T": 1}


def compile_sctp(match: SctpMatch) -> Holds:
    """`-m sctp`."""
    chunks = _chunk_test(match.chunks.value) if match.chunks is not None else None
    inverted = match.chunks is not None and match.chunks.inverted

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if packet.transport is not None:
            return False if is_later_fragment(packet) else HOTDROP
        if not in_range(match.source_ports, packet.sport) or not in_range(match.destination_ports, packet.dport):
            return False
        if chunks is None:
            return True
        found = chunks(packet.payload)
        return HOTDROP if found is None else found is not inverted

    return test


def _chunk_test(wanted: SctpChunksTest) -> Callable[[bytes], bool | None]:
    """The test of a packet's chunks; None for a chunk without length, or one that is cut short."""
    masks = _chunk_masks(wanted)
    mode = wanted.mode

    def test(data: bytes) -> bool | None:
        missing = set(masks)
        for chunk in _chunks(data):
            if chunk is None:
                return None
            kind, flags = chunk
            fits = kind in masks and flags & masks[kind][0] == masks[kind][1]
            if mode == "any" and fits:
                return True
            if mode == "only" and not fits:
                return False
            if fits:
                missing.discard(kind)
        return not missing if mode == "all" else mode == "only"

    return test


def _chunk_masks(wanted: SctpChunksTest) -> dict[int, tuple[int, int]]:
    """Flag mask and value by chunk type: capital letters ask for a set bit, small ones for a clear one."""
    if wanted.chunks[:1] in ((("ALL", ""),), (("NONE", ""),)):
        return dict.fromkeys(range(256), (0, 0)) if wanted.chunks[0][0] == "ALL" else {}
    masks = {}
    for name, letters in wanted.chunks:
        mask = sum(_FLAG_BITS[letter.upper()] for letter in letters)
        masks[CHUNK_NUMBERS[name]] = (mask, sum(_FLAG_BITS[letter] for letter in letters if letter.isupper()))
    return masks


def _chunks(data: bytes) -> Iterator[tuple[int, int] | None]:
    """Type and flags of every chunk; None where the kernel gives up. There is always a first one to look at."""
    place = 0
    while place < len(data) or place == 0:
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if len(data) - place < 4 or length == 0:
            yield None
            return
        yield data[place], data[place + 1]
        place += (length + 3) & ~3


def explain_sctp(match: SctpMatch, packet: Packet) -> str:
    """Why `-m sctp` missed."""
    if packet.transport is not None:
        return no_header(packet)
    ports = explain_ports(match.source_ports, match.destination_ports, packet)
    if ports:
        return ports
    names = {number: name for name, number in CHUNK_NUMBERS.items()}
    seen = ",".join(names.get(chunk[0], str(chunk[0])) for chunk in _chunks(packet.payload) if chunk is not None)
    return f"chunks are {seen}"


# --- DCCP --------------------------------------------------------------------------------------------------------

DCCP_TYPES: dict[str, int] = {
    "REQUEST": 0, "RESPONSE": 1, "DATA": 2, "ACK": 3, "DATAACK": 4, "CLOSEREQ": 5, "CLOSE": 6, "RESET": 7, "SYNC": 8,
    "SYNCACK": 9, "INVALID": 10,
}  # fmt: skip
_FIRST_INVALID = 10
_FIXED_PART = {0: 4, 1: 12, 2: 0, 3: 8, 4: 8, 5: 8, 6: 8, 8: 8, 9: 8}
"""Bytes between the generic header and the options, by type (dccp_packet_hdr_len in linux/dccp.h); others have 12."""


def compile_dccp(match: DccpMatch) -> Holds:
    """`-m dccp`."""
    types = match.types
    numbers = {DCCP_TYPES[name] for name in types.value} if types is not None else set()
    if _FIRST_INVALID in numbers:
        numbers |= set(range(_FIRST_INVALID, 16))

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        if packet.transport is not None:
            return False if is_later_fragment(packet) else HOTDROP
        if not in_range(match.source_ports, packet.sport) or not in_range(match.destination_ports, packet.dport):
            return False
        if types is not None and (packet.dccp_type in numbers) is types.inverted:
            return False
        if match.option is None:
            return True
        options = _dccp_options(packet)
        return HOTDROP if options is None else has_option(options, match.option.value) is not match.option.inverted

    return test


def _dccp_options(packet: Packet) -> bytes | None:
    data = whole_transport(packet)
    start = 12 + (4 if data[8] & 1 else 0) + _FIXED_PART.get(packet.dccp_type, 12)
    end = data[4] * 4
    return data[start:end] if start <= end <= len(data) else None


def explain_dccp(match: DccpMatch, packet: Packet) -> str:
    """Why `-m dccp` missed."""
    if packet.transport is not None:
        return no_header(packet)
    ports = explain_ports(match.source_ports, match.destination_ports, packet)
    names = {number: name for name, number in DCCP_TYPES.items()}
    return ports or f"DCCP type is {names.get(packet.dccp_type, packet.dccp_type)}"


# --- the others --------------------------------------------------------------------------------------------------


def compile_tcpmss(match: TcpmssMatch) -> Holds:
    """`-m tcpmss`: a later fragment is read as if it were a header (in IPv6 the packet itself); no option is a miss."""
    span, inverted = match.mss, match.inverted

    def test(skb: Skb) -> Answer:
        packet = skb.packet
        options: bytes | None = packet.tcp_options
        if packet.transport is not None:
            options = _raw_options(unguarded_bytes(packet))
        if options is None:
            return HOTDROP
        mss = mss_of(options)
        return inverted if mss is None else (mss in span) is not inverted

    return test


def _raw_options(raw: bytes) -> bytes | None:
    """TCP options of bytes read as a TCP header; None when they do not reach as far as they say."""
    end = (raw[12] >> 4) * 4 if len(raw) >= _TCP_HEADER else 0
    return raw[_TCP_HEADER:end] if _TCP_HEADER <= end <= len(raw) else None


def explain_tcpmss(match: TcpmssMatch, packet: Packet) -> str:
    """Why `-m tcpmss` missed."""
    mss = mss_of(packet.tcp_options)
    if mss is None:
        return "the packet announces no MSS"
    return f"MSS is {mss}" + ("" if match.inverted else f", not in {match.mss.low} to {match.mss.high}")


def compile_spi(match: AhMatch | EspMatch) -> Holds:
    """`-m ah` of IPv4 and `-m esp`."""
    place, least = (4, 12) if isinstance(match, AhMatch) else (0, 8)
    return _on_bytes(least, lambda data: in_range(match.spi, int.from_bytes(data[place : place + 4], "big")))


def compile_ipcomp(match: IpcompMatch) -> Holds:
    """`-m ipcomp`."""
    return _on_bytes(4, lambda data: in_range(match.spi, int.from_bytes(data[2:4], "big")))


def explain_spi(match: AhMatch | EspMatch | IpcompMatch, packet: Packet) -> str:
    """Why a test of a security parameter index missed."""
    if is_later_fragment(packet):
        return no_header(packet)
    data = transport_bytes(packet)
    place, size = {AhMatch: (4, 4), EspMatch: (0, 4), IpcompMatch: (2, 2)}[type(match)]
    return f"SPI is {int.from_bytes(data[place : place + size], 'big')}"
