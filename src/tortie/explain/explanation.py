"""The front door: a walk and what the node should have in, policy behind the walk and ways out.

    basis + snapshot  →  Explainer
    answer             →  attribute  →  Explanation: policy behind the walk
    question + answer  →  explain    →  Explanation, with changes that were tried

Attribution is of the walk as it happened on the node. Where rules or sets of the node are not what the resources mean,
that is said; and what policy says of a dropped packet is then told of the node as these resources have it, since nothing
else can be changed by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tortie.explain.basis import Basis
from tortie.explain.cause import POLICY_HELPS, CauseKind, allowances
from tortie.explain.miss import End
from tortie.explain.origin import ChainOrigin, Origins, RuleOrigin, Stage
from tortie.explain.party import Parties
from tortie.explain.search import Found, Solution, find_solutions, situation_of
from tortie.explain.stale import Differences, find_differences
from tortie.explain.verdict import PolicyVerdict, place_text
from tortie.explain.world import Answer, Question, World, ask
from tortie.model import v1
from tortie.net.address import Address
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.trace import NatStep, RouteStep, RuleStep, Trace, Verdict


@dataclass(frozen=True, slots=True)
class EndSaid:
    """Who is behind an address or an interface of a packet; `who` is empty when the resources do not tell."""

    what: str
    """`source`, `destination`, either of them `after NAT`, `in`, `out`."""
    name: str
    """The address or interface."""
    who: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowed:
    """A rule that allowed the packet at an endpoint."""

    endpoint: ChainOrigin | None
    by: RuleOrigin
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Policy behind a walk; `verdict` is None for a packet that gets through, `which` says which packet is dropped."""

    node: str
    differences: Differences
    ends: tuple[EndSaid, ...]
    allowed: tuple[Allowed, ...] = ()
    verdict: PolicyVerdict | None = None
    which: str = "first"
    when: tuple[str, ...] = ()
    """What has to happen for the packet to be dropped, where that is a matter of chance."""
    solutions: tuple[Solution, ...] = ()
    exhausted: bool = True
    beyond: PolicyVerdict | None = None
    """Where the packet would be dropped next, whatever policy says, if it were allowed here."""
    passes_as_meant: bool = False
    """True when the packet is dropped on the node and would get through with rules as the resources mean them."""


class Explainer:
    """Explains walks over one snapshot; what they have in common is found once. The walks hold their steps."""

    def __init__(self, basis: Basis, snapshot: Snapshot) -> None:
        self.basis = basis
        self.origins = Origins(basis)
        self._snapshot = snapshot
        self._differences = find_differences(basis.rendering, snapshot)
        self._parties = Parties(basis.resources, felix_exact=basis.config.felix_exact)

    def attribute(self, answer: Answer) -> Explanation:
        """Policy behind a walk, as it happened on the node; no change is tried that would let the packet through."""
        basis, dropped = self.basis, answer.dropped
        first = dropped if dropped is not None and answer.which == "first" else answer.first.trace
        # A workload whose interface has two of the configured prefixes is asked twice.
        allowing = allowances(first, self.origins, basis.naming)
        allowed = tuple(dict.fromkeys(Allowed(at, by, _allowed_text(at, by)) for at, by in allowing))
        told = Explanation(basis.node, self._differences, tuple(_ends(first, basis, self._parties)), allowed)
        if dropped is None:
            return told if answer.first.verdict is Verdict.ACCEPT else replace(told, allowed=())
        situation = situation_of(answer, basis, self._parties, self.origins)
        assert situation is not None, "something is dropped"
        when = _conditions(dropped)
        return replace(told, verdict=situation.verdict, which=answer.which, when=when, exhausted=False)

    def explain(self, question: Question, answer: Answer) -> Explanation:
        """The same, and the smallest changes that would let a dropped packet through."""
        told = replace(self.attribute(answer), exhausted=True)
        if told.verdict is None or self._differences.absent:
            return told
        basis, world = self.basis, World(self.basis, self._snapshot)
        meant = ask(question, world.node(basis))
        as_meant = situation_of(meant, basis, self._parties, self.origins)
        if as_meant is None:
            verdict = _dropped_against_resources(told.verdict, passes=meant.passes)
            return replace(told, verdict=verdict, passes_as_meant=meant.passes)
        found = Found()
        if as_meant.verdict.kind in POLICY_HELPS:
            found = find_solutions(world, question, as_meant)
        return replace(
            told,
            verdict=as_meant.verdict,
            which=meant.which,
            when=() if meant.dropped is None else _conditions(meant.dropped),
            solutions=found.solutions,
            exhausted=found.exhausted,
            beyond=found.beyond,
        )


