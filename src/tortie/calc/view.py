"""This node's view of the cluster: everything that a dataplane is told, as one value.

The original hands its dataplane a stream of update and remove messages (spec: model 6.9); here the messages that are in
force are one immutable `NodeView`, so that what is rendered depends on the current state and never on the path to it. The
value is complete in itself: every policy that an endpoint names is among `policies`, every profile among `profiles`, every
set that a rule names among `ip_sets`. Whoever makes a view has already converted, validated, ordered and matched (spec:
model 4 to 6.8); here are results, in the order in which they count. What the node knows by itself, such as the addresses
of its interfaces, is no part of the view, and neither are the messages for policy-sync (service accounts, namespaces).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tortie.calc.member_set import MemberSet
from tortie.net.address import Address, IPFamily, Prefix

ALL_INTERFACES = "*"
"""The interface name of a host endpoint that stands for every interface of the node."""


class RuleAction(Enum):
    """What a rule does; `value` is the word in the message. NEXT_TIER (Pass) goes on to the profiles: there is one tier."""

    ALLOW = "allow"
    DENY = "deny"
    NEXT_TIER = "next-tier"
    LOG = "log"


Protocol: TypeAlias = int | str
"""A protocol as the rule names it, number or lower-case name; the original keeps the difference in its rule text."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included; a single port has both the same."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last <= 65535:
            raise ValueError(f"not a port range: {self.first} to {self.last}")


@dataclass(frozen=True, slots=True)
class IcmpTest:
    """An ICMP or ICMPv6 type, with a code or with any code."""

    type: int
    code: int | None = None


@dataclass(frozen=True, slots=True)
class RuleSide:
    """What a rule asks of a packet's source or of its destination.

    A list of nets is a choice, ports and named ports together are one choice, all else must hold at once. A `not_` list
    holds when none of its entries does. Nets have no host bits, and an IPv4 net is given as IPv4, never as `::ffff:0:0/96`.
    """

    nets: tuple[Prefix, ...] = ()
    ports: tuple[PortRange, ...] = ()
    ip_sets: tuple[str, ...] = ()
    named_port_sets: tuple[str, ...] = ()
    not_nets: tuple[Prefix, ...] = ()
    not_ports: tuple[PortRange, ...] = ()
    not_ip_sets: tuple[str, ...] = ()
    not_named_port_sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for net in (*self.nets, *self.not_nets):
            if net.network != net:
                raise ValueError(f"net {net} has host bits")

    @property
    def set_ids(self) -> tuple[str, ...]:
        """Ids of all sets that this side names."""
        return (*self.ip_sets, *self.named_port_sets, *self.not_ip_sets, *self.not_named_port_sets)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """One rule of an active policy or profile (spec: model 4.5); `ip_version` None means both families."""

    action: RuleAction = RuleAction.ALLOW
    ip_version: IPFamily | None = None
    protocol: Protocol | None = None
    not_protocol: Protocol | None = None
    source: RuleSide = RuleSide()
    destination: RuleSide = RuleSide()
    icmp: IcmpTest | None = None
    not_icmp: IcmpTest | None = None


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A policy that selects a local endpoint; `name` is unescaped and complete, such as `ns1/knp.default.allow-dns`."""

    name: str
    inbound: tuple[ActiveRule, ...] = ()
    outbound: tuple[ActiveRule, ...] = ()
    tier: str = "default"
    namespace: str = ""
    untracked: bool = False
    pre_dnat: bool = False


@dataclass(frozen=True, slots=True)
class ActiveProfile:
    """A profile that a local endpoint lists; one that does not exist comes with a deny rule in each direction."""

    name: str
    inbound: tuple[ActiveRule, ...] = ()
    outbound: tuple[ActiveRule, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointTier:
    """The policies of one tier that apply to an endpoint, by name and in the order in which they decide."""

    ingress: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    name: str = "default"


@dataclass(frozen=True, slots=True)
class NatMapping:
    """A floating address: what the world calls `external` is the workload's `internal`; both of one family."""

    external: Address
    internal: Address

    def __post_init__(self) -> None:
        if self.external.family is not self.internal.family:
            raise ValueError(f"{self.external} and {self.internal} are of two families")


