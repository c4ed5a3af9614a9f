"""Packets that `parse_packet` can return: every field is what the bytes of some real packet hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import AH, DCCP, ICMP, ICMPV6, PORT_PROTOCOLS, SCTP, TCP, UDP, UDPLITE
from tortie.net.wire import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING, fragment_header

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
payloads = st.binary(max_size=40)
other_protocols = st.sampled_from([2, 4, 41, 47, 50, 59, 89, 253])


@st.composite
def transports(draw: st.DrawFn, family: IPFamily) -> dict[str, Any]:
    """Fields of a whole transport header with its payload, or raw bytes of another protocol."""
    icmp = ICMP if family is IPFamily.V4 else ICMPV6
    proto = draw(st.sampled_from([TCP, UDP, UDPLITE, SCTP, DCCP, icmp]) | other_protocols)
    fields: dict[str, Any] = {"proto": proto}
    if proto not in PORT_PROTOCOLS and proto != icmp:
        return fields | {"transport": draw(payloads)}
    fields["payload"] = draw(payloads)
    if proto in PORT_PROTOCOLS:
        fields |= {"sport": draw(u16), "dport": draw(u16)}
    if proto == TCP:
        fields |= {
            "tcp_flags": draw(u8),
            "tcp_reserved": draw(st.integers(0, 15)),
            "tcp_seq": draw(u32),
            "tcp_ack": draw(u32),
            "tcp_window": draw(u16),
            "tcp_urgent": draw(u16),
            "tcp_options": draw(words(10)),
        }
    elif proto == SCTP:
        fields["sctp_tag"] = draw(u32)
    elif proto == DCCP:
        size = 12 + len(fields["payload"])
        fields["dccp_header"] = bytes([draw(st.integers(3, size // 4)), draw(st.sampled_from([0, 1, 0xF0]))]) + draw(
            st.binary(min_size=4, max_size=4)
        )
    elif proto == UDPLITE:
        fields["length_field"] = draw(st.none() | st.integers(8, 8 + len(fields["payload"])))
    elif proto == icmp:
        fields |= {"icmp_type": draw(u8), "icmp_code": draw(u8), "icmp_rest": draw(u32)}
    return fields


def words(most: int) -> st.SearchStrategy[bytes]:
    """Whole 32-bit words."""
    return st.integers(0, most).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))


@st.composite
def _extension(draw: st.DrawFn) -> tuple[int, Callable[[int], bytes]]:
    number = draw(st.sampled_from([HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, AH]))
    units = draw(st.integers(0, 2))
    size = (units + 2) * 4 if number == AH else (units + 1) * 8
    if size < 8:
        size, units = 8, 0
    rest = draw(st.binary(min_size=size - 2, max_size=size - 2))
    return number, lambda following: bytes([following, units]) + rest


@st.composite
def extension_chains(draw: st.DrawFn, proto: int, fragment: tuple[int, bool, int] | None) -> tuple[tuple[int, bytes], ...]:
    """Extension headers in front of `proto`; `fragment` (offset, more, identification) puts its header last."""
    drawn = draw(st.lists(_extension(), max_size=2))
    numbers = [number for number, _ in drawn] + ([44] if fragment else []) + [proto]
    chain = [(number, make(numbers[place + 1])) for place, (number, make) in enumerate(drawn)]
    if fragment:
        offset, more, identification = fragment
        chain.append(fragment_header(proto, offset=offset, more=more, identification=identification))
    return tuple(chain)


@st.composite
def packets(draw: st.DrawFn, family: IPFamily | None = None) -> Packet:
    """Whole packets, first and later fragments, with right checksums."""
    family = family or draw(st.sampled_from(IPFamily))
    fields = draw(transports(family))
    offset = draw(st.just(0) | st.integers(1, 0x1FFF))
    more = draw(st.booleans())
    if offset:
        fields = {"proto": fields["proto"], "transport": draw(payloads)}
    if more and "length_field" in fields:
        fields["length_field"] = None
    address = st.integers(0, family.all_ones)
    fields |= {"src": draw(address), "dst": draw(address), "ttl": draw(u8), "tos": draw(u8)}
    fields |= {"fragment_offset": offset, "more_fragments": more}
    if family is IPFamily.V4:
        fields |= {"identification": draw(u16), "dont_fragment": draw(st.booleans()), "options": draw(words(10))}
    else:
        identification = draw(u32)
        fragment = (offset, more, identification) if offset or more or draw(st.booleans()) else None
        fields["identification"] = identification if fragment else 0
        fields["flow_label"] = draw(st.integers(0, 0xFFFFF))
        fields["extensions"] = draw(extension_chains(fields["proto"], fragment))
    return Packet(family, **fields)
