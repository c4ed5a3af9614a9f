"""Policy routing: which table answers, by the rules of `ip rule`.

Rules are tried by rising priority; each tests some of what a `Flow` holds (fib_rules_lookup in net/core/fib_rules.c). The
answers of both families are given by one walk over the rules; the families differ in what a rule's TOS is compared with,
in rules with a source when the packet has none yet, and in how a table is searched.

A rule that tests something Tortie cannot know (a selector it does not read, the uid of a sender nobody named) is tried
both ways; only when the two ways end differently is the answer in doubt.

IPv4 has a second mode: as long as no rule was ever changed in a network namespace, the tables local and main are one tree
and rules are not looked at (fib_lookup in include/net/ip_fib.h). It differs when a prefix of the local table is less
specific than one of main. Whether rules were changed and put back cannot be seen, so where the modes differ the answer
carries an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

from tortie.net.address import IPFamily
from tortie.net.node import PolicyRule, RuleAction
from tortie.simulator.device import Devices
from tortie.simulator.fib import TOS_SEEN, Candidate, Entry, Hop, Table4, Table6, score6, select6

MOST_CACHED = 1 << 16
"""Answers kept; when there are more, all are forgotten."""


class Flow(NamedTuple):
    """What a lookup may look at; addresses 0 and names empty where there is none, None for what is not known."""

    dst: int
    src: int = 0
    tos: int = 0
    mark: int = 0
    iif: str = "lo"
    oif: str = ""
    uid: int | None = 0
    proto: int = 0
    sport: int = 0
    dport: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of the tables: an entry with its first usable hop, or an errno, or a doubt."""

    errno: str = ""
    entry: Entry | None = None
    number: int = 0
    """The hop that the lookup itself took."""
    others: tuple[tuple[Entry, int], ...] = ()
    """IPv6: hops that the multipath hash may take instead."""
    rule: PolicyRule | None = None
    """The rule that named the table; None for the kernel's own."""
    doubt: str = ""
    assumptions: tuple[str, ...] = ()

    @property
    def hop(self) -> Hop | None:
        """The hop that the lookup took."""
        return self.entry.hops[self.number] if self.entry is not None and self.entry.hops else None

    def by(self, rule: PolicyRule | None) -> Found:
        """The same answer, found by this rule."""
        return Found(self.errno, self.entry, self.number, self.others, rule, self.doubt, self.assumptions)

    def same_as(self, other: Found) -> bool:
        """True when the packet's way is the same, whatever rule led there."""
        return (
            self.entry is other.entry
            and self.errno == other.errno
            and self.number == other.number
            and self.others == other.others
            and self.doubt == other.doubt
        )


Test = Callable[[Flow], bool | None]

DEFAULT_RULES: dict[IPFamily, tuple[tuple[int, str], ...]] = {
    IPFamily.V4: ((0, "local"), (32766, "main"), (32767, "default")),
    IPFamily.V6: ((0, "local"), (32766, "main")),
}
"""The rules that every network namespace starts with."""


def default_rules(family: IPFamily) -> tuple[PolicyRule, ...]:
    """The kernel's own rules."""
    return tuple(PolicyRule(family, priority, table=table) for priority, table in DEFAULT_RULES[family])


_OWN_RULES = frozenset(rule for family in IPFamily for rule in default_rules(family))


_TABLE_NAME = {"255": "local", "254": "main", "253": "default"}


def table_name(table: str) -> str:
    """The name of a table, with the kernel's three under their names."""
    return _TABLE_NAME.get(table, table)


def compile_rule(rule: PolicyRule, *, has_source: bool = True) -> Test:
    """A rule's selectors as one test; `has_source` False is IPv6's case of a source not chosen yet."""
    tests = _selectors(rule, has_source=has_source)
    inverted = rule.negated

    def matches(flow: Flow) -> bool | None:
        doubtful = False
        for test in tests:
            answer = test(flow)
            if answer is None:
                doubtful = True
            elif not answer:
                return inverted
        return None if doubtful else not inverted

    return matches


