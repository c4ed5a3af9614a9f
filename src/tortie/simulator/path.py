"""A packet's way through a node: received, forwarded, delivered, sent (spec: netfilter 2).

Each function takes the run, the packet and the family's rules and routes, and returns where the packet got to; a packet
that does not get through ends in `Ended`. The order of checks around the hooks is the kernel's: ip_rcv, ip_forward,
ip_local_deliver, ip_output and their IPv6 counterparts.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from tortie.net.address import IPFamily, format_address
from tortie.net.node import RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import TCP
from tortie.net.wire import HOP_BY_HOP, ROUTING
from tortie.netfilter.conntrack import TcpState
from tortie.netfilter.hook import Hook
from tortie.netfilter.match import CtState
from tortie.simulator.conntrack import is_icmp_error
from tortie.simulator.device import LOOPBACK
from tortie.simulator.fragment import collect_fragment
from tortie.simulator.hooks import FamilyNode
from tortie.simulator.ip_option import read_options
from tortie.simulator.ipvs import Diverted, note_diversion
from tortie.simulator.reply import Reply, icmp_error
from tortie.simulator.route import RouteDecision, RouteKind
from tortie.simulator.routing import (
    DELIVERED_KINDS,
    choose_route,
    passes,
    refused_input,
    refused_output,
    route_local_packet,
    without_routes,
)
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import LOOPED_FRAME, Skb
from tortie.simulator.trace import Cause, DecidedBy, Disposition, Egress, NoteStep, Verdict

_TIME_EXCEEDED = {IPFamily.V4: (11, 0), IPFamily.V6: (3, 0)}
_NOT_NEIGHBOUR = (1, 2)
_REDIRECT = (5, 1)
REDIRECT_NOTE = "directly (ICMP redirect)"
"""How the step ends that tells of a redirect, whether or not one may be sent about the packet."""
_SOURCE_ROUTES = {131, 137}
_MULTICAST_V4 = 0xE
_INTERFACE_LOCAL = 1
_POINT_TO_POINT = 127
_PAD_1, _PAD_N, _MOST_PADDING = 0, 1, 5


@dataclass(frozen=True, slots=True)
class Arrived:
    """The good end of a packet's way."""

    disposition: Disposition
    out: Egress


def enter(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """A packet that came in by `skb.in_iface`: PREROUTING, routing, and on."""
    refuse_headers(skb, node)
    node.run_hook(run, skb, Hook.PREROUTING)
    return route_in(run, skb, node)


def route_in(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """The routing decision of a packet that came in, and where it leads."""
    if skb.packet.options:
        _refuse_source_route(run, skb, node)
    if skb.route is None:
        packet = skb.packet
        found = node.router.route_input(packet, skb.in_iface, skb.mark, frame_type=skb.frame_type or "unicast")
        skb.route = choose_route(run, skb, without_routes(run, skb, node.router, found), "input")
        if not passes(skb.route):
            if skb.route.icmp is not None:
                _send_error(run, skb, node, *skb.route.icmp)
            raise refused_input(skb.route)
    if skb.route.kind in DELIVERED_KINDS:
        return deliver(run, skb, node)
    return forward(run, skb, node)


def refuse_headers(skb: Skb, node: FamilyNode) -> None:
    """Packets no table ever sees (spec: netfilter 2.1; ip6_rcv_core in net/ipv6/ip6_input.c)."""
    packet = skb.packet
    why = None
    if skb.frame_type == "otherhost":
        why = "the frame is addressed to another machine"
    elif packet.family is IPFamily.V6:
        looped = skb.in_iface == LOOPBACK
        scope = packet.dst >> 112 & 0xF if packet.dst >> 120 == 0xFF else None
        if not looped and (packet.src == 1 or packet.dst == 1):
            why = "::1 may not come from outside"
        elif packet.src >> 120 == 0xFF:
            why = "a multicast address cannot be a source"
        elif not _passes_hop_by_hop(packet):
            why = "the hop-by-hop options are cut short or unknown ones"
        elif scope == 0 or (scope == _INTERFACE_LOCAL and not looped):
            why = "a multicast address of this scope may not come from outside"
    if why is not None:
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, why))
    refusal = node.router.refuse_arrival(packet, skb.in_iface or "", frame_type=skb.frame_type or "unicast")
    if refusal is not None:
        raise refused_input(refusal)


