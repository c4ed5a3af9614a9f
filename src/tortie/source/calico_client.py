"""What Calico 3.7's own client does round the reads and writes of single resources (spec: model 1.4, 1.5, 1.12, 1.17).

A node that is made sees to it that the datastore is ready; one that goes takes with it what is only its own. Pools do not
overlap, keep their CIDR and size of blocks, switch on the encapsulation that they need, and give back their blocks before
they go. Some resources are only read. Replacing reads the current revision where none is given, and tries again when
somebody else was faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import cast
from uuid import uuid4

from tortie.ipam.claim import release_host, release_pool
from tortie.ipam.command import list_blocks
from tortie.ipam.release import release_addresses
from tortie.ipam.tunnel import Tunnel, keep_tunnel_address
from tortie.model.bgp import BGPPeer
from tortie.model.cluster import ClusterInformation, ClusterInformationSpec
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.metadata import Metadata
from tortie.model.node import Node, NodeBGPSpec
from tortie.model.policy import NetworkPolicy
from tortie.model.pool import IPIPMode, IPPool, VXLANMode, overlaps
from tortie.model.problem import FieldProblem
from tortie.model.read import Key, key_of
from tortie.model.resource import Resource
from tortie.net.address import Address
from tortie.net.error import InvalidInput
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_ipam import EtcdIpam
from tortie.source.etcd_store import EtcdStore, Listing, revision_number
from tortie.source.store_refusal import StoreRefused, Why, conflict, unsupported

MOST_TRIES = 5
PAUSE_S = 1.0
"""How often, and after which pause, replacing is tried again (spec: model 1.4)."""
POOL_PAUSE_S = 0.5
"""How long those who are about to take an address from a pool have to finish when the pool goes (spec: model 1.12)."""
_MOST_SWITCH_TRIES = 10
_KUBERNETES_POLICY = "knp.default."
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
"""Of a resource whose writer did not say when; an update must say something."""
_BY_KUBERNETES = "kubernetes network policies must be managed through the kubernetes API"

Sleep = Callable[[float], Awaitable[None]]


class Done(Enum):
    """What applying did."""

    CREATED = "created"
    UPDATED = "updated"


class CalicoClient:
    """Resources in etcd, with all that belongs to them. Raises what `EtcdStore` raises."""

    def __init__(self, client: EtcdClient, *, store: EtcdStore | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self.store = store or EtcdStore(client)
        self.ipam = EtcdIpam(client)
        self._sleep = sleep

    async def get(self, key: Key, revision: str = "") -> Resource:
        """The resource; raises `StoreRefused` when there is none, or when it is Kubernetes' to show."""
        _refuse_kubernetes(key, "get")
        return await self.store.get(key, revision)

    async def list(self, kind: str, namespace: str = "") -> Listing:
        """All resources of a kind; policies of Kubernetes are left out, as in calicoctl."""
        found = await self.store.list(kind, namespace)
        shown = tuple(one for one in found.resources if not _is_kubernetes(key_of(one)))
        return replace(found, resources=shown)

    async def create(self, resource: Resource) -> Resource:
        """Writes a new resource; raises `StoreRefused`, or `InvalidInput` when it does not go with what there is."""
        key = key_of(resource)
        _refuse_read_only(key, "create or apply")
        if isinstance(resource, IPPool):
            await self._check_new_pool(resource)
        elif isinstance(resource, Node):
            await self.initialise()
        made = await self.store.create(resource)
        if isinstance(resource, IPPool):
            await self._switch_encapsulation(resource)
        return made

    async def apply(self, resource: Resource) -> tuple[Resource, Done]:
        """Creates a resource, or replaces the one that there is."""
        try:
            bare = replace(resource, metadata=replace(resource.metadata, resource_version=""))
            return await self.create(bare), Done.CREATED
        except StoreRefused as refusal:
            if refusal.why is not Why.EXISTS:
                raise
        return await self.replace(resource), Done.UPDATED

    async def replace(self, resource: Resource) -> Resource:
        """Replaces a resource: as it was at the revision that is given, or whatever it is now.

        Without a revision a conflict is tried again; with one it is the answer.
        """
        key = key_of(resource)
        _refuse_read_only(key, "apply or replace")
        for attempt in range(MOST_TRIES + 1):
            identity = await self.store.identity(key)
            metadata = replace(
                resource.metadata,
                creation_timestamp=identity.creation_timestamp
                or resource.metadata.creation_timestamp
                or "1970-01-01T00:00:00Z",
                uid=identity.uid or resource.metadata.uid or str(uuid4()),
                resource_version=resource.metadata.resource_version or identity.revision,
            )
            try:
                return await self._update(replace(resource, metadata=metadata))
            except StoreRefused as refusal:
                final = resource.metadata.resource_version or attempt == MOST_TRIES
                if refusal.why is not Why.CONFLICT or final:
                    raise
            await self._sleep(PAUSE_S)
        raise AssertionError("the last try ends above")

    async def _update(self, resource: Resource) -> Resource:
        if isinstance(resource, IPPool):
            await self._check_changed_pool(resource)
        made = await self.store.update(resource)
        if isinstance(resource, IPPool):
            await self._switch_encapsulation(resource)
        return made

    async def delete(self, key: Key, revision: str = "") -> None:
        """Deletes a resource and what is only its own; raises `StoreRefused`."""
        _refuse_read_only(key, "delete")
        if key.kind == "Node":
            if revision and (await self.store.identity(key)).revision != str(revision_number(revision)):
                raise conflict(key)
            await self._leave_node(key.name)
        elif key.kind == "IPPool":
            revision = await self._leave_pool(key, revision)
        await self.store.delete(key, revision)

    # --- the datastore as a whole ---------------------------------------------------------------------------------

    async def initialise(self) -> None:
        """Makes sure that the cluster has an identity, and that its datastore counts as ready (spec: model 1.17)."""
        key = Key("ClusterInformation", "", "default")
        try:
            found = await self.store.get(key)
        except StoreRefused as refusal:
            if refusal.why is not Why.MISSING:
                raise
            spec = ClusterInformationSpec(cluster_guid=uuid4().hex, datastore_ready=True)
            await _unless(Why.EXISTS, self.store.create(ClusterInformation(Metadata("default"), spec)))
            return
        assert isinstance(found, ClusterInformation)
        spec = replace(
            found.spec,
            cluster_guid=found.spec.cluster_guid or uuid4().hex,
            datastore_ready=True if found.spec.datastore_ready is None else found.spec.datastore_ready,
        )
        if spec != found.spec:
            await _unless(Why.CONFLICT, self.store.update(replace(found, spec=spec)))

    async def keep_tunnel_addresses(self, name: str) -> dict[Tunnel, Address | None]:
        """Gives a node the tunnel addresses that its pools ask for, and takes back others (spec: model 9.8).

        Returns what the node now has. Raises `StoreRefused` when there is no such node, `InvalidInput` when pools are full.
        """
        for attempt in range(MOST_TRIES + 1):
            node = await self.store.get(Key("Node", "", name))
            assert isinstance(node, Node)
            kept: dict[Tunnel, Address | None] = {}
            for tunnel, current in tunnel_addresses(node).items():
                kept[tunnel] = await self.ipam.run(keep_tunnel_address(name, tunnel, current))
            if kept == tunnel_addresses(node):
                return kept
            try:
                await self.store.update(_whole(with_tunnel_addresses(node, kept)))
            except StoreRefused as refusal:
                if refusal.why is not Why.CONFLICT or attempt == MOST_TRIES:
                    raise
                await self._sleep(PAUSE_S)
            else:
                return kept
        raise AssertionError("the last try ends above")

    async def _leave_node(self, name: str) -> None:
        """What goes before a node does (spec: model 1.5)."""
        for found in (await self.store.list("WorkloadEndpoint")).resources:
            assert isinstance(found, WorkloadEndpoint)
            if found.spec.node == name:
                nets = found.spec.ip_networks
                await self.ipam.run(release_addresses(Address(net.family, net.address) for net in nets))
                await _unless(Why.MISSING, self.store.delete(key_of(found)))
        await self.ipam.run(release_host(name))
        for peer in (await self.store.list("BGPPeer")).resources:
            assert isinstance(peer, BGPPeer)
            if peer.spec.node == name:
                await _unless(Why.MISSING, self.store.delete(key_of(peer)))
        for kind in ("FelixConfiguration", "BGPConfiguration"):
            await _unless(Why.MISSING, self.store.delete(Key(kind, "", f"node.{name}")))

    # --- pools ---------------------------------------------------------------------------------------------------

    async def _check_new_pool(self, pool: IPPool) -> None:
        name, cidr = pool.metadata.name, pool.spec.cidr
        for other in (await self.store.list("IPPool")).resources:
            assert isinstance(other, IPPool)
            if other.metadata.name != name and overlaps(other.spec.cidr, cidr):
                message = f"IPPool({name}) CIDR overlaps with IPPool({other.metadata.name}) CIDR {other.spec.cidr}"
                raise FieldProblem(message, path=("spec", "cidr"))
        blocks = await self.ipam.run(list_blocks(cidr.family))
        if any(overlaps(block, cidr) and block.length != pool.spec.block_size for block in blocks):
            message = "IPPool blocksSize conflicts with existing allocations that use a different blockSize"
            raise FieldProblem(message, path=("spec", "blockSize"))

    async def _check_changed_pool(self, pool: IPPool) -> None:
        try:
            current = await self.store.get(key_of(pool))
        except InvalidInput:
            return  # what is there is no pool, and is about to be one
        assert isinstance(current, IPPool)
        if current.spec.cidr != pool.spec.cidr:
            raise FieldProblem("IPPool CIDR cannot be modified", path=("spec", "cidr"), remedy=f"it is {current.spec.cidr}")
        if current.spec.block_size != pool.spec.block_size:
            remedy = f"it is {current.spec.block_size}"
            raise FieldProblem("IPPool BlockSize cannot be modified", path=("spec", "blockSize"), remedy=remedy)

    async def _leave_pool(self, key: Key, revision: str) -> str:
        """Disables a pool and frees its blocks; the revision that it then has, if one was asked for."""
        try:
            pool = await self.store.get(key)
        except InvalidInput:
            return revision  # nobody can have taken anything from a pool that cannot be read
        assert isinstance(pool, IPPool)
        if revision:
            pool = replace(pool, metadata=replace(pool.metadata, resource_version=revision))
        if not pool.spec.disabled:
            disabled = replace(pool, spec=replace(pool.spec, disabled=True))
            stored = cast(IPPool, await self.store.update(_whole(disabled)))
            revision = stored.metadata.resource_version if revision else ""
            await self._sleep(POOL_PAUSE_S)
        await self.ipam.run(release_pool(pool.spec.cidr))
        return revision

    async def _switch_encapsulation(self, pool: IPPool) -> None:
        """Switches IPIP or VXLAN on for the cluster where nobody has said otherwise (spec: model 1.12)."""
        ipip, vxlan = pool.spec.ipip_mode is not IPIPMode.NEVER, pool.spec.vxlan_mode is not VXLANMode.NEVER
        if not (ipip or vxlan):
            return
        key = Key("FelixConfiguration", "", "default")
        for attempt in range(_MOST_SWITCH_TRIES):
            try:
                found = await self.store.get(key)
            except StoreRefused as refusal:
                if refusal.why is not Why.MISSING:
                    raise
                found = FelixConfiguration(Metadata("default"))
            assert isinstance(found, FelixConfiguration)
            spec = found.spec
            if ipip and spec.ipip_enabled is None:
                spec = replace(spec, ipip_enabled=True)
            if vxlan and spec.vxlan_enabled is None:
                spec = replace(spec, vxlan_enabled=True)
            if spec == found.spec:
                return
            changed = replace(found, spec=spec)
            try:
                known = found.metadata.resource_version
                await (self.store.update(_whole(changed)) if known else self.store.create(changed))
                return
            except StoreRefused:
                if attempt == _MOST_SWITCH_TRIES - 1:
                    raise


