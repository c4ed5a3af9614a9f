"""Who there is in the cluster, with which labels and addresses: what selectors select (spec: model 3.4, 6.5).

A party is a workload endpoint, a host endpoint or a network set. Endpoints inherit labels from the profiles that they
name, where they have no such label themselves; that is how the labels of a namespace reach its pods. Nobody but a profile
may give labels that say so (spec: model 4.1, Q15).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tortie.model.endpoint import NAMESPACE_LABEL, EndpointPort, HostEndpoint, WorkloadEndpoint
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.profile import Profile
from tortie.model.read import Key, Resources, key_of
from tortie.net.address import Address, Prefix

OF_NAMESPACE = "pcns."
OF_SERVICE_ACCOUNT = "pcsa."
"""What stands before a label that a namespace or a service account hands on."""


@dataclass(frozen=True, slots=True)
class Party:
    """One thing that selectors can select."""

    key: Key
    labels: Mapping[str, str]
    networks: tuple[Prefix, ...]
    ports: tuple[EndpointPort, ...] = ()

    def has(self, address: Address) -> bool:
        """True when the address is one of the party's."""
        return any(net.family is address.family and net.contains(address.value) for net in self.networks)

    def handed_on(self, prefix: str) -> dict[str, str]:
        """The labels that the party's namespace or service account hands on, as they are called there."""
        return {name.removeprefix(prefix): value for name, value in self.labels.items() if name.startswith(prefix)}


def parties(resources: Resources) -> tuple[Party, ...]:
    """Everybody in the cluster. A workload without an address is not there yet (spec: model 4.4)."""
    return tuple(_parties(resources))


def _parties(resources: Resources) -> Iterator[Party]:
    for workload in resources.of(WorkloadEndpoint):
        if is_ready(workload):
            yield Party(key_of(workload), labels(resources, workload), workload.spec.ip_networks, workload.spec.ports)
    for host in resources.of(HostEndpoint):
        expected = tuple(Prefix(address.family, address.value, address.family.bits) for address in host.spec.expected_ips)
        yield Party(key_of(host), labels(resources, host), expected, host.spec.ports)
    for of_namespace in resources.of(NetworkSet):
        its = _own(of_namespace.metadata.labels) | {NAMESPACE_LABEL: of_namespace.metadata.namespace}
        yield Party(key_of(of_namespace), its, of_namespace.spec.nets)
    for of_all in resources.of(GlobalNetworkSet):
        yield Party(key_of(of_all), _own(of_all.metadata.labels), of_all.spec.nets)


def is_ready(workload: WorkloadEndpoint) -> bool:
    """True once a workload has an address."""
    return bool(workload.spec.ip_networks)


def labels(resources: Resources, endpoint: WorkloadEndpoint | HostEndpoint) -> dict[str, str]:
    """An endpoint's labels: its own, then those of its profiles; the first to give one counts."""
    found = _own(endpoint.metadata.labels)
    for name in endpoint.spec.profiles:
        profile = resources.get(Profile, name)
        if profile is not None:
            for label, value in profile.spec.labels_to_apply.items():
                found.setdefault(label, value)
    return found


def _own(given: Mapping[str, str]) -> dict[str, str]:
    return {label: value for label, value in given.items() if not label.startswith((OF_NAMESPACE, OF_SERVICE_ACCOUNT))}