def _passes_hop_by_hop(packet: Packet) -> bool:
    """Whether IPv6 takes the hop-by-hop header before any hook (ipv6_parse_hopopts in net/ipv6/exthdrs.c)."""
    if not packet.extensions:
        return packet.proto != HOP_BY_HOP
    number, header = packet.extensions[0]
    if number != HOP_BY_HOP:
        return True
    at = 2
    while at < len(header):
        if header[at] == _PAD_1:
            at += 1
            continue
        length = header[at + 1] if at + 1 < len(header) else len(header)
        if at + 2 + length > len(header):
            return False
        if header[at] == _PAD_N:
            if length > _MOST_PADDING or any(header[at + 2 : at + 2 + length]):
                return False
        elif header[at] >> 6:
            return False
        at += 2 + length
    return True


def _refuse_source_route(run: Run, skb: Skb, node: FamilyNode) -> None:
    """Packets that name their own way are dropped after PREROUTING (ip_rcv_options in net/ipv4/ip_input.c)."""
    if not any(kind in _SOURCE_ROUTES for kind, _ in read_options(skb.packet.options)):
        return
    setting = node.router.sysctl("accept_source_route", skb.in_iface or "")
    if not setting.known:
        run.assume(setting.assumption)
    if setting.value:
        text = "the packet names its own way (source route), which Tortie does not follow"
        raise Ended(Verdict.UNKNOWN, DecidedBy(Cause.HEADER, text), disposition=Disposition.UNKNOWN)
    raise Ended(Verdict.DROP, DecidedBy(Cause.SYSCTL, f"source routes are not accepted ({setting.name} is off)"))


def _send_error(run: Run, skb: Skb, node: FamilyNode, icmp_type: int, code: int, rest: int = 0) -> None:
    reply = icmp_error(skb, node.router, icmp_type, code, rest)
    if reply is not None:
        run.send_answer(run, skb, reply)


# --- forwarding --------------------------------------------------------------------------------------------------


def forward(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """A packet for somebody else, from the routing decision to the wire (spec: netfilter 2.3)."""
    decision = skb.route
    assert decision is not None
    skb.forwarded = True
    skb.out_iface = decision.iface
    if skb.frame_type not in ("unicast", None):
        text = f"a {skb.frame_type} frame is not forwarded"
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, Hook.FORWARD))
    _check_hop_limit(run, skb, node)
    if skb.packet.family is IPFamily.V6:
        _check_forwardable_v6(run, skb, node, decision)
    _check_size(run, skb, node, decision)
    skb.packet = replace(skb.packet, ttl=skb.packet.ttl - 1)
    if skb.packet.family is IPFamily.V4:
        _send_redirect(run, skb, node, decision)
    node.run_hook(run, skb, Hook.FORWARD)
    return leave(run, skb, node, Disposition.FORWARDED)


def _check_hop_limit(run: Run, skb: Skb, node: FamilyNode) -> None:
    if skb.packet.ttl > 1:
        return
    _send_error(run, skb, node, *_TIME_EXCEEDED[skb.packet.family])
    word = "TTL" if skb.packet.family is IPFamily.V4 else "hop limit"
    text = f"the {word} is {skb.packet.ttl}: the packet has come too far to be forwarded"
    raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, Hook.FORWARD))


def _check_forwardable_v6(run: Run, skb: Skb, node: FamilyNode, decision: RouteDecision) -> None:
    """Sources that may not leave their link (ip6_forward in net/ipv6/ip6_output.c)."""
    packet = skb.packet
    if decision.iface == skb.in_iface:
        return
    if packet.src == 0:
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, "the source :: is not forwarded", Hook.FORWARD))
    if packet.src >> 118 == 0x3FA:
        _send_error(run, skb, node, *_NOT_NEIGHBOUR)
        text = "a link-local source is not forwarded to another link"
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, Hook.FORWARD))


