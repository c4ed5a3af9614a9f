"""Packets that the node makes because of another one: ICMP errors, resets, copies.

Each is built as the kernel builds it (net/ipv4/icmp.c, net/ipv6/icmp.c, nf_reject_ipv4.c, nf_reject_ipv6.c,
nf_dup_ipv4.c) and then walks the output path like any other local packet. Rate limits are not modelled: an answer that
could be sent is sent.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import AH, ESP, GRE, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from tortie.net.wire import format_packet, internet_checksum
from tortie.netfilter.hook import Hook
from tortie.netfilter.match import Direction
from tortie.netfilter.target import TeeTarget
from tortie.simulator.connection import Connection
from tortie.simulator.device import LOOPBACK
from tortie.simulator.ip_option import is_written_into
from tortie.simulator.route import RouteKind, Router
from tortie.simulator.skb import Skb, Socket

REJECT_CODES: dict[str, tuple[int, int]] = {
    "icmp-net-unreachable": (3, 0),
    "icmp-host-unreachable": (3, 1),
    "icmp-proto-unreachable": (3, 2),
    "icmp-port-unreachable": (3, 3),
    "icmp-net-prohibited": (3, 9),
    "icmp-host-prohibited": (3, 10),
    "icmp-admin-prohibited": (3, 13),
    "icmp6-no-route": (1, 0),
    "icmp6-adm-prohibited": (1, 1),
    "icmp6-addr-unreachable": (1, 3),
    "icmp6-port-unreachable": (1, 4),
    "icmp6-policy-fail": (1, 5),
    "icmp6-reject-route": (1, 6),
}
"""What `--reject-with` sends, as ICMP type and code (spec: netfilter 6)."""

_QUOTE_V4 = 576 - 20 - 8
"""Bytes an ICMP error may quote (RFC 1812 section 4.3.2.3)."""
_QUOTE_V6 = 1280 - 40 - 8
_HOP_LIMIT = 64
_LINK_LOCAL = 0x3FA
"""The first ten bits of fe80::/10."""
_PRECEDENCE_CONTROL = 0xC0
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_ANSWERABLE = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
"""ICMP types that are no errors (icmp_pointers in net/ipv4/icmp.c)."""
_FIRST_INFORMATIONAL = 128
"""ICMPv6 types from here on are no errors, redirects among them (is_ineligible in net/ipv6/icmp.c)."""
_UNVERIFIED = frozenset({AH, ESP, SCTP, UDPLITE})
"""Protocols whose sum REJECT does not look at; DCCP was one of them until it left Linux in 6.16."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A packet to send: with the connection it belongs to (as RELATED), or tracked afresh when there is none."""

    packet: Packet
    mark: int = 0
    connection: Connection | None = None
    direction: Direction = Direction.ORIGINAL
    untracked: bool = False
    socket: Socket | None = None
    gateway: int | None = None
    """Where to send it whatever its destination is (TEE)."""
    out_iface: str | None = None
    """Device to leave by, when that does not follow from the routes."""
    bound_iface: str | None = None
    """Device that it is routed again by, should its headers change on the way out."""
    unsourced: bool = False
    """The way is looked up before the source is chosen, so that rules for the source do not match."""


def reject_reply(reject_with: str, skb: Skb, hook: Hook, router: Router) -> Reply | None:
    """What REJECT answers, or None where it only drops (spec: netfilter 6)."""
    packet = skb.packet
    if packet.is_later_fragment or not _sum_is_right(
        packet, stamped=_is_stamped(skb, hook, reset=reject_with == "tcp-reset")
    ):
        return None
    if reject_with == "tcp-reset":
        return _reset(skb, router)
    kind = REJECT_CODES.get(reject_with)
    return icmp_error(skb, router, *kind) if kind is not None else None


def _is_stamped(skb: Skb, hook: Hook, *, reset: bool) -> bool:
    """True for a packet whose IPv4 options this node wrote into: its header has no right sum until it leaves.

    The sum counts that tracking found before; a reset of a forwarded packet is made without it (skb_forward_csum).
    """
    packet = skb.packet
    if packet.family is IPFamily.V6 or not is_written_into(packet.options) or skb.route is None or skb.local_output:
        return False
    return not (skb.summed and (hook is Hook.INPUT or not reset) and skb.in_iface != LOOPBACK)


