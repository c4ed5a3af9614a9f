"""Real packets through a routed node: what came of each, beside what the simulator says of its routing.

Rules that change nothing sit in the tables so that the trace shows how far a packet came: INPUT, FORWARD with its output
device, OUTPUT. A second set of rules asks addrtype and rpfilter about every packet; a third translates.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

from tests.kernel.oracle.device import CannotBind
from tests.kernel.oracle.outcome import Origin, Outcome
from tests.kernel.routing.compare import is_expected_doubt, packet_of
from tests.kernel.routing.question import Question
from tests.kernel.routing.routed_node import Listening
from tests.kernel.routing.topology import draw_question
from tests.kernel.scenario import Given
from tortie.net.address import IPFamily, format_address
from tortie.net.packet import Packet
from tortie.net.protocol import UDP
from tortie.net.wire import format_packet, parse_packet
from tortie.netfilter.hook import Hook
from tortie.simulator.route import RouteDecision, RouteKind, Router

_DELIVERED = (RouteKind.LOCAL, RouteKind.BROADCAST, RouteKind.MULTICAST)
_REDIRECT = {IPFamily.V4: (5, 1), IPFamily.V6: (137, 0)}
_NOT_NEIGHBOUR = (1, 2)
_MARK_OF_PORT = {53: 1, 150: 2, 9999: 0}
_RAW_PROTOCOL = 255
_TRANSLATED_PORT, _REDIRECTED_PORT = 9999, 150

_EMPTY_FILTER = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
TRACED = dict.fromkeys(IPFamily, _EMPTY_FILTER)
"""Rules that only show where a packet comes by."""


@dataclass(frozen=True, slots=True)
class AddressTest:
    """`-m addrtype` for one end of the packet."""

    source: bool
    types: tuple[str, ...]
    limited: bool

    def __str__(self) -> str:
        limit = " --limit-iface-in" if self.limited else ""
        return f"-m addrtype --{'src' if self.source else 'dst'}-type {','.join(self.types)}{limit}"

    def answer(self, router: Router, packet: Packet, iface: str, mark: int) -> object:
        address = packet.src if self.source else packet.dst
        return router.has_address_type(address, self.types, iface=iface if self.limited else None)


@dataclass(frozen=True, slots=True)
class ReversePathTest:
    """`-m rpfilter` with its options."""

    loose: bool
    accept_local: bool
    valid_mark: bool

    def __str__(self) -> str:
        options = " --loose" * self.loose + " --accept-local" * self.accept_local + " --validmark" * self.valid_mark
        return f"-m rpfilter{options}"

    def answer(self, router: Router, packet: Packet, iface: str, mark: int) -> object:
        return router.reverse_path(
            packet, iface, mark, loose=self.loose, accept_local=self.accept_local, valid_mark=self.valid_mark
        )


_TYPES = {
    IPFamily.V4: ("UNICAST", "LOCAL", "BROADCAST", "MULTICAST", "UNREACHABLE", "UNICAST,LOCAL"),
    IPFamily.V6: (
        "UNICAST", "LOCAL", "ANYCAST", "MULTICAST", "UNREACHABLE", "UNSPEC", "UNICAST,LOCAL", "LOCAL,ANYCAST",
        "UNICAST,UNREACHABLE", "UNREACHABLE,LOCAL",
    ),
}  # fmt: skip
_BOOLEANS = (False, True)
TESTS: dict[IPFamily, tuple[AddressTest | ReversePathTest, ...]] = {
    family: (
        *(AddressTest(end, tuple(t.split(",")), lim) for end in _BOOLEANS for t in types for lim in _BOOLEANS),
        *(ReversePathTest(a, b, c) for a in _BOOLEANS for b in _BOOLEANS for c in _BOOLEANS),
    )
    for family, types in _TYPES.items()
}
"""What is asked about every arriving packet, in the order of the rules."""
_MARKING = tuple(
    f"-p {proto} --dport {port} -j MARK --set-mark {mark}"
    for port, mark in _MARK_OF_PORT.items()
    if mark
    for proto in ("udp", "tcp")
)


def _asking(family: IPFamily) -> str:
    chains = "".join(f":{hook.value} ACCEPT [0:0]\n" for hook in Hook)
    rules = "".join(f"-A PREROUTING {rule}\n" for rule in (*_MARKING, *map(str, TESTS[family])))
    return f"*mangle\n{chains}{rules}COMMIT\n{_EMPTY_FILTER}"


ASKING = {family: _asking(family) for family in IPFamily}
"""Rules that mark packets by their port and test addrtype and rpfilter."""

TRANSLATING = dict.fromkeys(
    IPFamily,
    "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    f"-A PREROUTING -p udp --dport {_REDIRECTED_PORT} -j REDIRECT\n"
    f"-A POSTROUTING -p udp --dport {_TRANSLATED_PORT} -j MASQUERADE\n"
    f"COMMIT\n{_EMPTY_FILTER}",
)
"""Rules that give the node's addresses to packets."""


