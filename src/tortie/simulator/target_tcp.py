"""Targets that rewrite TCP headers: TCPMSS, TCPOPTSTRIP, ECN (spec: netfilter 6).

TCPMSS and TCPOPTSTRIP leave later fragments alone and drop packets whose header is cut short or lies about its length.
ECN writes to where the flags of a TCP header would be, also in a later fragment, and drops a packet without 20 bytes
there. A checksum that does not fit the packet keeps its error, as the kernel corrects it by differences only.

Sources: net/netfilter/xt_TCPMSS.c, xt_TCPOPTSTRIP.c, net/ipv4/netfilter/ipt_ECN.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet
from tortie.net.protocol import TCP
from tortie.net.wire import format_packet
from tortie.netfilter.target import EcnTarget, TcpmssTarget, TcpoptstripTarget
from tortie.simulator.answer import HOTDROP, Doubt, DoubtKind, Hindrance
from tortie.simulator.context import Context
from tortie.simulator.ipv6_header import is_later_fragment
from tortie.simulator.skb import Skb
from tortie.simulator.tcp_option import MSS, MSS_LENGTH, NOP, option_starts

Effect: TypeAlias = Callable[[Skb], Hindrance | None]

_DEFAULT_MSS = {IPFamily.V4: 536, IPFamily.V6: 1220}
"""What a host may assume when nothing is announced (RFC 1122, RFC 2460); no greater MSS is put into a packet."""
_HEADERS = {IPFamily.V4: 40, IPFamily.V6: 60}
_MOST_OPTIONS = 40
_ECE, _CWR = 64, 128
_FLAGS_AT, _CHECKSUM_AT = 13, 16
_NO_LIMIT = 0xFFFFFFFF


def rewrite(packet: Packet, changed: Packet) -> Packet:
    """The changed TCP packet with its checksum corrected by the difference, where that was not simply right."""
    if packet.checksum is None:
        return changed
    before, after = (_right_checksum(one) for one in (packet, changed))
    return replace(changed, checksum=(packet.checksum - before + after) % 0xFFFF)


def _right_checksum(packet: Packet) -> int:
    data = format_packet(replace(packet, checksum=None, checksum_ok=True))
    place = packet.header_length + _CHECKSUM_AT
    return int.from_bytes(data[place : place + 2], "big")


# --- TCPMSS ------------------------------------------------------------------------------------------------------


def compile_tcpmss(target: TcpmssTarget, context: Context) -> Effect:
    """`TCPMSS`: lowers the MSS that a packet announces, or adds the option where nothing follows the header."""
    family = context.family

    def run(skb: Skb) -> Hindrance | None:
        packet = skb.packet
        if is_later_fragment(packet):
            return None
        if packet.transport is not None:
            return HOTDROP
        mss = target.mss
        if mss is None:
            mtu = _path_mtu(skb, context)
            if isinstance(mtu, Doubt):
                return mtu
            if mtu <= _HEADERS[family]:
                return HOTDROP
            mss = mtu - _HEADERS[family]
        skb.packet = with_mss(packet, mss & 0xFFFF)
        return None

    return run


def with_mss(packet: Packet, mss: int) -> Packet:
    """The packet announcing an MSS of at most this.

    The checksum is corrected as if the number stood on a word's border; where it does not, the kernel spoils it.
    """
    options = packet.tcp_options
    for place, _ in option_starts(options):
        if len(options) - place < MSS_LENGTH:
            break
        if options[place] == MSS and options[place + 1] == MSS_LENGTH:
            old = int.from_bytes(options[place + 2 : place + 4], "big")
            if old <= mss:
                return packet
            changed = replace(packet, tcp_options=options[: place + 2] + mss.to_bytes(2, "big") + options[place + 4 :])
            return rewrite(packet, changed) if place % 2 == 0 else _spoilt(packet, changed, old, mss)
    if packet.payload or len(options) >= _MOST_OPTIONS:
        return packet
    added = min(mss, _DEFAULT_MSS[packet.family])
    options = bytes([MSS, MSS_LENGTH]) + added.to_bytes(2, "big") + options
    return rewrite(packet, replace(packet, tcp_options=options))


def _spoilt(packet: Packet, changed: Packet, old: int, new: int) -> Packet:
    checksum = _right_checksum(packet) if packet.checksum is None else packet.checksum
    return replace(changed, checksum=replace_word(checksum, old, new), checksum_ok=False)


def replace_word(checksum: int, old: int, new: int) -> int:
    """A checksum after one word of what it covers has changed (csum_replace2 in linux/checksum.h)."""
    total = (checksum ^ 0xFFFF) + (old ^ 0xFFFF) + new
    total = (total & 0xFFFF) + (total >> 16)
    return ((total & 0xFFFF) + (total >> 16)) ^ 0xFFFF


def _path_mtu(skb: Skb, context: Context) -> int | Doubt:
    """The smaller MTU of the way the packet goes and the way back to its source."""
    onward = skb.route.mtu if skb.route is not None else None
    if onward is None:
        return Doubt(DoubtKind.UNKNOWN, "the MTU of the route is not known")
    back = {decision.mtu if decision.iface else _NO_LIMIT for decision in context.router.route_output(skb.packet.src, 0)}
    if len(back) > 1 or None in back:
        return Doubt(DoubtKind.UNKNOWN, "the MTU of the way back is not known")
    return min(onward, *(mtu for mtu in back if mtu is not None))


# --- TCPOPTSTRIP -------------------------------------------------------------------------------------------------


def compile_tcpoptstrip(target: TcpoptstripTarget) -> Effect:
    """`TCPOPTSTRIP`: writes NOPs over options."""
    stripped = frozenset(target.options)

    def run(skb: Skb) -> Hindrance | None:
        packet = skb.packet
        if is_later_fragment(packet):
            return None
        if packet.transport is not None:
            return HOTDROP
        options = bytearray(packet.tcp_options)
        for place, length in option_starts(packet.tcp_options):
            if place >= len(options) - 1 or place + length > len(options):
                break
            if options[place] in stripped:
                options[place : place + length] = bytes([NOP]) * length
        if bytes(options) != packet.tcp_options:
            skb.packet = rewrite(packet, replace(packet, tcp_options=bytes(options)))
        return None

    return run


# --- ECN ---------------------------------------------------------------------------------------------------------


def compile_ecn(target: EcnTarget) -> Effect:
    """`ECN` (IPv4): the two ECN bits of the header, and ECE and CWR of TCP."""
    ece, cwr = (0, 0) if target.tcp_remove else (target.ece, target.cwr)

    def run(skb: Skb) -> Hindrance | None:
        packet = skb.packet
        if target.ect is not None and packet.tos & 3 != target.ect & 3:
            packet = skb.packet = replace(packet, tos=packet.tos & ~3 | target.ect & 3)
        if packet.proto != TCP or (ece is None and cwr is None):
            return None
        if packet.transport is None:
            flags = _with_flags(packet.tcp_flags, ece, cwr)
            if flags != packet.tcp_flags:
                skb.packet = rewrite(packet, replace(packet, tcp_flags=flags))
            return None
        changed = _raw_flags(packet.transport, ece, cwr)
        if changed is None:
            return HOTDROP
        skb.packet = replace(packet, transport=changed)
        return None

    return run


def _with_flags(flags: int, ece: int | None, cwr: int | None) -> int:
    for bit, value in ((_ECE, ece), (_CWR, cwr)):
        if value is not None:
            flags = flags | bit if value else flags & ~bit
    return flags


def _raw_flags(raw: bytes, ece: int | None, cwr: int | None) -> bytes | None:
    """Bytes with the flags changed and what stands in the checksum's place corrected; None when there are too few."""
    if len(raw) < 20:
        return None
    flags = _with_flags(raw[_FLAGS_AT], ece, cwr)
    if flags == raw[_FLAGS_AT]:
        return raw
    old, new = (int.from_bytes(bytes([raw[12], byte]), "big") for byte in (raw[_FLAGS_AT], flags))
    checksum = int.from_bytes(raw[_CHECKSUM_AT : _CHECKSUM_AT + 2], "big")
    corrected = replace_word(checksum, old, new).to_bytes(2, "big")
    return raw[:_FLAGS_AT] + bytes([flags]) + raw[14:_CHECKSUM_AT] + corrected + raw[_CHECKSUM_AT + 2 :]
