"""What something that a selector selects puts into a set (spec: model 6.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from tortie.calc.view import PortMember
from tortie.model import v1
from tortie.net.address import Address, Prefix


class Candidate:
    """All that sets need of an endpoint or network set: small, since there is one for each in the cluster.

    It is known by identity and changes in place, so that whoever files it need not file it again.
    """

    __slots__ = ("networks", "ports")

    def __init__(self, networks: tuple[Prefix, ...], ports: tuple[v1.EndpointPort, ...] = ()) -> None:
        self.networks = networks
        self.ports = ports

    def has_the_same(self, other: Candidate) -> bool:
        """True when two candidates put the same into sets."""
        return self.networks == other.networks and self.ports == other.ports

    def take(self, other: Candidate) -> None:
        """Becomes like another."""
        self.networks, self.ports = other.networks, other.ports


def candidate_of(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet) -> Candidate:
    """What sets need; a host endpoint's addresses are those expected, not those that its interface has."""
    match value:
        case v1.Workload():
            return Candidate(value.networks, value.ports)
        case v1.HostEndpoint():
            networks = tuple(Prefix(one.family, one.value, one.family.bits) for one in value.expected_addresses)
            return Candidate(networks, value.ports)
        case v1.NetworkSet():
            return Candidate(tuple(half for net in value.nets for half in _halves(net)))
        case _:
            assert_never(value)


def members_of(candidate: Candidate, port: v1.NamedPort | None) -> Iterable[Any]:
    """The members of a set of networks, or with a port of one of addresses with every number that its name has."""
    if port is None:
        return candidate.networks
    return [
        PortMember(Address(net.family, net.address), found.protocol, found.port)
        for found in candidate.ports
        if found.name == port.name and found.protocol == port.protocol
        for net in candidate.networks
    ]


def _halves(net: Prefix) -> tuple[Prefix, ...]:
    """The network, or two halves of everything: the kernel's set of networks holds no prefix of length 0."""
    if net.length:
        return (net,)
    return Prefix(net.family, 0, 1), Prefix(net.family, 1 << (net.family.bits - 1), 1)
