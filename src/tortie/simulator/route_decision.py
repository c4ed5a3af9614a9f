"""The answer to one routing question, as a value.

A question has one answer, or several where the kernel chooses among next hops by a hash that nobody outside can compute;
each then names its condition. What the snapshot does not hold is answered with UNKNOWN, or, where a setting nearly always
has its default, with an assumption in words; an assumption is made only where another value would change the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tortie.net.address import Address, format_address
from tortie.net.node import NextHop, PolicyRule, Route, RouteType


class RouteKind(Enum):
    """What routing makes of a packet."""

    LOCAL = "local"
    """For the node itself."""
    BROADCAST = "broadcast"
    """For the node and others on the link."""
    MULTICAST = "multicast"
    """For a group: on arrival one that the node has joined."""
    UNICAST = "unicast"
    """Forwarded, or sent."""
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"
    NO_ROUTE = "no_route"
    MARTIAN = "martian"
    """An address that may not be there, or a setting that refuses the packet."""
    UNKNOWN = "unknown"
    """The snapshot lacks the part that decides."""


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """One answer of the routing tables."""

    kind: RouteKind
    why: str
    """For people: `10.1.2.0/24 via 10.0.0.254 dev eth0, table main`."""
    iface: str | None = None
    """Output device of a packet that is forwarded or sent."""
    next_hop: int | None = None
    """The neighbour the packet goes to: the gateway, or the destination itself."""
    gateway: Address | None = None
    """The route's gateway; of the other family for IPv4 by way of an IPv6 neighbour."""
    table: str | None = None
    route: Route | None = None
    rule: PolicyRule | None = None
    """The policy rule that named the table; None for the kernel's own rules of local, main and default."""
    prefsrc: int | None = None
    """The route's own wish for a source address."""
    source: int | None = None
    """Output only: the source address, chosen when the packet had none."""
    mtu: int | None = None
    drop_reason: str | None = None
    """The kernel's name for a refusal (include/net/dropreason-core.h)."""
    sysctl: str | None = None
    """The setting that decided, by its full name."""
    icmp: tuple[int, int] | None = None
    """Type and code of the ICMP error that the sender gets."""
    errno: str | None = None
    """What the sending program gets."""
    redirect: bool = False
    """The packet leaves by the device it came in by, and the sender is told of the shorter way."""
    looped: bool | None = False
    """Output to a group or broadcast address: the node hears a copy itself; None when it is not known."""
    condition: str = ""
    """When there are several answers: what must hold for this one."""
    option: str = ""
    """The condition in a word, different for each answer."""
    probability: float | None = None
    missing: bool = False
    """True when the answer is in doubt because the snapshot lacks something."""
    assumptions: tuple[str, ...] = ()


ICMP_V4 = {"ENETUNREACH": (3, 0), "EHOSTUNREACH": (3, 1), "EACCES": (3, 13), "EINVAL": None}
"""ICMP errors of input routing by the lookup's error (ip_error in net/ipv4/route.c; spec: netfilter 10.3)."""
ICMP_V6 = {"ENETUNREACH": (1, 0), "EHOSTUNREACH": (1, 0), "EACCES": (1, 1), "EINVAL": None}
"""The same for IPv6 (ip6_pkt_discard and ip6_pkt_prohibit in net/ipv6/route.c; spec: netfilter 11)."""

REFUSAL_KIND = {
    "ENETUNREACH": RouteKind.NO_ROUTE,
    "EHOSTUNREACH": RouteKind.UNREACHABLE,
    "EACCES": RouteKind.PROHIBIT,
    "EINVAL": RouteKind.BLACKHOLE,
}
"""Kind of refusal by the lookup's error; an `unreachable` policy rule answers ENETUNREACH like a missing route."""


def unknown(why: str) -> RouteDecision:
    """A decision that cannot be given."""
    return RouteDecision(RouteKind.UNKNOWN, why, missing=True)


def conditional(decision: RouteDecision, hop: NextHop, total: int) -> RouteDecision:
    """A decision that holds when the multipath hash picks this next hop; its chance is its weight's share."""
    where = f"via {hop.gateway} dev {hop.dev}" if hop.gateway is not None else f"dev {hop.dev}"
    return replace(
        decision,
        condition=f"the multipath hash picks the next hop {where} (weight {hop.weight} of {total})",
        option=f"{hop.gateway or ''}@{hop.dev}",
        probability=hop.weight / total,
    )


def describe_route(route: Route, hop: NextHop | None, rule: PolicyRule | None) -> str:
    """A route as `ip route` would put it, with its table and, where it is not the usual one, the rule that led there."""
    words = [] if route.type is RouteType.UNICAST else [route.type.value]
    prefix = route.prefix.network
    if prefix.length == 0:
        words.append("default")
    else:
        words.append(str(prefix) if prefix.length < prefix.family.bits else format_address(prefix.family, prefix.address))
    if route.source is not None and route.source.length:
        words.append(f"from {route.source}")
    if route.tos:
        words.append(f"tos {route.tos:#x}")
    if hop is not None:
        if hop.gateway is not None:
            words.append(f"via {hop.gateway}")
        if hop.dev is not None:
            words.append(f"dev {hop.dev}")
    if route.metric:
        words.append(f"metric {route.metric}")
    text = f"{' '.join(words)}, table {route.table}"
    return text if rule is None else f"{text}, rule {rule.priority}"
