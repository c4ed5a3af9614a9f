"""Single resources in a real etcd: revisions, conflicts, and what Calico's client does round them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tests.etcd_server import EtcdServer, etcd_server
from tests.requirement import missing_for_etcd
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.release import addresses_of_handle
from tortie.ipam.tunnel import Tunnel
from tortie.model.cluster import ClusterInformation
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.model.problem import format_path
from tortie.model.read import Key, key_of, parse_resources
from tortie.model.resource import Resource
from tortie.net.address import parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.calico_client import MOST_TRIES, PAUSE_S, POOL_PAUSE_S, CalicoClient, Done, tunnel_addresses
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_key import resource_key
from tortie.source.etcd_store import EtcdStore
from tortie.source.store_refusal import StoreRefused, Why

pytestmark = pytest.mark.skipif(missing_for_etcd() is not None, reason=str(missing_for_etcd()))

T = TypeVar("T")
HEAD = "apiVersion: projectcalico.org/v3\n"
POOL = "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.65.0.0/24}\n"
POLICY = "kind: NetworkPolicy\nmetadata: {name: web, namespace: prod}\nspec: {selector: app == 'web'}\n"
PROFILE = "kind: Profile\nmetadata: {name: pro}\nspec: {labelsToApply: {a: b}}\n"
NODE = "kind: Node\nmetadata: {name: n1}\nspec: {bgp: {ipv4Address: 10.0.0.1/24}}\n"
ENDPOINT = (
    "kind: WorkloadEndpoint\nmetadata: {namespace: prod}\nspec: {node: n1, orchestrator: k8s, pod: web, endpoint: eth0,"
    " interfaceName: cali1, ipNetworks: [10.65.0.9/32]}\n"
)


def one(text: str) -> Resource:
    (resource,) = parse_resources([("test", HEAD + text)])
    return resource


class World:
    """A server, a client of it, and what it slept."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server
        self.slept: list[float] = []
        self.before_sleep: Callable[[CalicoClient], Awaitable[object]] | None = None

    def run(self, work: Callable[[CalicoClient], Awaitable[T]]) -> T:
        async def whole() -> T:
            etcd = EtcdClient(self.server.config)
            store = EtcdStore(etcd, now=lambda: "2019-05-01T12:00:00Z", new_uid=lambda: "uid-1")

            async def sleep(seconds: float) -> None:
                self.slept.append(seconds)
                if self.before_sleep is not None:
                    await self.before_sleep(client)

            client = CalicoClient(etcd, store=store, sleep=sleep)
            try:
                return await work(client)
            finally:
                await etcd.close()

        return asyncio.run(whole())

    def refusal(self, work: Callable[[CalicoClient], Awaitable[object]]) -> StoreRefused:
        with pytest.raises(StoreRefused) as refusal:
            self.run(work)
        return refusal.value

    def raw(self, key: Key) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.server.ctl("get", "--print-value-only", resource_key(key)).stdout)
        return data

    def put(self, key: Key, text: str) -> None:
        self.server.ctl("put", resource_key(key), text)


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def world(server: EtcdServer) -> World:
    server.ctl("del", "--prefix", "/calico/")
    return World(server)


# --- single resources ---


def test_a_resource_is_kept_as_calico_keeps_it(world: World) -> None:
    made = world.run(lambda client: client.create(one(POLICY)))
    assert made.metadata.resource_version == str(world.server.revision())
    assert world.raw(key_of(made)) == {
        "kind": "NetworkPolicy",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {
            "name": "default.web",
            "namespace": "prod",
            "uid": "uid-1",
            "creationTimestamp": "2019-05-01T12:00:00Z",
        },
        "spec": {"selector": "app == 'web'", "types": ["Ingress"]},
    }
    assert world.run(lambda client: client.get(key_of(made))) == made


def test_markup_is_escaped_as_go_does(world: World) -> None:
    world.run(
        lambda client: client.create(one("kind: GlobalNetworkPolicy\nmetadata: {name: g, annotations: {a: '<b>'}}\n"))
    )
    text = world.server.ctl("get", "--print-value-only", resource_key(Key("GlobalNetworkPolicy", "", "g"))).stdout
    assert "\\u003cb\\u003e" in text
    assert world.run(lambda client: client.get(Key("GlobalNetworkPolicy", "", "g"))).metadata.annotations == {"a": "<b>"}


