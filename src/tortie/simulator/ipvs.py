"""IPVS, the kernel's load balancer, as stages of the hooks (spec: netfilter 13.3).

A packet to a virtual service is local: it comes to INPUT, where IPVS, after the filter, sends it on. Masquerading rewrites
its destination; then it walks OUTPUT and POSTROUTING like a packet of the node itself and never sees FORWARD. Answers
come back through FORWARD and get the service's address as their source after the filter. Which server a new connection gets
depends on counters that no snapshot holds, so a choice of several forks the walk; a session remembers it.

Sources, in net/netfilter/ipvs: ip_vs_in_hook, ip_vs_out_hook and ip_vs_schedule in ip_vs_core.c, ip_vs_nat_xmit and its
siblings in ip_vs_xmit.c, ip_vs_update_conntrack in ip_vs_nfct.c. Not compared with a kernel: none with IPVS was at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from tortie.net.address import IPFamily, format_address
from tortie.net.packet import Packet
from tortie.net.protocol import IPENCAP, IPV6_ENCAP, SCTP, TCP, UDP
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Hook
from tortie.netfilter.ipvs import Forwarding, RealServer, VirtualService
from tortie.netfilter.match import CtState, Direction
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import Choice
from tortie.simulator.reply import icmp_error
from tortie.simulator.route import RouteDecision, RouteKind, Router
from tortie.simulator.routing import choose_route, passes, refused_output
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Cause, DecidedBy, Disposition, NatStep, NoteStep, Verdict

KUBE_DEVICE = "kube-ipvs0"
"""The device that holds kube-proxy's service addresses: where it exists, IPVS answers for them."""
_BALANCED = frozenset({TCP, UDP, SCTP})
_SYN, _RST = 2, 4
_PORT_UNREACHABLE = {IPFamily.V4: (3, 3), IPFamily.V6: (1, 4)}

FlowKey = tuple[int, int, int, int, int]
"""Protocol, source, source port, destination, destination port."""


@dataclass(frozen=True, slots=True)
class BalancedFlow:
    """A connection that IPVS knows: the service its client sees and the server it went to."""

    address: int
    port: int
    server: RealServer


class Diverted(Exception):
    """IPVS has taken the packet from its hook and sends it through OUTPUT by this route."""

    def __init__(self, decision: RouteDecision) -> None:
        super().__init__(decision.why)
        self.decision = decision


