"""A node's whole state that decides a packet's fate, as one value.

Every part may be missing (`None`, or no key for a family): a snapshot made by hand often is one iptables-save file.
Readers must answer *unknown* where a missing part decides, never assume it empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.net.address import IPFamily
from tortie.net.node import Link, Neighbour, PolicyRule, Route
from tortie.netfilter.conntrack import ConnEntry
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.ipvs import VirtualService
from tortie.netfilter.rule import Ruleset


@dataclass(frozen=True, slots=True)
class ForeignChain:
    """A base chain of nf_tables that is none of iptables': it sees packets too, and Tortie does not read its rules."""

    family: str
    """nf_tables' own families: `ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`."""
    table: str
    name: str
    type: str
    """`filter`, `nat` or `route`."""
    hook: str
    """In nf_tables' words: `prerouting`, `input`, …, and `ingress`, `egress`."""
    priority: int
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read from one node; `name` says where it came from."""

    name: str
    rulesets: tuple[Ruleset, ...] = ()
    """At most one per family and back-end; later registered back-ends come first (spec: netfilter 1.3)."""
    ip_sets: Mapping[str, IPSet] | None = None
    links: tuple[Link, ...] | None = None
    routes: Mapping[IPFamily, tuple[Route, ...]] = field(default_factory=dict)
    policy_rules: Mapping[IPFamily, tuple[PolicyRule, ...]] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] | None = None
    sysctls: Mapping[str, str] | None = None
    """Names in the dotted form that sysctl prints: `net.ipv4.ip_forward`."""
    connections: tuple[ConnEntry, ...] | None = None
    ipvs: tuple[VirtualService, ...] | None = None
    foreign_chains: tuple[ForeignChain, ...] | None = None
    unreadable: tuple[str, ...] = ()
    """Remarks about parts that were there but could not be read or changed while being read."""
    files: tuple[str, ...] = ()
    """Names of the files that this was read from."""
