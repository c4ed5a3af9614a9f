"""From what a lookup found to a decision with its text: what the two families do alike."""

from __future__ import annotations

from tortie.net.address import IPFamily
from tortie.simulator.device import Devices
from tortie.simulator.fib import Entry
from tortie.simulator.policy import Found
from tortie.simulator.route_decision import REFUSAL_KIND, RouteDecision, RouteKind, describe_route
from tortie.simulator.setting import Settings

_MOST_MTU_V4 = 65535


class RouteMaker:
    """Makes decisions for one family of one node; texts are made once for each route and rule."""

    __slots__ = ("_devices", "_family", "_settings", "_texts")

    def __init__(self, family: IPFamily, devices: Devices, settings: Settings) -> None:
        self._family = family
        self._devices = devices
        self._settings = settings
        self._texts: dict[tuple[Entry, int, int], str] = {}

    def describe(self, found: Found) -> str:
        """The route found, as `ip route` would put it, or the rule that answered without one."""
        entry = found.entry
        if entry is None:
            return "no route" if found.rule is None else f"policy rule {found.rule.priority} says {found.rule.action.value}"
        # Rules live as long as this object, so their identity names them.
        key = entry, found.number, id(found.rule)
        text = self._texts.get(key)
        if text is None:
            hop = found.hop
            text = describe_route(entry.route, hop.value if hop is not None else None, found.rule)
            self._texts[key] = text
        return text

    def decide(
        self, kind: RouteKind, found: Found, assumptions: tuple[str, ...] | None = None, why: str | None = None
    ) -> RouteDecision:
        """A decision without a next hop; assumptions are those of the lookup unless given."""
        route = found.entry.route if found.entry is not None else None
        return RouteDecision(
            kind,
            self.describe(found) if why is None else why,
            table=route.table if route is not None else None,
            route=route,
            rule=found.rule,
            prefsrc=route.prefsrc.value if route is not None and route.prefsrc is not None else None,
            assumptions=found.assumptions if assumptions is None else assumptions,
        )

    def refuse(
        self,
        found: Found,
        *,
        reason: str | None = None,
        icmp: tuple[int, int] | None = None,
        source: int | None = None,
        assumptions: tuple[str, ...] | None = None,
    ) -> RouteDecision:
        """A lookup that ended with an error."""
        route = found.entry.route if found.entry is not None else None
        return RouteDecision(
            REFUSAL_KIND[found.errno],
            self.describe(found),
            table=route.table if route is not None else None,
            route=route,
            rule=found.rule,
            source=source,
            drop_reason=reason,
            icmp=icmp,
            errno=found.errno,
            assumptions=found.assumptions if assumptions is None else assumptions,
        )

    def pass_on(
        self,
        found: Found,
        dst: int,
        kind: RouteKind = RouteKind.UNICAST,
        *,
        redirect: bool = False,
        source: int | None = None,
        assumptions: tuple[str, ...] | None = None,
    ) -> RouteDecision:
        """A packet that leaves by the next hop found."""
        entry, hop = found.entry, found.hop
        assert entry is not None and hop is not None and hop.iface is not None
        gateway = hop.value.gateway if not hop.direct else None
        prefsrc = entry.route.prefsrc
        return RouteDecision(
            kind,
            self.describe(found),
            hop.iface,
            gateway.value if gateway is not None and gateway.family is self._family else dst,
            gateway,
            entry.route.table,
            entry.route,
            found.rule,
            prefsrc.value if prefsrc is not None else None,
            source,
            self.mtu(hop.iface, entry.route.mtu),
            redirect=redirect,
            assumptions=found.assumptions if assumptions is None else assumptions,
        )

    def mtu(self, iface: str, of_route: int | None = None) -> int | None:
        """The MTU toward a device, in bytes: the route's own before the device's (ip_dst_mtu_maybe_forward)."""
        if of_route:
            return of_route
        link = self._devices.by_name.get(iface)
        if self._family is IPFamily.V4:
            return min(link.mtu, _MOST_MTU_V4) if link is not None else None
        setting = self._settings.conf("mtu", iface)
        if setting.known and setting.value:
            return setting.value
        return link.mtu if link is not None else None
