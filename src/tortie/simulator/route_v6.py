"""IPv6 routing decisions (net/ipv6/route.c, net/ipv6/ip6_output.c).

IPv6 has no reverse-path filter and no martians but those dropped before any table. What IPv4 refuses in input routing,
forwarding switched off, IPv6 refuses when it comes to forwarding (ip6_forward), before the hop limit is looked at.
Whether an address is the node's own is decided by routes of type local like everything else.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.net.address import IPFamily, format_address
from tortie.net.node import Route, RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import ICMPV6
from tortie.simulator.device import LOOPBACK, Devices
from tortie.simulator.fib import Hop
from tortie.simulator.policy import Flow, Found, Policy6
from tortie.simulator.route_decision import ICMP_V6, RouteDecision, RouteKind, conditional, unknown
from tortie.simulator.route_maker import RouteMaker
from tortie.simulator.setting import Settings
from tortie.simulator.source_address import Kind6, classify_v6, needs_device, select_v6, solicited_node_group
from tortie.simulator.source_check import dissect

_ALL_NODES = frozenset({0xFF01 << 112 | 1, 0xFF02 << 112 | 1})
_ALL_ROUTERS = frozenset({0xFF01 << 112 | 2, 0xFF02 << 112 | 2, 0xFF05 << 112 | 2})
_DELIVERED = (RouteType.LOCAL, RouteType.ANYCAST)


def is_multicast(address: int) -> bool:
    """True in ff00::/8."""
    return address >> 120 == 0xFF


def _text(address: int) -> str:
    return format_address(IPFamily.V6, address)


class Routing6:
    """The IPv6 answers of one node."""

    __slots__ = ("_anycast", "_devices", "_maker", "_policy", "_settings")

    def __init__(
        self, policy: Policy6, devices: Devices, settings: Settings, anycast: frozenset[tuple[int, str | None]]
    ) -> None:
        """`anycast` holds the node's anycast addresses, each with its device."""
        self._anycast = anycast
        self._policy = policy
        self._devices = devices
        self._settings = settings
        self._maker = RouteMaker(IPFamily.V6, devices, settings)

    @property
    def dissects(self) -> bool:
        """True when some rule makes input routing read protocol and ports."""
        return self._policy.dissects

    # --- input -------------------------------------------------------------------------------------------------

    def decide_input(self, packet: Packet, in_iface: str, mark: int) -> tuple[RouteDecision, ...]:
        """The decision for a packet that came in by a device."""
        proto, sport, dport = self._dissect(packet)
        flow = Flow(packet.dst, packet.src, packet.tos, mark, in_iface, "", 0, proto, sport, dport)
        found = self._policy.lookup(flow, device=in_iface, strict=needs_device(packet.dst))
        if found.doubt:
            return (unknown(found.doubt),)
        if found.errno:
            return (self._refused(found, packet),)
        entry = found.entry
        assert entry is not None
        if self._discards(entry.route, found.hop):
            return (self._discarded(found, packet.dst),)
        if entry.route.type in _DELIVERED:
            return (self._maker.decide(RouteKind.LOCAL, found),)
        if is_multicast(entry.route.prefix.address) and entry.route.prefix.length:
            return (self._group_input(found, packet.dst, in_iface),)
        return self._forward(packet, in_iface, found)

    def _refused(self, found: Found, packet: Packet) -> RouteDecision:
        """ip6_pkt_drop."""
        reason = None
        if found.errno != "EINVAL":
            reason = "IP_INNOROUTES" if packet.dst else "IP_INADDRERRORS"
        icmp = None if is_multicast(packet.dst) else ICMP_V6[found.errno]
        return self._maker.refuse(found, reason=reason, icmp=icmp)

    def _discards(self, route: Route, hop: Hop | None) -> bool:
        """True for routes by way of `lo`, which the kernel keeps as refusing ones of no error (fib6_is_reject)."""
        if hop is None or not self._devices.is_loopback(hop.iface or "") or _is_own(route):
            return False
        return not classify_v6(route.prefix.address)[0] & Kind6.LOOPBACK

    def _discarded(self, found: Found, dst: int) -> RouteDecision:
        icmp = None if is_multicast(dst) else ICMP_V6["ENETUNREACH"]
        why = f"{self._maker.describe(found)}: routes by way of lo refuse"
        return replace(self._maker.decide(RouteKind.NO_ROUTE, found, why=why), drop_reason="IP_INNOROUTES", icmp=icmp)

    def _group_input(self, found: Found, group: int, in_iface: str) -> RouteDecision:
        joined = self._is_member(group, in_iface)
        if joined is None:
            return unknown(f"the snapshot does not say whether {in_iface} has joined the group {_text(group)}")
        return self._maker.decide(RouteKind.MULTICAST, found)

    def _is_member(self, group: int, iface: str) -> bool | None:
        """True for the groups that every interface joins by itself; None for others, which programs may have joined."""
        if group in _ALL_NODES:
            return True
        routing = self._settings.device("forwarding", iface)
        if group in _ALL_ROUTERS and routing.known and routing.value:
            return True
        own = self._devices.addresses.get(iface, ())
        return True if any(solicited_node_group(a.prefix.address) == group for a in own) else None

    def _forward(self, packet: Packet, in_iface: str, found: Found) -> tuple[RouteDecision, ...]:
        setting = self._settings.conf("forwarding", in_iface)
        assumed = found.assumptions
        if not setting.value and not self._settings.conf("force_forwarding", in_iface).value:
            why = f"{self._maker.describe(found)}; forwarding is off ({setting.name})"
            return (RouteDecision(RouteKind.MARTIAN, why, drop_reason="IP_INADDRERRORS", sysctl=setting.name),)
        if not setting.known:
            assumed = (*assumed, setting.assumption)
        decisions = self._spread(found, packet.dst, assumed)
        return tuple(
            replace(one, redirect=True) if one.iface == in_iface and self._redirects(packet.src, in_iface, one) else one
            for one in decisions
        )

    def _redirects(self, src: int, in_iface: str, decision: RouteDecision) -> bool:
        """ip6_forward and ndisc_send_redirect: the sender must be on the link, the better hop known by its link address."""
        if decision.gateway is not None and not classify_v6(decision.gateway.value)[0] & Kind6.LINK_LOCAL:
            return False
        own = (a.prefix.address for a in self._devices.addresses.get(in_iface, ()) if not a.tentative)
        sender = next((address for address in own if classify_v6(address)[0] & Kind6.LINK_LOCAL), None)
        if sender is None:
            return False
        flow = Flow(src, sender, oif=in_iface, proto=ICMPV6)
        back = self._policy.lookup(flow, device=in_iface, strict=needs_device(src))
        return back.hop is not None and not back.errno and back.hop.value.gateway is None

    def _dissect(self, packet: Packet) -> tuple[int, int, int]:
        """Protocol and ports as input routing reads them: the first next-header, unless a rule wants more."""
        if self._policy.dissects:
            return dissect(packet)
        return packet.extensions[0][0] if packet.extensions else packet.proto, 0, 0

    # --- output ------------------------------------------------------------------------------------------------

    def decide_output(self, flow: Flow, *, bound: bool) -> tuple[RouteDecision, ...]:
        """The decision for a packet of the node itself; `flow.src` 0 lets the node choose its source."""
        if flow.oif and self._devices.known and flow.oif not in self._devices.by_name:
            return (RouteDecision(RouteKind.MARTIAN, f"there is no device {flow.oif}", errno="ENODEV"),)
        found = self._look_up_output(flow, bound=bound)
        if flow.src or found.doubt:
            return self._finish_output(flow, found)
        return self._choose_source(flow, found)

    def _look_up_output(self, flow: Flow, *, bound: bool) -> Found:
        """ip6_route_output_flags."""
        strict = (bool(flow.oif) and (bound or not flow.src)) or needs_device(flow.dst)
        return self._policy.lookup(flow, device=flow.oif, strict=strict, has_source=bool(flow.src))

    def _choose_source(self, flow: Flow, found: Found) -> tuple[RouteDecision, ...]:
        """ip6_dst_lookup_tail: a source for the route; without a route, a source first and then another look."""
        if found.errno:
            source = self.select_source(None, flow.dst)
            if source is None:
                return (_no_source(flow.dst),)
            again = self._look_up_output(flow._replace(src=source), bound=True)
            return tuple(replace(one, source=source) for one in self._finish_output(flow, again))
        decisions = []
        for one in self._finish_output(flow, found):
            source = one.prefsrc
            if source is None and one.route is not None:
                hop = one.route.next_hops[0].dev if one.kind is RouteKind.LOCAL else one.iface
                source = self.select_source(hop, flow.dst)
            decisions.append(replace(one, source=source) if source is not None else _no_source(flow.dst))
        return tuple(decisions)

    def _finish_output(self, flow: Flow, found: Found) -> tuple[RouteDecision, ...]:
        if found.doubt:
            return (unknown(found.doubt),)
        source = flow.src or None
        if found.errno:
            return (self._maker.refuse(found, source=source),)
        entry = found.entry
        assert entry is not None
        if self._discards(entry.route, found.hop):
            # Sending goes well; the packet is thrown away after the OUTPUT tables (ip6_pkt_discard_out).
            return (replace(self._discarded(found, flow.dst), drop_reason="IP_OUTNOROUTES", source=source),)
        if _is_own(entry.route):
            local = self._maker.decide(RouteKind.LOCAL, found)
            mtu = self._maker.mtu(LOOPBACK)
            return (replace(local, iface=LOOPBACK, next_hop=flow.dst, source=source, mtu=mtu),)
        return tuple(self._as_sent(one, flow) for one in self._spread(found, flow.dst, found.assumptions, source))

    def _as_sent(self, decision: RouteDecision, flow: Flow) -> RouteDecision:
        if self._devices.is_loopback(decision.iface or ""):
            return replace(decision, kind=RouteKind.LOCAL)
        if is_multicast(flow.dst):
            heard = self._devices.is_up(decision.iface or "") and flow.src != 1
            looped = self._is_member(flow.dst, decision.iface or "") if heard else False
            return replace(decision, kind=RouteKind.MULTICAST, looped=looped)
        return decision

    # --- addresses ---------------------------------------------------------------------------------------------

    def select_source(self, iface: str | None, dst: int) -> int | None:
        """ipv6_dev_get_saddr."""
        only = iface is not None and bool(self._settings.conf("use_oif_addrs_only", iface).value)
        return select_v6(self._devices, iface, dst, only_device=only)

    def address_types(self, address: int, iface: str | None = None) -> frozenset[str] | str:
        """Everything addrtype may find in an address (net/netfilter/xt_addrtype.c); text says what is not known."""
        classes, scope = classify_v6(address)
        types = set()
        if classes & Kind6.MULTICAST:
            types.add("MULTICAST")
        if classes & Kind6.UNICAST:
            types.add("UNICAST")
        if scope == -1:
            types.add("UNSPEC")
        if iface is not None and self._has(iface, address):
            types.add("LOCAL")
        flow = Flow(address, oif=iface or "")
        strict = iface is not None or needs_device(address)
        found = self._policy.lookup(flow, device=flow.oif, strict=strict, has_source=False)
        if found.doubt:
            return found.doubt
        if found.errno or found.entry is None:
            # Without a route the kernel asks no further: an own address of another kind is not LOCAL then.
            return frozenset((types - {"LOCAL"}) | {"UNREACHABLE"})
        discards = self._discards(found.entry.route, found.hop)
        if discards:
            types.add("UNREACHABLE")
        if found.entry.route.type is RouteType.LOCAL and iface is None:
            types.add("LOCAL")
        if not discards and _is_anycast(found, address):
            types.add("ANYCAST")
        return frozenset(types)

    def _has(self, iface: str, address: int) -> bool:
        return any(a.prefix.address == address and not a.tentative for a in self._devices.addresses.get(iface, ()))

    def is_assigned(self, address: int, iface: str) -> bool:
        """True for an address of the node, or an anycast one; a link-local one must be of this device (ipv6_chk_addr)."""
        if needs_device(address):
            return self._has(iface, address) or (address, iface) in self._anycast
        names = self._devices.by_name
        return any(self._has(name, address) or (address, name) in self._anycast for name in names)

    def is_local(self, address: int) -> bool:
        """True for an address that packets are delivered to."""
        found = self._policy.lookup(Flow(address), device="", strict=needs_device(address), has_source=False)
        return not found.errno and found.entry is not None and found.entry.route.type in _DELIVERED

    def passes_reverse_path(
        self, packet: Packet, in_iface: str, mark: int, *, loose: bool, accept_local: bool
    ) -> bool | str:
        """`-m rpfilter` (net/ipv6/netfilter/ip6t_rpfilter.c); text says what is not known."""
        if self._devices.is_loopback(in_iface) or packet.src == 0:
            return True
        classes = classify_v6(packet.dst)[0]
        source = packet.dst if classes & Kind6.UNICAST else 0
        link_local = bool(classify_v6(packet.src)[0] & Kind6.LINK_LOCAL)
        device = in_iface if link_local or not loose else ""
        proto = packet.extensions[0][0] if packet.extensions else packet.proto
        flow = Flow(packet.src, source, packet.tos, mark, oif=device, proto=proto)
        found = self._policy.reverse(flow, device=device, strict=link_local, has_source=bool(source))
        if found.doubt:
            return found.doubt
        if found.errno or found.entry is None or self._discards(found.entry.route, found.hop):
            return False
        if _is_own(found.entry.route):
            return accept_local and found.entry.route.type is RouteType.LOCAL
        hop = found.hop
        return loose or (hop is not None and hop.iface == in_iface)

    def _spread(
        self, found: Found, dst: int, assumptions: tuple[str, ...], source: int | None = None
    ) -> tuple[RouteDecision, ...]:
        """The decision for every next hop that the hash may take (fib6_select_path)."""
        assert found.entry is not None
        if not found.others:
            return (self._by(found, dst, assumptions, source),)
        ways = ((found.entry, found.number), *found.others)
        total = sum(entry.hops[number].value.weight for entry, number in ways)
        return tuple(
            conditional(
                self._by(replace(found, entry=entry, number=number), dst, assumptions, source),
                entry.hops[number].value,
                total,
            )
            for entry, number in ways
        )

    def _by(self, found: Found, dst: int, assumptions: tuple[str, ...], source: int | None) -> RouteDecision:
        hop = found.hop
        assert hop is not None
        if hop.doubt or hop.iface is None:
            return unknown(f"{self._maker.describe(found)}: {hop.doubt}")
        return self._maker.pass_on(found, dst, source=source, assumptions=assumptions)


def _no_source(dst: int) -> RouteDecision:
    why = f"the node has no address to send from toward {_text(dst)}"
    return RouteDecision(RouteKind.MARTIAN, why, errno="EADDRNOTAVAIL")


def _is_anycast(found: Found, address: int) -> bool:
    """ipv6_anycast_destination: an anycast address, or the address of a prefix on the link."""
    assert found.entry is not None
    route, hop = found.entry.route, found.hop
    if route.type is RouteType.ANYCAST and route.protocol == "kernel":
        return True
    on_link = hop is None or hop.value.gateway is None
    return on_link and route.prefix.length < 127 and route.prefix.network.address == address


def _is_own(route: Route) -> bool:
    """True when packets by this route go to `lo`; of anycast routes only the kernel's own do (ip6_rt_get_dev_rcu)."""
    return route.type is RouteType.LOCAL or (route.type is RouteType.ANYCAST and route.protocol == "kernel")
