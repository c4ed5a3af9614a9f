"""What the calculation is told of the cluster: the internal model that Calico makes of its resources (spec: model 4).

The original calls this model v1. Everything here is converted and complete: policies have their full names, selectors know
their namespace, rules are in the shape in which they become a node's sets and rules. Selectors are trees, whose canonical
text (`tortie.selector.canonical`) is what ids of sets are made of. Nothing here knows a node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tortie.model.scalar import PortRange, Protocol
from tortie.net.address import Address, IPFamily, Prefix
from tortie.selector.tree import Selector


@dataclass(frozen=True, slots=True)
class NamedPort:
    """The ports that whatever a selector selects calls by one name, of `tcp` or `udp`."""

    selector: Selector
    protocol: str
    name: str


@dataclass(frozen=True, slots=True)
class RuleSide:
    """What a rule asks of one end. Ports and named ports together are one choice; all else must hold (spec: model 4.5).

    A `selector` that is here is to become a set: where named ports already carry it, it is None. Negated named ports are
    of what the *positive* selector selects, which is how the original has it.
    """

    nets: tuple[Prefix, ...] = ()
    ports: tuple[PortRange, ...] = ()
    selector: Selector | None = None
    named_ports: tuple[NamedPort, ...] = ()
    not_nets: tuple[Prefix, ...] = ()
    not_ports: tuple[PortRange, ...] = ()
    not_selector: Selector | None = None
    not_named_ports: tuple[NamedPort, ...] = ()

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The selectors that become sets of networks."""
        return tuple(selector for selector in (self.selector, self.not_selector) if selector is not None)


@dataclass(frozen=True, slots=True)
class Icmp:
    """An ICMP or ICMPv6 type, with a code or with any."""

    type: int
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as a node enforces it: `action` is allow, deny, next-tier or log; protocol names are in lower case."""

    action: str
    ip_version: IPFamily | None = None
    protocol: Protocol | None = None
    not_protocol: Protocol | None = None
    source: RuleSide = RuleSide()
    destination: RuleSide = RuleSide()
    icmp: Icmp | None = None
    not_icmp: Icmp | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy under the name that nodes know it by, such as `ns1/knp.default.allow-dns`; no order means last."""

    name: str
    namespace: str
    order: float | None
    selector: Selector
    ingress: bool
    egress: bool
    inbound: tuple[Rule, ...] = ()
    outbound: tuple[Rule, ...] = ()
    untracked: bool = False
    pre_dnat: bool = False
    apply_on_forward: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile: rules, and labels that endpoints inherit."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    inbound: tuple[Rule, ...] = ()
    outbound: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of an endpoint that rules can name; the protocol is tcp or udp."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Nat:
    """A floating address and the workload's own, of one family."""

    external: Address
    internal: Address


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload's endpoint; a pod's `workload` is its namespace and name."""

    node: str
    orchestrator: str
    workload: str
    endpoint: str
    interface: str
    labels: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    networks: tuple[Prefix, ...] = ()
    nats: tuple[Nat, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    mac: bytes | None = None


@dataclass(frozen=True, slots=True)
class HostEndpoint:
    """An interface of a node: by name, by expected addresses where that is empty, `*` for all."""

    node: str
    name: str
    interface: str = ""
    expected_addresses: tuple[Address, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Networks with labels; the name of a namespace's set has the namespace in front."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    nets: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool: `vxlan_mode` is always or empty; `ipam` if it gives addresses. IPIP is BIRD's work."""

    cidr: Prefix
    vxlan_mode: str = ""
    masquerade: bool = False
    ipam: bool = True


@dataclass(frozen=True, slots=True)
class Host:
    """A node's IPv4 address and its address inside VXLAN, as far as they are known."""

    name: str
    address: Address | None = None
    vxlan_address: Address | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A block of addresses, the node that owns it, and which nodes are known to use which of its addresses."""

    cidr: Prefix
    node: str | None = None
    users: tuple[tuple[Address, str], ...] = ()


Value: TypeAlias = Policy | Profile | Workload | HostEndpoint | NetworkSet | Pool | Host | Block
"""What the calculation is told of one resource; readers end in `assert_never`."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that the calculation is told; the order inside each tuple means nothing."""

    policies: tuple[Policy, ...] = ()
    profiles: tuple[Profile, ...] = ()
    workloads: tuple[Workload, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    network_sets: tuple[NetworkSet, ...] = ()
    pools: tuple[Pool, ...] = ()
    hosts: tuple[Host, ...] = ()
    blocks: tuple[Block, ...] = ()
    ready: bool = True
    """False while the cluster says of itself that its datastore is not ready."""
