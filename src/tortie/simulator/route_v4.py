"""IPv4 routing decisions, check by check in the kernel's order (net/ipv4/route.c, net/ipv4/fib_frontend.c).

`decide_input` is ip_route_input_slow with ip_error's answer; `decide_output` is ip_route_output_key_hash_rcu. Source
validation (rp_filter, own addresses as source) runs on the input device's settings and looks the source up the other way
round; without rp_filter the kernel takes a short cut that only knows own addresses, and so does `_validate_source`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tortie.net.address import IPFamily, format_address
from tortie.net.node import Route, RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import PORT_PROTOCOLS
from tortie.simulator.device import LOOPBACK, Devices, scope_number
from tortie.simulator.fib import Entry, Hop
from tortie.simulator.policy import Flow, Found, Policy4, is_default_rule
from tortie.simulator.route_decision import (
    ICMP_V4,
    REFUSAL_KIND,
    RouteDecision,
    RouteKind,
    describe_route,
    unknown,
)  # fmt: skip
from tortie.simulator.setting import Settings
from tortie.simulator.source_address import select_v4

_BROADCAST = 0xFFFFFFFF
_ALL_HOSTS = 0xE0000001
_LOCALHOST = 0x7F000001
_IGMP = 2
_MOST_MTU = 65535
_FULL_CHECK = "no policy rule or local route was ever changed in this namespace, so sources are not looked up"


@dataclass(frozen=True, slots=True)
class Checked:
    """What source validation says: a refusal with its reason and setting, or `direct` for a source on the link."""

    reason: str = ""
    sysctl: str | None = None
    why: str = ""
    direct: bool = False
    doubt: str = ""
    assumptions: tuple[str, ...] = ()


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

    __slots__ = ("_custom_local", "_devices", "_own", "_policy", "_settings")

    def __init__(
        self, policy: Policy4, devices: Devices, settings: Settings, own: frozenset[int], *, custom_local: bool
    ) -> None:
        """`own` holds the node's addresses; `custom_local` says that somebody added routes of type local."""
        self._policy = policy
        self._devices = devices
        self._settings = settings
        self._own = own
        self._custom_local = custom_local

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
            return (self._multicast_input(packet, in_iface, mark),)
        if is_multicast(src) or src == _BROADCAST:
            return (_martian(f"{_text(src)} cannot be a source", "IP_INVALID_SOURCE"),)
        if dst == _BROADCAST or (src == 0 and dst == 0):
            return (self._broadcast_input(packet, in_iface, mark, f"{_text(dst)} is the limited broadcast"),)
        if src == 0:
            why = "the source 0.0.0.0 is accepted only toward 255.255.255.255 and link-local groups"
            return (_martian(why, "IP_INVALID_SOURCE"),)
        if dst == 0:
            return (_martian("0.0.0.0 cannot be a destination", "IP_INVALID_DEST"),)
        end = "destination" if _is_loopback(dst) else "source" if _is_loopback(src) else None
        if end is not None:
            setting = self._settings.conf("route_localnet", in_iface)
            if not setting.value:
                why = (
                    f"the {end} {_text(dst if end == 'destination' else src)} came in by {in_iface} ({setting.name} is off)"
                )
                return (_martian(why, "IP_LOCALNET", setting.name, () if setting.known else (setting.assumption,)),)
        return self._look_up_input(packet, in_iface, mark)

    def _look_up_input(self, packet: Packet, in_iface: str, mark: int) -> tuple[RouteDecision, ...]:
        found = self._policy.lookup(self._flow(packet, in_iface, mark))
        if found.doubt:
            return (unknown(found.doubt),)
        forwarding = self._settings.conf("forwarding", in_iface)
        if found.errno:
            return (self._refused(found, forwarding.value == 0, forwarding.name, forwarding.assumption, forwarding.known),)
        entry = found.entry
        assert entry is not None
        kind = entry.route.type
        if kind is RouteType.BROADCAST:
            passed_on = self._settings.conf("bc_forwarding", in_iface)
            if not passed_on.value:
                return (self._broadcast_input(packet, in_iface, mark, self._describe(found), found),)
        elif kind is RouteType.LOCAL:
            return (self._local_input(packet, in_iface, mark, found),)
        else:
            if not forwarding.value:
                why = f"{self._describe(found)}; forwarding is off ({forwarding.name})"
                assumed = found.assumptions if forwarding.known else (*found.assumptions, forwarding.assumption)
                return (_martian(why, "IP_INADDRERRORS", forwarding.name, assumed),)
            if kind is not RouteType.UNICAST:
                return (_martian(f"{self._describe(found)}: nothing arrives by such a route", "IP_INVALID_DEST"),)
        extra = () if forwarding.known or kind is RouteType.BROADCAST else (forwarding.assumption,)
        return self._forward(packet, in_iface, mark, found, extra)

    def _refused(self, found: Found, off: bool, name: str, assumption: str, known: bool) -> RouteDecision:
        why = self._describe(found) if found.entry is not None else _describe_rule(found)
        kind = REFUSAL_KIND[found.errno]
        if off:
            assumed = found.assumptions if known else (*found.assumptions, assumption)
            text = f"{why}; forwarding is off ({name})"
            return RouteDecision(
                kind, text, rule=found.rule, route=_route(found), drop_reason="IP_INADDRERRORS", assumptions=assumed
            )
        reason = "IP_INNOROUTES" if found.errno == "ENETUNREACH" else None
        assumed = found.assumptions if known else (*found.assumptions, assumption)
        return RouteDecision(
            kind, why, table=_table(found), route=_route(found), rule=found.rule, drop_reason=reason,
            icmp=ICMP_V4[found.errno], errno=found.errno, assumptions=assumed,
        )  # fmt: skip

    def _multicast_input(self, packet: Packet, in_iface: str, mark: int) -> RouteDecision:
        src, dst = packet.src, packet.dst
        checked = self._check_group_source(packet, in_iface, mark)
        if checked.doubt:
            return unknown(checked.doubt)
        joined = dst == _ALL_HOSTS and self._devices.is_up(in_iface)
        if checked.reason:
            # A group not joined is dropped without a look at the source, so both ways the packet ends here.
            decision = _martian(checked.why, checked.reason, checked.sysctl, checked.assumptions)
            return decision if joined else replace(decision, drop_reason=None)
        routed = self._settings.conf("mc_forwarding", in_iface)
        if routed.value and not _is_local_multicast(dst):
            return unknown(f"multicast routing is on ({routed.name}), and the snapshot does not hold its table")
        if not self._devices.is_up(in_iface):
            return _martian(f"{in_iface} is down and in no group", "NOT_SPECIFIED")
        if not joined:
            return unknown(f"the snapshot does not say whether {in_iface} has joined the group {_text(dst)}")
        text = f"{_text(dst)} is the group of all hosts, which every interface has joined"
        return RouteDecision(RouteKind.MULTICAST, f"{text} (source {_text(src)})", assumptions=checked.assumptions)

    def _check_group_source(self, packet: Packet, in_iface: str, mark: int) -> Checked:
        """ip_mc_validate_source."""
        src = packet.src
        if is_multicast(src) or src == _BROADCAST:
            return Checked("IP_INVALID_SOURCE", why=f"{_text(src)} cannot be a source")
        if _is_loopback(src):
            setting = self._settings.conf("route_localnet", in_iface)
            if not setting.value:
                why = f"the source {_text(src)} came in by {in_iface} ({setting.name} is off)"
                return Checked("IP_LOCALNET", setting.name, why, assumptions=() if setting.known else (setting.assumption,))
        if src == 0:
            if _is_local_multicast(packet.dst) or packet.proto == _IGMP:
                return Checked()
            return Checked("IP_INVALID_SOURCE", why="the source 0.0.0.0 is accepted only toward link-local groups")
        return self._validate_source(packet, 0, "", in_iface, mark)

    def _broadcast_input(
        self, packet: Packet, in_iface: str, mark: int, text: str, found: Found | None = None
    ) -> RouteDecision:
        checked = Checked() if packet.src == 0 else self._validate_source(packet, 0, "", in_iface, mark)
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            return _martian(checked.why, checked.reason, checked.sysctl, checked.assumptions)
        assumed = (*found.assumptions, *checked.assumptions) if found is not None else checked.assumptions
        if found is None:
            return RouteDecision(RouteKind.BROADCAST, text, assumptions=assumed)
        return RouteDecision(
            RouteKind.BROADCAST, text, table=_table(found), route=_route(found), rule=found.rule, assumptions=assumed
        )

    def _local_input(self, packet: Packet, in_iface: str, mark: int, found: Found) -> RouteDecision:
        checked = self._validate_source(packet, packet.dst, "", in_iface, mark)
        if checked.doubt:
            return unknown(checked.doubt)
        if checked.reason:
            return _martian(checked.why, checked.reason, checked.sysctl, (*found.assumptions, *checked.assumptions))
        return RouteDecision(
            RouteKind.LOCAL, self._describe(found), table=_table(found), route=_route(found), rule=found.rule,
            assumptions=(*found.assumptions, *checked.assumptions),
        )  # fmt: skip

    def _forward(
        self, packet: Packet, in_iface: str, mark: int, found: Found, assumed: tuple[str, ...]
    ) -> tuple[RouteDecision, ...]:
        """ip_mkroute_input for every next hop that the hash may take."""
        entry = found.entry
        assert entry is not None
        usable = tuple(number for number, hop in enumerate(entry.hops) if hop.usable)
        decisions = []
        for number in usable:
            hop = entry.hops[number]
            decision = self._forward_by(packet, in_iface, mark, replace(found, number=number), hop, assumed)
            decisions.append(_with_condition(decision, entry, usable, number))
        return tuple(decisions)

    def _forward_by(
        self, packet: Packet, in_iface: str, mark: int, found: Found, hop: Hop, assumed: tuple[str, ...]
    ) -> RouteDecision:
        if hop.doubt:
            return unknown(f"{self._describe(found)}: {hop.doubt}")
        checked = self._validate_source(packet, packet.dst, hop.iface, in_iface, mark)
        if checked.doubt:
            return unknown(checked.doubt)
        assumed = (*found.assumptions, *assumed, *checked.assumptions)
        if checked.reason:
            return _martian(checked.why, checked.reason, checked.sysctl, assumed)
        redirect = False
        if hop.iface == in_iface and checked.direct and self._settings.conf("send_redirects", in_iface).value:
            redirect = bool(self._settings.conf("shared_media", in_iface).value) or self._same_subnet(
                in_iface, packet.src, hop
            )
        return replace(self._by(found, hop, packet.dst, RouteKind.UNICAST), redirect=redirect, assumptions=assumed)

    def _same_subnet(self, iface: str, src: int, hop: Hop) -> bool:
        """inet_addr_onlink: one subnet of the device holds both the source and the gateway."""
        gateway = hop.value.gateway
        other = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else 0
        for own in self._devices.addresses.get(iface, ()):
            mask, base = own.prefix.mask, (own.peer or own.prefix).address
            if not (base ^ src) & mask and (not other or not (base ^ other) & mask):
                return True
        return False

    # --- source validation -------------------------------------------------------------------------------------

    def _validate_source(self, packet: Packet, dst: int, out_iface: str, in_iface: str, mark: int) -> Checked:
        """fib_validate_source; `dst` is 0 for broadcast and groups, `out_iface` empty unless the packet is forwarded."""
        setting = self._settings.conf("rp_filter", in_iface)
        flow = self._reverse_flow(packet, dst, out_iface, in_iface, mark)
        checked = self._check_source(packet.src, flow, in_iface, out_iface, setting.value)
        if not setting.known:
            strict = self._check_source(packet.src, flow, in_iface, out_iface, 1)
            loose = self._check_source(packet.src, flow, in_iface, out_iface, 2)
            if {strict.reason, loose.reason} != {checked.reason}:
                checked = replace(checked, assumptions=(*checked.assumptions, setting.assumption))
        if checked.reason == "IP_RPFILTER":
            return replace(checked, sysctl=setting.name)
        return checked

    def _check_source(self, src: int, flow: Flow, in_iface: str, out_iface: str, rp_filter: int) -> Checked:
        redirects = in_iface == out_iface and self._settings.conf("send_redirects", in_iface).value
        if rp_filter or redirects or self._custom_local or self._policy.custom:
            if not rp_filter and not redirects and self._accepts_local(in_iface)[0]:
                return Checked()
            return self._look_up_source(src, flow, in_iface, rp_filter)
        accepted, name, assumed = self._accepts_local(in_iface)
        if accepted:
            return Checked()
        if src in self._own:
            return _own_source(src, name, assumed)
        checked = self._look_up_source(src, flow, in_iface, 0)
        if checked.doubt or not checked.reason:
            return Checked()
        return Checked(assumptions=(_FULL_CHECK,))

    def _accepts_local(self, in_iface: str) -> tuple[bool, str, tuple[str, ...]]:
        setting = self._settings.conf("accept_local", in_iface)
        return bool(setting.value), setting.name, () if setting.known else (setting.assumption,)

    def _look_up_source(self, src: int, flow: Flow, in_iface: str, rp_filter: int) -> Checked:
        """__fib_validate_source: the route back to the source."""
        found = self._policy.lookup(flow)
        if found.doubt:
            return Checked(doubt=f"the way back to {_text(src)}: {found.doubt}")
        if found.errno:
            return _no_way_back(src, in_iface, "no route leads to it", rp_filter)
        entry = found.entry
        assert entry is not None
        local = entry.route.type is RouteType.LOCAL
        if local:
            accepted, name, assumed = self._accepts_local(in_iface)
            if not accepted:
                return _own_source(src, name, assumed)
        elif entry.route.type is not RouteType.UNICAST:
            why = f"the source {_text(src)} is no host's: {self._describe(found)}"
            return Checked("IP_INVALID_SOURCE", why=why)
        hop = found.hop
        direct = hop is not None and hop.direct
        if any(one.iface == in_iface for one in entry.hops) or (local and self._devices.is_loopback(in_iface)):
            return Checked(direct=direct, assumptions=found.assumptions)
        if self._devices.known and not self._devices.addresses.get(in_iface):
            return _no_way_back(src, in_iface, f"{in_iface} has no IPv4 address", rp_filter)
        if rp_filter == 1:
            return replace(_no_way_back(src, in_iface, self._describe(found), 1), assumptions=found.assumptions)
        second = self._policy.lookup(flow._replace(oif=in_iface), ignoring_carrier=True)
        return Checked(
            direct=second.hop is not None and not second.errno and second.entry is not None
            and second.entry.route.type is RouteType.UNICAST and second.hop.direct
        )  # fmt: skip

    def _reverse_flow(self, packet: Packet, dst: int, out_iface: str, in_iface: str, mark: int) -> Flow:
        used = mark if mark and self._settings.conf("src_valid_mark", in_iface).value else 0
        proto, sport, dport = self._dissect(packet)
        return Flow(packet.src, dst, packet.tos, used, out_iface or LOOPBACK, "", 0, proto, dport, sport)

    def _flow(self, packet: Packet, in_iface: str, mark: int) -> Flow:
        proto, sport, dport = self._dissect(packet)
        return Flow(packet.dst, packet.src, packet.tos, mark, in_iface, "", 0, proto, sport, dport)

    def _dissect(self, packet: Packet) -> tuple[int, int, int]:
        """Protocol and ports as input routing reads them: only when a rule wants them, and never from fragments."""
        if not self._policy.dissects:
            return 0, 0, 0
        if packet.is_fragment or packet.transport is not None or packet.proto not in PORT_PROTOCOLS:
            return packet.proto, 0, 0
        return packet.proto, packet.sport, packet.dport

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
            early = self._bound(flow)
            if early is not None:
                return (early,)
        if not dst:
            # BSD's way of naming oneself.
            source = src or (self.select_source(oif, 0, "host") if oif else None) or _LOCALHOST
            return (RouteDecision(RouteKind.LOCAL, "0.0.0.0 means the node itself", LOOPBACK, source, source=source),)
        return self._look_up_output(flow)

    def _bound(self, flow: Flow) -> RouteDecision | None:
        oif = flow.oif
        if self._devices.known and oif not in self._devices.by_name:
            return _failed("ENODEV", f"there is no device {oif}")
        if not self._devices.is_up(oif):
            return _failed("ENETUNREACH", f"{oif} is down")
        if _is_local_multicast(flow.dst) or flow.dst == _BROADCAST or flow.proto == _IGMP:
            return self._out_without_route(flow, oif, f"{_text(flow.dst)} goes out of the device the socket is bound to")
        return None

    def _out_without_route(self, flow: Flow, iface: str, why: str) -> RouteDecision:
        wider = is_multicast(flow.dst) and not _is_local_multicast(flow.dst)
        source = flow.src or self.select_source(iface, 0, "global" if wider else "link")
        return self._finish_output(
            RouteDecision(RouteKind.UNICAST, why, iface, flow.dst, source=source, mtu=self._mtu(iface, None)), flow, None
        )

    def _look_up_output(self, flow: Flow) -> tuple[RouteDecision, ...]:
        found = self._policy.lookup(flow)
        if found.doubt:
            return (unknown(found.doubt),)
        if found.errno:
            if flow.oif:
                # Routing tables are thought wrong rather than the one who bound the socket.
                why = f"no route, but the socket is bound to {flow.oif}: the destination is taken to be on its link"
                return (replace(self._out_without_route(flow, flow.oif, why), assumptions=found.assumptions),)
            why = self._describe(found) if found.entry is not None else _describe_rule(found)
            return (
                RouteDecision(
                    REFUSAL_KIND[found.errno], why, table=_table(found), route=_route(found), rule=found.rule,
                    errno=found.errno, assumptions=found.assumptions,
                ),
            )  # fmt: skip
        entry = found.entry
        assert entry is not None
        if entry.route.type is RouteType.LOCAL:
            prefsrc = entry.route.prefsrc
            source = flow.src or (prefsrc.value if prefsrc is not None else flow.dst)
            local = RouteDecision(
                RouteKind.LOCAL, self._describe(found), LOOPBACK, flow.dst, None, _table(found), entry.route, found.rule,
                prefsrc.value if prefsrc is not None else None, source, self._mtu(LOOPBACK, None),
                assumptions=found.assumptions,
            )  # fmt: skip
            return (self._finish_output(local, flow, entry),)
        return self._spread_output(flow, found, entry)

    def _spread_output(self, flow: Flow, found: Found, entry: Entry) -> tuple[RouteDecision, ...]:
        """fib_select_path: the hash among next hops, or the choice among default routes that differ in nothing else."""
        usable = tuple(number for number, hop in enumerate(entry.hops) if hop.usable)
        if flow.oif or len(entry.hops) == 1:
            usable = (found.number,)
        decisions = []
        for number in usable:
            decision = self._out_by(flow, replace(found, number=number), entry.hops[number])
            decisions.append(_with_condition(decision, entry, usable, number))
        equals = self._equal_defaults(entry) if not flow.oif and len(entry.hops) == 1 else ()
        for other in equals:
            decisions.append(self._out_by(flow, replace(found, entry=other, number=0), other.hops[0]))
        if equals:
            decisions = [
                replace(
                    one, option=f"via {one.gateway}", missing=True,
                    condition=f"of the equal default routes the one via {one.gateway} is in use",
                )
                for one in decisions
            ]  # fmt: skip
        return tuple(decisions)

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

    def _out_by(self, flow: Flow, found: Found, hop: Hop) -> RouteDecision:
        entry = found.entry
        assert entry is not None
        if hop.doubt:
            return unknown(f"{self._describe(found)}: {hop.doubt}")
        kind = RouteKind.BROADCAST if entry.route.type is RouteType.BROADCAST else RouteKind.UNICAST
        decision = self._by(found, hop, flow.dst, kind)
        source = flow.src or self._preferred_source(entry, hop)
        return self._finish_output(replace(decision, source=source, assumptions=found.assumptions), flow, entry)

    def _preferred_source(self, entry: Entry, hop: Hop) -> int | None:
        """fib_result_prefsrc."""
        if entry.route.prefsrc is not None:
            return entry.route.prefsrc.value
        gateway = hop.value.gateway
        towards = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else 0
        return self.select_source(hop.iface or "", towards, entry.route.scope)

    def _finish_output(self, decision: RouteDecision, flow: Flow, entry: Entry | None) -> RouteDecision:
        """__mkroute_output: last refusals, and what kind of packet it is after all."""
        iface = decision.iface or ""
        loopback = self._devices.is_loopback(iface)
        if _is_loopback(decision.source or 0) and not loopback:
            setting = self._settings.conf("route_localnet", iface)
            if not setting.value:
                why = f"the source {_text(decision.source or 0)} may not leave by {iface} ({setting.name} is off)"
                assumed = () if setting.known else (setting.assumption,)
                return RouteDecision(
                    RouteKind.MARTIAN, why, sysctl=setting.name, errno="EINVAL",
                    assumptions=(*decision.assumptions, *assumed),
                )  # fmt: skip
        if loopback:
            return replace(decision, kind=RouteKind.LOCAL, looped=False)
        if flow.dst == _BROADCAST:
            return replace(decision, kind=RouteKind.BROADCAST, next_hop=flow.dst, gateway=None, looped=True)
        if is_multicast(flow.dst):
            looped = True if flow.dst == _ALL_HOSTS else None
            gateway = decision.gateway
            if entry is None or entry.route.prefix.length < 4:
                gateway = None
            next_hop = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else flow.dst
            return replace(decision, kind=RouteKind.MULTICAST, next_hop=next_hop, gateway=gateway, looped=looped)
        return replace(decision, looped=decision.kind is RouteKind.BROADCAST)

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
        """`-m rpfilter` (net/ipv4/netfilter/ipt_rpfilter.c); text says what is not known."""
        src, dst = packet.src, packet.dst
        if self._devices.is_loopback(in_iface):
            return True
        if src == 0 and (dst == _BROADCAST or _is_local_multicast(dst)):
            return True
        back = 0 if is_multicast(dst) or dst == _BROADCAST else dst
        found = self._policy.lookup(Flow(src, back, packet.tos, mark), ignoring_carrier=True)
        if found.doubt:
            return found.doubt
        if found.errno or found.entry is None:
            return False
        kind = found.entry.route.type
        if kind is not RouteType.UNICAST and not (kind is RouteType.LOCAL and accept_local):
            return False
        return loose or any(hop.iface == in_iface for hop in found.entry.hops)

    # --- texts -------------------------------------------------------------------------------------------------

    def _by(self, found: Found, hop: Hop, dst: int, kind: RouteKind) -> RouteDecision:
        entry = found.entry
        assert entry is not None and hop.iface is not None
        gateway = hop.value.gateway if not hop.direct else None
        next_hop = gateway.value if gateway is not None and gateway.family is IPFamily.V4 else dst
        prefsrc = entry.route.prefsrc.value if entry.route.prefsrc is not None else None
        return RouteDecision(
            kind, self._describe(found), hop.iface, next_hop, gateway, _table(found), entry.route, found.rule, prefsrc,
            mtu=self._mtu(hop.iface, entry.route.mtu),
        )  # fmt: skip

    def _mtu(self, iface: str, of_route: int | None) -> int | None:
        if of_route:
            return of_route
        link = self._devices.by_name.get(iface)
        return min(link.mtu, _MOST_MTU) if link is not None else None

    def _describe(self, found: Found) -> str:
        assert found.entry is not None
        hop = found.hop
        return describe_route(
            found.entry.route, hop.value if hop is not None else None, found.rule,
            from_default=found.rule is None or is_default_rule(found.rule),
        )  # fmt: skip