def tunnel_addresses(node: Node) -> dict[Tunnel, Address | None]:
    """The addresses of tunnels that a node's resource has."""
    ipip = None if node.spec.bgp is None else node.spec.bgp.ipv4_ipip_tunnel_addr
    return {Tunnel.IPIP: ipip, Tunnel.VXLAN: node.spec.ipv4_vxlan_tunnel_addr}


def with_tunnel_addresses(node: Node, addresses: Mapping[Tunnel, Address | None]) -> Node:
    """A node's resource with other addresses of tunnels."""
    bgp = replace(node.spec.bgp or NodeBGPSpec(), ipv4_ipip_tunnel_addr=addresses[Tunnel.IPIP])
    spec = replace(
        node.spec,
        bgp=None if bgp == NodeBGPSpec() else bgp,
        ipv4_vxlan_tunnel_addr=addresses[Tunnel.VXLAN],
    )
    return replace(node, spec=spec)


def _whole(resource: Resource) -> Resource:
    """A resource that was read, with the time and the identity that other writers may have left out."""
    metadata = resource.metadata
    made = metadata.creation_timestamp or _UNKNOWN_TIME
    return replace(resource, metadata=replace(metadata, creation_timestamp=made, uid=metadata.uid or str(uuid4())))


async def _unless(why: Why, done: Awaitable[object]) -> None:
    """Waits for something that may be refused for this reason: then somebody else has done it."""
    try:
        await done
    except StoreRefused as refusal:
        if refusal.why is not why:
            raise


def _is_kubernetes(key: Key) -> bool:
    return key.kind == NetworkPolicy.__name__ and key.name.startswith(_KUBERNETES_POLICY)


def _refuse_kubernetes(key: Key, operation: str) -> None:
    if _is_kubernetes(key):
        raise unsupported(key, operation, _BY_KUBERNETES)


def _refuse_read_only(key: Key, operation: str) -> None:
    _refuse_kubernetes(key, operation)
    if key.kind == ClusterInformation.__name__:
        raise StoreRefused(Why.UNSUPPORTED, key, "resource is readonly")
