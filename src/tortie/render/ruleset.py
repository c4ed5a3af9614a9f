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

from tortie.calc.view import ActivePolicy, ActiveProfile, NodeView, WorkloadEndpoint
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.render import dispatch, names
from tortie.render.config import RenderConfig
from tortie.render.endpoint import EndpointRenderer, policy_chain, profile_chain
from tortie.render.hash import numbered_chain, numbered_rules
from tortie.render.host_endpoint import ResolvedHosts, resolve_host_endpoints
from tortie.render.ipset import ip_sets
from tortie.render.marks import allocate_endpoint_marks
from tortie.render.nat import nat_chains
from tortie.render.policy import policy_rules, profile_rules
from tortie.render.state import NodeState, RenderContext, render_context
from tortie.render.static import hook_rules, static_chains
from tortie.render.text import FelixRule

OUR_TABLES = (TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER)

_POSSIBLE_INTERFACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:@=,~-]{0,14}")
"""Interface names that a rule can hold unmistaken: 15 bytes, no blank, quote or `/`, and no `+`, which makes a prefix."""

FelixChains = dict[str, list[FelixRule]]


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


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a node should have; `remarks` say what of the view could not be put into rules."""

    families: Mapping[IPFamily, RenderedFamily]
    endpoint_marks: Mapping[str, int]
    remarks: tuple[str, ...] = ()


def render_node(view: NodeView, state: NodeState, config: RenderConfig) -> Rendering:
    """Renders everything for one node.

    Raises `InvalidInput` when the mark mask is too small, and `ValueError` when the view names what it does not contain.
    """
    _check_references(view)
    workloads, remarks = _usable_workloads(view.workloads, config)
    context = render_context(config, state)
    hosts = resolve_host_endpoints(view.host_endpoints, state.interfaces, config)
    marks: dict[str, int] = {}
    if context.ipvs:
        marks = allocate_endpoint_marks(context.bits.endpoint, (*workloads, *hosts.by_interface), state.endpoint_marks)
    shared = _Shared(context, view, workloads, hosts, marks)
    families = {
        family: RenderedFamily(
            family,
            {name: shared.table(name, family) for name in OUR_TABLES},
            ip_sets(view, state, config, family),
            append_hooks=config.chain_insert_mode == "append",
        )
        for family in config.families
    }
    return Rendering(families, marks, tuple(remarks))


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


def _check_references(view: NodeView) -> None:
    """Chains and sets must exist before rules that name them: a view that names more than it has is a mistake of ours."""
    tiers = [tier for endpoint in view.workloads for tier in endpoint.tiers]
    for host in view.host_endpoints:
        tiers += [*host.tiers, *host.untracked_tiers, *host.pre_dnat_tiers, *host.forward_tiers]
    _require("policy", {name for tier in tiers for name in (*tier.ingress, *tier.egress)}, {p.name for p in view.policies})
    lists = [endpoint.profiles for endpoint in view.workloads] + [endpoint.profiles for endpoint in view.host_endpoints]
    _require("profile", {name for names_ in lists for name in names_}, {profile.name for profile in view.profiles})
    owners: list[ActivePolicy | ActiveProfile] = [*view.policies, *view.profiles]
    rules = [rule for owner in owners for rule in (*owner.inbound, *owner.outbound)]
    used = {set_id for rule in rules for side in (rule.source, rule.destination) for set_id in side.set_ids}
    _require("ip set", used, {one.id for one in view.ip_sets})


def _require(what: str, used: set[str], known: set[str]) -> None:
    missing = sorted(used - known)
    if missing:
        raise ValueError(f"the view names {what} {missing[0]!r} but does not contain it")


class _Shared:
    """The parts of one rendering, each made once however many tables and families hold it."""

    def __init__(
        self,
        context: RenderContext,
        view: NodeView,
        workloads: Mapping[str, WorkloadEndpoint],
        hosts: ResolvedHosts,
        marks: Mapping[str, int],
    ) -> None:
        self._context = context
        self._view = view
        self._policies = sorted(view.policies, key=lambda policy: policy.name)
        self._profiles = sorted(view.profiles, key=lambda profile: profile.name)
        self._by_table = {
            TableName.RAW: _numbered(_raw_endpoint_chains(context, hosts)),
            TableName.MANGLE: _numbered(_mangle_endpoint_chains(context, hosts)),
            TableName.FILTER: _numbered(_filter_endpoint_chains(context, workloads, hosts, marks)),
        }
        self._nats = [nat for endpoint in workloads.values() for nat in endpoint.nats]
        self._policy_chains: dict[IPFamily, dict[str, Chain]] = {}
        self._hooks = {
            name: {chain: numbered_rules(chain, rules) for chain, rules in hook_rules(name).items()} for name in OUR_TABLES
        }

    def table(self, name: TableName, family: IPFamily) -> RenderedTable:
        """One table of one family."""
        if name is TableName.NAT:
            chains = _numbered(nat_chains(self._context, family, self._view.pools, self._nats))
            return RenderedTable(name, chains, self._hooks[name])
        chains = _numbered(static_chains(self._context, name, family))
        if family not in self._policy_chains:
            self._policy_chains[family] = _numbered(_rule_chains(self._policies, family, self._context))
        chains |= self._policy_chains[family]
        if name is TableName.FILTER:
            chains |= _numbered(_rule_chains(self._profiles, family, self._context))
        return RenderedTable(name, chains | self._by_table[name], self._hooks[name])


def _numbered(chains: Mapping[str, list[FelixRule]]) -> dict[str, Chain]:
    return {name: numbered_chain(name, rules) for name, rules in chains.items()}


def _rule_chains(owners: Iterable[ActivePolicy | ActiveProfile], family: IPFamily, context: RenderContext) -> FelixChains:
    """Both chains of every policy, or of every profile; an empty one exists too."""
    chains: FelixChains = {}
    for owner in owners:
        is_policy = isinstance(owner, ActivePolicy)
        chain, rules = (policy_chain, policy_rules) if is_policy else (profile_chain, profile_rules)
        chains[chain(owner.name, inbound=True)] = rules(owner.inbound, family, context)
        chains[chain(owner.name, inbound=False)] = rules(owner.outbound, family, context)
    return chains


def _raw_endpoint_chains(context: RenderContext, hosts: ResolvedHosts) -> FelixChains:
    renderer = EndpointRenderer(context)
    chains: FelixChains = {}
    for interface, endpoint in hosts.untracked().items():
        chains |= renderer.host_raw_chains(interface, endpoint)
    return chains | dispatch.host_dispatch_chains(hosts.untracked())


def _mangle_endpoint_chains(context: RenderContext, hosts: ResolvedHosts) -> FelixChains:
    renderer = EndpointRenderer(context)
    chains: FelixChains = {}
    for interface, endpoint in hosts.pre_dnat().items():
        chains |= renderer.host_mangle_chains(interface, endpoint)
    if hosts.all_interfaces is not None:
        chains |= renderer.host_mangle_chains(names.ALL_INTERFACES_ALIAS, hosts.all_interfaces)
    every = hosts.all_interfaces is not None
    return chains | dispatch.pre_dnat_dispatch_chains(hosts.pre_dnat(), all_interfaces=every)


def _filter_endpoint_chains(
    context: RenderContext,
    workloads: Mapping[str, WorkloadEndpoint],
    hosts: ResolvedHosts,
    marks: Mapping[str, int],
) -> FelixChains:
    renderer = EndpointRenderer(context)
    chains: FelixChains = {}
    for interface, workload in workloads.items():
        chains |= renderer.workload_chains(workload)
        if context.ipvs:
            chains |= renderer.set_mark_chains(interface, marks.get(interface))
    for interface, host in hosts.by_interface.items():
        chains |= renderer.host_filter_chains(interface, host)
        if context.ipvs:
            chains |= renderer.set_mark_chains(interface, marks.get(interface))
    chains |= dispatch.workload_dispatch_chains(workloads)
    chains |= dispatch.host_dispatch_chains(hosts.by_interface)
    chains |= dispatch.host_forward_dispatch_chains(hosts.by_interface)
    if context.ipvs:
        chains |= dispatch.mark_dispatch_chains(workloads, hosts.by_interface, marks, context)
    return chains