def _sum_is_right(packet: Packet, *, stamped: bool) -> bool:
    """Whether REJECT believes a packet.

    It sums up the payload of every protocol that is not known to do without, whether that holds a checksum or not
    (nf_reject_verify_csum in include/net/netfilter/nf_reject.h, nf_ip_checksum and nf_ip6_checksum).
    """
    proto = packet.proto
    if stamped and proto not in _UNVERIFIED:
        return _carries_no_sum(format_packet(packet)[packet.header_length :], proto)
    if proto in (TCP, ICMP, ICMPV6) and packet.transport is None:
        return packet.checksum_ok
    data = format_packet(packet)
    body = data[packet.header_length :]
    if packet.family is IPFamily.V6 and not body:
        return False
    if proto in _UNVERIFIED or _carries_no_sum(body, proto):
        return True
    width = packet.family.bits // 8
    pseudo = b""
    if packet.family is IPFamily.V6 or proto in (TCP, UDP):
        pseudo = packet.src.to_bytes(width, "big") + packet.dst.to_bytes(width, "big") + len(body).to_bytes(4, "big")
        pseudo += bytes([0, proto])
    # IPv4 sums from the IP header on, whose own sum is right, so that a payload of zeros passes.
    return internet_checksum(pseudo + (data if packet.family is IPFamily.V4 else body)) == 0


def _carries_no_sum(body: bytes, proto: int) -> bool:
    return (proto == UDP and body[6:8] == b"\0\0") or (proto == GRE and not body[:1] >= b"\x80")


def icmp_error(skb: Skb, router: Router, icmp_type: int, code: int, rest: int = 0) -> Reply | None:
    """An ICMP or ICMPv6 error about a packet, or None where the kernel sends none."""
    packet = skb.packet
    if not _may_answer(skb):
        return None
    local = skb.route is not None and skb.route.kind is RouteKind.LOCAL
    v4 = packet.family is IPFamily.V4
    device = _error_device(skb)
    source = router.icmp_error_source(packet, device, delivered=local, kind=(icmp_type, code), mark=_mark(skb, router))
    if source is None:
        return None
    quote = format_packet(packet)[: _QUOTE_V4 if v4 else _QUOTE_V6]
    answer = Packet(
        packet.family,
        source,
        packet.src,
        ICMP if v4 else ICMPV6,
        icmp_type=icmp_type,
        icmp_code=code,
        icmp_rest=rest,
        ttl=_HOP_LIMIT,
        tos=packet.tos & 0x1E | _PRECEDENCE_CONTROL if v4 else 0,
        payload=quote,
    )
    reply = _belonging(skb, answer, router, Socket(has_file=False))
    # A link-local sender is only there where its packet came in (icmp6_send in net/ipv6/icmp.c).
    linked = not v4 and packet.src >> 118 == _LINK_LOCAL
    # An address of the input device is chosen before the way is looked up (__icmp_send in net/ipv4/icmp.c).
    chosen = v4 and device != "" and router.sysctl_flag("icmp_errors_use_inbound_ifaddr")
    return dataclasses.replace(
        reply, unsourced=source != packet.dst and not chosen, out_iface=device or None if linked else None
    )


def _error_device(skb: Skb) -> str:
    """The input device by which an error chooses its source, empty where there is none.

    Own packets have none, and for IPv4 neither have those that came back by lo, which were routed as output. What was put
    together goes by the device of its first fragment (inet_iif, icmp6_iif; inet_frag_reasm_prepare).
    """
    device = skb.first_iface or skb.in_iface or ""
    return "" if device == LOOPBACK and skb.packet.family is IPFamily.V4 else device