def _selectors(rule: PolicyRule, *, has_source: bool) -> list[Test]:
    tests: list[Test] = []
    if rule.in_iface is not None:
        iif = rule.in_iface
        tests.append(lambda flow: flow.iif == iif)
    if rule.out_iface is not None:
        oif = rule.out_iface
        tests.append(lambda flow: flow.oif == oif)
    if rule.mark is not None:
        mark, mask = rule.mark, rule.mark_mask
        tests.append(lambda flow: not (flow.mark ^ mark) & mask)
    if rule.source is not None and rule.source.length:
        source, source_mask = rule.source.address, rule.source.mask
        if rule.family is IPFamily.V6 and not has_source:
            tests.append(lambda flow: False)
        else:
            tests.append(lambda flow: not (flow.src ^ source) & source_mask)
    if rule.destination is not None and rule.destination.length:
        target, target_mask = rule.destination.address, rule.destination.mask
        tests.append(lambda flow: not (flow.dst ^ target) & target_mask)
    if rule.tos:
        tos, seen = rule.tos, TOS_SEEN if rule.family is IPFamily.V4 else 0xFC
        tests.append(lambda flow: flow.tos & seen == tos)
    if rule.ip_proto:
        proto = rule.ip_proto
        tests.append(lambda flow: flow.proto == proto)
    if rule.sport is not None:
        low, high = rule.sport
        tests.append(lambda flow: low <= flow.sport <= high)
    if rule.dport is not None:
        first, last = rule.dport
        tests.append(lambda flow: first <= flow.dport <= last)
    if rule.uid_range is not None:
        lowest, highest = rule.uid_range
        tests.append(lambda flow: None if flow.uid is None else lowest <= flow.uid <= highest)
    if rule.unsupported:
        tests.append(lambda flow: None)
    return tests


def looks_into_packet(rules: tuple[PolicyRule, ...]) -> bool:
    """True when some rule makes input routing read protocol and ports (fib_rule_requires_fldissect)."""
    return any(
        (rule.ip_proto or rule.sport is not None or rule.dport is not None) and rule.in_iface != "lo" for rule in rules
    )


def _key(rules: tuple[PolicyRule, ...], *, tos: bool, src: bool, oif: bool) -> Callable[[Flow], object]:
    """Picks what any rule or route looks at, so that flows that differ in nothing else share their answer."""
    wanted = {
        "dst": True,
        "src": src or any(rule.source is not None and rule.source.length for rule in rules),
        "tos": tos or any(rule.tos for rule in rules),
        "mark": any(rule.mark is not None for rule in rules),
        "iif": any(rule.in_iface is not None for rule in rules),
        "oif": oif or any(rule.out_iface is not None for rule in rules),
        "uid": any(rule.uid_range is not None for rule in rules),
        "proto": any(rule.ip_proto for rule in rules),
        "sport": any(rule.sport is not None for rule in rules),
        "dport": any(rule.dport is not None for rule in rules),
    }
    return itemgetter(*(Flow._fields.index(name) for name, is_wanted in wanted.items() if is_wanted))


@dataclass(frozen=True, slots=True)
class _Step:
    rule: PolicyRule
    matches: Test
    jump: int
    """Where the search goes on after this rule has matched and gave no answer."""
    shown: PolicyRule | None
    """The rule, or None for one of the kernel's own."""
    table: str | None


def _fails(flow: Flow) -> bool:
    return False


def _next_step(rule: PolicyRule, number: int, places: Mapping[int, int]) -> int:
    """A goto leads to the first rule of its priority, never backward; one without a target is passed over."""
    target = places.get(rule.goto, 0) if rule.action is RuleAction.GOTO and rule.goto is not None else 0
    return max(target, number + 1)


Search = Callable[[str, Flow], Found | None]
"""Searches one table: None when it has no answer (no route, or throw)."""


