"""Routing as a step of a walk: choosing among possible routes, routing again, and what a refusal means.

`route` answers questions about the node's tables; here its answers become steps, choices and ends of a walk.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.simulator.answer import DoubtKind
from tortie.simulator.choice import Choice
from tortie.simulator.device import LOOPBACK
from tortie.simulator.route import RouteDecision, RouteKind, Router
from tortie.simulator.run import Ended, Run
from tortie.simulator.skb import Skb
from tortie.simulator.trace import Cause, DecidedBy, Disposition, RouteStep, Verdict

DELIVERED_KINDS = frozenset({RouteKind.LOCAL, RouteKind.BROADCAST, RouteKind.MULTICAST})
_PASSING = DELIVERED_KINDS | {RouteKind.UNICAST}


def choose_route(run: Run, skb: Skb, decisions: tuple[RouteDecision, ...], stage: str) -> RouteDecision:
    """Takes one of the possible decisions, notes it as a step, and collects what it assumes."""
    decision = decisions[0]
    if len(decisions) > 1:
        kind = DoubtKind.UNKNOWN if any(d.missing for d in decisions) else DoubtKind.CHANCE
        chances = tuple(d.probability for d in decisions)
        choice = Choice(
            kind,
            "route",
            tuple(d.option for d in decisions),
            tuple(d.condition for d in decisions),
            None if None in chances else tuple(chance for chance in chances if chance is not None),
        )
        decision = decisions[run.chooser.choose(choice)]
        if decision.kind is RouteKind.UNICAST or decision.kind is RouteKind.LOCAL:
            run.learned.note_local(skb.packet.dst, holds=decision.kind is RouteKind.LOCAL)
    for text in decision.assumptions:
        run.assume(text)
    if run.steps is not None:
        run.steps.append(RouteStep(stage, decision, skb.mark))
    return decision


def without_routes(run: Run, skb: Skb, router: Router, decisions: tuple[RouteDecision, ...]) -> tuple[RouteDecision, ...]:
    """Answers of a snapshot that holds no routes: the caller's output device if one was named, else every possibility."""
    unknown = decisions[0]
    if unknown.kind is not RouteKind.UNKNOWN or router.knows_routes:
        return decisions
    onward = replace(unknown, kind=RouteKind.UNICAST, iface=skb.bound_iface, next_hop=None, missing=True)
    if skb.bound_iface is not None:
        text = f"the packet leaves by {skb.bound_iface}, as was said: {unknown.why}"
        return (replace(onward, assumptions=(*onward.assumptions, text)),)
    if skb.local_output or router.knows_addresses:
        text = f"the packet is routed on by a device that is not known: {unknown.why}"
        return (replace(onward, assumptions=(*onward.assumptions, text)),)
    local = replace(unknown, kind=RouteKind.LOCAL, iface=LOOPBACK, missing=True)
    settled = run.learned.is_local(skb.packet.dst)
    if settled is not None and not run.chooser.assumes("route"):
        return (local if settled else onward,)
    return (
        replace(onward, option="forward", condition=f"the packet is for another machine ({unknown.why})"),
        replace(local, option="local", condition=f"the packet is for this node ({unknown.why})"),
    )


def reroute(run: Run, skb: Skb, router: Router, why: str) -> None:
    """Routes a local packet again (spec: netfilter 2.5); raises `Ended` when there is no way for it now."""
    found = router.route_again(
        skb.packet,
        mark=skb.mark,
        uid=skb.socket.uid if skb.socket is not None else None,
        bound_iface=skb.bound_iface if _is_bound(skb) else None,
        iface=skb.route.iface if skb.route is not None else None,
    )
    decision = choose_route(run, skb, without_routes(run, skb, router, found), f"re-route: {why}")
    if decision.kind not in _PASSING:
        raise refused_output(decision)
    skb.route = decision


def route_local_packet(run: Run, skb: Skb, router: Router) -> tuple[RouteDecision, ...]:
    """The ways for a packet that the node sends, with what its socket and mark say."""
    packet = skb.packet
    found = router.route_output(
        packet.dst,
        packet.src,
        mark=skb.mark,
        tos=packet.tos,
        out_iface=skb.bound_iface,
        uid=skb.socket.uid if skb.socket is not None else None,
        proto=packet.proto,
        sport=packet.sport,
        dport=packet.dport,
        bound=_is_bound(skb),
    )
    return without_routes(run, skb, router, found)


def _is_bound(skb: Skb) -> bool:
    """False for the kernel's own sockets: they are bound to no device, and may only ask for one (icmpv6_echo_reply)."""
    return skb.socket is None or skb.socket.has_file


def passes(decision: RouteDecision) -> bool:
    """True when the packet goes on."""
    return decision.kind in _PASSING


def refused_output(decision: RouteDecision) -> Ended:
    """The end of a local packet that cannot be routed: its sender gets an error."""
    where = DecidedBy(Cause.MISSING if decision.kind is RouteKind.UNKNOWN else Cause.ROUTE, decision.why)
    if decision.kind is RouteKind.UNKNOWN:
        return Ended(Verdict.UNKNOWN, where, disposition=Disposition.UNKNOWN)
    return Ended(Verdict.DROP, where, errno=decision.errno)


def refused_input(decision: RouteDecision) -> Ended:
    """The end of a packet that arrived and that routing refuses."""
    if decision.kind is RouteKind.UNKNOWN:
        return Ended(Verdict.UNKNOWN, DecidedBy(Cause.MISSING, decision.why), disposition=Disposition.UNKNOWN)
    cause = Cause.ROUTE
    if decision.drop_reason == "IP_RPFILTER":
        cause = Cause.RP_FILTER
    elif decision.sysctl is not None:
        cause = Cause.SYSCTL
    elif decision.kind is RouteKind.MARTIAN:
        cause = Cause.HEADER
    return Ended(Verdict.DROP, DecidedBy(cause, decision.why))