def test_what_is_not_there_is_missing(world: World) -> None:
    refusal = world.refusal(lambda client: client.get(Key("IPPool", "", "p")))
    assert (refusal.why, str(refusal)) == (Why.MISSING, "resource does not exist: IPPool(p) with error: <nil>")
    assert world.refusal(lambda client: client.replace(one(POLICY))).why is Why.MISSING
    assert world.refusal(lambda client: client.delete(key_of(one(POLICY)))).why is Why.MISSING
    assert world.refusal(lambda client: client.delete(key_of(one(POLICY)), "7")).why is Why.MISSING


def test_nothing_is_created_twice(world: World) -> None:
    world.run(lambda client: client.create(one(POLICY)))
    refusal = world.refusal(lambda client: client.create(one(POLICY)))
    assert (refusal.why, str(refusal)) == (Why.EXISTS, "resource already exists: NetworkPolicy(prod/web)")


def test_an_update_keeps_time_and_identity_and_moves_the_revision(world: World) -> None:
    made = world.run(lambda client: client.create(one(POLICY)))
    changed, done = world.run(lambda client: client.apply(one(POLICY.replace("'web'", "'db'"))))
    assert done is Done.UPDATED
    assert int(changed.metadata.resource_version) > int(made.metadata.resource_version)
    assert changed.metadata.uid == made.metadata.uid
    assert changed.metadata.creation_timestamp == made.metadata.creation_timestamp
    old = world.run(lambda client: client.get(key_of(made), made.metadata.resource_version))
    assert old == made


def test_a_resource_that_has_changed_since_it_was_read_is_a_conflict(world: World) -> None:
    made = world.run(lambda client: client.create(one(POLICY)))
    world.run(lambda client: client.apply(one(POLICY.replace("'web'", "'db'"))))
    for work in (
        lambda client: client.apply(made),
        lambda client: client.replace(made),
        lambda client: client.store.update(made),
        lambda client: client.delete(key_of(made), made.metadata.resource_version),
    ):
        refusal = world.refusal(work)
        assert (refusal.why, str(refusal)) == (Why.CONFLICT, "update conflict: NetworkPolicy(prod/web)")
    assert world.slept == []


def test_replacing_whatever_there_is_tries_again_when_somebody_was_faster(world: World) -> None:
    world.run(lambda client: client.create(one(POLICY)))

    async def overtaken(client: CalicoClient) -> None:
        update = client.store.update

        async def late(resource: Resource) -> Resource:
            client.store.update = update  # type: ignore[method-assign]
            await client.store.update(await client.store.get(key_of(resource)))
            return await update(resource)

        client.store.update = late  # type: ignore[method-assign]
        await client.replace(one(POLICY.replace("'web'", "'db'")))

    world.run(overtaken)
    assert world.slept == [PAUSE_S]
    assert world.raw(key_of(one(POLICY)))["spec"]["selector"] == "app == 'db'"


def test_replacing_gives_up_when_somebody_is_always_faster(world: World) -> None:
    made = world.run(lambda client: client.create(one(POLICY)))

    async def hopeless(client: CalicoClient) -> None:
        update = client.store.update

        async def late(resource: Resource) -> Resource:
            await update(await client.store.get(key_of(resource)))
            return await update(resource)

        client.store.update = late  # type: ignore[method-assign]
        await client.replace(one(POLICY))

    assert world.refusal(hopeless).why is Why.CONFLICT
    assert world.slept == [PAUSE_S] * MOST_TRIES
    assert made.metadata.uid


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "error with field Metadata.ResourceVersion (field must be set for an Update request)"),
        (
            {"resource_version": "5"},
            "error with field Metadata.CreationTimestamp (field must be set for an Update request)",
        ),
        (
            {"resource_version": "5", "creation_timestamp": "2019-05-01T12:00:00Z"},
            "error with field Metadata.Uid (field must be set for an Update request)",
        ),
        (
            {"resource_version": "x", "creation_timestamp": "t", "uid": "u"},
            "error with field Metadata.ResourceVersion = 'x' (the revision is no number that etcd has)",
        ),
    ],
)
def test_an_update_says_what_it_replaces(world: World, metadata: dict[str, str], message: str) -> None:
    resource = one(POLICY)
    resource = replace(resource, metadata=replace(resource.metadata, **metadata))  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as refusal:
        world.run(lambda client: client.store.update(resource))
    assert refusal.value.message == message


def test_what_is_created_has_no_revision(world: World) -> None:
    resource = one(POLICY.replace("{name", "{resourceVersion: '5', name"))
    with pytest.raises(InvalidInput, match=r"error with field Metadata\.ResourceVersion = '5' \(field must not be set"):
        world.run(lambda client: client.create(resource))


