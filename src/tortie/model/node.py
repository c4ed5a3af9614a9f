"""Nodes of the cluster: their addresses, tunnels and AS numbers (spec: model 1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads
from tortie.model.scalar import AddressV4, ASNumber, read_prefix
from tortie.net.address import IPFamily, Prefix


def read_interface_v4(data: Any) -> Prefix | None:
    """An IPv4 address with the length of its subnet; empty text is none."""
    return _interface_address(data, IPFamily.V4)


def read_interface_v6(data: Any) -> Prefix | None:
    """An IPv6 address with the length of its subnet; empty text is none."""
    return _interface_address(data, IPFamily.V6)


def _interface_address(data: Any, family: IPFamily) -> Prefix | None:
    if data == "":
        return None
    prefix = read_prefix(data)
    if prefix.family is not family:
        raise FieldProblem(f"{data!r} is not an IPv{family.value} address")
    return prefix


InterfaceAddressV4: TypeAlias = Annotated[Prefix | None, Reads(read_interface_v4)]
InterfaceAddressV6: TypeAlias = Annotated[Prefix | None, Reads(read_interface_v6)]


@dataclass(frozen=True, slots=True)
class NodeBGPSpec:
    """A node's addresses, with the length of their subnets, and what BGP is told about it."""

    as_number: ASNumber | None = None
    ipv4_address: InterfaceAddressV4 = None
    ipv6_address: InterfaceAddressV6 = None
    ipv4_ipip_tunnel_addr: Annotated[AddressV4, Named("ipv4IPIPTunnelAddr")] = None
    route_reflector_cluster_id: Annotated[AddressV4, Named("routeReflectorClusterID")] = None

    def problems(self) -> Iterator[FieldProblem]:
        """It says something."""
        if self == NodeBGPSpec():
            yield FieldProblem("Spec.BGP should not be empty", remedy="leave out 'bgp'")


@dataclass(frozen=True, slots=True)
class OrchRef:
    """What an orchestrator calls the node."""

    node_name: str = ""
    orchestrator: str = ""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """What is known of a node."""

    bgp: NodeBGPSpec | None = None
    ipv4_vxlan_tunnel_addr: Annotated[AddressV4, Named("ipv4VXLANTunnelAddr")] = None
    orch_refs: tuple[OrchRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster."""

    metadata: Metadata
    spec: NodeSpec = NodeSpec()