class Balancer:
    """The services of one family, and how packets meet them."""

    def __init__(self, snapshot: Snapshot, family: IPFamily, router: Router) -> None:
        self._router = router
        self._family = family
        services = [one for one in snapshot.ipvs or () if one.family is family]
        self._by_address = {(one.proto, one.address, one.port): one for one in services if one.mark is None}
        self._by_mark = {one.mark: one for one in services if one.mark is not None}
        self._unknown = snapshot.ipvs is None and router.link(KUBE_DEVICE) is not None
        link = router.link(KUBE_DEVICE)
        self._kube_addresses = (
            frozenset(entry.prefix.address for entry in link.addresses) if link is not None else frozenset()
        )
        self._tracks = (snapshot.sysctls or {}).get("net.ipv4.vs.conntrack", "0") != "0"

    @property
    def active(self) -> bool:
        """True when packets may meet a service, known or not."""
        return bool(self._by_address or self._by_mark or self._unknown)

    def stages(self, hook: Hook) -> list[tuple[int, Callable[[Run, Skb], None]]]:
        """What IPVS does at a hook, with priorities."""
        if not self.active:
            return []
        if hook is Hook.INPUT:
            return [(98, self._answer_stage(hook)), (99, self._request_stage(hook))]
        if hook is Hook.OUTPUT:
            return [(-99, self._answer_stage(hook)), (-98, self._request_stage(hook))]
        return [(100, self._answer_stage(hook))] if hook is Hook.FORWARD else []

    # --- requests ----------------------------------------------------------------------------------------------

    def _request_stage(self, hook: Hook) -> Callable[[Run, Skb], None]:
        def stage(run: Run, skb: Skb) -> None:
            packet = skb.packet
            if skb.balanced or not packet.has_ports or packet.proto not in _BALANCED:
                return
            if self._unknown and packet.dst in self._kube_addresses:
                self._doubt(run, hook, packet)
                return
            key = _key(packet)
            flow = run.session.balanced.get(key)
            if flow is None:
                service = self._find(packet, skb.mark)
                if service is None or not _opens(packet):
                    return
                server = self._schedule(run, skb, hook, service)
                flow = BalancedFlow(packet.dst, packet.dport, server)
                _remember(run, key, flow)
            self._transmit(run, skb, hook, flow)

        return stage

    def _doubt(self, run: Run, hook: Hook, packet: Packet) -> None:
        where = format_address(self._family, packet.dst)
        why = f"{where} is an address of {KUBE_DEVICE}, and the snapshot holds no IPVS services (file ipvs: ipvsadm -Sn)"
        choice = Choice(DoubtKind.UNKNOWN, "ipvs", ("ignore", "unknown"), (f"IPVS has no service at {where}", why))
        if run.chooser.choose(choice) == 1:
            raise Ended(Verdict.UNKNOWN, DecidedBy(Cause.MISSING, why, hook), disposition=Disposition.UNKNOWN)

    def _find(self, packet: Packet, mark: int) -> VirtualService | None:
        if mark in self._by_mark:
            return self._by_mark[mark]
        for port in (packet.dport, 0):
            service = self._by_address.get((packet.proto, packet.dst, port))
            if service is not None:
                return service
        return None

    def _schedule(self, run: Run, skb: Skb, hook: Hook, service: VirtualService) -> RealServer:
        ready = [server for server in service.servers if server.weight > 0]
        name = f"{format_address(self._family, skb.packet.dst)}:{skb.packet.dport}"
        if not ready:
            reply = icmp_error(skb, self._router, *_PORT_UNREACHABLE[self._family])
            if reply is not None:
                run.send_answer(run, skb, reply)
            text = f"the IPVS service {name} has no server to send it to"
            raise Ended(Verdict.REJECT, DecidedBy(Cause.ROUTE, text, hook), errno="EPERM")
        if len(ready) == 1:
            return ready[0]
        options = tuple(f"{server.address}:{server.port}" for server in ready)
        total = sum(server.weight for server in ready)
        # Under persistence the client may have its server already, which no snapshot tells.
        in_turn = service.scheduler in ("rr", "wrr") and service.persistence_s is None
        shares = tuple(server.weight / total for server in ready) if in_turn else None
        conditions = tuple(f"IPVS ({service.scheduler}) gives the connection to {option}" for option in options)
        return ready[run.chooser.choose(Choice(DoubtKind.CHANCE, f"ipvs:{name}", options, conditions, shares))]

    def _transmit(self, run: Run, skb: Skb, hook: Hook, flow: BalancedFlow) -> None:
        server, before = flow.server, skb.packet
        skb.balanced = True
        source = 0 if server.forwarding is Forwarding.TUNNELLING else before.src
        towards = self._router.route_output(server.address.value, source, mark=skb.mark, tos=before.tos)
        decision = choose_route(run, skb, towards, "output")
        if not passes(decision):
            raise refused_output(decision)
        local = decision.kind is RouteKind.LOCAL
        if server.forwarding is Forwarding.MASQUERADING:
            skb.packet = replace(before, dst=server.address.value, dport=server.port or before.dport)
            self._track(skb)
        elif server.forwarding is Forwarding.TUNNELLING and not local:
            skb.packet = self._wrap(hook, server, before, decision)
        if not self._tracks:
            skb.connection, skb.ct_state, skb.untracked = None, CtState.UNTRACKED, True
        if not local and hook is Hook.INPUT:
            _age(skb, hook)
        if run.steps is not None:
            text = f"IPVS sends it to {server.address}:{server.port or before.dport}"
            run.steps.append(NatStep(hook, before, skb.packet, text, skb.mark))
        if not local:
            raise Diverted(decision)

    def _wrap(self, hook: Hook, server: RealServer, packet: Packet, decision: RouteDecision) -> Packet:
        if server.tunnel:
            text = f"IPVS wraps the packet into a tunnel ({' '.join(server.tunnel)}), which Tortie does not follow"
            raise Ended(Verdict.UNKNOWN, DecidedBy(Cause.ROUTE, text, hook), disposition=Disposition.UNKNOWN)
        source = decision.source if decision.source is not None else self._router.source_address(server.address.value)
        if source is None:
            text = f"the node has no address to send a tunnelled packet to {server.address} from"
            raise Ended(Verdict.UNKNOWN, DecidedBy(Cause.MISSING, text, hook), disposition=Disposition.UNKNOWN)
        proto = IPENCAP if self._family is IPFamily.V4 else IPV6_ENCAP
        return Packet(
            self._family, source, server.address.value, proto, ttl=packet.ttl, tos=packet.tos,
            transport=format_packet(packet),
        )  # fmt: skip

    def _track(self, skb: Skb) -> None:
        """Lets the connection's answers be recognised as they come from the server (ip_vs_update_conntrack)."""
        connection = skb.connection
        if not self._tracks or connection is None or connection.confirmed or skb.ct_direction is not Direction.ORIGINAL:
            return
        connection.reply = replace(connection.reply, src=skb.packet.dst, src_key=skb.packet.dport)

    # --- answers -----------------------------------------------------------------------------------------------

    def _answer_stage(self, hook: Hook) -> Callable[[Run, Skb], None]:
        def stage(run: Run, skb: Skb) -> None:
            packet = skb.packet
            if skb.balanced or not packet.has_ports:
                return
            flow = run.session.balanced_answers.get(_key(packet))
            if flow is None:
                return
            skb.balanced = True
            skb.packet = replace(packet, src=flow.address, sport=flow.port)
            if run.steps is not None:
                text = f"IPVS restores the service's address {format_address(self._family, flow.address)}:{flow.port}"
                run.steps.append(NatStep(hook, packet, skb.packet, text, skb.mark))
            if not self._tracks:
                skb.connection, skb.ct_state, skb.untracked = None, CtState.UNTRACKED, True

        return stage


