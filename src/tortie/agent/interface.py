"""A network interface as the agent sees it: a name, whether it carries packets, and its addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tortie.net.address import Address
from tortie.net.node import Link
from tortie.render.state import NodeInterface


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface; `up` is what the kernel calls running (spec: model 7.3)."""

    name: str
    up: bool = True
    addresses: frozenset[Address] = frozenset()


def interface_of(link: Link) -> Interface:
    """What counts of a device."""
    addresses = frozenset(Address(one.prefix.family, one.prefix.address) for one in link.addresses)
    return Interface(link.name, link.up and link.carrier, addresses)


def node_interfaces(interfaces: Iterable[Interface]) -> tuple[NodeInterface, ...]:
    """The same as the renderer wants it, by name."""
    return tuple(NodeInterface(one.name, one.addresses) for one in sorted(interfaces, key=lambda one: one.name))
