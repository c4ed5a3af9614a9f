"""The small world of a scenario: the few addresses, ports, marks and names that rules, routes and packets share.

Few constants make rules and packets meet often. A world is drawn together with the topology that it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.kernel.scenario import Topology
from tortie.net.address import IPFamily


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of one family as text."""

    own: Mapping[str, tuple[str, ...]]
    """Interface to the node's own addresses there."""
    hosts: Mapping[str, tuple[str, ...]]
    """Interface to addresses directly behind it."""
    remote: tuple[str, ...]
    """Addresses that routes decide about."""
    odd: tuple[str, ...]
    """Addresses that no ordinary packet has."""
    virtual: tuple[str, ...]
    """Addresses that only rules know (services)."""
    nets: tuple[str, ...]
    """Prefixes that hold some of the others."""

    @property
    def all_own(self) -> tuple[str, ...]:
        """The node's own addresses on all interfaces."""
        return tuple(address for addresses in self.own.values() for address in addresses)

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Hosts behind all interfaces."""
        return tuple(address for addresses in self.hosts.values() for address in addresses)

    @property
    def ordinary(self) -> tuple[str, ...]:
        """Everything a rule would name."""
        return (*self.all_hosts, *self.all_own, *self.remote, *self.virtual)


@dataclass(frozen=True, slots=True)
class World:
    """What rules and packets of a scenario are made of."""

    topology: Topology
    addresses: Mapping[IPFamily, Addresses]
    marks: tuple[int, ...]
    ports: tuple[int, ...] = (53, 80, 443, 5000, 8080)
    client_ports: tuple[int, ...] = (80, 600, 1000, 5000, 40000)
    uids: tuple[int, ...] = (0, 1000, 1001)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names of the interfaces but `lo`."""
        return tuple(interface.name for interface in self.topology.interfaces)
