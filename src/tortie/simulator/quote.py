"""The packet that an ICMP error quotes: whose connection it is about, and how NAT rewrites it.

A quote is raw bytes, often cut short. Its tuple needs no more than the keys themselves (four bytes of ports, a whole ICMP
header); rewriting needs eight bytes behind the IP header and keeps the quoted checksum in step, adding up differences as
the kernel does, so that a checksum that was wrong stays wrong.

Sources: nf_ct_get_tuple in nf_conntrack_core.c, l4proto_manip_pkt in nf_nat_proto.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, SCTP, TCP, UDP
from tortie.net.wire import EXTENSION_HEADERS, FRAGMENT, crc32c
from tortie.netfilter.conntrack import ConnTuple
from tortie.simulator.tracking_table import ICMP_INVERSE, KEYED_BY_PORTS

_PORTS_LENGTH = 4
_HEADER_LENGTH = 8
_AH = 51
_FULL_HEADER = {TCP: 20, SCTP: 12}
"""Header lengths from which on the kernel also corrects the checksum; other protocols have it within eight bytes."""
_TCP_CHECKSUM_AT, _UDP_CHECKSUM_AT = 16, 6
_MANGLED_ZERO = 0xFFFF


@dataclass(frozen=True, slots=True)
class Quote:
    """Where things are in a quoted packet: addresses as numbers, `offset` of the transport header, its protocol."""

    src: int
    dst: int
    proto: int
    offset: int


def read_quote(packet: Packet) -> Quote | None:
    """Finds the quoted packet's headers, or None where the kernel would not."""
    return _read_v4(packet.payload) if packet.family is IPFamily.V4 else _read_v6(packet.payload)


def _read_v4(data: bytes) -> Quote | None:
    if len(data) < 20 or int.from_bytes(data[6:8], "big") & 0x1FFF:
        return None
    offset = (data[0] & 15) * 4
    if offset > len(data):
        return None
    return Quote(int.from_bytes(data[12:16], "big"), int.from_bytes(data[16:20], "big"), data[9], offset)


def _read_v6(data: bytes) -> Quote | None:
    if len(data) < 40:
        return None
    proto, offset = data[6], 40
    while proto in EXTENSION_HEADERS:
        header = data[offset : offset + 8]
        if len(header) < 8:
            return None
        if proto == FRAGMENT:
            if int.from_bytes(header[2:4], "big") & 0xFFF8:
                return None
            size = 8
        else:
            size = (header[1] + 2) * 4 if proto == _AH else (header[1] + 1) * 8
        proto, offset = header[0], offset + size
    return Quote(int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big"), proto, offset)


def quoted_tuple(packet: Packet) -> ConnTuple | None:
    """The tuple of the packet that an ICMP error quotes, None when the quote does not hold its keys."""
    quote = read_quote(packet)
    if quote is None:
        return None
    body = packet.payload[quote.offset : quote.offset + _HEADER_LENGTH]
    if quote.proto in KEYED_BY_PORTS:
        if len(body) < _PORTS_LENGTH:
            return None
        ports = int.from_bytes(body[0:2], "big"), int.from_bytes(body[2:4], "big")
        return ConnTuple(packet.family, quote.proto, quote.src, quote.dst, *ports)
    if quote.proto == packet.proto:
        if len(body) < _HEADER_LENGTH:
            return None
        keys = int.from_bytes(body[4:6], "big"), body[0] << 8 | body[1]
        return ConnTuple(packet.family, quote.proto, quote.src, quote.dst, *keys)
    return ConnTuple(packet.family, quote.proto, quote.src, quote.dst)


def rewrite_quote(packet: Packet, target: ConnTuple, *, source: bool) -> bytes | None:
    """The quote with its source or destination as in `target`, None when it is too short: the kernel drops the error."""
    quote = read_quote(packet)
    data = bytearray(packet.payload)
    if quote is None:
        return None
    v4 = packet.family is IPFamily.V4
    width = 4 if v4 else 16
    place = (12 if v4 else 8) + (0 if source else width)
    address = (target.src if source else target.dst).to_bytes(width, "big")
    before = bytes(data[place : place + width])
    if not _rewrite_transport(data, quote, target, before, address, source=source):
        return None
    data[place : place + width] = address
    if v4:
        _adjust(data, 10, before, address)
    return bytes(data)


def _rewrite_transport(
    data: bytearray, quote: Quote, target: ConnTuple, before: bytes, address: bytes, *, source: bool
) -> bool:
    proto, offset = quote.proto, quote.offset
    if proto not in KEYED_BY_PORTS and proto not in (ICMP, ICMPV6):
        return True
    if len(data) < offset + _HEADER_LENGTH:
        return False
    if proto == ICMP:
        if data[offset] in ICMP_INVERSE:
            _replace_key(data, offset + 4, target.src_key, offset + 2)
        return True
    if proto == ICMPV6:
        _adjust(data, offset + 2, before, address)
        if data[offset] in (128, 129):
            _replace_key(data, offset + 4, target.src_key, offset + 2)
        return True
    key = target.src_key if source else target.dst_key
    key_at = offset if source else offset + 2
    checksum_at = _port_checksum(data, quote)
    if checksum_at is not None:
        _adjust(data, checksum_at, before, address)
    _replace_key(data, key_at, key, checksum_at)
    if checksum_at is not None and proto not in _FULL_HEADER and not any(data[checksum_at : checksum_at + 2]):
        data[checksum_at : checksum_at + 2] = _MANGLED_ZERO.to_bytes(2, "big")
    if proto == SCTP and len(data) >= offset + _FULL_HEADER[SCTP]:
        data[offset + 8 : offset + 12] = bytes(4)
        data[offset + 8 : offset + 12] = crc32c(bytes(data[offset:])).to_bytes(4, "big")
    return True


def _port_checksum(data: bytearray, quote: Quote) -> int | None:
    """Where the checksum of a protocol with ports is, None when it is not kept in step."""
    if quote.proto in _FULL_HEADER:
        whole = len(data) >= quote.offset + _FULL_HEADER[quote.proto]
        return quote.offset + _TCP_CHECKSUM_AT if whole and quote.proto == TCP else None
    at = quote.offset + _UDP_CHECKSUM_AT
    return None if quote.proto == UDP and not any(data[at : at + 2]) else at


def _replace_key(data: bytearray, at: int, key: int, checksum_at: int | None) -> None:
    new = key.to_bytes(2, "big")
    if checksum_at is not None:
        _adjust(data, checksum_at, bytes(data[at : at + 2]), new)
    data[at : at + 2] = new


def _adjust(data: bytearray, at: int, before: bytes, after: bytes) -> None:
    """Corrects a checksum for words that change (csum_replace4 in include/net/checksum.h)."""
    total = 0xFFFF ^ int.from_bytes(data[at : at + 2], "big")
    for i in range(0, len(before), 2):
        total += (0xFFFF ^ int.from_bytes(before[i : i + 2], "big")) + int.from_bytes(after[i : i + 2], "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data[at : at + 2] = (0xFFFF ^ total).to_bytes(2, "big")