def _age(skb: Skb, hook: Hook) -> None:
    if skb.packet.ttl <= 1:
        text = "the hop limit ends at this node, where IPVS would send the packet on"
        raise Ended(Verdict.DROP, DecidedBy(Cause.HEADER, text, hook))
    skb.packet = replace(skb.packet, ttl=skb.packet.ttl - 1)


def _key(packet: Packet) -> FlowKey:
    return packet.proto, packet.src, packet.sport, packet.dst, packet.dport


def _opens(packet: Packet) -> bool:
    """True for a packet that may start a connection: for TCP a SYN (sloppy_tcp is off)."""
    return packet.proto != TCP or (bool(packet.tcp_flags & _SYN) and not packet.tcp_flags & _RST)


def _remember(run: Run, key: FlowKey, flow: BalancedFlow) -> None:
    session = run.session
    session.balanced = {**session.balanced, key: flow}
    if flow.server.forwarding is Forwarding.MASQUERADING:
        proto, client, client_port, _, port = key
        answer = (proto, flow.server.address.value, flow.server.port or port, client, client_port)
        session.balanced_answers = {**session.balanced_answers, answer: flow}


def note_diversion(run: Run, skb: Skb) -> None:
    """Says that the packet leaves its hook and goes out like one of the node's own."""
    if run.steps is not None:
        run.steps.append(NoteStep(None, "IPVS sends the packet out through OUTPUT, past FORWARD", skb.mark))
