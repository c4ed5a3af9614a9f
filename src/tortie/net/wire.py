"""Bytes to `Packet` and back, from the IP header on.

`parse_packet` takes what the kernel would let reach the first hook; what it drops before (spec: netfilter 2.1: wrong
version, short header, bad IPv4 header checksum, more length than bytes) is `InvalidInput`. Bytes after the IP length are
cut off. `format_packet` is the inverse: lengths, the IPv4 checksum and the next-header bytes of IPv6 are always made
anew, the transport checksum is computed unless the packet says otherwise. For every packet that can be parsed,
`format_packet(parse_packet(data))` gives its bytes back.

What is in the fields and what is not:
- TCP, UDP, UDPLITE, SCTP, DCCP, ICMP and ICMPv6 with a whole header are taken apart; SCTP and DCCP have 12 bytes of
  header and the rest, chunks or type-specific fields, is payload.
- TCP with a data offset below 5 words or beyond the packet keeps its bytes in `transport`: nothing can say where its
  payload starts. So does everything of an ICMP kind in the other family.
- IPv6 extension headers are followed as ipv6_find_hdr in net/ipv6/exthdrs_core.c does: hop-by-hop, routing, fragment,
  destination options and AH. A header that is cut short ends the walk: `proto` is its number, `transport` its bytes. A
  later fragment ends it too: `proto` is the fragment header's next header, whatever that is.
- The first fragment header gives `identification`, `fragment_offset` and `more_fragments`, and is written from them.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.net.protocol import AH, DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
DESTINATION_OPTIONS = 60
EXTENSION_HEADERS: frozenset[int] = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION_OPTIONS})
"""IPv6 headers that are skipped on the way to the protocol (spec: netfilter 7.1)."""

_IPV4 = struct.Struct("!BBHHHBBHII")
_IPV6 = struct.Struct("!IHBBQQQQ")
_TCP = struct.Struct("!HHIIHHHH")
_UDP = struct.Struct("!HHHH")
_SCTP = struct.Struct("!HHII")
_DCCP = struct.Struct("!HH2sH4s")
_ICMP = struct.Struct("!BBHI")
_FRAGMENT = struct.Struct("!BBHI")
_LOW64 = (1 << 64) - 1


def parse_packet(data: bytes, *, unfinished_checksums: bool = False) -> Packet:
    """The packet that starts with `data`'s IP header; raises `InvalidInput` for what the kernel drops unseen.

    `unfinished_checksums` is for captures taken on the sending node: a checksum that the network card was to complete
    (the bare sum of the pseudo-header, and 0 in SCTP and the IPv4 header) counts as right, as it does in the kernel.
    """
    if not data:
        raise InvalidInput("an IP packet of no bytes")
    version = data[0] >> 4
    if version == 4:
        return _parse_v4(data, unfinished_checksums)
    if version == 6:
        return _parse_v6(data, unfinished_checksums)
    raise InvalidInput(f"IP version {version} is neither 4 nor 6")


def format_packet(packet: Packet) -> bytes:
    """The packet's bytes; raises ValueError for a packet that cannot be written, such as one above 65535 bytes."""
    most = 0xFFFF if packet.family is IPFamily.V4 else 0xFFFF + 40
    if packet.length > most:
        raise ValueError(f"a packet has at most {most} bytes, not {packet.length}")
    try:
        body = packet.transport if packet.transport is not None else _format_transport(packet)
        return _format_v4(packet, body) if packet.family is IPFamily.V4 else _format_v6(packet, body)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a field of {packet} does not fit its place: {error}") from None


def fragment_header(next_header: int, *, offset: int, more: bool, identification: int) -> tuple[int, bytes]:
    """An entry of `Packet.extensions` for an IPv6 fragment; `offset` counts units of 8 bytes."""
    return FRAGMENT, _FRAGMENT.pack(next_header, 0, offset << 3 | more, identification)


def internet_checksum(data: bytes, start: int = 0) -> int:
    """The checksum of RFC 1071 over `data`, with `start` (a pseudo-header's sum) added; 0 when everything sums up right."""
    return 0xFFFF - _word_sum(data, start)


def crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260, appendix A), as the number that its four bytes hold in network order."""
    table = _CRC32C
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return int.from_bytes((crc ^ 0xFFFFFFFF).to_bytes(4, "little"), "big")


# --- IPv4 --------------------------------------------------------------------------------------------------------


def _parse_v4(data: bytes, unfinished: bool) -> Packet:
    if len(data) < 20:
        raise InvalidInput(f"an IPv4 header has 20 bytes, not {len(data)}")
    first, tos, total, identification, fragment, ttl, proto, checksum, src, dst = _IPV4.unpack_from(data)
    header = (first & 15) * 4
    if header < 20:
        raise InvalidInput(f"IPv4 header length {header} is below 20 bytes")
    if total < header:
        raise InvalidInput(f"IPv4 total length {total} is below the header's {header} bytes")
    if total > len(data):
        raise InvalidInput(f"IPv4 total length is {total} bytes, of which {len(data)} are there")
    if internet_checksum(data[:header]) and not (unfinished and checksum == 0):
        raise InvalidInput(f"IPv4 header checksum {checksum:#06x} is wrong")
    return Packet(
        family=IPFamily.V4,
        src=src,
        dst=dst,
        proto=proto,
        ttl=ttl,
        tos=tos,
        identification=identification,
        dont_fragment=bool(fragment & 0x4000),
        more_fragments=bool(fragment & 0x2000),
        fragment_offset=fragment & 0x1FFF,
        reserved_flag=bool(fragment & 0x8000),
        options=data[20:header],
        **_transport_fields(
            _Transport(IPFamily.V4, proto, src + dst + proto, fragment & 0x3FFF, unfinished), data[header:total]
        ),
    )


def _format_v4(packet: Packet, body: bytes) -> bytes:
    if len(packet.options) % 4 or len(packet.options) > 40:
        raise ValueError(f"IPv4 options are whole words, 40 bytes at most, not {len(packet.options)} bytes")
    header = 20 + len(packet.options)
    word = packet.reserved_flag << 15 | packet.dont_fragment << 14 | packet.more_fragments << 13 | packet.fragment_offset
    values = (0x40 | header // 4, packet.tos, header + len(body), packet.identification, word, packet.ttl, packet.proto)
    bare = _IPV4.pack(*values, 0, packet.src, packet.dst) + packet.options
    return bare[:10] + internet_checksum(bare).to_bytes(2, "big") + bare[12:] + body


# --- IPv6 --------------------------------------------------------------------------------------------------------


def _parse_v6(data: bytes, unfinished: bool) -> Packet:
    if len(data) < 40:
        raise InvalidInput(f"an IPv6 header has 40 bytes, not {len(data)}")
    first, length, proto, hop_limit, src_high, src_low, dst_high, dst_low = _IPV6.unpack_from(data)
    if length == 0 and proto == HOP_BY_HOP and len(data) > 40:
        raise InvalidInput("IPv6 jumbograms cannot be read")
    end = 40 + length
    if end > len(data):
        raise InvalidInput(f"IPv6 header and payload are {end} bytes, of which {len(data)} are there")
    extensions, proto, start, fragment = _parse_extensions(data, proto, end)
    word, identification = fragment if fragment is not None else (0, 0)
    src, dst = src_high << 64 | src_low, dst_high << 64 | dst_low
    body = data[start:end]
    if proto in EXTENSION_HEADERS or any(_fragment_word(part) >> 3 for part in extensions):
        fields: dict[str, Any] = {"transport": body}
    else:
        fields = _transport_fields(_Transport(IPFamily.V6, proto, src + dst + proto, word & 1, unfinished), body)
    return Packet(
        family=IPFamily.V6,
        src=src,
        dst=dst,
        proto=proto,
        ttl=hop_limit,
        tos=first >> 20 & 255,
        flow_label=first & 0xFFFFF,
        identification=identification,
        more_fragments=bool(word & 1),
        fragment_offset=word >> 3,
        extensions=extensions,
        **fields,
    )


def _parse_extensions(
    data: bytes, proto: int, end: int
) -> tuple[tuple[tuple[int, bytes], ...], int, int, tuple[int, int] | None]:
    """The chain, the protocol behind it, where that starts, and what the first fragment header says of its fragment."""
    found: list[tuple[int, bytes]] = []
    fragment: tuple[int, int] | None = None
    start = 40
    while proto in EXTENSION_HEADERS:
        size = _extension_size(proto, data, start, end)
        if size is None:
            break
        body = data[start : start + size]
        found.append((proto, body))
        start += size
        later = False
        if proto == FRAGMENT:
            _, _, word, identification = _FRAGMENT.unpack(body)
            fragment = fragment or (word, identification)
            later = word >> 3 > 0
        proto = body[0]
        if later:
            break
    return tuple(found), proto, start, fragment


def _extension_size(proto: int, data: bytes, start: int, end: int) -> int | None:
    """Bytes of the extension header at `start`, or None when it does not fit."""
    if end - start < 8:
        return None
    if proto == FRAGMENT:
        size = 8
    elif proto == AH:
        size = (data[start + 1] + 2) * 4
    else:
        size = (data[start + 1] + 1) * 8
    return size if start + size <= end else None


def _fragment_word(part: tuple[int, bytes]) -> int:
    number, body = part
    return int.from_bytes(body[2:4], "big") if number == FRAGMENT else 0


def _format_v6(packet: Packet, body: bytes) -> bytes:
    if packet.is_fragment and all(number != FRAGMENT for number, _ in packet.extensions):
        raise ValueError("an IPv6 fragment needs a fragment header among its extensions")
    numbers = [number for number, _ in packet.extensions] + [packet.proto]
    parts = []
    seen_fragment = False
    for (number, content), following in zip(packet.extensions, numbers[1:], strict=True):
        part = bytes([following]) + content[1:]
        if number == FRAGMENT and not seen_fragment:
            seen_fragment = True
            reserved = content[3] & 6
            word = packet.fragment_offset << 3 | reserved | packet.more_fragments
            part = part[:2] + word.to_bytes(2, "big") + packet.identification.to_bytes(4, "big")
        parts.append(part)
    chain = b"".join(parts)
    first = 6 << 28 | packet.tos << 20 | packet.flow_label
    header = _IPV6.pack(
        first, len(chain) + len(body), numbers[0], packet.ttl,
        packet.src >> 64, packet.src & _LOW64, packet.dst >> 64, packet.dst & _LOW64,
    )  # fmt: skip
    return header + chain + body


# --- transport, reading ------------------------------------------------------------------------------------------


class _Transport(NamedTuple):
    """What reading a transport header needs to know of the IP header."""

    family: IPFamily
    proto: int
    pseudo: int
    """Sum of addresses and protocol: the pseudo-header of RFC 9293 3.1 and RFC 8200 8.1 without the length. Its words may
    be added up in any order and in any place of a number."""
    fragment: int
    """Non-zero in a fragment; IPv4's offset is in its lower 13 bits."""
    unfinished: bool