# --- arriving ----------------------------------------------------------------------------------------------------


def arrivals(rng: random.Random, listening: Listening, count: int) -> Iterable[Question]:
    """Questions that can be put by a packet: it comes in by a device that is up, and gets as far as PREROUTING."""
    for _ in range(count):
        family = rng.choice(tuple(IPFamily))
        question = draw_question(rng, family)
        if question.iif not in listening.usable:
            continue
        if family is IPFamily.V6 and (question.src in (0, 1) or question.src >> 120 == 0xFF or question.dst in (0, 1)):
            continue
        yield replace(question, mark=_MARK_OF_PORT[question.dport])


def arrive(listening: Listening, question: Question) -> str | None:
    """Lets the packet of a question arrive under `ASKING`; what is wrong with the simulator's answers, else None."""
    packet = packet_of(question)
    router = listening.routers[question.family]
    outcome = listening.node.inject(Given(format_packet(packet), question.iif))
    decisions = router.route_input(packet, question.iif, question.mark)
    strange = _has_strange_gateways(listening)
    wrong = [_arrived_otherwise(question, outcome, one, strange=strange) for one in decisions]
    if None not in wrong:
        return f"{_happened(outcome)}; {'; '.join(str(one) for one in wrong)}"
    return _wrong_matches(router, packet, question, outcome) or _wrong_error_source(router, packet, question, outcome)


def _happened(outcome: Outcome) -> str:
    steps = " ".join(str(step) for step in outcome.own.steps[-4:])
    left = ", ".join(f"{one.iface}: {parse_packet(one.data)}" for one in outcome.departures)
    return f"[{steps}] left [{left}] drops {outcome.drops} errno {outcome.errno}"


def _said(one: RouteDecision) -> str:
    return f"said {one.kind.value} ({one.why}) {one.iface} {one.drop_reason} {one.icmp} {one.errno}"


def _errors_to_sender(question: Question, outcome: Outcome) -> set[tuple[int, int]]:
    made = (parse_packet(one.data) for one in outcome.departures if one.origin is Origin.MADE)
    return {(one.icmp_type, one.icmp_code) for one in made if one.is_icmp and one.dst == question.src}


def _has_strange_gateways(listening: Listening) -> bool:
    routes, router = listening.snapshot.routes[IPFamily.V4], listening.routers[IPFamily.V4]
    gateways = {hop.gateway.value for route in routes for hop in route.next_hops if hop.gateway is not None}
    return any(router.is_local(gateway) for gateway in gateways)


def _arrived_otherwise(question: Question, outcome: Outcome, one: RouteDecision, *, strange: bool) -> str | None:
    hooks = {step.hook for step in outcome.own.steps}
    errors = _errors_to_sender(question, outcome)
    if one.kind is RouteKind.UNKNOWN:
        return None if is_expected_doubt(one) else _said(one)
    if one.kind in _DELIVERED:
        return None if Hook.INPUT in hooks else _said(one)
    if one.kind is RouteKind.UNICAST:
        return _forwarded_otherwise(question, outcome, one, errors, strange=strange)
    if hooks & {Hook.INPUT, Hook.FORWARD} or (one.drop_reason is not None and not outcome.dropped_for(one.drop_reason)):
        return _said(one)
    # Errors made by routing are rate limited: a missing one proves nothing, another one does (spec: netfilter 10.3).
    return _said(one) if errors - {one.icmp} else None


def _forwarded_otherwise(
    question: Question, outcome: Outcome, one: RouteDecision, errors: set[tuple[int, int]], *, strange: bool
) -> str | None:
    """`strange` says that the node has gateways of which nobody knows whether they count; then redirects may come."""
    outs = {step.out_iface for step in outcome.own.steps if step.hook is Hook.FORWARD}
    if question.family is IPFamily.V6 and question.src >> 118 == 0x3FA and one.iface != question.iif:
        # Refused on the way to FORWARD, where the hop limit would also be.
        return None if not outs and errors <= {_NOT_NEIGHBOUR} else _said(one)
    redirect = _REDIRECT[question.family]
    if outs != {one.iface} or (redirect in errors and not (one.redirect or strange)):
        return _said(one)
    # What is routed out of lo comes in again until its time is over.
    return _said(one) if errors - {redirect} and one.iface != "lo" else None


