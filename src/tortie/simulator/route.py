"""The node's routing as one object for each family: where packets go, and which addresses the node has.

`Router` compiles a snapshot once; afterwards an answer costs a dictionary lookup when a like question was asked before.
Like means: equal in everything that some rule or route of this node looks at. The decisions themselves are made in
`route_v4` and `route_v6` from the tables in `fib` and the rules in `policy`; settings come from `setting`.

Missing parts. Without routes only the node's own addresses are known (from its links); every other destination is UNKNOWN.
Without a table `local` it is derived from the addresses. Without policy rules the kernel's own are assumed, unless routes
of other tables show that there must be more. Group memberships are never in a snapshot: but for the groups that every
interface joins by itself, the fate of multicast is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tortie.net.address import IPFamily
from tortie.net.node import Link, NextHop, PolicyRule, Route, RouteType
from tortie.net.packet import Packet
from tortie.net.protocol import ICMP, ICMPV6, IGMP
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.device import LOOPBACK, SCOPE, Devices, derive_local_routes, scope_number
from tortie.simulator.fib import ERROR, Entry, Hop, Table4, Table6, compile_entry
from tortie.simulator.policy import (
    MOST_CACHED,
    Flow,
    Policy4,
    Policy6,
    default_rules,
    table_name,
)  # fmt: skip
from tortie.simulator.route_decision import RouteDecision, RouteKind, unknown
from tortie.simulator.route_v4 import Routing4
from tortie.simulator.route_v6 import Routing6
from tortie.simulator.setting import Setting, Settings
from tortie.simulator.source_address import needs_device, redirect_v4, redirect_v6
from tortie.simulator.source_check import dissect

__all__ = ["RouteDecision", "RouteKind", "Router"]

_DUMMY = 0xC0000008
"""What an IPv4 node without an address puts into its ICMP errors: 192.0.0.8 (RFC 7600)."""
_USUAL_TABLES = frozenset({"local", "main", "default"})


class Router:
    """Routing of one family on one node."""

    __slots__ = (
        "_devices", "_family", "_input_cache", "_local_known", "_looks", "_output_cache", "_routes_known", "_routing",
        "_rules_assumed", "_settings", "link_names",
    )  # fmt: skip

    def __init__(self, snapshot: Snapshot, family: IPFamily) -> None:
        self._family = family
        self._devices = Devices(snapshot.links, family)
        self._settings = Settings(snapshot.sysctls, family)
        self.link_names = frozenset(self._devices.by_name)
        self._input_cache: dict[object, tuple[RouteDecision, ...]] = {}
        rules = snapshot.policy_rules.get(family)
        tables = _Tables(snapshot, family, self._devices, self._settings)
        self._rules_assumed = rules is None and family in snapshot.routes
        self._local_known = tables.local_known
        self._routes_known = family in snapshot.routes
        missing: Callable[[str], str] = tables.missing
        if rules is None:
            rules = default_rules(family)
            others = sorted({name for name in tables.entries if name not in _USUAL_TABLES})
            if others:
                missing = _always(f"the snapshot has routes in table {others[0]}, but no policy rules")
        self._looks = _Looks.of(rules, tables.routes)
        self._output_cache: dict[object, tuple[RouteDecision, ...]] = {}
        self._routing: Routing4 | Routing6
        if family is IPFamily.V4:
            self._routing = _compile_v4(rules, tables, self._devices, self._settings, missing)
        else:
            failed = _failed_gateways(snapshot, self._settings)
            compiled = {name: Table6(entries) for name, entries in tables.entries.items()}
            policy = Policy6(rules, compiled, self._devices, missing, failed)
            self._routing = Routing6(policy, self._devices, self._settings, tables.anycast)

    def link(self, name: str | None) -> Link | None:
        """The device of a name, None when the snapshot holds none of it."""
        return self._devices.by_name.get(name) if name else None

    # --- decisions ---------------------------------------------------------------------------------------------

    def refuse_arrival(self, packet: Packet, in_iface: str, *, frame_type: str = "unicast") -> RouteDecision | None:
        """What a device's settings refuse before any table sees the packet (ip6_rcv_core in net/ipv6/ip6_input.c)."""
        if self._family is IPFamily.V4:
            return None
        off = self._settings.conf("disable_ipv6", in_iface)
        if off.value:
            why = f"{in_iface} takes no IPv6 ({off.name} is on)"
            return RouteDecision(RouteKind.MARTIAN, why, drop_reason="IPV6DISABLED", sysctl=off.name)
        unwelcome = self._settings.conf("drop_unicast_in_l2_multicast", in_iface)
        if unwelcome.value and frame_type in ("broadcast", "multicast") and packet.dst >> 120 != 0xFF:
            why = f"a unicast packet in a {frame_type} frame ({unwelcome.name} is on)"
            return RouteDecision(RouteKind.MARTIAN, why, drop_reason="UNICAST_IN_L2_MULTICAST", sysctl=unwelcome.name)
        return None

    def route_input(
        self, packet: Packet, in_iface: str | None, mark: int, *, frame_type: str = "unicast"
    ) -> tuple[RouteDecision, ...]:
        """What becomes of a packet that came in by a device, after PREROUTING (spec: netfilter 2.2, 10, 11)."""
        if in_iface is None:
            return (unknown("the input interface is not known"),)
        looks = self._looks
        key = (
            packet.dst, packet.src, in_iface, frame_type, packet.proto == IGMP, mark if looks.mark else 0,
            packet.tos if looks.tos else 0, looks.ports and dissect(packet),
        )  # fmt: skip
        found = self._input_cache.get(key)
        if found is None:
            if len(self._input_cache) >= MOST_CACHED:
                self._input_cache.clear()
            found = self._input_cache[key] = self._decide_input(packet, in_iface, mark, frame_type)
        return found

    def _decide_input(self, packet: Packet, in_iface: str, mark: int, frame_type: str) -> tuple[RouteDecision, ...]:
        if self._devices.known and in_iface not in self._devices.by_name:
            return (unknown(f"the snapshot has no interface {in_iface}"),)
        if self._devices.in_vrf(in_iface):
            return (unknown(f"{in_iface} belongs to a VRF, whose routing Tortie does not know"),)
        if isinstance(self._routing, Routing4):
            return self._note(self._routing.decide_input(packet, in_iface, mark, frame_type))
        return self._note(self._routing.decide_input(packet, in_iface, mark))

    def route_output(
        self, dst: int, src: int, *, mark: int = 0, tos: int = 0, out_iface: str | None = None, uid: int | None = None,
        proto: int = 0, sport: int = 0, dport: int = 0, any_source: bool = True, bound: bool = True,
    ) -> tuple[RouteDecision, ...]:  # fmt: skip
        """Where a packet of the node itself goes; `src` 0 lets the node choose (`source` of the decision).

        IPv6 takes the destination `::` for `::1`, as sockets do. `out_iface` is the device the packet's socket is bound to;
        `uid` None means that the sender is not known. `any_source` False refuses addresses that are not the node's, as the
        IPv4 kernel does for all but raw and transparent sockets. `bound` False says that `out_iface` was only asked for
        with the packet (IPV6_PKTINFO): IPv6 then prefers it, no more, once the source is given.
        """
        looks = self._looks
        dst = dst or int(self._family is IPFamily.V6)
        key = (
            dst, src, out_iface, any_source, bound, proto == IGMP, mark if looks.mark else 0, tos if looks.tos else 0,
            uid if looks.uid else 0, (proto, sport, dport) if looks.ports else 0,
        )  # fmt: skip
        found = self._output_cache.get(key)
        if found is None:
            if len(self._output_cache) >= MOST_CACHED:
                self._output_cache.clear()
            flow = Flow(dst, src, tos, mark, LOOPBACK, out_iface or "", uid, proto, sport, dport)
            found = self._output_cache[key] = self._decide_output(flow, any_source=any_source, bound=bound)
        return found

    def _decide_output(self, flow: Flow, *, any_source: bool, bound: bool) -> tuple[RouteDecision, ...]:
        if flow.oif and self._devices.in_vrf(flow.oif):
            return (unknown(f"{flow.oif} belongs to a VRF, whose routing Tortie does not know"),)
        if isinstance(self._routing, Routing4):
            return self._note(self._routing.decide_output(flow, any_source=any_source))
        return self._note(self._routing.decide_output(flow, bound=bound))

    def route_again(
        self, packet: Packet, *, mark: int, uid: int | None = None, bound_iface: str | None = None, iface: str | None = None
    ) -> tuple[RouteDecision, ...]:
        """Where a packet of the node goes after its OUTPUT tables changed it (spec: netfilter 2.5).

        `bound_iface` is the device its socket is bound to, `iface` the one it was to leave by. IPv4 asks in the name of uid
        0, whoever sent the packet (ip_route_me_harder in net/ipv4/netfilter.c), IPv6 in the sender's, and it keeps the
        device for groups and link-local destinations (ip6_route_me_harder in net/ipv6/netfilter.c). Ports are the packet's.
        """
        proto, sport, dport = dissect(packet) if self._routing.dissects else (0, 0, 0)
        src, device = packet.src, bound_iface
        if isinstance(self._routing, Routing4):
            uid = 0
            if self._routing.address_type(src) not in ("LOCAL", "UNICAST"):
                src = 0
        elif device is None and needs_device(packet.dst) and packet.dst != 1:
            device = iface
        if not packet.dst and self._family is IPFamily.V6:
            # Not from a socket: `::` is looked up as it is.
            flow = Flow(0, src, packet.tos, mark, LOOPBACK, device or "", uid, proto, sport, dport)
            return self._decide_output(flow, any_source=True, bound=True)
        return self.route_output(
            packet.dst, src, mark=mark, tos=packet.tos, out_iface=device, uid=uid, proto=proto, sport=sport, dport=dport
        )

    def _note(self, decisions: tuple[RouteDecision, ...]) -> tuple[RouteDecision, ...]:
        """Adds the assumption that there are no further policy rules to answers that rest on it."""
        if not self._rules_assumed:
            return decisions
        text = f"there are no IPv{self._family.value} policy rules but the kernel's own (none in the snapshot)"
        return tuple(
            replace(one, assumptions=(*one.assumptions, text)) if one.table not in ("local", None) else one
            for one in decisions
        )

    def sends_redirect(self, src: int, in_iface: str | None, decision: RouteDecision) -> bool:
        """True when forwarding by this decision also tells the sender of a shorter way (spec: netfilter 2.3)."""
        return decision.redirect and in_iface is not None and src != 0

    # --- addresses ---------------------------------------------------------------------------------------------

    @property
    def knows_addresses(self) -> bool:
        """False when the snapshot holds no links and so no addresses."""
        return self._devices.known

    @property
    def knows_routes(self) -> bool:
        """False when the snapshot holds no routes of this family."""
        return self._routes_known

    def source_address(
        self, dst: int, *, mark: int = 0, tos: int = 0, proto: int = 0, sport: int = 0, dport: int = 0
    ) -> int | None:
        """The source of a packet that the node makes toward `dst`, by the first way there; None without a way."""
        for decision in self.route_output(dst, 0, mark=mark, tos=tos, uid=0, proto=proto, sport=sport, dport=dport):
            return decision.source
        return None

    def icmp_error_source(
        self, packet: Packet, in_iface: str, *, delivered: bool, kind: tuple[int, int] = (0, 0), mark: int = 0
    ) -> int | None:
        """The source of an ICMP error of this type and code about a packet that came in by a device; None: not sent.

        IPv4 answers for what was delivered from the address it went to; otherwise from the address of the way back, or of
        the input device with icmp_errors_use_inbound_ifaddr (__icmp_send in net/ipv4/icmp.c). IPv6 asks whether the
        packet's destination is an address of the node; otherwise it takes the best address of the input device, unless the
        way back names one (icmp6_send in net/ipv6/icmp.c). `mark` is that of the error.
        """
        routing = self._routing
        # The type and code lie where rules look for ports (struct flowi_uli).
        sport = kind[0] << 8 | kind[1]
        if isinstance(routing, Routing4):
            if delivered and packet.dst:
                return packet.dst
            if in_iface and self._settings.flag("icmp_errors_use_inbound_ifaddr").value:
                return routing.select_source(in_iface, packet.src, "link")
            tos = packet.tos & 0x1E | 0xC0
            back = self.route_output(packet.src, 0, mark=mark, tos=tos, uid=0, proto=ICMP, sport=sport)[0]
            if back.errno is not None or back.kind is RouteKind.UNKNOWN:
                return None
            return back.source if back.source is not None else _DUMMY
        # REJECT takes the packets of the node for such that came in by lo.
        if routing.is_assigned(packet.dst, in_iface or LOOPBACK):
            return packet.dst
        device = in_iface if needs_device(packet.src) else None
        back = self.route_output(packet.src, 0, mark=mark, out_iface=device, uid=0, proto=ICMPV6, sport=sport)[0]
        if back.prefsrc is not None:
            return back.prefsrc
        chosen = routing.select_source(in_iface, packet.src) if in_iface else None
        return chosen if chosen is not None else back.source

    def masquerade_address(self, out_iface: str, next_hop: int | None, dst: int) -> int | None:
        """The source MASQUERADE gives (spec: netfilter 5.5); None drops the packet."""
        if isinstance(self._routing, Routing4):
            return self._routing.select_source(out_iface, next_hop or dst, "global")
        return self._routing.select_source(out_iface, dst)

    def redirect_address(self, in_iface: str, dst: int | None = None) -> int | None:
        """The destination REDIRECT gives in PREROUTING (spec: netfilter 5.6); None drops the packet."""
        if self._family is IPFamily.V4:
            return redirect_v4(self._devices, in_iface)
        return redirect_v6(self._devices, in_iface, dst)

    def address_type(self, address: int, *, iface: str | None = None) -> frozenset[str] | Doubt:
        """Every type that `-m addrtype` sees in an address; `iface` is that of --limit-iface (spec: netfilter 7.3).

        IPv4 addresses have one type. For IPv6 see also `has_address_type`.
        """
        if isinstance(self._routing, Routing4):
            kind = self._routing.address_type(address, iface)
            if not self._local_known and kind == "UNICAST":
                return Doubt(DoubtKind.UNKNOWN, "the snapshot has neither addresses nor the table local")
            return frozenset({kind})
        types = self._routing.address_types(address, iface)
        return Doubt(DoubtKind.UNKNOWN, types) if isinstance(types, str) else types

    def has_address_type(self, address: int, wanted: Iterable[str], *, iface: str | None = None) -> bool | Doubt:
        """True when an address is of one of the wanted types, as `--src-type` and `--dst-type` put the question.

        IPv6 demands MULTICAST, UNICAST and UNSPEC all at once and then one of LOCAL, ANYCAST and UNREACHABLE where any of
        these is wanted (match_type6 in net/netfilter/xt_addrtype.c).
        """
        names = frozenset(wanted)
        types = self.address_type(address, iface=iface)
        if self._family is IPFamily.V4:
            return types if isinstance(types, Doubt) else bool(types & names)
        asked = names & {"LOCAL", "ANYCAST", "UNREACHABLE"}
        if isinstance(types, Doubt):
            return types
        return names - asked <= types and (not asked or bool(asked & types))

    def is_local(self, address: int) -> bool:
        """True when packets to this address are delivered to the node."""
        return self._routing.is_local(address)

    def reverse_path(
        self, packet: Packet, in_iface: str, mark: int, *, loose: bool = False, valid_mark: bool = False,
        accept_local: bool = False,
    ) -> bool | Doubt:  # fmt: skip
        """`-m rpfilter`: whether the way back to the source leaves by the input device (spec: netfilter 7.3)."""
        passed = self._routing.passes_reverse_path(
            packet, in_iface, mark if valid_mark else 0, loose=loose, accept_local=accept_local
        )
        return Doubt(DoubtKind.UNKNOWN, passed) if isinstance(passed, str) else passed

    # --- settings ----------------------------------------------------------------------------------------------

    def sysctl(self, key: str, iface: str) -> Setting:
        """A per-device setting in force: `all` and the device combined as the kernel does (spec: netfilter 10.4)."""
        return self._settings.conf(key, iface)

    def sysctl_flag(self, key: str) -> bool:
        """A setting of the family outside `conf`, such as `fwmark_reflect`."""
        return bool(self._settings.flag(key).value)


