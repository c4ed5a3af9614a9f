"""IPv4 routing decisions, check by check in the kernel's order (net/ipv4/route.c; spec: netfilter 10).

`decide_input` is ip_route_input_slow with ip_error's answer; `decide_output` is ip_route_output_key_hash_rcu. Whether a
source is believed is decided in `source_check`.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.net.address import IPFamily, format_address
from tortie.net.node import RouteType
from tortie.net.packet import Packet
from tortie.simulator.device import LOOPBACK, Devices, scope_number
from tortie.simulator.fib import Entry, Hop
from tortie.simulator.policy import Flow, Found, Policy4
from tortie.simulator.route_decision import ICMP_V4, RouteDecision, RouteKind, conditional, unknown
from tortie.simulator.route_maker import RouteMaker
from tortie.simulator.setting import Setting, Settings
from tortie.simulator.source_address import select_v4
from tortie.simulator.source_check import Checked, SourceCheck, dissect

_BROADCAST = 0xFFFFFFFF
_ALL_HOSTS = 0xE0000001
_LOCALHOST = 0x7F000001
_IGMP = 2


def is_multicast(address: int) -> bool:
    """True in 224.0.0.0/4."""
    return address >> 28 == 14


def _is_local_multicast(address: int) -> bool:
    return address >> 8 == 0xE00000


def _is_loopback(address: int) -> bool:
    return address >> 24 == 127


def _text(address: int) -> str:
    return format_address(IPFamily.V4, address)


class Routing4:
    """The IPv4 answers of one node."""

    __slots__ = ("_check", "_devices", "_maker", "_own", "_policy", "_settings")

    def __init__(
        self, policy: Policy4, devices: Devices, settings: Settings, own: frozenset[int], *, custom_local: bool
    ) -> None:
        """`own` holds the node's addresses; `custom_local` says that somebody added routes of type local."""
        self._policy = policy
        self._devices = devices
        self._settings = settings
        self._own = own
        self._maker = RouteMaker(IPFamily.V4, devices, settings)
        self._check = SourceCheck(policy, devices, settings, self._maker, own, custom_local=custom_local)

    @property
    def dissects(self) -> bool:
        """True when some rule makes input routing read protocol and ports."""
        return self._policy.dissects

    # --- input -------------------------------------------------------------------------------------------------

    def decide_input(self, packet: Packet, in_iface: str, mark: int, frame_type: str) -> tuple[RouteDecision, ...]:
        """The decision for a packet that came in by a device."""
        decisions = self._decide_input(packet, in_iface, mark)
        if frame_type in ("broadcast", "multicast"):
            return tuple(self._check_frame(decision, in_iface, frame_type) for decision in decisions)
        return decisions

    def _check_frame(self, decision: RouteDecision, in_iface: str, frame_type: str) -> RouteDecision:
        """ip_rcv_finish_core: unicast packets in frames for everybody may be unwelcome."""
        if decision.kind not in (RouteKind.LOCAL, RouteKind.UNICAST):
            return decision
        setting = self._settings.conf("drop_unicast_in_l2_multicast", in_iface)
        if setting.value:
            why = f"a unicast packet in a {frame_type} frame ({setting.name} is on)"
            return _martian(why, "UNICAST_IN_L2_MULTICAST", setting.name)
        if not setting.known:
            return replace(decision, assumptions=(*decision.assumptions, setting.assumption))
        return decision

    def _decide_input(self, packet: Packet, in_iface: str, mark: int) -> tuple[RouteDecision, ...]:
        src, dst = packet.src, packet.dst
        if is_multicast(dst):
            return (self._group_input(packet, in_iface, mark),)
        if is_multicast(src) or src == _BROADCAST:
            return (_martian(f"{_text(src)} cannot be a source", "IP_INVALID_SOURCE"),)
        if dst == _BROADCAST or (src == 0 and dst == 0):
            return (self._broadcast_input(packet, in_iface, mark, None),)
        if src == 0:
            why = "the source 0.0.0.0 is accepted only toward 255.255.255.255 and link-local groups"
            return (_martian(why, "IP_INVALID_SOURCE"),)
        if dst == 0:
            return (_martian("0.0.0.0 cannot be a destination", "IP_INVALID_DEST"),)
        if _is_loopback(dst) or _is_loopback(src):
            refused = self._check_loopback("destination" if _is_loopback(dst) else "source", packet, in_iface)
            if refused.reason:
                return (_unbelieved(refused, ()),)
        return self._look_up_input(packet, in_iface, mark)

    def _check_loopback(self, end: str, packet: Packet, in_iface: str) -> Checked:
        setting = self._settings.conf("route_localnet", in_iface)
        if setting.value:
            return Checked()
        address = packet.dst if end == "destination" else packet.src
        why = f"the {end} {_text(address)} came in by {in_iface} ({setting.name} is off)"
        return Checked("IP_LOCALNET", setting.name, why, assumptions=_assumed(setting))

    def _look_up_input(self, packet: Packet, in_iface: str, mark: int) -> tuple[RouteDecision, ...]:
        proto, sport, dport = dissect(packet) if self._policy.dissects else (0, 0, 0)
        flow = Flow(packet.dst, packet.src, packet.tos, mark, in_iface, "", 0, proto, sport, dport)
        found = self._policy.lookup(flow)
        if found.doubt:
            return (unknown(found.doubt),)
        forwarding = self._settings.conf("forwarding", in_iface)
        if found.errno:
            return (self._refuse_input(found, forwarding),)
        entry = found.entry
        assert entry is not None
        kind = entry.route.type
        if kind is RouteType.BROADCAST:
            if not self._settings.conf("bc_forwarding", in_iface).value:
                return (self._broadcast_input(packet, in_iface, mark, found),)
            return self._forward(packet, in_iface, mark, found, found.assumptions)
        if kind is RouteType.LOCAL:
            checked = self._check.check(packet, in_iface, mark, dst=packet.dst)
            return (self._deliver(RouteKind.LOCAL, found, checked),)
        assumed = (*found.assumptions, *_assumed(forwarding))
        if not forwarding.value:
            why = f"{self._maker.describe(found)}; forwarding is off ({forwarding.name})"
            return (_martian(why, "IP_INADDRERRORS", forwarding.name, assumed),)
        if kind is not RouteType.UNICAST:
            return (_martian(f"{self._maker.describe(found)}: nothing arrives by such a route", "IP_INVALID_DEST"),)
        return self._forward(packet, in_iface, mark, found, assumed)

    def _refuse_input(self, found: Found, forwarding: Setting) -> RouteDecision:
        """ip_error: a node that does not forward says nothing."""
        assumed = (*found.assumptions, *_assumed(forwarding))
        if not forwarding.value:
            refusal = self._maker.refuse(found, reason="IP_INADDRERRORS", assumptions=assumed)
            return replace(refusal, why=f"{refusal.why}; forwarding is off ({forwarding.name})", errno=None)
        reason = "IP_INNOROUTES" if found.errno == "ENETUNREACH" else None
        return self._maker.refuse(found, reason=reason, icmp=ICMP_V4[found.errno], assumptions=assumed)

    def _deliver(self, kind: RouteKind, found: Found, checked: Checked) -> RouteDecision:
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            return _unbelieved(checked, found.assumptions)
        return self._maker.decide(kind, found, (*found.assumptions, *checked.assumptions))

    def _broadcast_input(self, packet: Packet, in_iface: str, mark: int, found: Found | None) -> RouteDecision:
        checked = Checked() if packet.src == 0 else self._check.check(packet, in_iface, mark, dst=0)
        if found is not None:
            return self._deliver(RouteKind.BROADCAST, found, checked)
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            return _unbelieved(checked, ())
        why = f"{_text(packet.dst)} is the limited broadcast"
        return RouteDecision(RouteKind.BROADCAST, why, assumptions=checked.assumptions)

    def _group_input(self, packet: Packet, in_iface: str, mark: int) -> RouteDecision:
        """ip_route_input_mc, for groups that the interface has joined."""
        group = _text(packet.dst)
        joined = packet.dst == _ALL_HOSTS and self._devices.is_up(in_iface)
        checked = self._check_group_source(packet, in_iface, mark)
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            # A group not joined is dropped without a look at the source, so both ways the packet ends here.
            refused = _unbelieved(checked, ())
            return refused if joined else replace(refused, drop_reason=None)
        routed = self._settings.conf("mc_forwarding", in_iface)
        if routed.value and not _is_local_multicast(packet.dst):
            return unknown(f"multicast routing is on ({routed.name}), and the snapshot does not hold its table")
        if not self._devices.is_up(in_iface):
            return _martian(f"{in_iface} is down and in no group", "NOT_SPECIFIED")
        if not joined:
            return unknown(f"the snapshot does not say whether {in_iface} has joined the group {group}")
        why = f"{group} is the group of all hosts, which every interface has joined"
        return RouteDecision(RouteKind.MULTICAST, why, assumptions=checked.assumptions)

    def _check_group_source(self, packet: Packet, in_iface: str, mark: int) -> Checked:
        """ip_mc_validate_source."""
        src = packet.src
        if is_multicast(src) or src == _BROADCAST:
            return Checked("IP_INVALID_SOURCE", why=f"{_text(src)} cannot be a source")
        if _is_loopback(src):
            refused = self._check_loopback("source", packet, in_iface)
            if refused.reason:
                return refused
        if src == 0:
            if _is_local_multicast(packet.dst) or packet.proto == _IGMP:
                return Checked()
            return Checked("IP_INVALID_SOURCE", why="the source 0.0.0.0 is accepted only toward link-local groups")
        return self._check.check(packet, in_iface, mark, dst=0)

    def _forward(
        self, packet: Packet, in_iface: str, mark: int, found: Found, assumed: tuple[str, ...]
    ) -> tuple[RouteDecision, ...]:
        """ip_mkroute_input for every next hop that the hash may take."""
        entry = found.entry
        assert entry is not None
        if len(entry.hops) == 1:
            return (self._forward_by(packet, in_iface, mark, found, entry.hops[0], assumed),)
        usable = [number for number, hop in enumerate(entry.hops) if hop.usable]
        decisions = [
            self._forward_by(packet, in_iface, mark, replace(found, number=number), entry.hops[number], assumed)
            for number in usable
        ]
        return _conditional(decisions, entry, usable)

    def _forward_by(
        self, packet: Packet, in_iface: str, mark: int, found: Found, hop: Hop, assumed: tuple[str, ...]
    ) -> RouteDecision:
        if hop.doubt or hop.iface is None:
            return unknown(f"{self._maker.describe(found)}: {hop.doubt}")
        checked = self._check.check(packet, in_iface, mark, dst=packet.dst, out_iface=hop.iface)
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            return _unbelieved(checked, assumed)
        redirect = hop.iface == in_iface and checked.direct and self._redirects(in_iface, packet.src, hop)
        return self._maker.pass_on(found, packet.dst, redirect=redirect, assumptions=(*assumed, *checked.assumptions))

    def _redirects(self, iface: str, src: int, hop: Hop) -> bool:
        """__mkroute_input: redirects are on, and one subnet of the device holds source and gateway (inet_addr_onlink)."""
        if not self._settings.conf("send_redirects", iface).value:
            return False
        if self._settings.conf("shared_media", iface).value:
            return True
        gateway = hop.value.gateway
        other = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else 0
        for own in self._devices.addresses.get(iface, ()):
            mask, base = own.prefix.mask, (own.peer or own.prefix).address
            if not (base ^ src) & mask and (not other or not (base ^ other) & mask):
                return True
        return False

    # --- output ------------------------------------------------------------------------------------------------

    def decide_output(self, flow: Flow, *, any_source: bool) -> tuple[RouteDecision, ...]:
        """The decision for a packet of the node itself; `flow.src` 0 lets the node choose its source."""
        src, dst, oif = flow.src, flow.dst, flow.oif
        if src:
            if is_multicast(src) or src == _BROADCAST:
                return (_failed("EINVAL", f"{_text(src)} cannot be a source"),)
            if not any_source and src not in self._own and not self.is_local(src):
                return (_failed("ENETUNREACH", f"{_text(src)} is not an address of the node"),)
            if not oif and (is_multicast(dst) or dst == _BROADCAST):
                return self._out_where_source_lives(flow)
        if oif:
            early = self._out_bound(flow)
            if early is not None:
                return (early,)
            if not src and is_multicast(dst):
                flow = flow._replace(src=self.select_source(oif, 0, "global") or 0)
        if not dst:
            # BSD's way of naming oneself.
            source = src or (self.select_source(oif, 0, "host") if oif else None) or _LOCALHOST
            return (RouteDecision(RouteKind.LOCAL, "0.0.0.0 means the node itself", LOOPBACK, source, source=source),)
        return self._look_up_output(flow)

    def _out_where_source_lives(self, flow: Flow) -> tuple[RouteDecision, ...]:
        """Groups and the limited broadcast leave by the device of their source; of several, by the one given it last."""
        source, target = _text(flow.src), _text(flow.dst)
        owners = self._owners(flow.src)
        if not owners and not self._devices.known:
            return (unknown(f"the snapshot does not say which device has {source}"),)
        if not owners:
            return (_failed("ENETUNREACH", f"{source} is not an address of the node"),)
        decisions = tuple(self._out_without_route(flow, name, f"{target} goes out where {source} lives") for name in owners)
        if len(decisions) == 1:
            return decisions
        return tuple(
            replace(
                one, option=f"@{name}", missing=True, condition=f"of {', '.join(owners)} {name} was given {source} last"
            )
            for one, name in zip(decisions, owners, strict=True)
        )

    def _owners(self, address: int) -> tuple[str, ...]:
        """The devices that have an address, else the one that the local table names (__ip_dev_find)."""
        owners = tuple(
            name for name, found in self._devices.addresses.items() if any(a.prefix.address == address for a in found)
        )
        table = self._policy.local
        hit = table.lookup(address, 0, "") if table is not None and not owners else None
        if hit is not None and hit[0].route.type is RouteType.LOCAL and hit[0].hops:
            return (hit[0].hops[hit[1]].iface or LOOPBACK,)
        return owners

    def _out_bound(self, flow: Flow) -> RouteDecision | None:
        """What a socket bound to a device sends without asking for a route."""
        oif = flow.oif
        if self._devices.known and oif not in self._devices.by_name:
            return _failed("ENODEV", f"there is no device {oif}")
        if not self._devices.is_up(oif):
            return _failed("ENETUNREACH", f"{oif} is down")
        if _is_local_multicast(flow.dst) or flow.dst == _BROADCAST or flow.proto == _IGMP:
            return self._out_without_route(flow, oif, f"{_text(flow.dst)} goes out of the device the socket is bound to")
        return None

    def _out_without_route(self, flow: Flow, iface: str, why: str, assumptions: tuple[str, ...] = ()) -> RouteDecision:
        source = flow.src or self.select_source(iface, 0, "link")
        mtu = self._maker.mtu(iface)
        decision = RouteDecision(RouteKind.UNICAST, why, iface, flow.dst, source=source, mtu=mtu, assumptions=assumptions)
        return self._finish_output(decision, flow.dst, prefix_length=0)

    def _look_up_output(self, flow: Flow) -> tuple[RouteDecision, ...]:
        found = self._policy.lookup(flow)
        if found.doubt:
            return (unknown(found.doubt),)
        if found.errno and flow.oif:
            # Routing tables are thought wrong rather than the one who bound the socket.
            why = f"no route, but the socket is bound to {flow.oif}: the destination is taken to be on its link"
            return (self._out_without_route(flow, flow.oif, why, found.assumptions),)
        if found.errno:
            return (self._maker.refuse(found),)
        entry = found.entry
        assert entry is not None
        if entry.route.type is not RouteType.LOCAL:
            return self._spread_output(flow, found, entry)
        prefsrc = entry.route.prefsrc
        source = flow.src or (prefsrc.value if prefsrc is not None else flow.dst)
        local = replace(
            self._maker.decide(RouteKind.LOCAL, found), iface=LOOPBACK, next_hop=flow.dst, source=source,
            mtu=self._maker.mtu(LOOPBACK),
        )  # fmt: skip
        return (self._finish_output(local, flow.dst, prefix_length=entry.route.prefix.length),)

    def _spread_output(self, flow: Flow, found: Found, entry: Entry) -> tuple[RouteDecision, ...]:
        """fib_select_path: the hash among next hops, or the choice among default routes that differ in nothing else."""
        if flow.oif or len(entry.hops) == 1:
            decision = self._out_by(flow, found)
            equals = self._equal_defaults(entry) if not flow.oif else ()
            return (decision,) if not equals else self._one_of_equals(flow, found, (entry, *equals))
        usable = [number for number, hop in enumerate(entry.hops) if hop.usable]
        return _conditional([self._out_by(flow, replace(found, number=number)) for number in usable], entry, usable)

    def _equal_defaults(self, entry: Entry) -> tuple[Entry, ...]:
        """Other default routes that fib_select_default may turn to when a gateway seems dead."""
        if entry.route.prefix.length or entry.hops[0].value.gateway is None:
            return ()
        table = self._policy.table(entry.route.table)
        return tuple(
            other
            for other in (table.equals(entry) if table is not None else ())
            if other is not entry
            and len(other.hops) == 1
            and other.hops[0].usable
            and other.hops[0].value.gateway is not None
        )

    def _one_of_equals(self, flow: Flow, found: Found, entries: tuple[Entry, ...]) -> tuple[RouteDecision, ...]:
        decisions = []
        for entry in entries:
            one = self._out_by(flow, replace(found, entry=entry, number=0))
            condition = f"of the equal default routes the one via {one.gateway} is in use"
            decisions.append(replace(one, option=f"via {one.gateway}", missing=True, condition=condition))
        return tuple(decisions)

    def _out_by(self, flow: Flow, found: Found) -> RouteDecision:
        entry, hop = found.entry, found.hop
        assert entry is not None and hop is not None
        if hop.doubt or hop.iface is None:
            return unknown(f"{self._maker.describe(found)}: {hop.doubt}")
        kind = RouteKind.BROADCAST if entry.route.type is RouteType.BROADCAST else RouteKind.UNICAST
        source = flow.src or self._preferred_source(entry, hop, hop.iface)
        decision = self._maker.pass_on(found, flow.dst, kind, source=source)
        return self._finish_output(decision, flow.dst, prefix_length=entry.route.prefix.length)

    def _preferred_source(self, entry: Entry, hop: Hop, iface: str) -> int | None:
        """fib_result_prefsrc."""
        if entry.route.prefsrc is not None:
            return entry.route.prefsrc.value
        gateway = hop.value.gateway
        towards = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else 0
        return self.select_source(iface, towards, entry.route.scope)

    def _finish_output(self, decision: RouteDecision, dst: int, *, prefix_length: int) -> RouteDecision:
        """__mkroute_output: last refusals, and what kind of packet it is after all."""
        iface = decision.iface or ""
        loopback = self._devices.is_loopback(iface)
        if _is_loopback(decision.source or 0) and not loopback:
            setting = self._settings.conf("route_localnet", iface)
            if not setting.value:
                why = f"the source {_text(decision.source or 0)} may not leave by {iface} ({setting.name} is off)"
                assumed = (*decision.assumptions, *_assumed(setting))
                return replace(_failed("EINVAL", why), sysctl=setting.name, assumptions=assumed)
        if not dst:
            return _failed("EINVAL", "0.0.0.0 cannot be a destination on the link")
        if loopback:
            return replace(decision, kind=RouteKind.LOCAL)
        heard = self._devices.is_up(iface)
        if dst == _BROADCAST:
            return replace(decision, kind=RouteKind.BROADCAST, next_hop=dst, gateway=None, looped=heard)
        if is_multicast(dst):
            looped = heard if dst == _ALL_HOSTS or not heard else None
            if prefix_length < 4:
                # A default route's gateway is not meant for groups.
                decision = replace(decision, gateway=None, next_hop=dst)
            return replace(decision, kind=RouteKind.MULTICAST, looped=looped)
        if decision.kind is RouteKind.BROADCAST:
            return replace(decision, looped=heard)
        return decision

    # --- addresses ---------------------------------------------------------------------------------------------

    def select_source(self, iface: str, towards: int, scope: str) -> int | None:
        """inet_select_addr."""
        localnet = bool(self._settings.conf("route_localnet", iface).value)
        return select_v4(self._devices, iface, towards, scope_number(scope), route_localnet=localnet)

    def address_type(self, address: int, iface: str | None = None) -> str:
        """The type of an address by the local table (inet_dev_addr_type; spec: netfilter 7.3), UNICAST by default."""
        if address in (0, _BROADCAST):
            return "BROADCAST"
        if is_multicast(address):
            return "MULTICAST"
        table = self._policy.local
        hit = table.lookup(address, 0, "") if table is not None else None
        if hit is None or hit[0].error:
            return "UNICAST"
        entry = hit[0]
        if iface is not None and (not entry.hops or entry.hops[0].iface != iface):
            return "UNICAST"
        return entry.route.type.value.upper()

    def is_local(self, address: int) -> bool:
        """True for an address that packets are delivered to."""
        return self.address_type(address) == "LOCAL"

    def passes_reverse_path(
        self, packet: Packet, in_iface: str, mark: int, *, loose: bool, accept_local: bool
    ) -> bool | str:
        """`-m rpfilter`; text says what is not known."""
        return self._check.passes_match(packet, in_iface, mark, loose=loose, accept_local=accept_local)


def _assumed(setting: Setting) -> tuple[str, ...]:
    return () if setting.known else (setting.assumption,)


def _martian(why: str, reason: str, sysctl: str | None = None, assumed: tuple[str, ...] = ()) -> RouteDecision:
    return RouteDecision(RouteKind.MARTIAN, why, drop_reason=reason, sysctl=sysctl, assumptions=assumed)


def _unbelieved(checked: Checked, assumed: tuple[str, ...]) -> RouteDecision:
    return _martian(checked.why, checked.reason, checked.sysctl, (*assumed, *checked.assumptions))


def _failed(errno: str, why: str) -> RouteDecision:
    kind = RouteKind.NO_ROUTE if errno == "ENETUNREACH" else RouteKind.MARTIAN
    return RouteDecision(kind, why, errno=errno)


def _conditional(decisions: list[RouteDecision], entry: Entry, usable: list[int]) -> tuple[RouteDecision, ...]:
    """Says of several next hops when each is taken (spec: netfilter 10.2)."""
    if len(decisions) == 1:
        return tuple(decisions)
    hops = [entry.hops[number].value for number in usable]
    total = sum(hop.weight for hop in hops)
    return tuple(conditional(one, hop, total) for one, hop in zip(decisions, hops, strict=True))
