"""What something that a selector selects puts into a set (spec: model 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from tortie.calc.view import PortMember
from tortie.model import v1
from tortie.net.address import Address, Prefix


def candidate_networks(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet) -> tuple[Prefix, ...]:
    """The networks of a set of selectors: of a host endpoint those expected, not those that its interface has."""
    match value:
        case v1.Workload():
            return value.networks
        case v1.HostEndpoint():
            return tuple(Prefix(one.family, one.value, one.family.bits) for one in value.expected_addresses)
        case v1.NetworkSet():
            return tuple(half for net in value.nets for half in _halves(net))
        case _:
            assert_never(value)


def port_members(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet, port: v1.NamedPort) -> Iterator[PortMember]:
    """The members of a named port's set: every address with every number that the name has; networks have no ports."""
    if isinstance(value, v1.NetworkSet):
        return
    for found in value.ports:
        if found.name == port.name and found.protocol == port.protocol:
            for net in candidate_networks(value):
                yield PortMember(Address(net.family, net.address), found.protocol, found.port)


def _halves(net: Prefix) -> tuple[Prefix, ...]:
    """The network, or two halves of everything: the kernel's set of networks holds no prefix of length 0."""
    if net.length:
        return (net,)
    return Prefix(net.family, 0, 1), Prefix(net.family, 1 << (net.family.bits - 1), 1)
