"""The address of a node's tunnel device, which comes from the pools that use such a tunnel (spec: model 9.8, 8.7).

A node has one for each kind of tunnel as long as a pool of that kind is meant for it. Calico's node program sees to this
when it starts and whenever pools change; where that program does not run, this does the same. What the node's resource
says and what the pools say are brought together here; writing the resource is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.choice import pool_of, selects_node
from tortie.ipam.command import Steps, read_node, read_pools
from tortie.ipam.release import addresses_of_handle, assignment_of, release_addresses, release_handle
from tortie.model.node import Node
from tortie.model.pool import IPIPMode, IPPool, VXLANMode
from tortie.net.address import Address, IPFamily
from tortie.net.error import InvalidInput


class Tunnel(Enum):
    """A kind of tunnel; `value` is what its address is noted as."""

    IPIP = "ipipTunnelAddress"
    VXLAN = "vxlanTunnelAddress"


_HANDLES = {Tunnel.IPIP: "ipip-tunnel-addr-", Tunnel.VXLAN: "vxlan-tunnel-addr-"}


def tunnel_handle(tunnel: Tunnel, host: str) -> str:
    """The handle of a tunnel's address."""
    return _HANDLES[tunnel] + host


def tunnel_pools(pools: Iterable[IPPool], node: Node, tunnel: Tunnel) -> tuple[IPPool, ...]:
    """The enabled IPv4 pools that use such a tunnel and are meant for the node."""
    return tuple(
        pool
        for pool in pools
        if not pool.spec.disabled
        and pool.spec.cidr.family is IPFamily.V4
        and _uses(pool, tunnel)
        and selects_node(pool, node)
    )


def _uses(pool: IPPool, tunnel: Tunnel) -> bool:
    if tunnel is Tunnel.IPIP:
        return pool.spec.ipip_mode is not IPIPMode.NEVER
    return pool.spec.vxlan_mode is VXLANMode.ALWAYS


def keep_tunnel_address(host: str, tunnel: Tunnel, current: Address | None) -> Steps[Address | None]:
    """The address that the tunnel is to have, None for none; `current` is the one that the node's resource has.

    One that is right stays. What else the tunnel's handle holds is released. Raises `InvalidInput` when there is no such
    node, or its pools are used up.
    """
    node = yield from read_node(host)
    if node is None:
        raise InvalidInput(f"resource does not exist: Node({host})")
    handle = tunnel_handle(tunnel, host)
    pools = tunnel_pools((yield from read_pools()), node, tunnel)
    if not pools:
        yield from release_handle(handle)
        return None
    held = (yield from addresses_of_handle(handle)) or ()
    request = AssignRequest(
        host,
        handle=handle,
        secondary={"node": host, "type": tunnel.value},
        pools=tuple(pool.spec.cidr for pool in pools),
    )
    kept = _held_and_right(held, pools, current)
    if kept is None and current is not None and pool_of(pools, current) is not None:
        kept = yield from _take_if_free(current, request)
    if kept is None:
        found = yield from auto_assign(request)
        if not found.addresses:
            raise InvalidInput(f"no address for {host}'s tunnel: {found.shortage}")
        kept = found.addresses[0]
    yield from release_addresses(address for address in held if address != kept)
    return kept


def _held_and_right(held: Iterable[Address], pools: tuple[IPPool, ...], current: Address | None) -> Address | None:
    """The one that the node has, or else one that was given to its tunnel before it could be written down."""
    right = [address for address in held if pool_of(pools, address) is not None]
    if current in right:
        return current
    return right[0] if right else None


def _take_if_free(current: Address, request: AssignRequest) -> Steps[Address | None]:
    """The address that the node says it has, if nobody has it: its block's entry was lost, or is older than handles."""
    if (yield from assignment_of(current)) is not None:
        return None
    yield from assign_address(current, request)
    return current