def _transport_fields(given: _Transport, body: bytes) -> dict[str, Any]:
    """The packet's fields that `body` fills: those of its header, or `transport` where there is none to take apart."""
    proto = given.proto
    fields: dict[str, Any] | None = None
    if given.fragment & 0x1FFF and given.family is IPFamily.V4:
        pass
    elif proto == TCP:
        fields = _parse_tcp(body)
    elif proto in (UDP, UDPLITE):
        fields = _parse_udp(body, len(body) if proto == UDP else 0)
    elif proto == SCTP:
        fields = _parse_sctp(body)
    elif proto == DCCP:
        fields = _parse_dccp(body)
    elif proto == (ICMP if given.family is IPFamily.V4 else ICMPV6):
        fields = _parse_icmp(body)
    if fields is None:
        return {"transport": body}
    _check(given, body, fields)
    return fields


def _parse_tcp(body: bytes) -> dict[str, Any] | None:
    if len(body) < 20:
        return None
    sport, dport, seq, ack, word, window, _, urgent = _TCP.unpack_from(body)
    header = (word >> 12) * 4
    if not 20 <= header <= len(body):
        return None
    return {
        "sport": sport,
        "dport": dport,
        "tcp_seq": seq,
        "tcp_ack": ack,
        "tcp_reserved": word >> 8 & 15,
        "tcp_flags": word & 255,
        "tcp_window": window,
        "tcp_urgent": urgent,
        "tcp_options": body[20:header],
        "payload": body[header:],
    }


def _parse_udp(body: bytes, usual: int) -> dict[str, Any] | None:
    if len(body) < 8:
        return None
    sport, dport, length, _ = _UDP.unpack_from(body)
    return {"sport": sport, "dport": dport, "length_field": None if length == usual else length, "payload": body[8:]}


def _parse_sctp(body: bytes) -> dict[str, Any] | None:
    if len(body) < 12:
        return None
    sport, dport, tag, _ = _SCTP.unpack_from(body)
    return {"sport": sport, "dport": dport, "sctp_tag": tag, "payload": body[12:]}


def _parse_dccp(body: bytes) -> dict[str, Any] | None:
    if len(body) < 12:
        return None
    sport, dport, early, _, late = _DCCP.unpack_from(body)
    return {"sport": sport, "dport": dport, "dccp_header": early + late, "payload": body[12:]}


def _parse_icmp(body: bytes) -> dict[str, Any] | None:
    if len(body) < 8:
        return None
    kind, code, _, rest = _ICMP.unpack_from(body)
    return {"icmp_type": kind, "icmp_code": code, "icmp_rest": rest, "payload": body[8:]}


# --- checksums ---------------------------------------------------------------------------------------------------

_CHECKSUM_PLACE: dict[int, tuple[int, int]] = {
    TCP: (16, 2), UDP: (6, 2), UDPLITE: (6, 2), SCTP: (8, 4), DCCP: (6, 2), ICMP: (2, 2), ICMPV6: (2, 2),
}  # fmt: skip
"""Where the checksum of each protocol stands and how many bytes it has."""