class _Tables:
    """The routes of one family by table, and what is not known of them."""

    def __init__(self, snapshot: Snapshot, family: IPFamily, devices: Devices, settings: Settings) -> None:
        given = snapshot.routes.get(family)
        self.family = family
        self.given = given is not None
        routes = [replace(route, table=table_name(route.table)) for route in given or ()]
        self.whole = any(route.table == "local" for route in routes)
        if not self.whole and devices.known:
            forwarding = bool(settings.device("forwarding", "all").value)
            routes = [*derive_local_routes(devices, forwarding=forwarding), *routes]
        self.local_known = self.whole or devices.known
        self.routes = tuple(routes)
        self.own = devices.own or frozenset(
            route.prefix.address
            for route in routes
            if route.table == "local" and route.type is RouteType.LOCAL and route.prefix.length == family.bits
        )
        self.anycast = frozenset(
            (route.prefix.address, hop.dev)
            for route in routes
            for hop in route.next_hops
            if route.type is RouteType.ANYCAST and route.protocol == "kernel"
        )
        self.custom_local = any(route.type is RouteType.LOCAL and route.protocol != "kernel" for route in routes)
        self.entries: dict[str, list[Entry]] = self._compile(routes, _hop_rule(devices, settings, _plain_gateway))
        if family is IPFamily.V4 and any(hop.gateway is not None for route in routes for hop in route.next_hops):
            self.entries = self._compile(routes, _hop_rule(devices, settings, _strange_gateways(self.entries)))

    @staticmethod
    def _compile(routes: Iterable[Route], make_hop: Callable[[Route, NextHop], Hop]) -> dict[str, list[Entry]]:
        entries: dict[str, list[Entry]] = {}
        for route in routes:
            entries.setdefault(route.table, []).append(compile_entry(route, make_hop))
        return entries

    def missing(self, name: str) -> str:
        """Why a table is not known; empty when it is."""
        if name == "local":
            return "" if self.local_known else "the snapshot has neither addresses nor the table local"
        if not self.given:
            return f"the snapshot holds no IPv{self.family.value} routes"
        if not self.whole and name not in self.entries and name not in _USUAL_TABLES:
            return f"the snapshot may lack the routes of table {name}"
        return ""


