"""Routing tables: the longest matching prefix and, inside it, the kernel's order.

IPv4 (fib_table_lookup in net/ipv4/fib_trie.c) walks the routes of the longest prefix first; within one prefix TOS routes
come before the others, then lower metrics. A route of type unreachable, prohibit, blackhole or throw ends the walk with an
error; one without a usable next hop is passed over, to shorter prefixes if need be.

IPv6 (net/ipv6/ip6_fib.c, find_rr_leaf and rt6_score_route in net/ipv6/route.c) scores the routes of one prefix instead:
routes of the lowest metric first, among them the preferred and those on the wished-for device. Source-specific routes hang
as a second tree below their destination; `Table6.chain` gives the order in which the kernel comes by all of these.

A next hop is passed over when it is dead, its device is down, or it has lost its carrier and the device says that such
routes are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tortie.net.address import IPFamily, prefix_mask
from tortie.net.node import NextHop, Route, RouteType
from tortie.simulator.device import scope_number

ERROR = {
    RouteType.BLACKHOLE: "EINVAL",
    RouteType.UNREACHABLE: "EHOSTUNREACH",
    RouteType.PROHIBIT: "EACCES",
    RouteType.THROW: "EAGAIN",
}
"""Errors that end a lookup (fib_props in net/ipv4/fib_semantics.c; fib6_prop in net/ipv6/route.c)."""

TOS_SEEN = 0x1C
"""The bits of an IPv4 TOS byte that routes and rules are compared with (INET_DSCP_LEGACY_TOS_MASK)."""

_PREFERENCE = {"low": 1, "medium": 2, "high": 3}
_DEFAULT_METRIC_V6 = 1024


@dataclass(frozen=True, slots=True)
class Hop:
    """One next hop, with what the node knows of it."""

    value: NextHop
    iface: str | None
    usable: bool
    """False for a hop that a lookup passes over."""
    usable_without_carrier: bool
    """The same for lookups that do not mind a lost carrier."""
    direct: bool
    """No gateway stands between the node and the destination."""
    doubt: str = ""
    """Why it is not known where this hop leads."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One route, compiled; entries are compared by identity."""

    route: Route
    error: str
    """Errno of a route that refuses; EAGAIN for throw; else empty."""
    hops: tuple[Hop, ...]
    tos: int
    metric: int
    scope: int = 0


HopRule = Callable[[Route, NextHop], Hop]


def compile_entry(route: Route, make_hop: HopRule) -> Entry:
    """Makes a route ready for lookups."""
    metric = route.metric
    if route.prefix.family is IPFamily.V6 and not metric and route.type not in (RouteType.LOCAL, RouteType.ANYCAST):
        metric = _DEFAULT_METRIC_V6
    next_hops = route.next_hops
    if not next_hops and route.type not in ERROR:
        next_hops = (NextHop(None),)
    elif not next_hops and route.prefix.family is IPFamily.V6:
        # IPv6 keeps a device with every route: refusing ones have lo.
        next_hops = (NextHop("lo"),)
    hops = tuple(make_hop(route, hop) for hop in next_hops)
    return Entry(route, ERROR.get(route.type, ""), hops, route.tos, metric, scope_number(route.scope))