def _check_size(run: Run, skb: Skb, node: FamilyNode, decision: RouteDecision) -> None:
    packet, mtu = skb.packet, decision.mtu
    if mtu is None or packet.length <= mtu:
        return
    if packet.family is IPFamily.V6 and 0 < skb.largest_fragment <= mtu:
        # What came in fragments that fit leaves in fragments (ip6_pkt_too_big in net/ipv6/ip6_output.c).
        return
    text = f"{packet.length} bytes do not fit the MTU {mtu} of {decision.iface}"
    if packet.family is IPFamily.V6:
        _send_error(run, skb, node, 2, 0, mtu)
    elif packet.dont_fragment:
        _send_error(run, skb, node, 3, 4, mtu)
    else:
        if run.steps is not None:
            run.steps.append(NoteStep(Hook.FORWARD, f"{text}: it leaves in fragments", skb.mark))
        return
    raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, Hook.FORWARD))


def _send_redirect(run: Run, skb: Skb, node: FamilyNode, decision: RouteDecision) -> None:
    if not node.router.sends_redirect(skb.packet.src, skb.in_iface, decision):
        return
    gateway = decision.next_hop if decision.next_hop is not None else skb.packet.dst
    if run.steps is not None:
        text = f"the sender is told to use {format_address(skb.packet.family, gateway)} {REDIRECT_NOTE}"
        run.steps.append(NoteStep(Hook.FORWARD, text, skb.mark))
    _send_error(run, skb, node, *_REDIRECT, gateway)


def leave(run: Run, skb: Skb, node: FamilyNode, disposition: Disposition) -> Arrived:
    """POSTROUTING and the wire."""
    node.run_hook(run, skb, Hook.POSTROUTING)
    egress = Egress(skb.out_iface or "", skb.packet, skb.mark, run.random_sport, run.random_dport, not run.source_unknown)
    return Arrived(disposition, egress)


# --- local delivery ----------------------------------------------------------------------------------------------


def deliver(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """A packet for the node itself (spec: netfilter 2.4)."""
    packet = skb.packet
    skb.out_iface = ""
    if packet.family is IPFamily.V4 and packet.is_fragment:
        whole = collect_fragment(run.session, packet, Hook.INPUT.value, skb.frame)
        if whole is None:
            text = "held until the other fragments of the packet arrive"
            raise Ended(Verdict.MAYBE, DecidedBy(Cause.HEADER, text, Hook.INPUT), disposition=Disposition.HELD)
        skb.packet, skb.frame = whole.packet, whole.frame
    try:
        node.run_hook(run, skb, Hook.INPUT)
    except Diverted as diverted:
        note_diversion(run, skb)
        skb.in_iface = ""
        return Arrived(Disposition.FORWARDED, send_routed(run, skb, node, diverted.decision).out)
    if not _takes_routing_header(skb):
        text = "a routing header is not taken from a group or a broadcast"
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, Hook.INPUT))
    return Arrived(
        Disposition.DELIVERED, Egress(skb.in_iface or "", skb.packet, skb.mark, run.random_sport, run.random_dport)
    )


def _takes_routing_header(skb: Skb) -> bool:
    """False for what IPv6 drops behind INPUT because of its routing header (ipv6_rthdr_rcv in net/ipv6/exthdrs.c)."""
    packet = skb.packet
    if not any(number == ROUTING for number, _ in packet.extensions):
        return True
    return packet.dst >> 120 != 0xFF and skb.frame_type in ("unicast", None)


# --- packets of the node itself ----------------------------------------------------------------------------------