class Rules:
    """The rules of one family, compiled."""

    __slots__ = ("_devices", "_steps", "custom", "rules")

    def __init__(self, rules: tuple[PolicyRule, ...], devices: Devices, *, has_source: bool = True) -> None:
        self._devices = devices
        self.rules = tuple(sorted(rules, key=lambda rule: rule.priority))
        self.custom = self.rules != default_rules(rules[0].family) if rules else True
        """True when the rules are not the kernel's own."""
        places: dict[int, int] = {}
        for number, rule in enumerate(self.rules):
            places.setdefault(rule.priority, number)
        self._steps = tuple(
            _Step(
                rule,
                compile_rule(rule, has_source=has_source) if not self._needs_vrf(rule) else _fails,
                _next_step(rule, number, places),
                None if rule in _OWN_RULES else rule,
                table_name(rule.table) if rule.table is not None else None,
            )
            for number, rule in enumerate(self.rules)
        )

    def _needs_vrf(self, rule: PolicyRule) -> bool:
        """True for a rule that asks for a VRF on a node that has none."""
        return (
            "l3mdev" in rule.unsupported
            and not rule.negated
            and self._devices.known
            and all(link.kind != "vrf" for link in self._devices.ordered)
        )

    def lookup(self, flow: Flow, search: Search) -> Found:
        """The answer of the first rule that has one; ENETUNREACH when none has."""
        return self._from(0, flow, search)

    def _from(self, number: int, flow: Flow, search: Search) -> Found:
        steps = self._steps
        while number < len(steps):
            step = steps[number]
            matches = step.matches(flow)
            if matches is None:
                return self._either(number, flow, search)
            if matches:
                found = self._act(step, flow, search)
                if found is not None:
                    return found
                number = step.jump
            else:
                number += 1
        return Found("ENETUNREACH")

    def _either(self, number: int, flow: Flow, search: Search) -> Found:
        """The answer when nobody can tell whether a rule matches."""
        step = self._steps[number]
        missed = self._from(number + 1, flow, search)
        if step.rule.action is not RuleAction.TABLE or step.table is not None:
            hit = self._act(step, flow, search) or self._from(step.jump, flow, search)
            if hit.same_as(missed):
                return missed
        if step.rule.unsupported:
            why = f"tests what Tortie does not read: {', '.join(step.rule.unsupported)}"
        else:
            why = "tests the sender's uid, which is not known"
        return Found(doubt=f"policy rule {step.rule.priority} {why}")

    def _act(self, step: _Step, flow: Flow, search: Search) -> Found | None:
        match step.rule.action:
            case RuleAction.NOP | RuleAction.GOTO:
                return None
            case RuleAction.UNREACHABLE:
                return Found("ENETUNREACH", rule=step.rule)
            case RuleAction.PROHIBIT:
                return Found("EACCES", rule=step.rule)
            case RuleAction.BLACKHOLE:
                return Found("EINVAL", rule=step.rule)
            case RuleAction.TABLE:
                found = search(step.table or "main", flow)
                if found is None or found.doubt:
                    return found
                suppressed = not found.errno and self._suppresses(step.rule, found)
                if suppressed is None:
                    why = f"policy rule {step.rule.priority} suppresses some of the next hops of one route"
                    return Found(doubt=why)
                if suppressed:
                    return None
                return found if step.shown is None else found.by(step.shown)

    def _suppresses(self, rule: PolicyRule, found: Found) -> bool | None:
        """Whether a rule does not want the route found; None when that depends on the multipath hash."""
        entry = found.entry
        assert entry is not None
        if rule.suppress_prefix_length is not None and entry.route.prefix.length <= rule.suppress_prefix_length:
            return True
        if rule.suppress_group is None or not entry.hops:
            return False
        # IPv4 looks at the first next hop, IPv6 at the one that the hash took (fib4_rule_suppress, fib6_rule_suppress).
        hops = [entry.hops[0]]
        if rule.family is IPFamily.V6:
            hops = [found_entry.hops[number] for found_entry, number in ((entry, found.number), *found.others)]
        links = (self._devices.by_name.get(hop.iface or "") for hop in hops)
        unwanted = {link is not None and link.group == rule.suppress_group for link in links}
        return unwanted.pop() if len(unwanted) == 1 else None


