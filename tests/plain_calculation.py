"""The judge of `calc.calculation`: asks every selector of everything that it could select. Never make it faster."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tortie.calc import validation
from tortie.calc.endpoint import host_view, ordered, tiers_of, workload_view
from tortie.calc.member import candidate_of, members_of
from tortie.calc.rule import SetUse, active_policy, active_profile, set_uses
from tortie.calc.tunnel import block_routes, is_vxlan_enabled, network_key, vtep_of
from tortie.calc.view import ActiveSet, HostMetadata, IPPool, NetSet, NodeView, PortSet
from tortie.model import v1
from tortie.selector.evaluate import selects


class _Candidate(NamedTuple):
    """Something that selectors may select, with its own labels and those that it inherits."""

    value: v1.Workload | v1.HostEndpoint | v1.NetworkSet
    labels: Mapping[str, str]


def calculate_plainly(cluster: v1.Cluster, hostname: str, config: Mapping[str, str] | None = None) -> NodeView:
    """What `calculate` says."""
    config = dict(config or {})
    profiles = {profile.name: profile for profile in cluster.profiles}
    candidates = _candidates(cluster, profiles)
    local = [one for one in candidates if not isinstance(one.value, v1.NetworkSet) and one.value.node == hostname]
    policies = ordered(filter(validation.is_enforceable_policy, cluster.policies))
    active = [policy for policy in policies if any(selects(policy.selector, one.labels) for one in local)]
    listed = {name for one in local if not isinstance(one.value, v1.NetworkSet) for name in one.value.profiles}
    enforced = {name: profiles[name] for name in listed if name in profiles}
    enforced = {name: profile for name, profile in enforced.items() if validation.is_enforceable_profile(profile)}
    rules = [rule for policy in active for rule in (*policy.inbound, *policy.outbound)]
    rules += [rule for profile in enforced.values() for rule in (*profile.inbound, *profile.outbound)]
    uses = {use.id: use for use in set_uses(rules)}
    workloads, host_endpoints = [], []
    for value, labels in local:
        applied = [policy for policy in active if selects(policy.selector, labels)]
        if isinstance(value, v1.Workload):
            workloads.append(workload_view(value, tiers_of(applied)))
        elif isinstance(value, v1.HostEndpoint):
            host_endpoints.append(host_view(value, tiers_of(applied)))
    vteps = {}
    if is_vxlan_enabled(config):
        vteps = {host.name: vtep for host in cluster.hosts if (vtep := vtep_of(host)) is not None}
    tunnelled = [pool.cidr for pool in cluster.pools if pool.vxlan_mode == "always"]
    routes = {}
    for block in sorted(cluster.blocks, key=lambda block: block.cidr.length):
        routes |= block_routes(hostname, block, tunnelled, vteps)
    return NodeView(
        hostname=hostname,
        config=config,
        workloads=tuple(sorted(workloads, key=lambda workload: workload.id)),
        host_endpoints=tuple(sorted(host_endpoints, key=lambda endpoint: endpoint.id)),
        policies=tuple(active_policy(policy) for policy in sorted(active, key=lambda policy: policy.name)),
        profiles=tuple(active_profile(name, enforced.get(name)) for name in sorted(listed)),
        ip_sets=tuple(_set(uses[set_id], candidates) for set_id in sorted(uses)),
        pools=tuple(
            sorted((IPPool(pool.cidr, pool.masquerade) for pool in cluster.pools), key=lambda pool: network_key(pool.cidr))
        ),
        hosts=tuple(
            HostMetadata(host.name, host.address)
            for host in sorted(cluster.hosts, key=lambda host: host.name)
            if host.address is not None
        ),
        vteps=tuple(vteps[name] for name in sorted(vteps)),
        vxlan_routes=tuple(sorted(routes.values(), key=lambda route: network_key(route.destination))),
    )


def _candidates(cluster: v1.Cluster, profiles: Mapping[str, v1.Profile]) -> list[_Candidate]:
    """Everything that selectors may select: a label of an endpoint's own goes first, then its profiles' in their order."""
    endpoints: Iterable[v1.Workload | v1.HostEndpoint] = (
        *filter(validation.is_enforceable_workload, cluster.workloads),
        *filter(validation.is_enforceable_host_endpoint, cluster.host_endpoints),
    )
    found = []
    for endpoint in endpoints:
        inherited = (dict(profiles[name].labels) for name in endpoint.profiles if name in profiles)
        found.append(_Candidate(endpoint, ChainMap(dict(endpoint.labels), *inherited)))
    sets = filter(validation.is_enforceable_network_set, cluster.network_sets)
    return [*found, *(_Candidate(network_set, network_set.labels) for network_set in sets)]


def _set(use: SetUse, candidates: Iterable[_Candidate]) -> ActiveSet:
    selected = [candidate_of(one.value) for one in candidates if selects(use.selector, one.labels)]
    members = frozenset(member for candidate in selected for member in members_of(candidate, use.port))
    return NetSet(use.id, members) if use.port is None else PortSet(use.id, members)
