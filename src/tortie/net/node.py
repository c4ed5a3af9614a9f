"""What a Linux node's network looks like outside netfilter: links, addresses, routes, policy rules, neighbours.

Plain values as `ip -j` reports them; which route wins is decided by the simulator, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tortie.net.address import Address, IPFamily, Prefix


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address on a link; `prefix` keeps the host bits. `peer` is the other end of a point-to-point address."""

    prefix: Prefix
    scope: str = "global"
    secondary: bool = False
    broadcast: int | None = None
    peer: Prefix | None = None
    deprecated: bool = False
    tentative: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A network device with its addresses in the order `ip addr` prints them."""

    name: str
    index: int
    up: bool = True
    carrier: bool = True
    mtu: int = 1500
    loopback: bool = False
    kind: str | None = None
    """`veth`, `bridge`, `tun`, `vxlan` and so on, when known."""
    link_type: str = "ether"
    """`ether`, `loopback`, `none` (TUN), `ipip` …"""
    master: str | None = None
    """The bridge or other device this one is enslaved to."""
    mac: bytes | None = None
    addresses: tuple[InterfaceAddress, ...] = ()
    group: int = 0
    nf_call_iptables: bool = False
    """Bridges: this one shows its frames to iptables although `bridge-nf-call-iptables` may be 0 (br_netfilter_hooks.c)."""
    nf_call_ip6tables: bool = False
    hairpin: bool = False
    """Bridge ports: a frame may leave by the port it came in."""


class RouteType(Enum):
    """Kinds of route (ip-route(8))."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"
    THROW = "throw"


@dataclass(frozen=True, slots=True)
class NextHop:
    """One way on: a device, and a gateway unless the destination is on the link."""

    dev: str | None
    gateway: Address | None = None
    weight: int = 1
    onlink: bool = False
    dead: bool = False
    linkdown: bool = False
    encap: str | None = None
    """Kind of a lightweight tunnel (`mpls`, `ip`, `seg6`) that wraps the packet, which Tortie cannot follow."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of one table; `table` is the table's number as text or its name (`main`, `local`, `default`).

    A unicast route without a next hop has a `nexthop_id` that nothing was known of.
    """

    prefix: Prefix
    next_hops: tuple[NextHop, ...]
    type: RouteType = RouteType.UNICAST
    table: str = "main"
    metric: int = 0
    tos: int = 0
    scope: str = "global"
    protocol: str = "boot"
    prefsrc: Address | None = None
    source: Prefix | None = None
    """IPv6 source-specific routes: `from`."""
    preference: str = "medium"
    mtu: int | None = None
    nexthop_id: int | None = None
    """The nexthop object (`ip nexthop`) that `next_hops` were taken from."""


class RuleAction(Enum):
    """What a policy rule does (ip-rule(8))."""

    TABLE = "table"
    GOTO = "goto"
    NOP = "nop"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One policy routing rule (`ip rule`); None means that the rule does not test it."""

    family: IPFamily
    priority: int
    action: RuleAction = RuleAction.TABLE
    table: str | None = "main"
    goto: int | None = None
    negated: bool = False
    source: Prefix | None = None
    destination: Prefix | None = None
    tos: int | None = None
    mark: int | None = None
    mark_mask: int = 0xFFFFFFFF
    in_iface: str | None = None
    out_iface: str | None = None
    uid_range: tuple[int, int] | None = None
    ip_proto: int | None = None
    sport: tuple[int, int] | None = None
    dport: tuple[int, int] | None = None
    suppress_prefix_length: int | None = None
    suppress_group: int | None = None
    unsupported: tuple[str, ...] = ()
    """Selectors found in the input that Tortie does not know; such a rule makes the decision unknown."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the ARP or neighbour-discovery table."""

    address: Address
    dev: str
    mac: bytes | None = None
    states: tuple[str, ...] = ()