def send(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """A packet that the node makes (spec: netfilter 2.5)."""
    skb.local_output = True
    skb.in_iface = ""
    decision = choose_route(run, skb, route_local_packet(run, skb, node.router), "output")
    if not passes(decision):
        raise refused_output(decision)
    return send_routed(run, skb, node, decision)


def send_routed(run: Run, skb: Skb, node: FamilyNode, decision: RouteDecision) -> Arrived:
    """The output path of a packet whose first route is known."""
    skb.route = decision
    skb.out_iface = decision.iface
    try:
        node.run_hook(run, skb, Hook.OUTPUT)
    except Diverted as diverted:
        note_diversion(run, skb)
        return send_routed(run, skb, node, diverted.decision)
    if skb.route is not decision:
        decision = skb.route
        skb.out_iface, skb.out_clues = decision.iface, ()
    if decision.kind is RouteKind.LOCAL:
        return _loop_back(run, skb, node)
    if decision.looped:
        return _send_and_hear(run, skb, node)
    elif decision.looped is None:
        run.assume("whether the node hears its own multicast is not known: group memberships are not in a snapshot")
    return leave(run, skb, node, Disposition.SENT)


def _loop_back(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """From the node to itself: POSTROUTING, then in again by `lo` without being routed (spec: netfilter 2.6)."""
    node.run_hook(run, skb, Hook.POSTROUTING)
    if run.steps is not None:
        run.steps.append(NoteStep(None, "the packet comes back in on lo, with its mark and connection", skb.mark))
    skb.in_iface, skb.out_iface = LOOPBACK, ""
    skb.local_output, skb.frame_type = False, "unicast"
    try:
        return enter(run, skb, node)
    except Ended as ended:
        # The sender has its answer by now: handing a packet to lo always succeeds (loopback_xmit in loopback.c).
        ended.errno = None
        raise


def _send_and_hear(run: Run, skb: Skb, node: FamilyNode) -> Arrived:
    """The node hears its own broadcasts and joined multicasts: a copy comes in by the same device (spec: netfilter 2.7).

    The copy has a POSTROUTING of its own. IPv4 makes it before the packet's own POSTROUTING and takes it in at once, IPv6
    after it (ip_mc_output in net/ipv4/ip_output.c, ip6_finish_output2 in net/ipv6/ip6_output.c).
    """
    if skb.packet.family is IPFamily.V4:
        copy = _clone(skb)
        heard_v4 = _through_hook(run, copy, node, Hook.POSTROUTING)
        # What the kernel makes while it takes packets in comes back only after all else is done.
        later = skb.socket_known and (skb.socket is None or not skb.socket.has_file)
        arrived = _hear(run, copy, node) if heard_v4 and not later else None
        if skb.packet.ttl == 0 and skb.packet.dst >> 28 == _MULTICAST_V4:
            arrived = _hear(run, copy, node) if heard_v4 and later else arrived
            return _stay(arrived, "a multicast with TTL 0 does not leave the node", Hook.OUTPUT)
        try:
            return leave(run, skb, node, Disposition.SENT)
        finally:
            if heard_v4 and later:
                _hear(run, copy, node)
    sent = leave(run, skb, node, Disposition.SENT)
    copy = _clone(skb)
    heard = _hear(run, copy, node) if _through_hook(run, copy, node, Hook.POSTROUTING) else None
    if skb.packet.dst >> 112 & 0xF > _INTERFACE_LOCAL and skb.packet.ttl > 0:
        return sent
    return _stay(heard, "a multicast of this scope or with hop limit 0 does not leave the interface", Hook.POSTROUTING)


def _stay(heard: Arrived | None, text: str, hook: Hook) -> Arrived:
    """The end of a packet that only the node itself may hear."""
    if heard is None:
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, hook))
    return heard


def _clone(skb: Skb) -> Skb:
    """A copy that belongs to no socket (skb_clone)."""
    copy = skb.twin()
    copy.socket, copy.socket_known = None, True
    return copy


def _hear(run: Run, copy: Skb, node: FamilyNode) -> Arrived | None:
    if run.steps is not None:
        run.steps.append(NoteStep(None, f"a copy comes back in on {copy.out_iface}", copy.mark))
    copy.in_iface, copy.out_iface, copy.local_output = copy.out_iface, "", False
    copy.frame_type = LOOPED_FRAME
    if _through_hook(run, copy, node, Hook.PREROUTING):
        try:
            if copy.packet.options:
                _refuse_source_route(run, copy, node)
            return deliver(run, copy, node)
        except Ended as ended:
            _note_lost_copy(run, copy, ended)
    return None


