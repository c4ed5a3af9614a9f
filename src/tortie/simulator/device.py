"""A node's devices as routing sees them: who is up, and which addresses are where.

Order matters: addresses stand in the kernel's list order (as `ip addr` prints them), devices in the order of their
index, which is the order in which the kernel goes through them.
"""

from __future__ import annotations

from collections.abc import Iterable

from tortie.net.address import Address, IPFamily, Prefix, prefix_mask
from tortie.net.node import InterfaceAddress, Link, NextHop, Route, RouteType

LOOPBACK = "lo"

SCOPE = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
"""Numbers of address and route scopes (linux/rtnetlink.h)."""


def scope_number(scope: str) -> int:
    """The number of a scope that may be a name or digits; an unknown name counts as global."""
    return int(scope) if scope.isdigit() else SCOPE.get(scope, 0)


class Devices:
    """The links of a snapshot by name, with their addresses of one family."""

    __slots__ = ("addresses", "by_name", "family", "known", "ordered", "own")

    def __init__(self, links: tuple[Link, ...] | None, family: IPFamily) -> None:
        self.family = family
        self.known = links is not None
        """False when the snapshot holds no links; all else is then empty."""
        self.ordered = tuple(sorted(links or (), key=lambda link: link.index))
        self.by_name = {link.name: link for link in self.ordered}
        self.addresses = {link.name: tuple(a for a in link.addresses if a.prefix.family is family) for link in self.ordered}
        self.own = frozenset(a.prefix.address for found in self.addresses.values() for a in found)
        """Every address of the node, those of devices that are down included."""

    def is_loopback(self, name: str) -> bool:
        """True for `lo`."""
        link = self.by_name.get(name)
        return link.loopback if link is not None else name == LOOPBACK

    def is_up(self, name: str) -> bool:
        """False only for a device known to be down."""
        link = self.by_name.get(name)
        return link is None or link.up

    def in_vrf(self, name: str) -> bool:
        """True for a VRF device or one enslaved to it."""
        link = self.by_name.get(name)
        if link is None:
            return False
        master = self.by_name.get(link.master) if link.master is not None else None
        return link.kind == "vrf" or (master is not None and master.kind == "vrf")


def derive_local_routes(devices: Devices, *, forwarding: bool) -> tuple[Route, ...]:
    """The table `local` as the kernel keeps it for these addresses (fib_add_ifaddr in net/ipv4/fib_frontend.c,
    net/ipv6/addrconf.c, net/ipv6/anycast.c); `forwarding` gives IPv6 its subnet-router anycast addresses."""
    if devices.family is IPFamily.V4:
        routes = [route for link in devices.ordered for route in _local_v4(devices, link)]
    else:
        routes = [route for link in devices.ordered for route in _local_v6(devices, link, forwarding=forwarding)]
    return tuple(dict.fromkeys(routes))


def _local_v4(devices: Devices, link: Link) -> Iterable[Route]:
    for own in devices.addresses[link.name]:
        value, length = own.prefix.address, own.prefix.length
        yield _kept(IPFamily.V4, value, 32, RouteType.LOCAL, link, own)
        if not link.up:
            continue
        if own.broadcast is not None and own.broadcast != 0xFFFFFFFF:
            yield _kept(IPFamily.V4, own.broadcast, 32, RouteType.BROADCAST, link, own)
        peer = own.peer.address if own.peer is not None else value
        mask = prefix_mask(IPFamily.V4, length)
        network = peer & mask
        if network == 0 or own.secondary or (network == value and length == 32):
            continue
        if link.loopback:
            yield _kept(IPFamily.V4, network, length, RouteType.LOCAL, link, own)
        if length < 31:
            yield _kept(IPFamily.V4, network | mask ^ 0xFFFFFFFF, 32, RouteType.BROADCAST, link, own)


def _local_v6(devices: Devices, link: Link, *, forwarding: bool) -> Iterable[Route]:
    if not link.up:
        return
    for own in devices.addresses[link.name]:
        if own.tentative:
            continue
        yield _kept(IPFamily.V6, own.prefix.address, 128, RouteType.LOCAL, link, None)
        network = own.prefix.network.address
        if forwarding and own.prefix.length < 127 and network and not link.loopback:
            yield _kept(IPFamily.V6, network, 128, RouteType.ANYCAST, link, None)
    if not link.loopback:
        yield _kept(IPFamily.V6, 0xFF << 120, 8, RouteType.MULTICAST, link, None)


def _kept(family: IPFamily, value: int, length: int, kind: RouteType, link: Link, own: InterfaceAddress | None) -> Route:
    scope = "link" if kind is RouteType.BROADCAST else "host" if family is IPFamily.V4 else "global"
    return Route(
        Prefix(family, value, length),
        (NextHop(link.name),),
        kind,
        "local",
        metric=256 if kind is RouteType.MULTICAST else 0,
        scope=scope,
        protocol="kernel",
        prefsrc=Address(family, own.prefix.address) if own is not None else None,
    )
