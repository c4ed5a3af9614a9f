"""VXLAN: every node's tunnel endpoint, and where blocks and borrowed addresses live (spec: model 6.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha1

from tortie.calc.view import Vtep, VxlanRoute
from tortie.model import v1
from tortie.net.address import Address, Prefix

_TRUE = frozenset(("true", "1", "yes", "y", "t"))


def is_vxlan_enabled(config: Mapping[str, str]) -> bool:
    """What the parameter `VXLANEnabled` says, in any of Felix's spellings; a text that is none of them means no."""
    return config.get("VXLANEnabled", "").lower() in _TRUE


def vtep_of(host: v1.Host) -> Vtep | None:
    """The node's tunnel endpoint, once its own address and the one inside the tunnel are known."""
    if host.address is None or host.vxlan_address is None:
        return None
    return Vtep(host.name, vtep_mac(host.name), host.vxlan_address, host.address)


def vtep_mac(node: str) -> bytes:
    """The Ethernet address of a node's tunnel device, which every node works out for itself."""
    return b"\x66" + sha1(node.encode(), usedforsecurity=False).digest()[:5]


def vxlan_routes(
    hostname: str, blocks: Iterable[v1.Block], pools: Iterable[v1.Pool], vteps: Mapping[str, Vtep]
) -> dict[Prefix, VxlanRoute]:
    """Routes to what lives on other nodes, by destination.

    An address that another node than the block's uses has a route of its own, which counts more than that of a block of
    just this address. Felix also makes a route to what this node borrowed, and passes it over later; here there is none.
    """
    tunnelled = [pool.cidr for pool in pools if pool.vxlan_mode == "always"]
    routes: dict[Prefix, VxlanRoute] = {}
    borrowed: dict[Prefix, str] = {}
    for block in blocks:
        if block.node is not None and block.node != hostname:
            _add(routes, block.cidr, block.node, tunnelled, vteps)
        borrowed.update((_host(address), node) for address, node in block.users if node != block.node)
    for destination, node in borrowed.items():
        if node != hostname:
            _add(routes, destination, node, tunnelled, vteps)
    return routes


def _add(
    routes: dict[Prefix, VxlanRoute], destination: Prefix, node: str, pools: list[Prefix], vteps: Mapping[str, Vtep]
) -> None:
    vtep = vteps.get(node)
    if vtep is not None and vtep.address.family is destination.family and any(_holds(pool, destination) for pool in pools):
        routes[destination] = VxlanRoute(destination, node, vtep.address)


def _holds(pool: Prefix, inner: Prefix) -> bool:
    return pool.family is inner.family and pool.length <= inner.length and pool.contains(inner.address)


def _host(address: Address) -> Prefix:
    return Prefix(address.family, address.value, address.family.bits)
