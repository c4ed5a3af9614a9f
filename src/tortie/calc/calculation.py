"""What one node is told of a cluster (spec: model 6): everything at once, or kept up to date as resources come and go.

    resources, one at a time  →  Calculation  →  Changes, and the NodeView that goes with them

A `Calculation` is told what is; `flush` works out what follows and says what became different; `view` is the result. What
follows depends on what is and on nothing else: not on the order in which it was told, not on what was told twice or taken
back (tests/scenario/test_state_sequence.py). An update touches only what depends on it:

| Module | Keeps |
|---|---|
| `local_policy` | which policies apply to this node's endpoints |
| `active_set` | the members of every set that an active rule names |
| `tunnel` | routes of blocks |
| here | what is passed on, and what ties the others together: labels of profiles, which profiles are listed |

`calculate` tells everything to a fresh one. A plain calculation, which searches everything for every answer, judges both
(tests/plain_calculation.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeVar, assert_never

from tortie.calc import validation
from tortie.calc.active_set import ActiveSets
from tortie.calc.change import Changes
from tortie.calc.endpoint import workload_id
from tortie.calc.in_force import InForce
from tortie.calc.local_policy import LocalPolicies
from tortie.calc.member import candidate_of
from tortie.calc.rule import active_policy, active_profile
from tortie.calc.tunnel import NetworkKey, TunnelRoutes, is_vxlan_enabled, network_key, vtep_of
from tortie.calc.view import HostMetadata, IPPool, NodeView
from tortie.model import v1
from tortie.model.cluster import ClusterInformation
from tortie.model.read import Key
from tortie.model.resource import Resource
from tortie.model.resource_conversion import is_ready, resource_to_v1

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def calculate(cluster: v1.Cluster, hostname: str, config: Mapping[str, str] | None = None) -> NodeView:
    """The view of one node; `config` holds its effective parameters by name.

    The view says nothing of whether the cluster is ready (`Cluster.ready`): nothing should be programmed until it is.
    """
    calculation = Calculation(hostname)
    calculation.configure(config or {})
    for key, value in _keyed(cluster):
        calculation.tell(key, value)
    calculation.flush()
    return calculation.view()


def _keyed(cluster: v1.Cluster) -> Iterator[tuple[Key, v1.Value]]:
    """Everything in a cluster under keys that tell it apart, which are those of resources as far as that can be known."""
    for policy in cluster.policies:
        yield Key("Policy", "", policy.name), policy
    for profile in cluster.profiles:
        yield Key("Profile", "", profile.name), profile
    for one in cluster.workloads:
        yield Key("WorkloadEndpoint", one.workload, f"{one.node} {one.orchestrator} {one.endpoint}"), one
    for endpoint in cluster.host_endpoints:
        yield Key("HostEndpoint", endpoint.node, endpoint.name), endpoint
    for network_set in cluster.network_sets:
        yield Key("NetworkSet", "", network_set.name), network_set
    for pool in cluster.pools:
        yield Key("IPPool", "", str(pool.cidr)), pool
    for host in cluster.hosts:
        yield Key("Node", "", host.name), host
    for block in cluster.blocks:
        yield Key("IPAMBlock", "", str(block.cidr)), block


class Calculation:
    """The calculation of one node's view, told of one resource at a time.

    With `felix_exact` resources become what Felix 3.7 makes of them (docs/felix-differences.md).
    """

    def __init__(self, hostname: str, *, felix_exact: bool = False) -> None:
        self._hostname = hostname
        self._felix_exact = felix_exact
        self._ready = True
        self._config: dict[str, str] = {}
        self._flushed_config: dict[str, str] = {}
        self._told: dict[Key, v1.Value] = {}
        """What is remembered as it was told: all but endpoints of other nodes and network sets, of which there are many."""
        self._sets = ActiveSets()
        self._local = LocalPolicies()
        self._tunnel = TunnelRoutes(hostname)
        self._endpoints: dict[Key, v1.Workload | v1.HostEndpoint] = {}
        self._profiles: dict[str, v1.Profile] = {}
        self._listed: Counter[str] = Counter()
        """How many endpoints of this node list a profile."""
        self._changed_profiles: set[str] = set()
        self._pools: dict[Key, v1.Pool] = {}
        self._changed_pools = False
        self._hosts: dict[str, v1.Host] = {}
        self._changed_hosts: set[str] = set()
        self._has_tunnels = False
        self._out = InForce()
        self._view: NodeView | None = None

    # --- what is told --------------------------------------------------------------------------------------------

    def update(self, key: Key, resource: Resource | None) -> None:
        """Says what a resource is; None when it is gone. Kinds that no view depends on are passed over."""
        if key.kind == ClusterInformation.__name__:
            self._ready = not isinstance(resource, ClusterInformation) or is_ready(resource)
            return
        self.tell(key, None if resource is None else resource_to_v1(resource, felix_exact=self._felix_exact))

    def configure(self, config: Mapping[str, str]) -> None:
        """Says which parameters the node has, by name; they replace those that were said before."""
        self._config = dict(config)

    def tell(self, key: Key, value: v1.Value | None) -> None:
        """Says what became of a resource in the model of the calculation; None when that is nothing, or it is gone.

        A key always stands for the same kind of value.
        """
        before = self._told.get(key)
        if before is not None:
            if before == value:
                return
            if value is not None and _identity(before) != _identity(value):
                self.tell(key, None)
        self._take(key, value if value is not None else before, gone=value is None)
        if value is not None and self._is_remembered(value):
            self._told[key] = value
        else:
            self._told.pop(key, None)

    def _is_remembered(self, value: v1.Value) -> bool:
        if isinstance(value, v1.NetworkSet):
            return False
        return not isinstance(value, v1.Workload | v1.HostEndpoint) or value.node == self._hostname

    def _take(self, key: Key, value: v1.Value | None, *, gone: bool) -> None:
        match value:
            case None:  # gone, and not remembered: a candidate, or something that never was
                self._sets.remove_candidate(key)
            case v1.Policy():
                good = not gone and validation.is_enforceable_policy(value)
                self._local.set_policy(value.name, value if good else None)
            case v1.Profile():
                self._take_profile(value.name, None if gone else value)
            case v1.Workload():
                good = not gone and validation.is_enforceable_workload(value)
                self._take_endpoint(key, value if good else None)
            case v1.HostEndpoint():
                good = not gone and validation.is_enforceable_host_endpoint(value)
                self._take_endpoint(key, value if good else None)
            case v1.NetworkSet():
                if not gone and validation.is_enforceable_network_set(value):
                    self._sets.set_candidate(key, candidate_of(value), value.labels)
                else:
                    self._sets.remove_candidate(key)
            case v1.Pool():
                _put(self._pools, key, None if gone else value)
                self._changed_pools = True
            case v1.Host():
                _put(self._hosts, value.name, None if gone else value)
                self._changed_hosts.add(value.name)
            case v1.Block():
                self._tunnel.set_block(value.cidr, None if gone else value)
            case _:
                assert_never(value)

    def _take_profile(self, name: str, profile: v1.Profile | None) -> None:
        _put(self._profiles, name, profile)
        self._changed_profiles.add(name)
        labels = {} if profile is None else profile.labels
        self._sets.set_parent(name, labels)
        self._local.set_parent(name, labels)

    def _take_endpoint(self, key: Key, value: v1.Workload | v1.HostEndpoint | None) -> None:
        if value is None:
            self._sets.remove_candidate(key)
        else:
            self._sets.set_candidate(key, candidate_of(value), value.labels, value.profiles)
        known = self._endpoints.pop(key, None)
        if known is not None:
            self._listed.subtract(known.profiles)
            self._changed_profiles.update(known.profiles)
        if value is not None and value.node == self._hostname:
            self._endpoints[key] = value
            self._listed.update(value.profiles)
            self._changed_profiles.update(value.profiles)
            self._local.set_endpoint(key, value.labels, value.profiles)
        elif known is not None:
            self._local.remove_endpoint(key)
            self._out.set_endpoint(known, None)

    # --- what follows --------------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """False while the cluster says that its datastore is not ready: nothing should be programmed then."""
        return self._ready

    def flush(self) -> Changes:
        """Works out what follows from all that was told, and says what is not as it was after the last flush."""
        for name, policy in self._local.flush_policies().items():
            self._out.policies.set(name, None if policy is None else active_policy(policy))
            self._sets.name_sets(("policy", name), () if policy is None else (*policy.inbound, *policy.outbound))
        for key, tiers in self._local.flush_tiers().items():
            self._out.set_endpoint(self._endpoints[key], tiers)
        for name in self._changed_profiles:
            self._settle_profile(name)
        self._changed_profiles = set()
        self._settle_hosts()
        before, self._flushed_config = self._flushed_config, self._config
        changes = self._out.take_changes(
            ip_sets=self._sets.flush(),
            routes=self._tunnel.routes,
            config=frozenset(
                name for name in before.keys() | self._config.keys() if before.get(name) != self._config.get(name)
            ),
        )
        if changes:
            self._view = None
        return changes

    def view(self) -> NodeView:
        """The view as of the last flush."""
        if self._view is None:
            self._view = NodeView(
                hostname=self._hostname,
                config=self._flushed_config,
                workloads=self._out.workloads.values(),
                host_endpoints=self._out.host_endpoints.values(),
                policies=self._out.policies.values(),
                profiles=self._out.profiles.values(),
                ip_sets=self._sets.values(),
                pools=self._out.pools.values(),
                hosts=self._out.hosts.values(),
                vteps=self._out.vteps.values(),
                vxlan_routes=self._tunnel.routes.values(),
            )
        return self._view

    def _settle_profile(self, name: str) -> None:
        profile = self._profiles.get(name)
        if profile is not None and not validation.is_enforceable_profile(profile):
            profile = None
        rules: tuple[v1.Rule, ...] = ()
        if self._listed[name]:
            self._out.profiles.set(name, active_profile(name, profile))
            rules = () if profile is None else (*profile.inbound, *profile.outbound)
        else:
            del self._listed[name]
            self._out.profiles.set(name, None)
        self._sets.name_sets(("profile", name), rules)

    def _settle_hosts(self) -> None:
        enabled = is_vxlan_enabled(self._config)
        if enabled is not self._has_tunnels:
            self._changed_hosts.update(self._hosts)
        for name in self._changed_hosts:
            host = self._hosts.get(name)
            address = None if host is None else host.address
            self._out.hosts.set(name, None if address is None else HostMetadata(name, address))
            self._out.vteps.set(name, vtep_of(host) if host is not None and enabled else None)
        if self._changed_hosts or self._changed_pools or enabled is not self._has_tunnels:
            pools = _pools_by_network(self._pools)
            self._out.pools.replace({key: IPPool(pool.cidr, pool.masquerade) for key, pool in pools.items()})
            self._tunnel.set_surroundings(pools.values(), {vtep.node: vtep for vtep in self._out.vteps.values()})
        self._has_tunnels, self._changed_hosts, self._changed_pools = enabled, set(), False


def _pools_by_network(pools: Mapping[Key, v1.Pool]) -> dict[NetworkKey, v1.Pool]:
    """The pools that count: of two with one network, the one with the lower name (spec: model 4.4)."""
    return {network_key(pools[key].cidr): pools[key] for key in sorted(pools, reverse=True)}


def _identity(value: v1.Value) -> tuple[object, ...]:
    """What two values of one key have in common while they are about the same thing."""
    match value:
        case v1.Policy() | v1.Profile() | v1.NetworkSet() | v1.Host():
            return type(value), value.name
        case v1.Workload():
            return v1.Workload, workload_id(value)
        case v1.HostEndpoint():
            return v1.HostEndpoint, value.name
        case v1.Pool() | v1.Block():
            return type(value), value.cidr
        case _:
            assert_never(value)


def _put(table: dict[KeyT, ValueT], key: KeyT, value: ValueT | None) -> None:
    """Gives a key a value, or with None takes it away."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
