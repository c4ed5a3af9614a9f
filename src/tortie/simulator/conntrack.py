"""Connection tracking: which connection a packet belongs to, in what state, and when the entry becomes real.

`track` is the hook at priority -200, `confirm` the one at the very end. Rules for states and protocols are the tables in
`tracking_table`, what TCP adds to them is in `tcp`; NAT lives in `nat`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.net.wire import EXTENSION_HEADERS, format_packet, internet_checksum
from tortie.netfilter.conntrack import ConnTuple, TcpState
from tortie.netfilter.match import CtState, Direction
from tortie.simulator.connection import Connection
from tortie.simulator.quote import quoted_tuple
from tortie.simulator.skb import Skb
from tortie.simulator.tcp import Tracked, start_history, track_segment
from tortie.simulator.tracking_table import (
    ICMP_ERRORS,
    ICMP_INVERSE,
    ICMP_OPENERS,
    ICMPV6_ERRORS,
    ICMPV6_INVERSE,
    ICMPV6_OPENERS,
    ICMPV6_UNTRACKED,
    KEYED_BY_PORTS,
    TcpKind,
    tcp_kind,
)

_SCTP_INIT = 1
_PPP = b"\x88\x0b"
_NO_NEXT_HEADER = 59
_SUMMED = frozenset({TCP, UDP, UDPLITE, ICMP})


@dataclass(frozen=True, slots=True)
class TrackingOptions:
    """The sysctls that change tracking: `net.netfilter.nf_conntrack_tcp_loose`, `_tcp_be_liberal` and `_checksum`."""

    tcp_loose: bool = True
    tcp_be_liberal: bool = False
    checksum: bool = True


def packet_tuple(packet: Packet) -> ConnTuple | None:
    """The tuple of a packet, or None when its transport header is too short to have one."""
    proto = packet.proto
    if packet.is_later_fragment or _leads_nowhere(packet):
        return None
    if proto in KEYED_BY_PORTS:
        if packet.transport is not None:
            return _tuple_of_cut_header(packet, packet.transport)
        return ConnTuple(packet.family, proto, packet.src, packet.dst, packet.sport, packet.dport)
    if proto == (ICMP if packet.family is IPFamily.V4 else ICMPV6):
        if packet.transport is not None:
            return None
        return ConnTuple(
            packet.family, proto, packet.src, packet.dst, packet.icmp_rest >> 16, packet.icmp_type << 8 | packet.icmp_code
        )
    if proto == GRE:
        return ConnTuple(packet.family, proto, packet.src, packet.dst, 0, _call_id(packet.transport or b"") or 0)
    return ConnTuple(packet.family, proto, packet.src, packet.dst)


def _leads_nowhere(packet: Packet) -> bool:
    """True when IPv6 headers end without a transport protocol (get_l4proto in nf_conntrack_core.c)."""
    return packet.family is IPFamily.V6 and (packet.proto in EXTENSION_HEADERS or packet.proto == _NO_NEXT_HEADER)


def _tuple_of_cut_header(packet: Packet, there: bytes) -> ConnTuple | None:
    """Ports are the first four bytes; the rest of the header is not needed."""
    if len(there) < 4:
        return None
    ports = int.from_bytes(there[:2], "big"), int.from_bytes(there[2:4], "big")
    return ConnTuple(packet.family, packet.proto, packet.src, packet.dst, *ports)


def _call_id(header: bytes) -> int | None:
    """The call id of enhanced GRE (version 1, PPTP), 0 for plain GRE, None for version 1 with anything but PPP inside.

    Source: gre_pkt_to_tuple in nf_conntrack_proto_gre.c.
    """
    if len(header) < 4 or header[1] & 7 != 1 or len(header) < 8:
        return 0
    return int.from_bytes(header[6:8], "big") if header[2:4] == _PPP else None


def invert_tuple(given: ConnTuple) -> ConnTuple | None:
    """The tuple of the answer, or None for an ICMP type that has no answer."""
    if given.proto in (ICMP, ICMPV6) and given.proto == (ICMP if given.family is IPFamily.V4 else ICMPV6):
        inverse = ICMP_INVERSE if given.family is IPFamily.V4 else ICMPV6_INVERSE
        answer = inverse.get(given.dst_key >> 8)
        if answer is None:
            return None
        key = answer << 8 | given.dst_key & 255
        return ConnTuple(given.family, given.proto, given.dst, given.src, given.src_key, key)
    return ConnTuple(given.family, given.proto, given.dst, given.src, given.dst_key, given.src_key)


def is_icmp_error(packet: Packet) -> bool:
    """True for ICMP messages that quote another packet."""
    if not packet.is_icmp:
        return False
    return packet.icmp_type in (ICMP_ERRORS if packet.family is IPFamily.V4 else ICMPV6_ERRORS)


def track(skb: Skb, options: TrackingOptions, *, check_checksum: bool) -> str:
    """The tracking hook: sets the packet's connection, direction and state, and says in words why.

    `check_checksum` is True at PREROUTING only; packets of the node itself are not checked.
    """
    if skb.untracked:
        skb.ct_state = CtState.UNTRACKED
        return "not tracked, as a rule in raw asked"
    _settle_zones(skb)
    text = _track(skb, options, check_checksum)
    skb.template = None
    return text


def _settle_zones(skb: Skb) -> None:
    """Takes the zones that a CT rule asked for; `--zone mark` is the lower half of the mark at this very moment.

    Source: nf_ct_zone_tmpl in include/net/netfilter/nf_conntrack_zones.h.
    """
    # What comes back by lo without a connection has lost the zone it was asked for on the way out.
    skb.zone_original = skb.zone_reply = 0
    template = skb.template
    if template is None or template.zone is None:
        return
    zone = skb.mark & 0xFFFF if isinstance(template.zone, str) else template.zone
    if template.zone_direction != "reply":
        skb.zone_original = zone
    if template.zone_direction != "orig":
        skb.zone_reply = zone


def _track(skb: Skb, options: TrackingOptions, check_checksum: bool) -> str:
    packet = skb.packet
    if packet.family is IPFamily.V6 and packet.is_icmp and packet.icmp_type in ICMPV6_UNTRACKED:
        skb.untracked = True
        skb.ct_state = CtState.UNTRACKED
        return "neighbour discovery and MLD are never tracked"
    bad = _malformed(packet, options, check_checksum)
    if packet.options:
        checks = check_checksum and options.checksum and packet.transport is None and packet.proto in _SUMMED
        skb.summed = checks and _checksum_passes(packet)
    if bad:
        return _invalid(skb, bad)
    if is_icmp_error(packet):
        return _track_error(skb)
    key = packet_tuple(packet)
    assert key is not None
    found = skb.session.find(key, skb.zone_original, skb.zone_reply)
    if found is not None:
        return _follow(skb, key, *found, options)
    return _open(skb, key, options)


def _malformed(packet: Packet, options: TrackingOptions, check_checksum: bool) -> str | None:
    if packet.transport is not None:
        short = packet.proto in KEYED_BY_PORTS or packet.proto == (ICMP if packet.family is IPFamily.V4 else ICMPV6)
        if short:
            return "the transport header is cut short"
        if _leads_nowhere(packet):
            return "the headers do not lead to a transport protocol"
        if packet.proto == GRE and _call_id(packet.transport) is None:
            return "enhanced GRE with something else than PPP inside"
    elif (
        packet.proto == UDP and packet.length_field is not None and not 8 <= packet.length_field <= 8 + len(packet.payload)
    ):
        return f"the UDP length {packet.length_field} does not fit the packet"
    elif check_checksum and options.checksum and not _checksum_passes(packet):
        return "the checksum is wrong"
    elif packet.proto == TCP and tcp_kind(packet.tcp_flags) is None:
        return "no TCP stack sends this combination of flags"
    return None


def _checksum_passes(packet: Packet) -> bool:
    """Whether tracking finds the checksum right.

    It checks UDPLITE with the protocol number of UDP in the pseudo-header, so that a right one does not pass, and UDP over
    the whole packet whatever its length says (nf_conntrack_proto_udp.c; observed on Linux 6.18).
    """
    if packet.proto == UDP and packet.checksum == 0:
        return True
    if packet.proto != UDPLITE and (packet.proto != UDP or packet.length_field is None):
        return packet.checksum_ok
    body = format_packet(packet)[packet.header_length :]
    width = packet.family.bits // 8
    pseudo = (
        packet.src.to_bytes(width, "big") + packet.dst.to_bytes(width, "big") + len(body).to_bytes(4, "big") + b"\0\x11"
    )
    covered = packet.length_field if packet.proto == UDPLITE and packet.length_field else len(body)
    return internet_checksum(pseudo + body[:covered]) == 0


def _invalid(skb: Skb, why: str) -> str:
    skb.connection = None
    skb.ct_state = CtState.INVALID
    return f"INVALID: {why}"


def _track_error(skb: Skb) -> str:
    packet = skb.packet
    quoted = quoted_tuple(packet)
    answer = invert_tuple(quoted) if quoted is not None else None
    if answer is None:
        return _invalid(skb, "the ICMP error quotes no packet that could be tracked")
    # The quoted packet is looked up by its inverse: NAT of this node was undone in it by nobody yet
    # (nf_conntrack_inet_error in nf_conntrack_proto_icmp.c).
    found = skb.session.find(answer, skb.zone_original, skb.zone_reply)
    if found is None:
        return _invalid(skb, "the ICMP error is about a connection that is not known")
    connection, direction = found
    towards = connection.original.dst if direction is Direction.ORIGINAL else connection.reply.dst
    if packet.dst != towards:
        return _invalid(skb, "the ICMP error is not addressed to the source of the packet it quotes")
    skb.connection, skb.ct_direction, skb.ct_state = connection, direction, CtState.RELATED
    return "RELATED: an ICMP error about a known connection"


def _follow(skb: Skb, key: ConnTuple, connection: Connection, direction: Direction, options: TrackingOptions) -> str:
    detail = ""
    counted = True
    if key.proto == TCP:
        kind = tcp_kind(skb.packet.tcp_flags)
        assert kind is not None
        tracked, detail = track_segment(connection, direction, skb.packet, kind, liberal=options.tcp_be_liberal)
        if tracked is Tracked.INVALID:
            return _invalid(skb, detail)
        if tracked is Tracked.REOPENED:
            skb.session.remove(connection)
            return _open(skb, key, options)
        if tracked is Tracked.ENDED:
            skb.session.remove(connection)
        counted = tracked is not Tracked.IGNORED
    elif key.proto == SCTP and _sctp_first_chunk(skb.packet) is None:
        return _invalid(skb, "an SCTP packet without a chunk")
    skb.connection, skb.ct_direction = connection, direction
    if direction is Direction.REPLY:
        skb.ct_state = CtState.ESTABLISHED
        connection.seen_reply = True
    elif connection.seen_reply:
        skb.ct_state = CtState.ESTABLISHED
    else:
        skb.ct_state = CtState.RELATED if connection.expected else CtState.NEW
    if counted:
        _account(skb, connection, direction)
    return f"{skb.ct_state.value}: {direction.value.lower()} direction of a known connection{detail}"


def _open(skb: Skb, key: ConnTuple, options: TrackingOptions) -> str:
    refusal = _cannot_open(skb.packet, options)
    reply = invert_tuple(key)
    if refusal or reply is None:
        return _invalid(skb, refusal or "no answer to this ICMP type is known")
    connection = Connection(key, reply, zone_original=skb.zone_original, zone_reply=skb.zone_reply)
    if skb.template is not None:
        connection.helper = skb.template.helper
    if key.proto == TCP:
        kind = tcp_kind(skb.packet.tcp_flags)
        assert kind is not None
        connection.tcp_state = TcpState.SYN_SENT if kind is TcpKind.SYN else TcpState.ESTABLISHED
        connection.tcp = start_history(skb.packet, kind)
    skb.connection, skb.ct_direction, skb.ct_state = connection, Direction.ORIGINAL, CtState.NEW
    _account(skb, connection, Direction.ORIGINAL)
    return "NEW: the first packet of a connection"


def _cannot_open(packet: Packet, options: TrackingOptions) -> str | None:
    if packet.proto == TCP:
        kind = tcp_kind(packet.tcp_flags)
        if kind is TcpKind.SYN or (kind is TcpKind.ACK and options.tcp_loose):
            return None
        if kind is TcpKind.ACK:
            return "nf_conntrack_tcp_loose is 0 and no connection is known"
        assert kind is not None
        return f"{kind.value} of no known connection"
    if packet.is_icmp:
        openers = ICMP_OPENERS if packet.family is IPFamily.V4 else ICMPV6_OPENERS
        return None if packet.icmp_type in openers else f"ICMP type {packet.icmp_type} does not open a connection"
    if packet.proto == SCTP and _sctp_first_chunk(packet) != _SCTP_INIT:
        return "the first SCTP chunk is not INIT"
    return None


def _sctp_first_chunk(packet: Packet) -> int | None:
    return packet.payload[0] if len(packet.payload) >= 4 else None


def _account(skb: Skb, connection: Connection, direction: Direction) -> None:
    side = 0 if direction is Direction.ORIGINAL else 1
    connection.packets[side] += 1
    connection.bytes[side] += skb.packet.length


def confirm(skb: Skb) -> str | None:
    """The last hook: puts a new connection into the table.

    Returns None when all is well, else why the packet is dropped: another connection already uses one of the tuples
    (spec: netfilter 4.7).
    """
    connection = skb.connection
    if connection is None or connection.confirmed or skb.ct_direction is Direction.REPLY:
        return None
    session = skb.session
    if session.taken(connection.original, connection.zone_original, connection) or session.taken(
        connection.reply, connection.zone_reply, connection
    ):
        return "the connection clashes with another one that already uses its addresses and ports"
    connection.confirmed = True
    session.insert(connection)
    return None
