"""One IP packet as a value.

Invariants: a packet holds what is on the wire and nothing the node thinks of it (marks, interfaces and conntrack belong
to the walk). For TCP, UDP, UDPLITE, SCTP, DCCP, ICMP and ICMPv6 with a whole header the header's fields are set and
`payload` is what follows it. When the transport header is cut short, when the packet is a later fragment, or when the
protocol is another one, `transport` holds the bytes after the IP header as they are and the fields stay zero.
Bytes are read and written by `tortie.net.wire`.
"""

from __future__ import annotations

import msgspec

from tortie.net.address import IPFamily, format_address
from tortie.net.protocol import ICMP, ICMPV6, PORT_PROTOCOLS, TCP, TCP_FLAGS, protocol_name


class Packet(msgspec.Struct, frozen=True, gc=False):
    """An IPv4 or IPv6 packet; addresses are integers, `fragment_offset` counts units of 8 bytes."""

    family: IPFamily
    src: int
    dst: int
    proto: int
    sport: int = 0
    dport: int = 0
    tcp_flags: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    icmp_rest: int = 0
    """The 32 bits after the ICMP checksum: identifier and sequence number in queries."""
    ttl: int = 64
    """Time to live, or the hop limit."""
    tos: int = 0
    """The TOS byte, or the traffic class."""
    payload: bytes = b""
    transport: bytes | None = None
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    flow_label: int = 0
    options: bytes = b""
    """IPv4 options, padded to whole words."""
    extensions: tuple[tuple[int, bytes], ...] = ()
    """IPv6 extension headers in order: (their own protocol number, their bytes with the next-header byte as first)."""
    tcp_seq: int = 0
    tcp_ack: int = 0
    tcp_window: int = 64240
    tcp_options: bytes = b""
    checksum_ok: bool = True
    """False when the transport checksum on the wire is wrong."""
    checksum: int | None = None
    """The transport checksum on the wire where it is not the one that belongs to these bytes: wrong, absent (0 in UDP),
    or a first fragment's, which covers the whole datagram. None is the right one."""
    length_field: int | None = None
    """UDP: the length on the wire where it is not that of header and payload (None). UDPLITE: the checksum coverage
    where it is not 0 (None), the whole datagram."""
    reserved_flag: bool = False
    """The unused highest bit of IPv4's fragment word."""
    tcp_reserved: int = 0
    """The four bits between TCP's data offset and its flags."""
    tcp_urgent: int = 0
    """TCP's urgent pointer."""
    sctp_tag: int = 0
    """SCTP's verification tag; the chunks are the payload."""
    dccp_header: bytes = b"\x03\x00\x00\x00\x00\x00"
    """DCCP's bytes 4, 5 and 8 to 11: data offset, CCVal and CsCov, type and X, three bytes of the sequence number (short)
    or a reserved byte and its first two (X = 1). What follows the 12 bytes is the payload, options included."""

    @property
    def is_later_fragment(self) -> bool:
        """True for every fragment but the first: it carries no transport header."""
        return self.fragment_offset > 0

    @property
    def is_fragment(self) -> bool:
        """True for any fragment, the first included."""
        return self.fragment_offset > 0 or self.more_fragments

    @property
    def has_ports(self) -> bool:
        """True when `sport` and `dport` mean something."""
        return self.transport is None and self.proto in PORT_PROTOCOLS

    @property
    def is_icmp(self) -> bool:
        """True for ICMP in IPv4 and ICMPv6 in IPv6 with a whole header."""
        return self.transport is None and self.proto == (ICMP if self.family is IPFamily.V4 else ICMPV6)

    @property
    def icmp_id(self) -> int:
        """Identifier of an ICMP query."""
        return self.icmp_rest >> 16

    @property
    def dccp_type(self) -> int:
        """Type of a DCCP packet: 0 REQUEST, 1 RESPONSE, 2 DATA, 3 ACK and on (RFC 4340, 5.1)."""
        return self.dccp_header[2] >> 1 & 15

    @property
    def header_length(self) -> int:
        """Bytes before the transport header: IPv4 header with options, or IPv6 header with extensions."""
        if self.family is IPFamily.V4:
            return 20 + len(self.options)
        return 40 + sum(len(body) for _, body in self.extensions)

    @property
    def length(self) -> int:
        """IPv4 total length, or IPv6 payload length plus 40: what `-m length` compares (spec: netfilter 7.2)."""
        if self.transport is not None:
            return self.header_length + len(self.transport)
        return self.header_length + transport_header_length(self) + len(self.payload)

    def __str__(self) -> str:
        return describe_packet(self)


_TRANSPORT_HEADER = {6: 20, 17: 8, 136: 8, 132: 12, 33: 12, 1: 8, 58: 8}


def transport_header_length(packet: Packet) -> int:
    """Bytes of the transport header that the packet's fields stand for (TCP options included)."""
    base = _TRANSPORT_HEADER.get(packet.proto, 0)
    return base + len(packet.tcp_options) if packet.proto == TCP else base


def describe_packet(packet: Packet) -> str:
    """One line: `tcp 10.0.0.5:40000 > 10.0.0.1:80 SYN ttl 64`."""
    src, dst = format_address(packet.family, packet.src), format_address(packet.family, packet.dst)
    if packet.has_ports:
        joint = "[{}]:{}" if packet.family is IPFamily.V6 else "{}:{}"
        ends = f"{joint.format(src, packet.sport)} > {joint.format(dst, packet.dport)}"
    else:
        ends = f"{src} > {dst}"
    words = [protocol_name(packet.proto), ends]
    if packet.transport is None and packet.proto == TCP:
        words.append("+".join(name for name, bit in TCP_FLAGS.items() if packet.tcp_flags & bit) or "no-flags")
    if packet.is_icmp:
        words.append(f"type {packet.icmp_type} code {packet.icmp_code}")
    if packet.is_fragment:
        words.append(f"fragment {packet.fragment_offset * 8}{'+' if packet.more_fragments else ''}")
    words.append(f"ttl {packet.ttl}")
    return " ".join(words)