@dataclass(frozen=True, slots=True, order=True)
class WorkloadId:
    """Which workload endpoint of this node: a pod's is (`k8s`, `<namespace>/<pod>`, `eth0`)."""

    orchestrator: str
    workload: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class WorkloadEndpoint:
    """A local workload endpoint; `active` is false while it is administratively down."""

    id: WorkloadId
    interface: str
    active: bool = True
    mac: bytes | None = None
    profiles: tuple[str, ...] = ()
    networks: tuple[Prefix, ...] = ()
    tiers: tuple[EndpointTier, ...] = ()
    nats: tuple[NatMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """A host endpoint of this node: found by `interface`, by expected addresses when that is empty, or `*` for all."""

    id: str
    interface: str = ""
    expected_addresses: tuple[Address, ...] = ()
    profiles: tuple[str, ...] = ()
    tiers: tuple[EndpointTier, ...] = ()
    untracked_tiers: tuple[EndpointTier, ...] = ()
    pre_dnat_tiers: tuple[EndpointTier, ...] = ()
    forward_tiers: tuple[EndpointTier, ...] = ()


@dataclass(frozen=True, slots=True)
class PortMember:
    """A member of a named-port set: an address with a port of `tcp` or `udp`."""

    address: Address
    protocol: str
    port: int

    def __post_init__(self) -> None:
        if self.protocol not in ("tcp", "udp"):
            raise ValueError(f"named ports are tcp or udp, not {self.protocol!r}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"not a port: {self.port}")


@dataclass(frozen=True, slots=True)
class NetSet:
    """The set of a selector: the networks of everything that it selects, both families together."""

    id: str
    members: Set[Prefix] = frozenset()

    def __post_init__(self) -> None:
        if isinstance(self.members, MemberSet):
            return  # made of members that were looked at one by one (`calc.member`), too many to look at again
        for member in self.members:
            if member.length == 0 or member.network != member:
                raise ValueError(f"{member} cannot be a member of a set of networks")


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of single addresses; the message type exists, though the original's calculation never sends it."""

    id: str
    members: Set[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class PortSet:
    """The set of a named port: every address and number that bears the name, both families together."""

    id: str
    members: Set[PortMember] = frozenset()


ActiveSet: TypeAlias = NetSet | AddressSet | PortSet
"""A set that some active rule names; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class IPPool:
    """An address pool of the cluster, in use or disabled; `masquerade` is its natOutgoing."""

    cidr: Prefix
    masquerade: bool = False


@dataclass(frozen=True, slots=True)
class HostMetadata:
    """A node of the cluster, this one among them, and its IPv4 address."""

    hostname: str
    address: Address


@dataclass(frozen=True, slots=True)
class Vtep:
    """A node's VXLAN tunnel endpoint: `address` inside the tunnel, `parent_address` of the device that carries it."""

    node: str
    mac: bytes
    address: Address
    parent_address: Address


@dataclass(frozen=True, slots=True)
class VxlanRoute:
    """Where a block or a borrowed address lives: `destination` by way of `gateway`, the tunnel address of `node`."""

    destination: Prefix
    node: str
    gateway: Address


@dataclass(frozen=True, slots=True)
class NodeView:
    """All that is in force for one node; the order of its tuples means nothing, the order inside an endpoint does."""

    hostname: str
    config: Mapping[str, str] = field(default_factory=dict)
    """Effective parameters by name, as raw text (spec: rules 11.3)."""
    workloads: tuple[WorkloadEndpoint, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    policies: tuple[ActivePolicy, ...] = ()
    profiles: tuple[ActiveProfile, ...] = ()
    ip_sets: tuple[ActiveSet, ...] = ()
    pools: tuple[IPPool, ...] = ()
    hosts: tuple[HostMetadata, ...] = ()
    vteps: tuple[Vtep, ...] = ()
    vxlan_routes: tuple[VxlanRoute, ...] = ()