Gateway = Callable[[Route, NextHop], tuple[bool, str]]
"""Whether a next hop is on the link after all, and why that is in doubt."""


def _plain_gateway(route: Route, hop: NextHop) -> tuple[bool, str]:
    return hop.gateway is None, ""


def _strange_gateways(entries: Mapping[str, list[Entry]]) -> Gateway:
    """Sees gateways that are not simply on a link, above all the node's own addresses.

    Beyond a gateway that is reached by a route of scope host the kernel takes destinations to be on the link. It looks only
    when the route is added, in the tables as they were then (fib_check_nh_v4_gw in net/ipv4/fib_semantics.c); nothing in a
    dump tells what it saw.
    """
    tables = [Table4(found) for name, found in entries.items() if name not in ("local", "main")]
    tables.append(Table4([*entries.get("local", ()), *entries.get("main", ())]))
    known: dict[tuple[int, str | None], bool] = {}

    def is_strange(gateway: int, dev: str | None) -> bool:
        hits = (table.lookup(gateway, 0, dev or "", ignoring_carrier=True, least_scope=SCOPE["link"]) for table in tables)
        # A gateway is found on the link; what else is found now may not be what was found then.
        return any(
            hit is not None and (hit[0].route.type is not RouteType.UNICAST or hit[0].scope >= SCOPE["host"])
            for hit in hits
        )

    def is_direct(route: Route, hop: NextHop) -> tuple[bool, str]:
        if hop.gateway is None or hop.onlink or hop.gateway.family is not IPFamily.V4:
            return hop.gateway is None, ""
        if scope_number(route.scope) >= SCOPE["link"]:
            # The gateway must have been of a narrower scope than the route: scope host is all that is left.
            return True, ""
        key = hop.gateway.value, hop.dev
        answer = known.get(key)
        if answer is None:
            answer = known[key] = is_strange(*key)
        return False, f"whether {hop.gateway} counts as a gateway depends on when the route was added" if answer else ""

    return is_direct