def _wrong_matches(router: Router, packet: Packet, question: Question, outcome: Outcome) -> str | None:
    # A group's packet that is sent on comes back in by the same device.
    steps = takewhile(lambda step: step.hook is Hook.PREROUTING, outcome.own.steps)
    hits = {step.number for step in steps if step.table == "mangle"}
    if not hits:
        return "no trace of mangle PREROUTING"
    for number, test in enumerate(TESTS[question.family], len(_MARKING) + 1):
        answer = test.answer(router, packet, question.iif, question.mark)
        if answer != (number in hits):
            return f"{test}: the kernel says {number in hits}, the simulator {answer}"
    return None


def _wrong_error_source(router: Router, packet: Packet, question: Question, outcome: Outcome) -> str | None:
    delivered = any(step.hook is Hook.INPUT for step in outcome.own.steps)
    for departure in outcome.departures:
        made = parse_packet(departure.data)
        kind = made.icmp_type, made.icmp_code
        if departure.origin is not Origin.MADE or not made.is_icmp or made.dst != packet.src or kind == (137, 0):
            continue
        needs = question.iif if packet.family is IPFamily.V6 and packet.src >> 118 == 0x3FA else None
        back = router.route_output(
            packet.src,
            0,
            out_iface=needs,
            tos=packet.tos & 0x1E | 0xC0,
            uid=0,
            proto=made.proto,
            sport=made.icmp_type << 8 | made.icmp_code,
        )
        expected = router.icmp_error_source(packet, question.iif, delivered=delivered, kind=kind)
        several = any(one.route is not None and len(one.route.next_hops) > 1 for one in back)
        if any(one.kind is RouteKind.UNKNOWN for one in back) or (packet.family is IPFamily.V6 and several):
            # Hops of one IPv6 route may have sources of their own, of which only the first is ever listed.
            continue
        if made.src not in (expected, *(one.source for one in back if len(back) > 1)):
            return f"ICMP error from {format_address(made.family, made.src)}, not {_address(made.family, expected)}"
    return None


def _address(family: IPFamily, value: int | None) -> str:
    return "none" if value is None else format_address(family, value)


# --- sending -----------------------------------------------------------------------------------------------------


def sendings(rng: random.Random, listening: Listening, count: int) -> Iterable[Question]:
    """Questions that a raw socket can put, bound to their source and device where there is one."""
    suppressing = any(rule.suppress_prefix_length is not None for rule in listening.snapshot.policy_rules[IPFamily.V6])
    for _ in range(count):
        # For raw IPv6 sockets every route without a gateway is as long as an address (FLOWI_FLAG_KNOWN_NH).
        family = IPFamily.V4 if suppressing else rng.choice(tuple(IPFamily))
        question = draw_question(rng, family)
        types = listening.routers[family].address_type(question.src)
        # Binding to a broadcast address or group leaves the source open.
        if question.iif or (question.src and isinstance(types, frozenset) and types & {"BROADCAST", "MULTICAST"}):
            continue
        yield replace(question, proto=UDP)


def send(listening: Listening, question: Question) -> str | None:
    """Sends the packet of a question under `TRACED`; what is wrong with the simulator's answers, else None."""
    packet = packet_of(question)
    given = Given(
        format_packet(packet), None, mark=question.mark, uid=question.uid, device=question.oif, bound=bool(question.src)
    )
    try:
        outcome = listening.node.inject(given)
    except CannotBind:
        return None
    # Raw sockets tell routing their own protocol, not that of the header they send.
    decisions = listening.routers[question.family].route_output(
        question.dst,
        question.src,
        mark=question.mark,
        tos=question.tos,
        out_iface=question.oif or None,
        uid=question.uid,
        proto=_RAW_PROTOCOL,
    )
    wrong = [_sent_otherwise(question, outcome, one) for one in decisions]
    return None if None in wrong else f"{_happened(outcome)}; {'; '.join(str(one) for one in wrong)}"


def _sent_otherwise(question: Question, outcome: Outcome, one: RouteDecision) -> str | None:
    outs = {step.out_iface for step in outcome.own.steps if step.hook is Hook.OUTPUT}
    if one.kind is RouteKind.UNKNOWN:
        return None if is_expected_doubt(one) else _said(one)
    if one.errno is not None:
        return None if outcome.errno == one.errno and not outs else _said(one)
    if one.kind is RouteKind.NO_ROUTE:
        # IPv6 routes by way of lo: taken, and thrown away after OUTPUT.
        return None if outs == {"lo"} else _said(one)
    if outs != {one.iface}:
        return _said(one)
    if question.family is IPFamily.V4 and not question.src and outcome.own.first is not None:
        source = parse_packet(outcome.own.first).src
        if source != (one.source or 0):
            return f"source {_address(IPFamily.V4, source)}: {_said(one)}"
    if one.kind in (RouteKind.BROADCAST, RouteKind.MULTICAST) and one.looped is not None:
        heard = any(step.hook is Hook.PREROUTING for step in outcome.own.steps)
        return None if one.looped == heard else f"heard {heard}: {_said(one)}"
    return None