class Policy4:
    """IPv4 lookups over rules and tables."""

    __slots__ = ("_cache", "_key", "_merged", "_missing", "_rules", "_tables", "dissects")

    def __init__(
        self, rules: tuple[PolicyRule, ...], tables: Mapping[str, Table4], merged: Table4, devices: Devices,
        missing: Callable[[str], str],
    ) -> None:  # fmt: skip
        """`merged` is local and main as one table; `missing` says why a table is not known (empty when it is)."""
        self._rules = Rules(rules, devices)
        self._tables = tables
        self._merged = merged
        self._missing = missing
        self._key = _key(self._rules.rules, tos=True, src=False, oif=True)
        self._cache: dict[object, Found] = {}
        self.dissects = looks_into_packet(self._rules.rules)

    @property
    def custom(self) -> bool:
        """True when the rules are not the kernel's own."""
        return self._rules.custom

    def table(self, name: str) -> Table4 | None:
        """One table; None when it has no routes."""
        return self._tables.get(name)

    @property
    def local(self) -> Table4 | None:
        """What the kernel has as the table local: as long as no rule was changed, one tree with main."""
        return self._tables.get("local") if self.custom else self._merged

    def lookup(self, flow: Flow, *, ignoring_carrier: bool = False) -> Found:
        """The answer for a flow."""
        key = (self._key(flow), ignoring_carrier)
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            found = self._cache[key] = self._lookup(flow, ignoring_carrier)
        return found

    def _lookup(self, flow: Flow, ignoring_carrier: bool) -> Found:
        def search(name: str, flow: Flow) -> Found | None:
            missing = self._missing(name)
            if missing:
                return Found(doubt=missing)
            table = self._tables.get(name)
            return _found4(table, flow, ignoring_carrier) if table is not None else None

        by_rules = self._rules.lookup(flow, search)
        if self._rules.custom or by_rules.doubt:
            return by_rules
        found = self._lookup_untouched(flow, ignoring_carrier)
        if found.same_as(by_rules):
            return by_rules
        text = "no policy rule was ever changed in this namespace, so the tables local and main are searched as one"
        return replace(found, assumptions=(text,))

    def _lookup_untouched(self, flow: Flow, ignoring_carrier: bool) -> Found:
        found = _found4(self._merged, flow, ignoring_carrier)
        if found is None and "default" in self._tables:
            found = _found4(self._tables["default"], flow, ignoring_carrier)
        return found if found is not None else Found("ENETUNREACH")


def _found4(table: Table4, flow: Flow, ignoring_carrier: bool) -> Found | None:
    hit = table.lookup(flow.dst, flow.tos, flow.oif, ignoring_carrier=ignoring_carrier)
    if hit is None or hit[0].error == "EAGAIN":
        return None
    return Found(hit[0].error, hit[0], hit[1])


