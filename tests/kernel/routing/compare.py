"""Whether the simulator's decisions fit what the kernel answered."""

from __future__ import annotations

from tests.kernel.routing.question import Answer, Question
from tortie.net.address import IPFamily
from tortie.net.node import RouteType
from tortie.net.packet import Packet
from tortie.simulator.route import RouteDecision, RouteKind, Router

_KIND = {
    RouteKind.LOCAL: ("local", "anycast"),
    RouteKind.BROADCAST: ("broadcast",),
    RouteKind.MULTICAST: ("multicast",),
    RouteKind.UNICAST: ("unicast",),
}
_NUMBERS = {"local": 255, "main": 254, "default": 253}


def packet_of(question: Question) -> Packet:
    """The packet that the kernel makes up for a question."""
    return Packet(
        question.family, question.src, question.dst, question.proto, question.sport, question.dport, tos=question.tos
    )


def decide(router: Router, question: Question) -> tuple[RouteDecision, ...]:
    """The simulator's answer."""
    if question.iif:
        return router.route_input(packet_of(question), question.iif, question.mark)
    return router.route_output(
        question.dst, question.src, mark=question.mark, tos=question.tos, out_iface=question.oif or None, uid=question.uid,
        proto=question.proto, sport=question.sport, dport=question.dport, any_source=False, bound=False,
    )  # fmt: skip


def disagreement(question: Question, answer: Answer, decisions: tuple[RouteDecision, ...]) -> str | None:
    """What is wrong with the decisions, or None when one of them is the kernel's answer."""
    reasons = [_differs(question, answer, one) for one in decisions]
    if not decisions:
        return "no decision"
    return None if None in reasons else f"{answer}; " + "; ".join(str(reason) for reason in reasons)


def is_expected_doubt(one: RouteDecision) -> bool:
    """True for what no dump tells: group memberships, the age of strange routes, the multipath hash."""
    return any(words in one.why for words in ("joined", "was added", "suppresses some"))


def _differs(question: Question, answer: Answer, one: RouteDecision) -> str | None:
    text = f"said {one.kind.value} ({one.why}; {one.errno} {one.iface} {one.next_hop})"
    if one.kind is RouteKind.UNKNOWN:
        return None if is_expected_doubt(one) else text
    if question.family is IPFamily.V6 and answer.errno and not question.src and not question.iif and one.source is not None:
        # Sending chooses a source and looks again where the kernel's answer to this question ends (ip6_dst_lookup_tail).
        return None
    if one.errno == "EADDRNOTAVAIL":
        # The question ends before a source is chosen, which then fails.
        return None if answer.source is None else text
    if one.why.endswith("by way of lo refuse"):
        return None if answer.device == "lo" and not answer.errno else text
    expected = _expected_errno(question, one)
    if expected is not None:
        return None if answer.errno == expected else text
    if question.family is IPFamily.V6 and question.iif and one.kind is RouteKind.MARTIAN:
        # ip6_route_input comes before ip6_forward, which is where IPv6 refuses.
        return None if answer.kind == "unicast" else text
    if answer.errno == "EMSGSIZE" and one.kind is RouteKind.MULTICAST and question.family is IPFamily.V6:
        # The answer would hold multicast routing's part, which fails without a daemon (ip6mr_get_route).
        return None
    kinds = _KIND[one.kind]
    if one.kind is RouteKind.MULTICAST and one.route is not None:
        # IPv6 groups may be sent by any route.
        kinds = (*kinds, one.route.type.value)
    if one.kind is RouteKind.UNICAST and one.route is not None and one.route.type is RouteType.ANYCAST:
        # Anycast routes that somebody added take packets of the node out of their device.
        kinds = ("anycast",)
    if one.kind is RouteKind.UNICAST and one.route is not None and one.route.type is RouteType.UNICAST:
        # A cached answer for a group is used for others by the same next hop, wrong type and all (__mkroute_output).
        kinds = (*kinds, "multicast")
    if one.kind is RouteKind.UNICAST and one.route is not None and one.route.type is RouteType.BROADCAST:
        # Passed on because of bc_forwarding.
        kinds = ("broadcast",)
    if one.iface == "lo":
        # Whatever leaves by lo comes back; the kernel keeps the route's own type.
        kinds = (*kinds, "unicast", "broadcast", "multicast")
    if answer.errno or answer.kind not in kinds:
        return text
    if one.table is not None and answer.table and answer.table not in _table_numbers(question.family, one.table):
        return f"table {one.table}: {text}"
    if one.kind is RouteKind.UNICAST or not question.iif:
        if (answer.device, answer.gateway) != (one.iface, one.gateway):
            return f"device {one.iface}, gateway {one.gateway}: {text}"
    # For IPv6 the kernel adds the source it would choose even where one is given.
    if not question.iif and answer.source is not None and answer.source != one.source:
        if not (question.family is IPFamily.V6 and question.src):
            return f"source {one.source}: {text}"
    return None


def _table_numbers(family: IPFamily, table: str) -> tuple[int, ...]:
    """IPv4 says main for local as long as the two are one tree."""
    number = _NUMBERS.get(table) or int(table)
    return (255, 254) if family is IPFamily.V4 and number == 255 else (number,)


def _expected_errno(question: Question, one: RouteDecision) -> str | None:
    if one.kind in _KIND:
        return None
    if not question.iif:
        return one.errno
    if question.family is IPFamily.V6:
        return None if one.kind is RouteKind.MARTIAN else one.errno
    if one.drop_reason == "IP_INADDRERRORS":
        return "EHOSTUNREACH"
    return "EINVAL" if one.kind is RouteKind.MARTIAN else one.errno
