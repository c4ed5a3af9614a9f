"""Every chain of ours of one node, table by table.

What a chain is made from, and that alone, decides whether it is made again when the node is rendered again (`memory`):

| Chains | Are made from |
|---|---|
| static | the context |
| of a policy or profile | its rules of that direction |
| of an endpoint | its interface, the names of its policies and profiles in that direction, its mark |
| dispatching | the interfaces, and the marks |
| nat | pools and floating addresses |

A chain that is the same in several tables or families is one object. Tables stay one object while nothing in them changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tortie.calc.view import ActivePolicy, ActiveProfile, ActiveRule, IPPool, WorkloadEndpoint
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain
from tortie.render import dispatch, names
from tortie.render.endpoint import (
    EndpointChain,
    EndpointRenderer,
    MarkChain,
    host_filter_chains,
    host_mangle_chains,
    host_raw_chains,
    policy_chain,
    profile_chain,
    workload_chains,
)
from tortie.render.hash import numbered_chain
from tortie.render.host_endpoint import ResolvedHosts
from tortie.render.memory import Joined, Kept, Same
from tortie.render.nat import nat_chains
from tortie.render.policy import policy_rules, profile_rules
from tortie.render.state import RenderContext
from tortie.render.static import static_chains
from tortie.render.text import FelixRule

Chains: TypeAlias = Mapping[str, Chain]
FelixChains: TypeAlias = Mapping[str, list[FelixRule]]
AnyChain: TypeAlias = EndpointChain | MarkChain
Owner: TypeAlias = ActivePolicy | ActiveProfile


@dataclass(frozen=True, slots=True)
class Parts:
    """What the chains of one node are made from: its endpoints by interface, sorted by name, and what they refer to."""

    policies: tuple[ActivePolicy, ...]
    profiles: tuple[ActiveProfile, ...]
    pools: tuple[IPPool, ...]
    workloads: Mapping[str, WorkloadEndpoint]
    hosts: ResolvedHosts
    marks: Mapping[str, int]


class NodeChains:
    """The chains of one table and family after the other, for one node after the other in one context."""

    def __init__(self, context: RenderContext) -> None:
        self._context = context
        self._static = {
            (table, family): _numbered(static_chains(context, table, family))
            for table in (TableName.RAW, TableName.MANGLE, TableName.FILTER)
            for family in context.config.families
        }
        self._policies = {family: _OwnedChains(context, family, policy_chain, policy_rules) for family in IPFamily}
        self._profiles = {family: _OwnedChains(context, family, profile_chain, profile_rules) for family in IPFamily}
        renderer = EndpointRenderer(context)
        self._endpoints = {
            TableName.RAW: _EndpointChains(renderer, _raw_chains, _raw_dispatch),
            TableName.MANGLE: _EndpointChains(renderer, _mangle_chains, _mangle_dispatch),
            TableName.FILTER: _EndpointChains(renderer, self._filter_chains, self._filter_dispatch),
        }
        self._nat = {family: _NumberedChains() for family in IPFamily}
        self._whole: dict[tuple[TableName, IPFamily], Joined[str, Chain]] = {place: Joined() for place in self._static}

    def table(self, name: TableName, family: IPFamily, parts: Parts) -> Chains:
        """The chains of a table, those of each kind in the order of their names."""
        if name is TableName.NAT:
            nats = tuple(nat for endpoint in parts.workloads.values() for nat in endpoint.nats)
            return self._nat[family].of((parts.pools, nats), lambda: nat_chains(self._context, family, parts.pools, nats))
        place = name, family
        profiles = (self._profiles[family].of(parts.profiles),) if name is TableName.FILTER else ()
        policies = self._policies[family].of(parts.policies)
        return self._whole[place].of(self._static[place], policies, *profiles, self._endpoints[name].of(parts))

    def _filter_chains(self, parts: Parts) -> Iterator[AnyChain]:
        marks = parts.marks if self._context.ipvs else None
        for interface, workload in parts.workloads.items():
            yield from workload_chains(workload)
            if marks is not None:
                yield MarkChain(interface, marks.get(interface))
        for interface, host in parts.hosts.by_interface.items():
            yield from host_filter_chains(interface, host)
            if marks is not None:
                yield MarkChain(interface, marks.get(interface))

    def _filter_dispatch(self, parts: Parts) -> FelixChains:
        hosts = parts.hosts.by_interface
        chains = {
            **dispatch.workload_dispatch_chains(parts.workloads),
            **dispatch.host_dispatch_chains(hosts),
            **dispatch.host_forward_dispatch_chains(hosts),
        }
        if self._context.ipvs:
            chains |= dispatch.mark_dispatch_chains(parts.workloads, hosts, parts.marks, self._context)
        return chains


# --- kinds of chains ---------------------------------------------------------------------------------------------


class _NumberedChains:
    """Chains that are made together; of those whose rules are the same again, the same objects."""

    def __init__(self) -> None:
        self._chains: Kept[str, list[FelixRule], Chain] = Kept(lambda name, rules, _last: numbered_chain(name, rules))
        self._all: Same[Chains] = Same()

    def of(self, given: tuple[object, ...], make: Callable[[], FelixChains]) -> Chains:
        return self._all.of(given, lambda: self._chains.renew(make()))


class _OwnedChains:
    """Both chains of every policy, or of every profile, in one family; an empty one exists too."""

    def __init__(
        self,
        context: RenderContext,
        family: IPFamily,
        name: Callable[..., str],
        rules: Callable[[Iterable[ActiveRule], IPFamily, RenderContext], list[FelixRule]],
    ) -> None:
        self._name = name
        self._rules: Callable[[Iterable[ActiveRule]], list[FelixRule]] = lambda given: rules(given, family, context)
        self._owned: Kept[str, Owner, tuple[Chain, Chain]] = Kept(self._make)
        self._all: Same[Chains] = Same()

    def of(self, owners: tuple[Owner, ...]) -> Chains:
        return self._all.of((owners,), lambda: self._chains(owners))

    def _chains(self, owners: Iterable[Owner]) -> Chains:
        ordered = sorted(owners, key=lambda owner: owner.name)
        made = self._owned.renew({owner.name: owner for owner in ordered})
        return {chain.name: chain for both in made.values() for chain in both}

    def _make(self, name: str, owner: Owner, last: tuple[Owner, tuple[Chain, Chain]] | None) -> tuple[Chain, Chain]:
        before, made = last if last is not None else (None, (None, None))
        inbound, outbound = made
        if inbound is None or before is None or before.inbound != owner.inbound:
            inbound = numbered_chain(self._name(name, inbound=True), self._rules(owner.inbound))
        if outbound is None or before is None or before.outbound != owner.outbound:
            outbound = numbered_chain(self._name(name, inbound=False), self._rules(owner.outbound))
        return inbound, outbound


class _EndpointChains:
    """The chains of the endpoints in one table, and those that lead to them."""

    def __init__(
        self,
        renderer: EndpointRenderer,
        chains: Callable[[Parts], Iterable[AnyChain]],
        lead: Callable[[Parts], FelixChains],
    ) -> None:
        self._chains_of = chains
        self._lead = lead
        self._chains: Kept[str, AnyChain, Chain] = Kept(
            lambda name, chain, _last: numbered_chain(name, renderer.rules(chain))
        )
        self._dispatch = _NumberedChains()
        self._all: Joined[str, Chain] = Joined()

    def of(self, parts: Parts) -> Chains:
        own = self._chains.renew({chain.name: chain for chain in self._chains_of(parts)})
        given = tuple(parts.workloads), parts.hosts, dict(parts.marks)
        return self._all.of(own, self._dispatch.of(given, lambda: self._lead(parts)))


def _numbered(chains: FelixChains) -> Chains:
    return {name: numbered_chain(name, rules) for name, rules in chains.items()}


# --- endpoints in raw and mangle ---------------------------------------------------------------------------------


def _raw_chains(parts: Parts) -> Iterator[AnyChain]:
    for interface, endpoint in parts.hosts.untracked().items():
        yield from host_raw_chains(interface, endpoint)


def _raw_dispatch(parts: Parts) -> FelixChains:
    return dispatch.host_dispatch_chains(parts.hosts.untracked())


def _mangle_chains(parts: Parts) -> Iterator[AnyChain]:
    for interface, endpoint in parts.hosts.pre_dnat().items():
        yield from host_mangle_chains(interface, endpoint)
    if parts.hosts.all_interfaces is not None:
        yield from host_mangle_chains(names.ALL_INTERFACES_ALIAS, parts.hosts.all_interfaces)


def _mangle_dispatch(parts: Parts) -> FelixChains:
    every = parts.hosts.all_interfaces is not None
    return dispatch.pre_dnat_dispatch_chains(parts.hosts.pre_dnat(), all_interfaces=every)
