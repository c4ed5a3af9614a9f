"""What the kernel itself says of a packet's way through the rules, as values: steps of a trace and the packet they tell of.

Three origins tell different things (spec: kernel-oracle 3.2, 5). The kernel log numbers rules from 1 and shows the mark
before the rule's target ran; nft and xtables-monitor report a rule after it ran, by its text, with the mark of the chain's
beginning. What an origin does not tell is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from msgspec.structs import replace

from tortie.net.address import IPFamily
from tortie.net.packet import Packet, transport_header_length
from tortie.net.protocol import ICMP, ICMPV6, PORT_PROTOCOLS, TCP
from tortie.net.wire import EXTENSION_HEADERS, format_packet, fragment_header


class TraceOrigin(Enum):
    """Who wrote a step down."""

    KERNEL_LOG = "the kernel log"
    XTABLES_MONITOR = "xtables-monitor --trace"
    NFT_MONITOR = "nft monitor trace"


class StepKind(Enum):
    """What a step reports; the kernel log calls an unconditional ACCEPT, DROP or RETURN rule `policy` or `return` too."""

    RULE = "rule"
    RETURN = "return"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class LoggedPacket:
    """The headers that a step shows; `length` counts the IP header (IPv6: payload plus 40)."""

    family: IPFamily
    src: int
    dst: int
    length: int | None = None
    proto: int | None = None
    sport: int | None = None
    dport: int | None = None
    tcp_flags: int | None = None
    tcp_seq: int | None = None
    tcp_ack: int | None = None
    tcp_window: int | None = None
    tcp_options: bytes = b""
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_rest: int | None = None
    ttl: int | None = None
    tos: int | None = None
    identification: int | None = None
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    """In units of 8 bytes."""
    flow_label: int = 0
    options: bytes = b""
    in_iface: str = ""
    out_iface: str = ""
    phys_in: str = ""
    phys_out: str = ""
    mac_source: bytes | None = None
    mac_destination: bytes | None = None
    mark: int | None = None
    uid: int | None = None
    gid: int | None = None
    quoted: LoggedPacket | None = None
    """The packet that an ICMP error is about."""


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of a packet's way; `line` is where it stands in the text, counted from 1."""

    origin: TraceOrigin
    line: int
    family: IPFamily
    table: str
    chain: str
    kind: StepKind
    number: int | None = None
    """The kernel log's number: of the rule, or one more than the rules for the end of the chain."""
    handle: int | None = None
    """nf_tables' handle of the rule."""
    rule: str | None = None
    """The rule as text: in iptables' words from xtables-monitor (`-A OUTPUT -j TRACE`), in nft's from nft."""
    verdict: str | None = None
    """What nf_tables did: `ACCEPT`, `CONTINUE`, `JUMP:chain`, …; in capital letters."""
    mark: int | None = None
    packet: LoggedPacket | None = None
    trace_id: str | None = None
    """Which packet of nf_tables it is; the kernel log has no such number."""
    time_s: float | None = None
    """Seconds since the node's start, where the line has them."""


def logged_to_packet(logged: LoggedPacket) -> Packet | None:
    """The packet with zeros for the payload that was not logged; None when its protocol or length is not known."""
    if logged.proto is None or logged.length is None:
        return None
    if logged.family is IPFamily.V6 and logged.proto in EXTENSION_HEADERS:
        return None  # nft names the first header and shows nothing behind it
    if logged.proto in PORT_PROTOCOLS and (logged.sport is None or logged.dport is None) and not logged.fragment_offset:
        return None
    icmp = logged.proto == (ICMP if logged.family is IPFamily.V4 else ICMPV6)
    if icmp and logged.icmp_type is None and not logged.fragment_offset:
        return None
    extensions: tuple[tuple[int, bytes], ...] = ()
    if logged.family is IPFamily.V6 and (logged.fragment_offset or logged.more_fragments):
        extensions = (
            fragment_header(
                logged.proto,
                offset=logged.fragment_offset,
                more=logged.more_fragments,
                identification=logged.identification or 0,
            ),
        )
    packet = Packet(
        family=logged.family,
        src=logged.src,
        dst=logged.dst,
        proto=logged.proto,
        sport=logged.sport or 0,
        dport=logged.dport or 0,
        tcp_flags=logged.tcp_flags or 0,
        tcp_seq=logged.tcp_seq or 0,
        tcp_ack=logged.tcp_ack or 0,
        tcp_window=64240 if logged.tcp_window is None else logged.tcp_window,
        tcp_options=logged.tcp_options if logged.proto == TCP else b"",
        icmp_type=logged.icmp_type or 0,
        icmp_code=logged.icmp_code or 0,
        icmp_rest=logged.icmp_rest or 0,
        ttl=64 if logged.ttl is None else logged.ttl,
        tos=logged.tos or 0,
        identification=logged.identification or 0,
        dont_fragment=logged.dont_fragment,
        more_fragments=logged.more_fragments,
        fragment_offset=logged.fragment_offset,
        flow_label=logged.flow_label,
        options=logged.options,
        extensions=extensions,
    )
    return _with_body(packet, logged)


def _with_body(packet: Packet, logged: LoggedPacket) -> Packet:
    """The packet filled up to its logged length: by the quoted packet of an ICMP error, else by zeros."""
    assert logged.length is not None
    whole = packet.proto in PORT_PROTOCOLS or packet.is_icmp
    if packet.fragment_offset or not whole:
        return replace(packet, transport=bytes(max(0, logged.length - packet.header_length)))
    size = max(0, logged.length - packet.header_length - transport_header_length(packet))
    quoted = logged_to_packet(logged.quoted) if logged.quoted is not None else None
    body = b"" if quoted is None else format_packet(quoted)[:size]
    return replace(packet, payload=body + bytes(size - len(body)))