# --- routing again -----------------------------------------------------------------------------------------------

_CHAINS = "".join(f":{hook.value} ACCEPT [0:0]\n" for hook in Hook)
MARKING = dict.fromkeys(
    IPFamily, f"*mangle\n{_CHAINS}{''.join(f'-A OUTPUT {rule}{chr(10)}' for rule in _MARKING)}COMMIT\n{_EMPTY_FILTER}"
)
"""Rules that mark packets of the node by their port, which makes it route them again."""


def send_marked(listening: Listening, question: Question) -> str | None:
    """Sends a packet under `MARKING`; what is wrong with the simulator's second answer, else None."""
    mark = _MARK_OF_PORT[question.dport]
    packet = packet_of(question)
    given = Given(format_packet(packet), None, uid=question.uid, device=question.oif, bound=bool(question.src))
    try:
        outcome = listening.node.inject(given)
    except CannotBind:
        return None
    first = {step.out_iface for step in outcome.own.steps if step.hook is Hook.OUTPUT}
    if not mark or not first or outcome.own.first is None:
        return None
    # The kernel has filled in a source that was left open.
    decisions = listening.routers[question.family].route_again(
        parse_packet(outcome.own.first), mark=mark, uid=question.uid, bound_iface=question.oif or None, iface=first.pop()
    )
    wrong = [_marked_otherwise(outcome, one) for one in decisions]
    return None if None in wrong else f"{_happened(outcome)}; {'; '.join(str(one) for one in wrong)}"


def _marked_otherwise(outcome: Outcome, one: RouteDecision) -> str | None:
    outs = {step.out_iface for step in outcome.own.steps if step.hook is Hook.POSTROUTING}
    if one.kind is RouteKind.UNKNOWN:
        return None if is_expected_doubt(one) else _said(one)
    if one.errno is not None:
        return None if outcome.errno == one.errno and not outs else _said(one)
    if one.kind is RouteKind.NO_ROUTE or outcome.errno is not None:
        return None if not outs else _said(one)
    return None if outs == {one.iface} else _said(one)


# --- translating -------------------------------------------------------------------------------------------------


def translations(rng: random.Random, listening: Listening, count: int) -> Iterable[Question]:
    """Arriving UDP packets that meet REDIRECT or MASQUERADE, each of a connection of its own."""
    for number, question in enumerate(arrivals(rng, listening, count)):
        port = rng.choice((_TRANSLATED_PORT, _REDIRECTED_PORT))
        if question.src:
            yield replace(question, proto=UDP, mark=0, sport=1000 + number, dport=port)


def translate(listening: Listening, question: Question) -> str | None:
    """Lets a packet arrive under `TRANSLATING`; what is wrong with the simulator's addresses, else None."""
    outcome = listening.node.inject(Given(format_packet(packet_of(question)), question.iif))
    router = listening.routers[question.family]
    if question.dport == _REDIRECTED_PORT:
        return _redirected_otherwise(router, question, outcome)
    return _masqueraded_otherwise(router, question, outcome)


def _redirected_otherwise(router: Router, question: Question, outcome: Outcome) -> str | None:
    expected = router.redirect_address(question.iif, question.dst)
    delivered = any(step.hook is Hook.INPUT for step in outcome.own.steps)
    if not delivered or outcome.own.last is None:
        return None
    target = parse_packet(outcome.own.last).dst
    return None if target == expected else f"{_happened(outcome)}: expected {_address(question.family, expected)}"


def _masqueraded_otherwise(router: Router, question: Question, outcome: Outcome) -> str | None:
    if not any(step.hook is Hook.POSTROUTING for step in outcome.own.steps):
        return None
    wrong = []
    for one in router.route_input(packet_of(question), question.iif, 0):
        if one.kind is RouteKind.UNKNOWN or one.iface == "lo":
            # What leaves by lo comes in again and again until its time is over.
            return None
        if one.kind is not RouteKind.UNICAST or one.iface is None:
            continue
        source = router.masquerade_address(one.iface, one.next_hop, question.dst)
        sent = [(departure.iface, parse_packet(departure.data).src) for departure in outcome.sent]
        if sent == ([] if source is None else [(one.iface, source)]):
            return None
        wrong.append(f"{_happened(outcome)}: expected {_address(question.family, source)} by {one.iface}")
    return "; ".join(wrong) or None
