"""From the cluster's resources to the `Speaker` of one node (spec: model 9.2 to 9.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from tortie.bgp.peering import Member, Peerings, Remote, cluster_members, mesh_enabled, peerings_of
from tortie.bgp.speaker import LogLevel, OwnBlock, Peer, PeerKind, PoolNetwork, Speaker, Tunnel
from tortie.model.bgp import BGPConfiguration
from tortie.model.ipam import BlockAffinity, BlockAffinitySpec
from tortie.model.node import Node
from tortie.model.parameter import CLUSTER_NAME, NODE_PREFIX, bgp_configuration_parameters
from tortie.model.pool import IPIPMode, IPPool, VXLANMode
from tortie.model.read import Resources
from tortie.net.address import IPFamily, Prefix, format_address
from tortie.net.error import InvalidInput

HASHED_ROUTER_ID = "hash"
"""What is given for a router id that is made of the node's name."""


def speaker_of(
    resources: Resources,
    node: str,
    *,
    router_id: str = "",
    service_networks: tuple[Prefix, ...] = (),
    services: tuple[Prefix, ...] = (),
    workload_prefixes: tuple[str, ...] = ("cali",),
    claims: Iterable[BlockAffinitySpec] | None = None,
) -> Speaker:
    """One node's BGP.

    `claims` are the node's claims to blocks where they are not kept among the resources.

    `router_id` is a dotted quad, `hash`, or empty for the node's IPv4 address (and `hash` where it has none);
    `service_networks` are the cluster's service addresses when they are announced, `services` those with an endpoint on
    this node. Raises `InvalidInput` when no resource is about the node.
    """
    own = next((member for member in cluster_members(resources) if member.name == node), None)
    if own is None:
        known = ", ".join(found.metadata.name for found in resources.of(Node)) or "none"
        raise InvalidInput(f"there is no Node({node})", remedy=f"nodes that there are: {known}")
    addresses = tuple(address for family in IPFamily if (address := own.address(family)) is not None)
    return Speaker(
        node=node,
        router_id=_router_id(router_id, own),
        as_number=own.as_number,
        addresses=addresses,
        subnet=_subnet(own),
        cluster_id=own.cluster_id,
        log_level=_log_level(resources, node),
        peers=tuple(_peers(resources, own)),
        pools=_pools(resources),
        blocks=_blocks(node, (one.spec for one in resources.of(BlockAffinity)) if claims is None else claims),
        static_routes=(*service_networks, *services),
        rejected=service_networks,
        workload_prefixes=workload_prefixes,
    )


def _router_id(given: str, own: Member) -> str:
    address = own.address(IPFamily.V4)
    if given and given != HASHED_ROUTER_ID:
        return given
    if given or address is None:
        return format_address(IPFamily.V4, int.from_bytes(sha256(own.name.encode()).digest()[:4], "big"))
    return str(address)


def _subnet(own: Member) -> Prefix | None:
    bgp = own.node.spec.bgp
    return None if bgp is None or bgp.ipv4_address is None else bgp.ipv4_address.network


def _log_level(resources: Resources, node: str) -> LogLevel:
    """The node's own level wins over the cluster's."""
    found = "info"
    for name in (CLUSTER_NAME, NODE_PREFIX + node):
        configuration = resources.get(BGPConfiguration, name)
        if configuration is not None:
            found = bgp_configuration_parameters(configuration).get("loglevel", found)
    try:
        return LogLevel(found)
    except ValueError:
        return LogLevel.INFO


def _peers(resources: Resources, own: Member) -> Iterator[Peer]:
    addresses = {own.address(family) for family in IPFamily}
    if not own.cluster_id and mesh_enabled(resources):
        yield from _mesh(resources, own)
    peerings: Peerings = peerings_of(resources, own.name)
    for kind, remotes in ((PeerKind.GLOBAL, peerings.common), (PeerKind.NODE, peerings.own)):
        for remote in remotes:
            if remote.address not in addresses:
                yield Peer(kind, remote.address, remote.as_number, reflect_to=_is_client(own, remote))


def _mesh(resources: Resources, own: Member) -> Iterator[Peer]:
    """Every other node; of two, the one whose address is greater as text calls the other."""
    for member in cluster_members(resources):
        for family in IPFamily:
            address, mine = member.address(family), own.address(family)
            if member.name != own.name and address is not None and mine is not None:
                yield Peer(PeerKind.MESH, address, member.as_number, passive=str(address) > str(mine))


def _is_client(own: Member, remote: Remote) -> bool:
    return bool(own.cluster_id) and remote.as_number == own.as_number and remote.cluster_id != own.cluster_id


_TUNNELS = {IPIPMode.ALWAYS: Tunnel.IPIP, IPIPMode.CROSS_SUBNET: Tunnel.IPIP_CROSS_SUBNET}


def _pools(resources: Resources) -> tuple[PoolNetwork, ...]:
    """All pools, those that are disabled too: workloads may still have their addresses. By the text of the key."""
    found = []
    for pool in resources.of(IPPool):
        if pool.spec.vxlan_mode is VXLANMode.ALWAYS:
            tunnel = Tunnel.VXLAN
        else:
            tunnel = _TUNNELS.get(pool.spec.ipip_mode, Tunnel.NONE)
        found.append(PoolNetwork(pool.spec.cidr, tunnel))
    return tuple(sorted(found, key=lambda pool: str(pool.cidr).replace("/", "-")))


def _blocks(node: str, claims: Iterable[BlockAffinitySpec]) -> tuple[OwnBlock, ...]:
    own = (claim for claim in claims if claim.node == node and claim.deleted != "true")
    found = {claim.cidr.network: claim.state in ("", "confirmed") for claim in own}
    return tuple(OwnBlock(cidr, found[cidr]) for cidr in sorted(found, key=str))
