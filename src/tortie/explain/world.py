"""The node as it would be with other resources: the same interfaces, routes and foreign rules, our chains and sets anew.

Whatever is to be shown as a way to let a packet through is put into practice here first: the changed resources go the
ordinary way through calculation and rendering, and what comes out takes the place of our chains and sets in the snapshot.
Kernel chains keep their rules and their order, since no resource changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tortie.calc.calculation import Calculation
from tortie.calc.view import NodeView
from tortie.explain.basis import Basis
from tortie.explain.origin import tracked
from tortie.model import v1
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources, key_of
from tortie.model.resource import Resource
from tortie.model.resource_conversion import resource_to_v1
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.render import names
from tortie.render.ruleset import RenderedFamily, Renderer, Rendering
from tortie.simulator.flow import Flow, walk_flow
from tortie.simulator.trace import Trace, Verdict, Walk
from tortie.simulator.walk import Arrival, Node, walk


@dataclass(frozen=True, slots=True)
class Question:
    """A packet as it meets the node; `one` leaves the answer to it out of account."""

    arrival: Arrival
    clock_s: float = 0.0
    assume: Mapping[str, str] = field(default_factory=dict)
    one: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a packet, and, where it was asked for, of the conversation."""

    first: Walk
    flow: Flow | None = None

    @property
    def dropped(self) -> Trace | None:
        """The packet that does not get through: the first, the answer to it, or the next; None when there is none.

        Where that is a matter of chance it is the first outcome in which it does not.
        """
        found = self._dropped()
        return None if found is None else found[1]

    @property
    def which(self) -> str:
        """Which packet that is: `first`, `answer` or `next`."""
        found = self._dropped()
        return "first" if found is None else found[0]

    def _dropped(self) -> tuple[str, Trace] | None:
        walks = [("first", self.first)]
        if self.flow is not None:
            walks += [
                (name, one) for name, one in (("answer", self.flow.reply), ("next", self.flow.again)) if one is not None
            ]
        for name, one in walks:
            if one.verdict is Verdict.UNKNOWN:
                return None
            for trace in one.outcomes:
                if trace.verdict in (Verdict.DROP, Verdict.REJECT):
                    return name, trace
        return None

    @property
    def passes(self) -> bool:
        """True when the packet certainly gets through and nothing is known to be against the conversation."""
        return self.first.verdict is Verdict.ACCEPT and (self.flow is None or self.flow.works is not False)


def ask(question: Question, node: Node) -> Answer:
    """Walks the packet, and the conversation, through a node."""
    session = node.session(clock_s=question.clock_s)
    if question.one:
        return Answer(walk(node, question.arrival, session, assume=question.assume, keep_misses=False))
    flow = walk_flow(node, question.arrival, session, assume=question.assume, keep_misses=False)
    return Answer(flow.first, flow)


def with_resources(resources: Resources, changed: Iterable[Resource]) -> Resources:
    """The resources with some of them changed, or added."""
    by_kind = dict(resources.by_kind)
    for one in changed:
        name = one.metadata.namespace, one.metadata.name
        by_kind[type(one)] = {**by_kind.get(type(one), {}), name: one}
    return replace(resources, by_kind=by_kind)


class World:
    """Nodes that differ from one in some resources; what is the same again is not made again."""

    def __init__(self, basis: Basis, snapshot: Snapshot) -> None:
        self._basis = basis
        self._snapshot = snapshot
        self._renderer = Renderer()
        self._calculation: Calculation | None = None

    def basis(self, changed: Iterable[Resource] = ()) -> Basis:
        """What the node should have with some resources changed."""
        given = list(changed)
        basis = self._basis
        if not given:
            return basis
        view = self._view(given)
        rendering = self._renderer.render(view, basis.state, basis.config)
        return replace(
            basis,
            resources=with_resources(basis.resources, given),
            cluster=_with_values(basis.cluster, given, felix_exact=basis.config.felix_exact),
            view=view,
            rendering=rendering,
        )

    def node(self, basis: Basis) -> Node:
        """The node with everything as a basis has it."""
        return Node.from_snapshot(programmed(self._snapshot, basis.rendering))

    def _view(self, changed: Iterable[Resource]) -> NodeView:
        """The view with some resources changed; the calculation is then told what they are again."""
        basis = self._basis
        if self._calculation is None:
            self._calculation = Calculation(basis.node, felix_exact=basis.config.felix_exact)
            self._calculation.configure(felix_parameters(basis.resources, basis.node))
            for resource in basis.resources:
                self._calculation.update(key_of(resource), resource)
            self._calculation.flush()
        calculation = self._calculation
        given = {key_of(resource): resource for resource in changed}
        for key, resource in given.items():
            calculation.update(key, resource)
        calculation.flush()
        view = calculation.view()
        for key, resource in given.items():
            calculation.update(key, basis.resources.get(type(resource), key.name, key.namespace))
        calculation.flush()
        return view


def _with_values(cluster: v1.Cluster, changed: Iterable[Resource], *, felix_exact: bool) -> v1.Cluster:
    """The cluster with the rules of changed resources in place of theirs; of endpoints and sets no one here asks it."""
    for resource in changed:
        match resource_to_v1(resource, felix_exact=felix_exact):
            case v1.Policy() as policy:
                policies = [one for one in cluster.policies if one.name != policy.name]
                cluster = replace(cluster, policies=(*policies, policy))
            case v1.Profile() as profile:
                profiles = [one for one in cluster.profiles if one.name != profile.name]
                cluster = replace(cluster, profiles=(*profiles, profile))
            case _:
                pass
    return cluster


def programmed(snapshot: Snapshot, rendering: Rendering) -> Snapshot:
    """The snapshot with our chains and sets as rendered; a back-end without chains of ours stays as it is."""
    rulesets = tuple(
        _reprogrammed(ruleset, rendering.families[ruleset.family])
        if ruleset.family in rendering.families and holds_ours(ruleset)
        else ruleset
        for ruleset in snapshot.rulesets
    )
    sets: dict[str, IPSet] = {
        name: one for name, one in (snapshot.ip_sets or {}).items() if not name.startswith(_SET_PREFIXES)
    }
    for family in rendering.families.values():
        sets |= family.ip_sets
    return replace(snapshot, rulesets=rulesets, ip_sets=sets)


_SET_PREFIXES = ("cali4", "cali6", "felix-")


def holds_ours(ruleset: Ruleset) -> bool:
    """True when a ruleset has chains of ours."""
    return any(name.startswith(names.OUR_CHAIN_PREFIXES) for table in ruleset.tables.values() for name in table.chains)


def _reprogrammed(ruleset: Ruleset, made: RenderedFamily) -> Ruleset:
    tables = dict(ruleset.tables)
    for name, ours in made.tables.items():
        old = tables.get(name)
        if old is None:
            continue
        chains = {known: one for known, one in old.chains.items() if not known.startswith(names.OUR_CHAIN_PREFIXES)}
        for hooked, rules in ours.hooks.items():
            chain = chains.get(hooked, Chain(hooked, policy="ACCEPT"))
            if not tracked(chain.rules):
                both = (*chain.rules, *rules) if made.append_hooks else (*rules, *chain.rules)
                chains[hooked] = replace(chain, rules=both)
        tables[name] = replace(old, chains=chains | dict(ours.chains))
    return replace(ruleset, tables=tables)
