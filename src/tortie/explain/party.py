"""Who is behind an address or an interface: endpoints and network sets with the labels by which rules select them.

An endpoint's labels are its own and, where it has none of that name, those that its profiles hand on, the first that has it
(spec: model 3.4, 6.5). Everybody of the cluster is asked, as sets hold members of the whole cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tortie.calc.member import candidate_of
from tortie.explain.title import party_title
from tortie.model import v1
from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.node import Node
from tortie.model.profile import Profile
from tortie.model.read import Resources
from tortie.model.resource_conversion import resource_to_v1
from tortie.net.address import Address, Prefix

Selectable = WorkloadEndpoint | HostEndpoint | NetworkSet | GlobalNetworkSet
"""Resources that selectors can select."""


@dataclass(frozen=True, slots=True)
class Party:
    """One thing that selectors can select; `own` labels go before `inherited` ones."""

    resource: Selectable
    value: v1.Workload | v1.HostEndpoint | v1.NetworkSet
    own: Mapping[str, str]
    inherited: Mapping[str, str]
    networks: tuple[Prefix, ...]

    @property
    def labels(self) -> dict[str, str]:
        """What selectors are asked about."""
        return {**self.inherited, **self.own}

    @property
    def title(self) -> str:
        """What people call it."""
        return party_title(self.value)

    @property
    def ports(self) -> tuple[v1.EndpointPort, ...]:
        """Its ports that rules can name."""
        return () if isinstance(self.value, v1.NetworkSet) else self.value.ports

    @property
    def is_endpoint(self) -> bool:
        """False for a network set."""
        return not isinstance(self.value, v1.NetworkSet)


class Parties:
    """Everybody in a cluster, found by address; each address is looked for once."""

    def __init__(self, resources: Resources, *, felix_exact: bool = False) -> None:
        self._resources = resources
        self._felix_exact = felix_exact
        self._found: dict[Address, tuple[Party, ...]] = {}
        self._every: tuple[Party, ...] | None = None

    def at(self, address: Address) -> tuple[Party, ...]:
        """Everybody who has an address, endpoints first."""
        if address not in self._found:
            self._found[address] = tuple(
                party
                for party in self.every()
                if any(net.family is address.family and net.contains(address.value) for net in party.networks)
            )
        return self._found[address]

    def every(self) -> tuple[Party, ...]:
        """Everybody, endpoints first."""
        if self._every is None:
            self._every = tuple(self._parties())
        return self._every

    def workload_at(self, node: str, interface: str) -> Party | None:
        """The workload behind an interface of a node; of several that with the lowest identity, whose rules there are."""
        found = [
            (value.orchestrator, value.workload, value.endpoint, party)
            for party in self.every()
            if isinstance(value := party.value, v1.Workload) and (value.node, value.interface) == (node, interface)
        ]
        return min(found, key=lambda entry: entry[:3])[3] if found else None

    def host_endpoint(self, node: str, name: str) -> Party | None:
        """The host endpoint of this name."""
        return next(
            (
                party
                for party in self.every()
                if isinstance(value := party.value, v1.HostEndpoint) and (value.node, value.name) == (node, name)
            ),
            None,
        )

    def node_at(self, address: Address) -> str | None:
        """The node whose address this is, as far as the resources tell."""
        for node in self._resources.of(Node):
            bgp = node.spec.bgp
            own = () if bgp is None else (bgp.ipv4_address, bgp.ipv6_address)
            if any(net is not None and Address(net.family, net.address) == address for net in own):
                return node.metadata.name
        return None

    def floating(self, address: Address) -> Party | None:
        """The workload whose floating address this is."""
        return next(
            (
                party
                for party in self.every()
                if isinstance(value := party.value, v1.Workload) and any(nat.external == address for nat in value.nats)
            ),
            None,
        )

    def _parties(self) -> Iterator[Party]:
        every: tuple[Selectable, ...] = (
            *self._resources.of(WorkloadEndpoint),
            *self._resources.of(HostEndpoint),
            *self._resources.of(NetworkSet),
            *self._resources.of(GlobalNetworkSet),
        )
        for resource in every:
            value = resource_to_v1(resource, felix_exact=self._felix_exact)
            if isinstance(value, v1.Workload | v1.HostEndpoint | v1.NetworkSet):
                yield self._party(resource, value)

    def _party(self, resource: Selectable, value: v1.Workload | v1.HostEndpoint | v1.NetworkSet) -> Party:
        inherited: dict[str, str] = {}
        for name in () if isinstance(value, v1.NetworkSet) else value.profiles:
            profile = self._resources.get(Profile, name)
            for label, text in {} if profile is None else profile.spec.labels_to_apply.items():
                inherited.setdefault(label, text)
        return Party(resource, value, value.labels, inherited, candidate_of(value).networks)
