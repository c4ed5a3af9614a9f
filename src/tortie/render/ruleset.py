"""Everything a node should have: whole tables of both families, hooks into the kernel's chains, ip sets.

`render_node` is the renderer's front door: a `NodeView` and what the node says of itself go in, a `Rendering` comes out.
The chains in it are complete and only ours; the rules for the kernel's own chains are apart, because foreign rules live
there too. Chains that are the same in several tables or families are one object. Nothing depends on the order of the
view's tuples or on what was rendered before, except endpoint marks that are held on to (`marks`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from tortie.calc.view import NodeView, WorkloadEndpoint
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.render.chains import NodeChains, Parts
from tortie.render.completeness import Completeness
from tortie.render.config import RenderConfig
from tortie.render.hash import numbered_rules
from tortie.render.host_endpoint import ResolvedHosts, resolve_host_endpoints
from tortie.render.ipset import NodeSets
from tortie.render.marks import allocate_endpoint_marks
from tortie.render.memory import Kept, Same
from tortie.render.state import NodeState, RenderContext, render_context
from tortie.render.static import hook_rules

OUR_TABLES = (TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER)

_POSSIBLE_INTERFACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:@=,~-]{0,14}")
"""Interface names that a rule can hold unmistaken: 15 bytes, no blank, quote or `/`, and no `+`, which makes a prefix."""

_HOOKS: Mapping[TableName, Mapping[str, tuple[Rule, ...]]] = {
    name: {chain: numbered_rules(chain, rules) for chain, rules in hook_rules(name).items()} for name in OUR_TABLES
}
_Place: TypeAlias = tuple[IPFamily, TableName]


@dataclass(frozen=True, slots=True)
class RenderedTable:
    """One table: `chains` are ours and complete, `hooks` are our rules in the kernel's chains."""

    name: TableName
    chains: Mapping[str, Chain]
    hooks: Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class RenderedFamily:
    """All tables and sets of one family; with `append_hooks` our rules go behind foreign ones, else in front."""

    family: IPFamily
    tables: Mapping[TableName, RenderedTable]
    ip_sets: Mapping[str, IPSet]
    append_hooks: bool


