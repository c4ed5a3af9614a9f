"""VXLAN: every node's tunnel endpoint, and where blocks and borrowed addresses live (spec: model 6.7).

A block's routes depend on the block, on the pools and on the tunnel endpoints. Blocks change with every pod, the others
hardly ever, so a block that changes is worked out alone, anything else works out all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha1
from typing import TypeAlias

from tortie.calc.ordered import Ordered
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


def block_routes(
    hostname: str, block: v1.Block, pools: Collection[Prefix], vteps: Mapping[str, Vtep]
) -> dict[Prefix, VxlanRoute]:
    """Routes to what of a block lives on other nodes, by destination; `pools` are those with VXLAN.

    An address that another node than the block's uses has a route of its own, which counts more than that of a block of
    just this address. Felix also makes a route to what this node borrowed, and passes it over later; here there is none.
    """
    users = {block.cidr: block.node}
    users |= {_host(address): node for address, node in block.users if node != block.node}
    routes = {}
    for destination, node in users.items():
        vtep = None if node is None or node == hostname else vteps.get(node)
        if vtep is not None and vtep.address.family is destination.family and _is_inside(destination, pools):
            routes[destination] = VxlanRoute(destination, vtep.node, vtep.address)
    return routes


NetworkKey: TypeAlias = tuple[int, int, int]
"""What networks are sorted by: version, address, length."""


def network_key(net: Prefix) -> NetworkKey:
    """The network as something that has an order."""
    return net.family.value, net.address, net.length


class TunnelRoutes:
    """The routes of all blocks that there are. Blocks do not overlap; of two that do, the more specific counts."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._pools: frozenset[Prefix] = frozenset()
        self._vteps: Mapping[str, Vtep] = {}
        self._blocks: dict[Prefix, v1.Block] = {}
        self._routes: dict[Prefix, dict[Prefix, VxlanRoute]] = {}
        """By block, then by destination."""
        self._through: dict[Prefix, set[Prefix]] = {}
        """Blocks by destination."""
        self.routes = Ordered[NetworkKey, VxlanRoute]()

    def set_surroundings(self, pools: Iterable[v1.Pool], vteps: Mapping[str, Vtep]) -> None:
        """Says which pools and tunnel endpoints there are."""
        tunnelled = frozenset(pool.cidr for pool in pools if pool.vxlan_mode == "always")
        if (tunnelled, vteps) != (self._pools, self._vteps):
            self._pools, self._vteps = tunnelled, vteps
            for block in self._blocks.values():
                self._work_out(block.cidr, block)

    def set_block(self, cidr: Prefix, block: v1.Block | None) -> None:
        """Says what a block is; None when it is gone."""
        if block is not None:
            self._blocks[cidr] = block
        else:
            self._blocks.pop(cidr, None)
        self._work_out(cidr, block)

    def _work_out(self, cidr: Prefix, block: v1.Block | None) -> None:
        before = self._routes.pop(cidr, {})
        after = {} if block is None else block_routes(self._hostname, block, self._pools, self._vteps)
        if after:
            self._routes[cidr] = after
        for destination in before.keys() - after.keys():
            self._through[destination].remove(cidr)
        for destination in after:
            self._through.setdefault(destination, set()).add(cidr)
        for destination in before.keys() | after.keys():
            self._settle(destination)

    def _settle(self, destination: Prefix) -> None:
        blocks = self._through[destination]
        if not blocks:
            del self._through[destination]
        chosen = max(blocks, key=_specific_last, default=None)
        route = None if chosen is None else self._routes[chosen][destination]
        self.routes.set(network_key(destination), route)


def _specific_last(cidr: Prefix) -> tuple[int, NetworkKey]:
    return cidr.length, network_key(cidr)


def _is_inside(inner: Prefix, pools: Collection[Prefix]) -> bool:
    return any(
        pool.family is inner.family and pool.length <= inner.length and pool.contains(inner.address) for pool in pools
    )


def _host(address: Address) -> Prefix:
    return Prefix(address.family, address.value, address.family.bits)