class Policy6:
    """IPv6 lookups over rules and tables."""

    __slots__ = (
        "_cache", "_failed", "_key", "_missing", "_own_on", "_rules", "_sourceless", "_tables", "dissects",
    )  # fmt: skip

    def __init__(
        self, rules: tuple[PolicyRule, ...], tables: Mapping[str, Table6], devices: Devices,
        missing: Callable[[str], str], failed: Callable[[Hop], bool] | None,
    ) -> None:  # fmt: skip
        """`failed` says which gateways do not answer, on a node that does not forward; None on one that does."""
        self._rules = Rules(rules, devices)
        self._sourceless = Rules(rules, devices, has_source=False)
        self._tables = tables
        self._missing = missing
        self._failed = failed
        self._own_on = {
            name: frozenset(a.prefix.address for a in found if not a.tentative) for name, found in devices.addresses.items()
        }
        self._key = _key(self._rules.rules, tos=False, src=True, oif=True)
        self._cache: dict[object, Found] = {}
        self.dissects = looks_into_packet(self._rules.rules)

    def lookup(self, flow: Flow, *, device: str, strict: bool, has_source: bool = True) -> Found:
        """The answer for a packet (ip6_pol_route); `device` is preferred, or demanded when `strict`."""
        key = (self._key(flow), device, strict, has_source)
        found = self._cache.get(key)
        if found is None:
            rules = self._rules if has_source else self._sourceless
            search = self._search(
                lambda table, flow: self._select(table, flow, device, strict=strict),
                lambda best: _multipath(best, device, strict=strict),
            )
            found = self._remember(key, rules.lookup(flow, search))
        return found

    def reverse(self, flow: Flow, *, device: str, strict: bool, has_source: bool) -> Found:
        """The answer of the plainer search that `-m rpfilter` uses (ip6_pol_route_lookup)."""
        key = (self._key(flow), device, strict, has_source, "reverse")
        found = self._cache.get(key)
        if found is None:
            rules = self._rules if has_source else self._sourceless
            search = self._search(
                lambda table, flow: self._select_plainly(table, flow, device, strict=strict), lambda best: ()
            )
            found = self._remember(key, rules.lookup(flow, search))
        return found

    def _remember(self, key: object, found: Found) -> Found:
        if len(self._cache) >= MOST_CACHED:
            self._cache.clear()
        self._cache[key] = found
        return found

    def _search(
        self,
        select: Callable[[Table6, Flow], Candidate | None],
        spread: Callable[[Candidate], tuple[tuple[Entry, int], ...]],
    ) -> Search:
        def search(name: str, flow: Flow) -> Found | None:
            missing = self._missing(name)
            if missing:
                return Found(doubt=missing)
            table = self._tables.get(name)
            best = select(table, flow) if table is not None else None
            if best is None or best.entry.error == "EAGAIN":
                return None
            return Found(best.entry.error, best.entry, best.number, () if best.entry.error else spread(best))

        return search

    def _select(self, table: Table6, flow: Flow, device: str, *, strict: bool) -> Candidate | None:
        # A node that does not forward first looks for gateways that answer (RT6_LOOKUP_F_REACHABLE).
        for failed in (self._failed, None) if self._failed is not None else (None,):
            for leaf in table.chain(flow.dst, flow.src):
                best = select6(leaf, device, strict=strict, failed=failed)
                if best is not None:
                    return best
        return None

    def _select_plainly(self, table: Table6, flow: Flow, device: str, *, strict: bool) -> Candidate | None:
        for leaf in table.chain(flow.dst, flow.src):
            best = self._match_device(leaf, flow.src, device, strict=strict)
            if best is not None:
                return best
        return None

    def _match_device(self, leaf: tuple[Candidate, ...], src: int, device: str, *, strict: bool) -> Candidate | None:
        """rt6_device_match: the first route on the device, or on one that has the source address, else the first."""
        if device or src:
            for candidate in leaf:
                hop = candidate.hop
                if not hop.usable_without_carrier:
                    continue
                if hop.iface == device if device else self._has_address(hop.iface, src, strict=strict):
                    return candidate
            if device and strict:
                return None
        return leaf[0] if leaf and leaf[0].hop.usable_without_carrier else None

    def _has_address(self, iface: str | None, address: int, *, strict: bool) -> bool:
        if strict or address >> 118 == 0x3FA:
            return address in self._own_on.get(iface or "", ())
        return any(address in own for own in self._own_on.values())


def _multipath(best: Candidate, device: str, *, strict: bool) -> tuple[tuple[Entry, int], ...]:
    """The other hops that fib6_select_path may take: which one is a hash, and kernels differ in the order they try."""
    return tuple(
        (other.entry, other.number)
        for other in best.siblings
        if other is not best and other.hop.usable and score6(other, device, strict=strict) >= 0
    )