def test_lists_are_by_namespace_and_name_and_say_what_cannot_be_read(world: World) -> None:
    texts = [
        POLICY.replace("web,", f"{name},").replace("namespace: prod", f"namespace: {namespace}")
        for namespace, name in (("prod", "z"), ("prod", "a"), ("dev", "m"))
    ]

    async def create(client: CalicoClient) -> None:
        for text in texts:
            await client.create(one(text))

    world.run(create)
    world.put(Key("NetworkPolicy", "prod", "bad"), "{")
    whole = world.run(lambda client: client.list("NetworkPolicy"))
    assert [str(key_of(found)) for found in whole.resources] == [
        "NetworkPolicy(dev/m)",
        "NetworkPolicy(prod/a)",
        "NetworkPolicy(prod/z)",
    ]
    assert len(whole.refused) == 1 and "networkpolicies/prod/default.bad" in str(whole.refused[0])
    assert whole.revision == str(world.server.revision())
    assert len(world.run(lambda client: client.list("NetworkPolicy", "dev")).resources) == 1
    world.run(lambda client: client.delete(Key("NetworkPolicy", "prod", "bad")))
    assert world.run(lambda client: client.list("NetworkPolicy")).refused == ()


def test_what_cannot_be_read_can_be_replaced(world: World) -> None:
    world.put(key_of(one(PROFILE)), '{"metadata": {"uid": "kept", "creationTimestamp": null}}')
    changed, done = world.run(lambda client: client.apply(one(PROFILE)))
    assert (done, changed.metadata.uid) == (Done.UPDATED, "kept")
    world.put(key_of(one(PROFILE)), "rubbish")
    world.run(lambda client: client.apply(one(PROFILE)))
    assert world.run(lambda client: client.get(key_of(one(PROFILE)))).metadata.uid


@pytest.mark.parametrize("operation", ["get", "apply", "create", "replace", "delete"])
def test_policies_of_kubernetes_are_kubernetes_business(world: World, operation: str) -> None:
    policy = one(POLICY.replace("name: web", "name: knp.default.web"))
    argument: Any = key_of(policy) if operation in ("get", "delete") else policy
    refusal = world.refusal(lambda client: getattr(client, operation)(argument))
    assert refusal.why is Why.UNSUPPORTED
    assert str(refusal).endswith(
        "is not supported on NetworkPolicy(prod/knp.default.web): "
        "kubernetes network policies must be managed through the kubernetes API"
    )


def test_policies_of_kubernetes_are_not_listed(world: World) -> None:
    world.run(lambda client: client.store.create(one(POLICY.replace("name: web", "name: knp.default.web"))))
    assert world.run(lambda client: client.list("NetworkPolicy")).resources == ()


def test_the_cluster_is_only_read(world: World) -> None:
    information = one("kind: ClusterInformation\nmetadata: {name: default}\n")
    assert str(world.refusal(lambda client: client.apply(information))) == "resource is readonly"
    assert world.refusal(lambda client: client.delete(key_of(information))).why is Why.UNSUPPORTED


# --- nodes ---


def test_a_first_node_makes_the_datastore_ready(world: World) -> None:
    world.run(lambda client: client.create(one(NODE)))
    found = world.run(lambda client: client.get(Key("ClusterInformation", "", "default")))
    assert isinstance(found, ClusterInformation)
    assert found.spec.datastore_ready is True
    assert len(found.spec.cluster_guid) == 32
    world.run(lambda client: client.initialise())
    assert world.run(lambda client: client.get(key_of(found))) == found


def test_a_cluster_that_is_locked_stays_locked(world: World) -> None:
    world.run(
        lambda client: client.store.create(
            one("kind: ClusterInformation\nmetadata: {name: default}\nspec: {datastoreReady: false}")
        )
    )
    world.run(lambda client: client.create(one(NODE)))
    found = world.run(lambda client: client.get(Key("ClusterInformation", "", "default")))
    assert isinstance(found, ClusterInformation)
    assert found.spec.datastore_ready is False
    assert found.spec.cluster_guid