_FamilyParts: TypeAlias = tuple[Mapping[TableName, RenderedTable], Mapping[str, IPSet]]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a node should have; `remarks` say what of the view could not be put into rules."""

    families: Mapping[IPFamily, RenderedFamily]
    endpoint_marks: Mapping[str, int]
    remarks: tuple[str, ...] = ()


class Renderer:
    """Renders a node again and again, one change after the other, and makes only what is not as it was.

    Nothing of the output depends on what was rendered before; what is the same as last time is the same object (`memory`).
    """

    def __init__(self) -> None:
        self._context: RenderContext | None = None
        self._kept: _Kept | None = None

    def render(self, view: NodeView, state: NodeState, config: RenderConfig) -> Rendering:
        """The same as `render_node`."""
        context = render_context(config, state)
        if self._kept is None or self._context != context:
            self._context, self._kept = context, _Kept(context)
        return self._kept.render(view, state)


def render_node(view: NodeView, state: NodeState, config: RenderConfig) -> Rendering:
    """Renders everything for one node.

    Raises `InvalidInput` when the mark mask is too small, and `ValueError` when the view names what it does not contain.
    """
    return Renderer().render(view, state, config)


def complete_ruleset(rendered: RenderedFamily, backend: Backend, around: Ruleset | None = None) -> Ruleset:
    """The ruleset that the kernel holds once a family is programmed into `around`, or into nothing.

    Foreign chains and rules stay where they are, kernel chains that are missing get the policy ACCEPT, and what `around`
    holds in chains of our names is replaced. Rules of ours from an earlier run in foreign chains are the reconciler's.
    """
    tables: dict[TableName, Table] = dict(around.tables) if around is not None else {}
    for name, ours in rendered.tables.items():
        old = tables.get(name, Table(name, {}))
        chains = {hook.value: Chain(hook.value, policy="ACCEPT") for hook in BUILTIN_CHAINS[name]} | dict(old.chains)
        for hooked, rules in ours.hooks.items():
            foreign = chains[hooked].rules
            chains[hooked] = replace(
                chains[hooked], rules=(*foreign, *rules) if rendered.append_hooks else (*rules, *foreign)
            )
        tables[name] = replace(old, chains=chains | dict(ours.chains))
    return Ruleset(rendered.family, backend, tables)


def _usable_workloads(
    endpoints: Iterable[WorkloadEndpoint], config: RenderConfig
) -> tuple[dict[str, WorkloadEndpoint], list[str]]:
    """Workloads by interface, sorted by name; of several on one interface the one with the lowest id.

    An interface that no rule can name is left out, so that its traffic is dropped as that of an unknown one; Felix writes
    such a name into a rule that iptables then refuses or takes for a prefix.
    """
    found: dict[str, WorkloadEndpoint] = {}
    remarks = []
    for endpoint in sorted(endpoints, key=lambda endpoint: (endpoint.interface, endpoint.id)):
        if not config.felix_exact and not _POSSIBLE_INTERFACE.fullmatch(endpoint.interface):
            remarks.append(f"workload {endpoint.id.workload}: no rule can name the interface {endpoint.interface!r}")
        elif endpoint.interface in found:
            remarks.append(
                f"workload {endpoint.id.workload}: its interface {endpoint.interface} belongs to "
                f"{found[endpoint.interface].id.workload}"
            )
        else:
            found[endpoint.interface] = endpoint
    return found, remarks


class _Kept:
    """Everything that is kept from one rendering to the next, in one context."""

    def __init__(self, context: RenderContext) -> None:
        self._context = context
        config = context.config
        self._completeness = Completeness()
        self._workloads: Same[tuple[dict[str, WorkloadEndpoint], list[str]]] = Same()
        self._hosts: Same[ResolvedHosts] = Same()
        self._chains = NodeChains(context)
        self._tables: Kept[_Place, Mapping[str, Chain], RenderedTable] = Kept(_rendered_table)
        self._sets = {family: NodeSets(config, family) for family in config.families}
        self._families: Kept[IPFamily, _FamilyParts, RenderedFamily] = Kept(self._family)

    def render(self, view: NodeView, state: NodeState) -> Rendering:
        self._completeness.check(view)
        config, context = self._context.config, self._context
        workloads, remarks = self._workloads.of((view.workloads,), lambda: _usable_workloads(view.workloads, config))
        hosts = self._hosts.of(
            (view.host_endpoints, state.interfaces),
            lambda: resolve_host_endpoints(view.host_endpoints, state.interfaces, config),
        )
        marks: dict[str, int] = {}
        if context.ipvs:
            marks = allocate_endpoint_marks(context.bits.endpoint, (*workloads, *hosts.by_interface), state.endpoint_marks)
        parts = Parts(view.policies, view.profiles, view.pools, workloads, hosts, marks)
        places = [(family, name) for family in config.families for name in OUR_TABLES]
        chains = {(family, name): self._chains.table(name, family, parts) for family, name in places}
        tables = self._tables.renew(chains)
        families = self._families.renew(
            {
                family: ({name: tables[family, name] for name in OUR_TABLES}, self._sets[family].of(view, state))
                for family in config.families
            }
        )
        return Rendering(families, marks, tuple(remarks))

    def _family(self, family: IPFamily, parts: _FamilyParts, _last: object) -> RenderedFamily:
        tables, ip_sets = parts
        return RenderedFamily(family, tables, ip_sets, append_hooks=self._context.config.chain_insert_mode == "append")


def _rendered_table(place: _Place, chains: Mapping[str, Chain], _last: object) -> RenderedTable:
    name = place[1]
    return RenderedTable(name, chains, _HOOKS[name])