def _may_answer(skb: Skb) -> bool:
    """False for packets that no ICMP error may be sent about (RFC 1122 section 3.2.2)."""
    packet = skb.packet
    if skb.frame_type not in ("unicast", None) or (packet.is_later_fragment and packet.family is IPFamily.V4):
        return False
    if skb.route is not None and skb.route.kind in (RouteKind.BROADCAST, RouteKind.MULTICAST):
        return False
    if packet.family is IPFamily.V4:
        if packet.proto == ICMP:
            kind = _icmp_type(packet)
            return kind in _ANSWERABLE
        return packet.src != 0 and packet.src >> 28 != 14
    if packet.src == 0 or packet.src >> 120 == 0xFF or packet.dst >> 120 == 0xFF:
        return False
    if packet.proto == ICMPV6 and not packet.is_later_fragment:
        kind = _icmp_type(packet)
        return packet.is_fragment if kind is None else kind >= _FIRST_INFORMATIONAL
    return True


def _icmp_type(packet: Packet) -> int | None:
    """The type of an ICMP message, which is there even when its header is cut short behind it."""
    if packet.transport is None:
        return packet.icmp_type
    return packet.transport[0] if packet.transport else None


def _reset(skb: Skb, router: Router) -> Reply | None:
    packet = skb.packet
    if packet.proto != TCP or packet.transport is not None or packet.tcp_flags & _RST or packet.is_fragment:
        return None
    if skb.route is not None and skb.route.kind in (RouteKind.BROADCAST, RouteKind.MULTICAST):
        return None
    if packet.family is IPFamily.V6 and not (_is_unicast6(packet.src) and _is_unicast6(packet.dst)):
        return None
    flags = packet.tcp_flags
    if flags & _ACK:
        sequence, acknowledged, answer_flags = packet.tcp_ack, 0, _RST
    else:
        length = len(packet.payload) + bool(flags & _SYN) + bool(flags & _FIN)
        sequence, acknowledged, answer_flags = 0, (packet.tcp_seq + length) & 0xFFFFFFFF, _RST | _ACK
    answer = Packet(
        packet.family,
        packet.dst,
        packet.src,
        TCP,
        sport=packet.dport,
        dport=packet.sport,
        tcp_flags=answer_flags,
        tcp_seq=sequence,
        tcp_ack=acknowledged,
        tcp_window=0,
        ttl=_HOP_LIMIT,
        dont_fragment=packet.family is IPFamily.V4,
    )
    reply = _belonging(skb, answer, router, None)
    if not skb.local_output:
        return reply
    # The device of the sending socket, which IPv4 asks for the way (nf_send_reset) and IPv6 for the next one.
    if packet.family is IPFamily.V4:
        return dataclasses.replace(reply, out_iface=skb.bound_iface)
    return dataclasses.replace(reply, bound_iface=skb.bound_iface)


def _is_unicast6(address: int) -> bool:
    """IPV6_ADDR_UNICAST, which nf_send_reset6 asks of both ends: neither a group nor `::`."""
    return address != 0 and address >> 120 != 0xFF


def _belonging(skb: Skb, answer: Packet, router: Router, socket: Socket | None) -> Reply:
    """The answer as part of the connection of the packet it answers (nf_conntrack_attach)."""
    direction = Direction.REPLY if skb.ct_direction is Direction.ORIGINAL else Direction.ORIGINAL
    return Reply(answer, _mark(skb, router), skb.connection, direction, socket=socket)


def _mark(skb: Skb, router: Router) -> int:
    """Mark of an answer: the packet's own when `fwmark_reflect` is on, else none (spec: netfilter 2.5)."""
    return skb.mark if router.sysctl_flag("fwmark_reflect") else 0


def tee_copy(skb: Skb, hook: Hook, target: TeeTarget) -> Reply:
    """The copy that TEE sends to its gateway: untracked, one hop older where it came in (nf_dup_ipv4.c)."""
    packet = skb.packet
    if packet.family is IPFamily.V4:
        packet = replace(packet, dont_fragment=True)
    if hook in (Hook.PREROUTING, Hook.INPUT):
        packet = replace(packet, ttl=packet.ttl - 1 & 0xFF)
    return Reply(packet, skb.mark, untracked=True, gateway=target.gateway, out_iface=target.oif)
