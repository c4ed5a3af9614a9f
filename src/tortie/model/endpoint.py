"""Workload endpoints and host endpoints (spec: model 1.6, 1.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from tortie.model.metadata import Metadata
from tortie.model.name import ContainerId, Interface, Name, PortName, RequiredName
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads, read_int, read_value
from tortie.model.scalar import AddressV4, AddressV6, AnyAddress, Mac, StrictNet, read_protocol
from tortie.model.workload_name import WorkloadIdentifiers, format_workload_name, workload_name_problem
from tortie.net.address import Address

NAMESPACE_LABEL = "projectcalico.org/namespace"
ORCHESTRATOR_LABEL = "projectcalico.org/orchestrator"
SERVICE_ACCOUNT_LABEL = "projectcalico.org/serviceaccount"


def _read_endpoint_protocol(data: Any) -> str:
    protocol = read_protocol(data)
    if protocol not in ("TCP", "UDP"):
        raise FieldProblem("EndpointPort protocol must be 'TCP' or 'UDP'.")
    return str(protocol)


def _read_port_number(data: Any) -> int:
    number = read_int(data)
    if not 1 <= number <= 65535:
        raise FieldProblem(f"port {number} is not between 1 and 65535")
    return number


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of an endpoint that rules can name."""

    name: PortName
    protocol: Annotated[str, Reads(_read_endpoint_protocol)]
    port: Annotated[int, Reads(_read_port_number)]


@dataclass(frozen=True, slots=True)
class IPNat:
    """A floating address: what the world calls `external_ip` is the workload's `internal_ip`."""

    internal_ip: Annotated[AnyAddress, Named("internalIP")]
    external_ip: Annotated[AnyAddress, Named("externalIP")]

    def problems(self) -> Iterator[FieldProblem]:
        """Both are of one family."""
        if self.internal_ip.family is not self.external_ip.family:
            yield FieldProblem("mismatched IP versions", path=("externalIP",))


@dataclass(frozen=True, slots=True)
class WorkloadEndpointSpec:
    """What is known of a workload's interface on its node; without `ip_networks` it is not ready yet."""

    node: Name = ""
    orchestrator: Name = ""
    workload: Name = ""
    container_id: Annotated[ContainerId, Named("containerID")] = ""
    pod: Name = ""
    endpoint: Name = ""
    ip_networks: Annotated[tuple[StrictNet, ...], Named("ipNetworks")] = ()
    ip_nats: Annotated[tuple[IPNat, ...], Named("ipNATs")] = ()
    ipv4_gateway: Annotated[AddressV4, Named("ipv4Gateway")] = None
    ipv6_gateway: Annotated[AddressV6, Named("ipv6Gateway")] = None
    profiles: tuple[RequiredName, ...] = ()
    interface_name: Interface = ""
    mac: Mac = None
    ports: tuple[EndpointPort, ...] = ()

    @property
    def identifiers(self) -> WorkloadIdentifiers:
        """What the endpoint's name is made of."""
        return WorkloadIdentifiers(
            node=self.node,
            orchestrator=self.orchestrator,
            workload=self.workload,
            pod=self.pod,
            container_id=self.container_id,
            endpoint=self.endpoint,
        )

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the addresses and the interface."""
        for index, net in enumerate(self.ip_networks):
            if net.length != net.family.bits:
                yield FieldProblem("IP network contains multiple addresses", path=("ipNetworks", index))
        for index, nat in enumerate(self.ip_nats):
            if not self._holds(nat.internal_ip):
                yield FieldProblem("NAT is not in the endpoint networks", path=("ipNATs", index))
        if not self.interface_name:
            yield FieldProblem("the endpoint has no interfaceName")

    def _holds(self, address: Address) -> bool:
        return any(net.family is address.family and net.contains(address.value) for net in self.ip_networks)


@dataclass(frozen=True, slots=True)
class WorkloadEndpoint:
    """The node's end of a pod's, container's or virtual machine's interface."""

    NAMESPACED: ClassVar[bool] = True

    metadata: Metadata
    spec: WorkloadEndpointSpec

    @staticmethod
    def prepare(data: dict[str, Any]) -> dict[str, Any]:
        """The resource with its name worked out from the spec where it has none (spec: model 1.6, 2.1)."""
        metadata, spec = data.get("metadata"), data.get("spec")
        if type(metadata) is not dict or type(spec) is not dict or metadata.get("name"):
            return data
        try:
            identifiers = read_value(WorkloadEndpointSpec, spec).identifiers
        except FieldProblem as problem:
            raise problem.inside("spec") from None
        unnamed = workload_name_problem(identifiers)
        if unnamed is not None:
            raise unnamed.inside("spec")
        return data | {"metadata": metadata | {"name": format_workload_name(identifiers)}}

    def with_defaults(self) -> WorkloadEndpoint:
        """The endpoint with the two labels that Calico gives it, whatever they were."""
        added = {NAMESPACE_LABEL: self.metadata.namespace, ORCHESTRATOR_LABEL: self.spec.orchestrator}
        return replace(self, metadata=replace(self.metadata, labels={**self.metadata.labels, **added}))

    def problems(self) -> Iterator[FieldProblem]:
        """The name says what the spec says."""
        problem = workload_name_problem(self.spec.identifiers)
        if problem is not None:
            yield problem.inside("spec")
            return
        name = format_workload_name(self.spec.identifiers)
        if self.metadata.name != name:
            message = "the WorkloadEndpoint name does not match the primary identifiers assigned in the Spec"
            yield FieldProblem(f"{message}: expected name {name}", path=("metadata", "name"))


@dataclass(frozen=True, slots=True)
class HostEndpointSpec:
    """An interface of a node: by name, by the addresses expected on it, or `*` for all."""

    node: Name = ""
    interface_name: Interface = ""
    expected_ips: Annotated[tuple[AnyAddress, ...], Named("expectedIPs")] = ()
    profiles: tuple[RequiredName, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    def problems(self) -> Iterator[FieldProblem]:
        """A node, and a way to find the interface, must be there."""
        if not self.interface_name and not self.expected_ips:
            yield FieldProblem("no interface or expected IPs have been specified")
        if not self.node:
            yield FieldProblem("no node has been specified")


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """An interface of a node itself that policy applies to."""

    metadata: Metadata
    spec: HostEndpointSpec