class Table4:
    """One IPv4 table, or two read as one."""

    __slots__ = ("_levels",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        """`entries` in the order in which equal ones are tried."""
        levels: dict[int, dict[int, list[Entry]]] = {}
        for entry in entries:
            prefix = entry.route.prefix
            levels.setdefault(prefix.length, {}).setdefault(prefix.address & prefix.mask, []).append(entry)
        self._levels = tuple(
            (prefix_mask(IPFamily.V4, length), {net: tuple(sorted(found, key=_order_v4)) for net, found in nets.items()})
            for length, nets in sorted(levels.items(), reverse=True)
        )

    def lookup(
        self, dst: int, tos: int, oif: str, *, ignoring_carrier: bool = False, least_scope: int = 0
    ) -> tuple[Entry, int] | None:
        """The route for a destination and the first next hop that may be used; None when there is none.

        Routes of a wider scope (a smaller number) than `least_scope` are passed over.
        """
        for mask, nets in self._levels:
            found = nets.get(dst & mask)
            if found is None:
                continue
            for entry in found:
                if (entry.tos and entry.tos != tos & TOS_SEEN) or entry.scope < least_scope:
                    continue
                if entry.error:
                    return entry, 0
                for number, hop in enumerate(entry.hops):
                    if not (hop.usable_without_carrier if ignoring_carrier else hop.usable):
                        continue
                    if oif and oif != hop.iface:
                        continue
                    return entry, number
        return None

    def equals(self, entry: Entry) -> tuple[Entry, ...]:
        """The unicast routes that differ from this one in their next hop alone, itself included, in order."""
        prefix = entry.route.prefix
        nets = next((nets for mask, nets in self._levels if mask == prefix.mask), {})
        return tuple(
            other
            for other in nets.get(prefix.address & prefix.mask, ())
            if other.tos == entry.tos and other.metric == entry.metric and other.route.type is RouteType.UNICAST
            and other.route.scope == entry.route.scope and other.route.table == entry.route.table
        )  # fmt: skip


def _order_v4(entry: Entry) -> tuple[bool, int, int]:
    return entry.route.table != "local", -entry.tos, entry.metric


# --- IPv6 --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One next hop of an IPv6 route, which the kernel keeps as a route of its own."""

    entry: Entry
    number: int
    score: int
    """Router preference, shifted as the kernel adds it up."""
    siblings: list[Candidate] = field(default_factory=list, repr=False)
    """All hops of the multipath route that this one belongs to, itself included; empty without multipath."""

    @property
    def hop(self) -> Hop:
        """The next hop."""
        return self.entry.hops[self.number]


Leaf = tuple[Candidate, ...]


@dataclass(slots=True)
class _Node:
    plain: Leaf = ()
    by_source: tuple[tuple[int, dict[int, Leaf]], ...] = ()


class Table6:
    """One IPv6 table."""

    __slots__ = ("_levels",)

    def __init__(self, entries: Iterable[Entry]) -> None:
        """`entries` in the order in which the kernel lists them."""
        levels: dict[int, dict[int, dict[tuple[int, int], list[Entry]]]] = {}
        for entry in entries:
            prefix, source = entry.route.prefix, entry.route.source
            key = (source.length, source.address & source.mask) if source is not None and source.length else (0, 0)
            nets = levels.setdefault(prefix.length, {})
            nets.setdefault(prefix.address & prefix.mask, {}).setdefault(key, []).append(entry)
        self._levels = tuple(
            (prefix_mask(IPFamily.V6, length), {net: _compile_node(found) for net, found in nets.items()})
            for length, nets in sorted(levels.items(), reverse=True)
        )

    def chain(self, dst: int, src: int) -> Iterator[Leaf]:
        """The leaves that the kernel tries, in order (fib6_node_lookup, then fib6_backtrack)."""
        started = False
        for mask, nets in self._levels:
            node = nets.get(dst & mask)
            if node is None:
                continue
            matching = False
            for source_mask, sources in node.by_source:
                leaf = sources.get(src & source_mask)
                if leaf is not None:
                    matching = started = True
                    yield leaf
            # A descent that meets source-specific routes and none for this source goes on above them; only when it comes
            # back up from somewhere (or at the root) are the plain routes beside them seen.
            if node.plain and (started or matching or not node.by_source or not mask):
                started = True
                yield node.plain


def _compile_node(found: dict[tuple[int, int], list[Entry]]) -> _Node:
    node = _Node(_compile_leaf(found.pop((0, 0), [])))
    sources: dict[int, dict[int, Leaf]] = {}
    for (length, net), entries in found.items():
        sources.setdefault(length, {})[net] = _compile_leaf(entries)
    node.by_source = tuple(
        (prefix_mask(IPFamily.V6, length), nets) for length, nets in sorted(sources.items(), reverse=True)
    )
    return node


def _compile_leaf(entries: list[Entry]) -> Leaf:
    leaf: list[Candidate] = []
    families: dict[int, list[Candidate]] = {}
    for entry in sorted(entries, key=lambda e: e.metric):
        score = _PREFERENCE.get(entry.route.preference, 2) << 2
        # Kernels before 4.16 list the hops of one multipath route as routes of their own.
        siblings = families.setdefault(entry.metric, []) if _joins_multipath(entry) else []
        own = [Candidate(entry, number, score, siblings) for number in range(len(entry.hops))]
        siblings.extend(own)
        leaf.extend(own)
    return tuple(leaf)


def _joins_multipath(entry: Entry) -> bool:
    route = entry.route
    return route.type is RouteType.UNICAST and route.protocol not in ("ra", "kernel", "redirect") and all(
        hop.value.gateway is not None for hop in entry.hops
    )  # fmt: skip


def select6(leaf: Leaf, oif: str, *, strict: bool, failed: Callable[[Hop], bool] | None) -> Candidate | None:
    """The best route of one leaf (find_rr_leaf): `strict` refuses other devices than `oif`; `failed` names gateways that
    do not answer, for nodes that do not forward."""
    first = leaf[0].entry.metric if leaf else 0
    # Once the lowest metric yields nothing, all further ones are searched as one group.
    for lowest in (True, False):
        best: Candidate | None = None
        best_score = -1
        for candidate in leaf:
            if (candidate.entry.metric == first) is not lowest:
                continue
            score = score6(candidate, oif, strict=strict)
            if score > best_score and candidate.hop.usable and not (failed is not None and failed(candidate.hop)):
                best, best_score = candidate, score
        if best is not None:
            return best
    return None


def score6(candidate: Candidate, oif: str, *, strict: bool) -> int:
    """rt6_score_route without the neighbour's part; negative for a route that strictness refuses."""
    on_device = not oif or candidate.hop.iface == oif
    if strict and not on_device:
        return -3
    return candidate.score | (2 if on_device else 0)