def test_a_node_that_goes_takes_with_it_what_is_only_its_own(world: World) -> None:
    others = (
        "kind: BGPPeer\nmetadata: {name: mine}\nspec: {node: n1, peerIP: 10.0.0.9, asNumber: 65000}\n",
        "kind: BGPPeer\nmetadata: {name: theirs}\nspec: {node: n2, peerIP: 10.0.0.9, asNumber: 65000}\n",
        "kind: FelixConfiguration\nmetadata: {name: node.n1}\n",
        "kind: FelixConfiguration\nmetadata: {name: default}\n",
        "kind: BGPConfiguration\nmetadata: {name: node.n1}\n",
    )

    async def work(client: CalicoClient) -> None:
        for text in (POOL, NODE, ENDPOINT, *others):
            await client.create(one(text))
        await client.ipam.run(assign_address(parse_address("10.65.0.9"), AssignRequest("n1", handle="web")))
        await client.ipam.run(auto_assign(AssignRequest("n1", handle="tunnel")))
        await client.delete(key_of(one(NODE)))

    world.run(work)
    left = world.server.ctl("get", "--prefix", "--keys-only", "/calico/").stdout.split()
    assert [key.removeprefix("/calico/") for key in left] == [
        "ipam/v2/assignment/ipv4/block/10.65.0.0-26",
        "ipam/v2/handle/tunnel",
        "resources/v3/projectcalico.org/bgppeers/theirs",
        "resources/v3/projectcalico.org/clusterinformations/default",
        "resources/v3/projectcalico.org/felixconfigurations/default",
        "resources/v3/projectcalico.org/ippools/p",
    ]


def test_a_node_that_has_changed_loses_nothing(world: World) -> None:
    made = world.run(lambda client: client.create(one(NODE)))
    world.run(lambda client: client.create(one(ENDPOINT)))
    world.run(lambda client: client.apply(one(NODE)))
    key, revision = key_of(made), made.metadata.resource_version
    assert world.refusal(lambda client: client.delete(key, revision)).why is Why.CONFLICT
    assert world.run(lambda client: client.list("WorkloadEndpoint")).resources


# --- pools ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "kind: IPPool\nmetadata: {name: q}\nspec: {cidr: 10.65.0.128/25}\n",
            "spec.cidr: IPPool(q) CIDR overlaps with IPPool(p) CIDR 10.65.0.0/24",
            id="overlap",
        ),
        pytest.param(
            "kind: IPPool\nmetadata: {name: q}\nspec: {cidr: 10.66.0.0/24, blockSize: 27}\n",
            "spec.blockSize: IPPool blocksSize conflicts with existing allocations that use a different blockSize",
            id="blocks of another size",
        ),
    ],
)
def test_a_pool_must_go_with_what_there_is(world: World, text: str, message: str) -> None:
    async def work(client: CalicoClient) -> None:
        for name, cidr in (("p", "10.65.0.0/24"), ("old", "10.66.0.0/24")):
            await client.create(one(f"kind: IPPool\nmetadata: {{name: {name}}}\nspec: {{cidr: {cidr}}}\n"))
        await client.create(one(NODE))
        await client.ipam.run(auto_assign(AssignRequest("n1", pools=(parse_prefix("10.66.0.0/24"),))))
        await client.store.delete(Key("IPPool", "", "old"))
        await client.create(one(text))

    with pytest.raises(InvalidInput) as refusal:
        world.run(work)
    assert f"{format_path(refusal.value.path)}: {refusal.value.message}" == message  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{cidr: 10.66.0.0/24}", "IPPool CIDR cannot be modified"),
        ("{cidr: 10.65.0.0/24, blockSize: 28}", "IPPool BlockSize cannot be modified"),
    ],
)
def test_a_pool_keeps_its_network(world: World, spec: str, message: str) -> None:
    world.run(lambda client: client.create(one(POOL)))
    with pytest.raises(InvalidInput, match=message):
        world.run(lambda client: client.replace(one(f"kind: IPPool\nmetadata: {{name: p}}\nspec: {spec}\n")))


@pytest.mark.parametrize(
    ("mode", "before", "expected"),
    [
        pytest.param("ipipMode: Always", None, (True, None), id="IPIP"),
        pytest.param("vxlanMode: Always", None, (None, True), id="VXLAN"),
        pytest.param("ipipMode: Never", None, None, id="neither"),
        pytest.param("ipipMode: CrossSubnet", "{ipipEnabled: false}", (False, None), id="said otherwise"),
        pytest.param("ipipMode: CrossSubnet", "{vxlanEnabled: false}", (True, False), id="beside another"),
    ],
)
def test_a_pool_switches_on_what_it_needs(world: World, mode: str, before: str | None, expected: Any) -> None:
    async def work(client: CalicoClient) -> Resource | None:
        if before is not None:
            await client.create(one(f"kind: FelixConfiguration\nmetadata: {{name: default}}\nspec: {before}\n"))
        await client.create(one(f"kind: IPPool\nmetadata: {{name: p}}\nspec: {{cidr: 10.65.0.0/24, {mode}}}\n"))
        found = (await client.list("FelixConfiguration")).resources
        return found[0] if found else None

    found = world.run(work)
    if expected is None:
        assert found is None
    else:
        assert isinstance(found, FelixConfiguration)
        assert (found.spec.ipip_enabled, found.spec.vxlan_enabled) == expected