def _describe_rule(found: Found) -> str:
    if found.rule is None:
        return "no route"
    return f"policy rule {found.rule.priority} says {found.rule.action.value}"


def _table(found: Found) -> str | None:
    return found.entry.route.table if found.entry is not None else None


def _route(found: Found) -> Route | None:
    return found.entry.route if found.entry is not None else None


def _martian(why: str, reason: str, sysctl: str | None = None, assumed: tuple[str, ...] = ()) -> RouteDecision:
    return RouteDecision(RouteKind.MARTIAN, why, drop_reason=reason, sysctl=sysctl, assumptions=assumed)


def _failed(errno: str, why: str) -> RouteDecision:
    kind = RouteKind.NO_ROUTE if errno == "ENETUNREACH" else RouteKind.MARTIAN
    return RouteDecision(kind, why, errno=errno)


def _own_source(src: int, name: str, assumed: tuple[str, ...]) -> Checked:
    why = f"the source {_text(src)} is an address of this node ({name} is off)"
    return Checked("IP_LOCAL_SOURCE", name, why, assumptions=assumed)


def _no_way_back(src: int, in_iface: str, because: str, rp_filter: int) -> Checked:
    if not rp_filter:
        return Checked()
    how = "strict" if rp_filter == 1 else "loose"
    return Checked("IP_RPFILTER", why=f"{how} reverse-path filter on {in_iface}: the source is {_text(src)}, and {because}")


def _with_condition(decision: RouteDecision, entry: Entry, usable: tuple[int, ...], number: int) -> RouteDecision:
    """Says when this next hop of several is taken: the hash's share is the weight (spec: netfilter 10.2)."""
    if len(usable) == 1:
        return decision
    hop = entry.hops[number].value
    total = sum(entry.hops[i].value.weight for i in usable)
    where = f"via {hop.gateway} dev {hop.dev}" if hop.gateway is not None else f"dev {hop.dev}"
    return replace(
        decision, condition=f"the multipath hash picks the next hop {where} (weight {hop.weight} of {total})",
        option=where.replace(" dev ", "@").replace("via ", "").replace("dev ", "@"), probability=hop.weight / total,
    )  # fmt: skip