def _through_hook(run: Run, copy: Skb, node: FamilyNode, hook: Hook) -> bool:
    try:
        node.run_hook(run, copy, hook)
    except Ended as ended:
        _note_lost_copy(run, copy, ended)
        return False
    return True


def _note_lost_copy(run: Run, copy: Skb, ended: Ended) -> None:
    if ended.verdict is Verdict.UNKNOWN:
        raise ended
    if run.steps is not None:
        run.steps.append(NoteStep(None, f"the copy is dropped: {ended.decided_by.text}", copy.mark))


def send_reply(run: Run, skb: Skb, node: FamilyNode, reply: Reply) -> Arrived:
    """Sends what the node answers to a packet, or copies; `skb` is a fresh one that holds the answer."""
    skb.connection, skb.ct_direction = reply.connection, reply.direction
    if reply.connection is not None:
        skb.ct_state = CtState.RELATED
    skb.untracked = reply.untracked
    if reply.untracked:
        skb.ct_state = CtState.UNTRACKED
    skb.socket, skb.socket_known = reply.socket, True
    skb.bound_iface = reply.out_iface
    packet = skb.packet
    if reply.gateway is not None:
        # The copy's way is looked up with neither its source nor its mark (nf_dup_ipv4_route, nf_dup_ipv6_route).
        tos = packet.tos if packet.family is IPFamily.V4 else 0
        towards = node.router.route_output(reply.gateway, 0, tos=tos, out_iface=reply.out_iface)
    elif is_icmp_error(packet):
        towards = _ways_of_error(run, skb, node, reply)
    else:
        skb.local_output, skb.in_iface = True, ""
        towards = route_local_packet(run, skb, node.router)
    skb.local_output, skb.in_iface = True, ""
    skb.bound_iface = reply.bound_iface
    decision = choose_route(run, skb, towards, "output")
    if not passes(decision):
        raise refused_output(decision)
    if (
        reply.gateway is None
        and is_icmp_error(packet)
        and packet.family is IPFamily.V6
        and _leads_to_anycast(decision, packet.dst)
    ):
        text = "no error is sent to an anycast address"
        raise Ended(Verdict.DROP, DecidedBy(Cause.ROUTE, text))
    if packet.proto == TCP and reply.gateway is None and reply.connection is not None and reply.connection.confirmed:
        # The connection ends with the RST that this node makes (nf_conntrack_tcp_set_closing).
        reply.connection.tcp_state = TcpState.CLOSE
    return send_routed(run, skb, node, decision)


def _ways_of_error(run: Run, skb: Skb, node: FamilyNode, reply: Reply) -> tuple[RouteDecision, ...]:
    """The ways for an ICMP error: IPv4 looks for one before it chooses the source.

    IPv6 chooses first, unless the way without a source names one (icmpv6_rt_has_prefsrc).
    """
    packet = skb.packet

    def ways(source: int) -> tuple[RouteDecision, ...]:
        return node.router.route_output(
            packet.dst, source, mark=skb.mark, tos=packet.tos, out_iface=reply.out_iface, uid=0, proto=packet.proto,
            sport=packet.icmp_type << 8 | packet.icmp_code,
        )  # fmt: skip

    found = ways(0 if reply.unsourced else packet.src)
    if reply.unsourced and packet.family is IPFamily.V6 and found[0].prefsrc is None:
        found = ways(packet.src)
    return without_routes(run, skb, node.router, found)


def _leads_to_anycast(decision: RouteDecision, address: int) -> bool:
    """Anycast addresses, own ones and the zero addresses of links (ipv6_anycast_destination)."""
    route = decision.route
    if route is None:
        return False
    on_link = decision.gateway is None and route.prefix.length < _POINT_TO_POINT and route.prefix.network.address == address
    return on_link or route.type is RouteType.ANYCAST