def _hop_rule(devices: Devices, settings: Settings, is_direct: Gateway) -> Callable[[Route, NextHop], Hop]:
    def make_hop(route: Route, hop: NextHop) -> Hop:
        if route.prefix.family is IPFamily.V4:
            # Routes of scope host, such as those of own addresses, outlive their device's going down (fib_sync_down_dev).
            lasting = scope_number(route.scope) >= SCOPE["host"] and hop.gateway is None
        else:
            lasting = route.type in (RouteType.LOCAL, RouteType.ANYCAST)
        ignored = bool(hop.linkdown and hop.dev is not None and settings.conf("ignore_routes_with_linkdown", hop.dev).value)
        # A dump marks a hop dead also when it only has no carrier and such hops are ignored.
        dead = hop.dead and not ignored
        if not lasting and route.next_hops and hop.dev is not None and not devices.is_up(hop.dev):
            dead = True
        direct, doubt = is_direct(route, hop)
        if hop.dev is None and route.nexthop_id is not None:
            doubt = f"its nexthop object {route.nexthop_id} is not in the snapshot"
        elif hop.dev is None and route.type not in ERROR:
            doubt = "the route names no device"
        elif hop.encap is not None:
            doubt = f"the route wraps packets in a tunnel ({hop.encap}), which Tortie does not follow"
        return Hop(hop, hop.dev, not dead and not ignored, not dead, direct, doubt)

    return make_hop