def _conditions(trace: Trace) -> tuple[str, ...]:
    return tuple(condition.text for condition in trace.conditions if not condition.assumed)


def _dropped_against_resources(verdict: PolicyVerdict, *, passes: bool) -> PolicyVerdict:
    """For a packet that the node drops and would not drop if it had the rules of these resources."""
    does = "would let it through" if passes else "would not certainly drop it"
    text = f"the node drops it, and rules as these resources mean them {does}"
    return replace(verdict, kind=CauseKind.NOT_RENDERED, text=text, asked=(), denied_by=None)


# --- who and what ------------------------------------------------------------------------------------------------


def _ends(trace: Trace, basis: Basis, parties: Parties) -> Iterator[EndSaid]:
    """Both ends as they came, what address translation made of them, and the interfaces as far as the packet got."""
    packet = trace.packet
    for what, addresses in (("source", _values(trace, End.SOURCE)), ("destination", _values(trace, End.DESTINATION))):
        for number, value in enumerate(addresses):
            address = Address(packet.family, value)
            yield EndSaid(f"{what} after NAT" if number else what, str(address), tuple(_who(address, basis, parties)))
    for what, name in (("in", trace.in_iface), ("out", _out_iface(trace))):
        if name:
            yield EndSaid(what, name, tuple(_behind(name, basis, parties)))


def _values(trace: Trace, end: End) -> list[int]:
    """An end's addresses in the order in which the packet had them; mostly one."""
    packets = [trace.packet]
    for step in trace.steps:
        if isinstance(step, RuleStep) and step.matched:  # misses may say no more than the chain
            packets.append(step.packet)
        elif isinstance(step, NatStep):
            packets.append(step.after)
    if trace.out is not None:
        packets.append(trace.out.packet)
    return list(dict.fromkeys(packet.src if end is End.SOURCE else packet.dst for packet in packets))


def _out_iface(trace: Trace) -> str | None:
    """Where the packet leaves, or would have left."""
    if trace.out is not None:
        return trace.out.iface
    ways = [step.decision.iface for step in trace.steps if isinstance(step, RouteStep)]
    return ways[-1] if ways else None


def _who(address: Address, basis: Basis, parties: Parties) -> Iterator[str]:
    """Everybody who has an address: endpoints, then nodes, then network sets and pools."""
    found = parties.at(address)
    for party in found:
        if isinstance(party.value, v1.Workload):
            where = "" if party.value.node == basis.node else f" on {party.value.node}"
            yield f"{party.title}{where}"
    floating = parties.floating(address)
    if floating is not None:
        yield f"floating address of {floating.title}"
    node = parties.node_at(address)
    if node is not None:
        yield "this node" if node == basis.node else f"node {node}"
    for party in found:
        if isinstance(party.value, v1.HostEndpoint):
            yield party.title
        elif isinstance(party.value, v1.NetworkSet):
            yield f"in {party.title}"


def _behind(interface: str, basis: Basis, parties: Parties) -> Iterator[str]:
    workload = parties.workload_at(basis.node, interface)
    if workload is not None:
        yield workload.title
    for endpoint in basis.view.host_endpoints:
        if endpoint.interface == interface:
            yield f"HostEndpoint {endpoint.id}"


def _allowed_text(endpoint: ChainOrigin | None, by: RuleOrigin) -> str:
    place = "" if endpoint is None else f"{place_text(endpoint)}: "
    if by.rule is None or by.chain is None:
        forward = endpoint is not None and endpoint.stage is Stage.FORWARD
        return f"{place}{'no policy applies to forwarded traffic, so it passes' if forward else 'let through'}"
    return f"{place}{by.chain.title} rule {by.rule} allows it"
