"""What the CNI plugin may expect of every datastore, as one suite (`tortie.cni.datastore.Datastore`)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from tortie.cni.datastore import Datastore
from tortie.cni.endpoint import network_profile
from tortie.ipam.assign import AssignRequest, auto_assign
from tortie.ipam.release import release_handle
from tortie.model.cluster import ClusterInformation, ClusterInformationSpec
from tortie.model.endpoint import WorkloadEndpoint, WorkloadEndpointSpec
from tortie.model.metadata import Metadata
from tortie.model.node import Node, NodeBGPSpec, NodeSpec
from tortie.model.pool import IPPool, IPPoolSpec
from tortie.model.resource import Resource
from tortie.net.address import parse_prefix
from tortie.source.store_refusal import StoreRefused

POOL = IPPool(Metadata(name="pods"), IPPoolSpec(parse_prefix("10.65.0.0/24"))).with_defaults()
NODE = Node(Metadata(name="n1"), NodeSpec(bgp=NodeBGPSpec(ipv4_address=parse_prefix("10.0.0.1/24"))))
ENDPOINT = WorkloadEndpoint(
    Metadata(name="n1-k8s-web-eth0", namespace="shop", labels={"app": "web"}),
    WorkloadEndpointSpec(
        node="n1",
        orchestrator="k8s",
        pod="web",
        endpoint="eth0",
        container_id="abc",
        interface_name="cali1",
        ip_networks=(parse_prefix("10.65.0.1/32"),),
    ),
).with_defaults()


def cluster_information(*, ready: bool) -> ClusterInformation:
    """What the cluster says of itself."""
    return ClusterInformation(Metadata(name="default"), ClusterInformationSpec(datastore_ready=ready))


class World(Protocol):
    """A datastore and the way that somebody else writes to it."""

    def open(self) -> Datastore: ...

    def put(self, resource: Resource) -> None: ...


class CniDatastoreContract:
    """Subclasses have a fixture `world` whose datastore holds POOL and NODE and says that it is ready."""

    def test_ready_is_what_the_cluster_says(self, world: World) -> None:
        datastore = world.open()
        assert datastore.ready()
        datastore.close()
        world.put(cluster_information(ready=False))
        again = world.open()
        assert not again.ready()
        again.close()

    def test_an_endpoint_comes_changes_and_goes(self, world: World) -> None:
        datastore = world.open()
        assert datastore.endpoint("shop", ENDPOINT.metadata.name) is None
        datastore.put_endpoint(ENDPOINT)
        found = datastore.endpoint("shop", ENDPOINT.metadata.name)
        assert found is not None
        assert (found.spec, found.metadata.labels) == (ENDPOINT.spec, ENDPOINT.metadata.labels)
        changed = replace(ENDPOINT, spec=replace(ENDPOINT.spec, container_id="def"))
        datastore.put_endpoint(changed)
        found = datastore.endpoint("shop", ENDPOINT.metadata.name)
        assert found is not None
        assert found.spec == changed.spec
        datastore.remove_endpoint(found)
        datastore.remove_endpoint(found)
        assert datastore.endpoint("shop", ENDPOINT.metadata.name) is None
        datastore.close()

    def test_what_another_container_has_taken_over_stays(self, world: World) -> None:
        old, new = world.open(), world.open()
        old.put_endpoint(ENDPOINT)
        found = old.endpoint("shop", ENDPOINT.metadata.name)
        assert found is not None
        taken = replace(ENDPOINT, spec=replace(ENDPOINT.spec, container_id="another"))
        new.put_endpoint(taken)
        with suppress(StoreRefused):  # where a revision tells of it
            old.remove_endpoint(found)
        later = world.open()
        kept = later.endpoint("shop", ENDPOINT.metadata.name)
        assert kept is not None
        assert kept.spec == taken.spec
        for datastore in (old, new, later):
            datastore.close()

    def test_another_process_sees_what_was_written(self, world: World) -> None:
        first = world.open()
        first.put_endpoint(ENDPOINT)
        first.close()
        second = world.open()
        found = second.endpoint("shop", ENDPOINT.metadata.name)
        assert found is not None
        assert found.spec == ENDPOINT.spec
        second.close()

    def test_a_profile_is_created_once(self, world: World) -> None:
        datastore = world.open()
        assert datastore.profile("net") is None
        datastore.create_profile(network_profile("net", for_pods=False))
        datastore.create_profile(network_profile("net", for_pods=False))
        found = datastore.profile("net")
        assert found is not None
        assert found.spec == network_profile("net", for_pods=False).spec
        datastore.close()

    def test_addresses_are_given_and_taken_back(self, world: World) -> None:
        datastore = world.open()
        assert [pool.spec.cidr for pool in datastore.pools()] == [POOL.spec.cidr]
        request = AssignRequest("n1", handle="net.abc")
        (given,) = datastore.addresses(auto_assign(request)).addresses
        assert POOL.spec.cidr.contains(given.value)
        datastore.close()
        again = world.open()
        assert again.addresses(release_handle("net.abc")) == (given,)
        assert again.addresses(release_handle("net.abc")) is None
        again.close()