def _compile_v4(
    rules: tuple[PolicyRule, ...], tables: _Tables, devices: Devices, settings: Settings, missing: Callable[[str], str]
) -> Routing4:
    compiled = {name: Table4(entries) for name, entries in tables.entries.items()}
    merged = Table4([*tables.entries.get("local", ()), *tables.entries.get("main", ())])
    policy = Policy4(rules, compiled, merged, devices, missing)
    return Routing4(policy, devices, settings, tables.own, custom_local=tables.custom_local)


def _failed_gateways(snapshot: Snapshot, settings: Settings) -> Callable[[Hop], bool] | None:
    """Gateways that a node which does not forward avoids (rt6_check_neigh): those whose resolution failed."""
    if settings.conf("forwarding", "all").value or snapshot.neighbours is None:
        return None
    failed = frozenset(
        (one.dev, one.address) for one in snapshot.neighbours if any(state.upper() == "FAILED" for state in one.states)
    )
    return lambda hop: hop.value.gateway is not None and (hop.iface, hop.value.gateway) in failed


def _always(text: str) -> Callable[[str], str]:
    return lambda name: text


@dataclass(frozen=True, slots=True)
class _Looks:
    """What else than addresses and devices any rule or route of a node looks at."""

    mark: bool
    tos: bool
    uid: bool
    ports: bool

    @classmethod
    def of(cls, rules: tuple[PolicyRule, ...], routes: tuple[Route, ...]) -> _Looks:
        """Reads it from rules and routes."""
        return cls(
            mark=any(rule.mark is not None for rule in rules),
            tos=any(rule.tos for rule in rules) or any(route.tos for route in routes),
            uid=any(rule.uid_range is not None for rule in rules),
            ports=any(rule.ip_proto or rule.sport is not None or rule.dport is not None for rule in rules),
        )