def _check(given: _Transport, body: bytes, fields: dict[str, Any]) -> None:
    """Sets `checksum_ok` and `checksum` where they are not the usual; of a first fragment any checksum may be right."""
    place, size = _CHECKSUM_PLACE[given.proto]
    found = int.from_bytes(body[place : place + size], "big")
    right = _right_checksum(given.proto, given.pseudo, body[:place] + bytes(size) + body[place + size :])
    if found == right:
        return
    if given.unfinished and found == _unfinished_checksum(given, len(body)):
        return
    if given.fragment:
        ok = True
    elif right is None:
        ok = False
    elif given.proto == UDP:
        ok = found == 0  # no checksum at all: udp_error in nf_conntrack_proto_udp.c, in both families
    else:
        ok = size == 2 and found % 0xFFFF == right % 0xFFFF  # 0 and 65535 are the same number
    fields["checksum"] = found
    fields["checksum_ok"] = ok


def _right_checksum(proto: int, pseudo: int, body: bytes) -> int | None:
    """The checksum that belongs to `body`, whose checksum bytes are zero; None when its length fields make no sense."""
    if proto == SCTP:
        return crc32c(body)
    if proto == ICMP:
        return internet_checksum(body)
    covered = _covered(proto, body)
    if covered is None:
        return None
    total = internet_checksum(covered, pseudo + (len(covered) if proto == UDP else len(body)))
    return total or 0xFFFF if proto in (UDP, UDPLITE) else total


def _covered(proto: int, body: bytes) -> bytes | None:
    """The bytes that the checksum covers: all, but for UDP's length, UDPLITE's coverage and DCCP's CsCov."""
    if proto in (UDP, UDPLITE):
        end = int.from_bytes(body[4:6], "big") or (0 if proto == UDP else len(body))
        return body[:end] if 8 <= end <= len(body) else None
    if proto == DCCP and body[5] & 15:
        end = (body[4] + (body[5] & 15) - 1) * 4
        return body[:end] if 12 <= end <= len(body) else None
    return body


def _unfinished_checksum(given: _Transport, length: int) -> int | None:
    """What a sender leaves to its network card: the sum of the pseudo-header alone (tcp_v4_send_check), 0 in SCTP."""
    if given.proto == SCTP:
        return 0
    if given.proto in (TCP, UDP, ICMPV6):
        return _word_sum(b"", given.pseudo + length)
    return None


def _word_sum(data: bytes, start: int) -> int:
    """The one's complement sum of 16-bit words, which is 0 only where all of them are; an odd byte is padded by zero.

    2**16 is 1 modulo 65535, so the sum of the words is the whole number's remainder.
    """
    number = start + (int.from_bytes(data, "big") << (len(data) & 1) * 8)
    return number % 0xFFFF or (0xFFFF if number else 0)


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC32C = _crc32c_table()


# --- transport, writing ------------------------------------------------------------------------------------------


def _format_transport(packet: Packet) -> bytes:
    """The transport header made of the packet's fields, and its payload."""
    if packet.proto not in _CHECKSUM_PLACE:
        return packet.payload
    bare = _format_header(packet) + packet.payload
    place, size = _CHECKSUM_PLACE[packet.proto]
    checksum = packet.checksum
    if checksum is None:
        checksum = _right_checksum(packet.proto, packet.src + packet.dst + packet.proto, bare) or 0
        if not packet.checksum_ok:
            checksum = checksum ^ 0x5555 or 0xAAAA
    return bare[:place] + checksum.to_bytes(size, "big") + bare[place + size :]


def _format_header(packet: Packet) -> bytes:
    """The transport header with a checksum of zero."""
    proto, sport, dport = packet.proto, packet.sport, packet.dport
    if proto == TCP:
        size = 20 + len(packet.tcp_options)
        if size % 4 or size > 60:
            raise ValueError(f"TCP options are whole words, 40 bytes at most, not {size - 20} bytes")
        word = size // 4 << 12 | packet.tcp_reserved << 8 | packet.tcp_flags
        fixed = _TCP.pack(sport, dport, packet.tcp_seq, packet.tcp_ack, word, packet.tcp_window, 0, packet.tcp_urgent)
        return fixed + packet.tcp_options
    if proto in (UDP, UDPLITE):
        usual = 8 + len(packet.payload) if proto == UDP else 0
        return _UDP.pack(sport, dport, usual if packet.length_field is None else packet.length_field, 0)
    if proto == SCTP:
        return _SCTP.pack(sport, dport, packet.sctp_tag, 0)
    if proto == DCCP:
        return _DCCP.pack(sport, dport, packet.dccp_header[:2], 0, packet.dccp_header[2:])
    return _ICMP.pack(packet.icmp_type, packet.icmp_code, 0, packet.icmp_rest)