def test_a_pool_that_goes_is_disabled_first_and_frees_its_blocks(world: World) -> None:
    seen: list[bool] = []

    async def look(client: CalicoClient) -> None:
        found = await client.get(Key("IPPool", "", "p"))
        assert isinstance(found, IPPool)
        seen.append(found.spec.disabled)

    async def work(client: CalicoClient) -> object:
        await client.create(one(POOL))
        await client.create(one(NODE))
        await client.ipam.run(auto_assign(AssignRequest("n1", handle="h")))
        await client.delete(Key("IPPool", "", "p"))
        return await client.ipam.run(addresses_of_handle("h"))

    world.before_sleep = look
    assert world.run(work)
    assert (seen, world.slept) == ([True], [POOL_PAUSE_S])
    kept = world.server.ctl("get", "--prefix", "--keys-only", "/calico/ipam/v2/host").stdout.split()
    assert kept == []


def test_a_pool_is_deleted_as_it_was_read(world: World) -> None:
    made = world.run(lambda client: client.create(one(POOL)))
    world.run(lambda client: client.apply(one(POOL.replace("24}", "24, natOutgoing: true}"))))
    key = key_of(made)
    assert world.refusal(lambda client: client.delete(key, made.metadata.resource_version)).why is Why.CONFLICT
    current = world.run(lambda client: client.get(key))
    assert isinstance(current, IPPool) and not current.spec.disabled
    world.run(lambda client: client.delete(key, current.metadata.resource_version))
    assert world.refusal(lambda client: client.get(key)).why is Why.MISSING


def test_a_node_gets_the_addresses_of_its_tunnels(world: World) -> None:
    async def work(client: CalicoClient) -> list[Resource]:
        await client.create(one(POOL.replace("10.65.0.0/24", "10.65.0.0/24, ipipMode: Always")))
        await client.create(
            one(POOL.replace("name: p", "name: v").replace("10.65.0.0/24", "10.66.0.0/24, vxlanMode: Always"))
        )
        await client.create(one(NODE))
        found = [await client.keep_tunnel_addresses("n1"), await client.keep_tunnel_addresses("n1")]
        assert found[0] == found[1]
        full = await client.get(key_of(one(NODE)))
        await client.delete(Key("IPPool", "", "v"))
        await client.keep_tunnel_addresses("n1")
        return [full, await client.get(key_of(one(NODE)))]

    full, half = world.run(work)
    assert isinstance(full, Node) and isinstance(half, Node)
    first, second = tunnel_addresses(full), tunnel_addresses(half)
    assert str(first[Tunnel.IPIP]).startswith("10.65.0.") and str(first[Tunnel.VXLAN]).startswith("10.66.0.")
    assert second == {Tunnel.IPIP: first[Tunnel.IPIP], Tunnel.VXLAN: None}
    assert full.spec.bgp is not None and str(full.spec.bgp.ipv4_address) == "10.0.0.1/24"
    kept = world.server.ctl("get", "--prefix", "--keys-only", "/calico/ipam/v2/handle/").stdout.split()
    assert kept == ["/calico/ipam/v2/handle/ipip-tunnel-addr-n1"]


def test_writers_who_read_first_lose_nothing_of_each_other(world: World) -> None:
    key = key_of(one(PROFILE))

    async def count(server: EtcdServer, times: int) -> None:
        etcd = EtcdClient(server.config)
        store = EtcdStore(etcd)
        while times:
            found = await store.get(key)
            number = int(found.metadata.annotations.get("n", "0")) + 1
            metadata = replace(found.metadata, annotations={"n": str(number)})
            try:
                await store.update(replace(found, metadata=metadata))
                times -= 1
            except StoreRefused as refusal:
                if refusal.why is not Why.CONFLICT:
                    raise
        await etcd.close()

    async def work(client: CalicoClient) -> Resource:
        await client.create(one(PROFILE))
        await asyncio.gather(*(count(world.server, 10) for _ in range(4)))
        return await client.get(key)

    assert world.run(work).metadata.annotations == {"n": "40"}
