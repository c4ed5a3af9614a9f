"""The CNI plugin's datastore over a real etcd, and what only it has: conflicts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.contract.cni_datastore import ENDPOINT, NODE, POOL, CniDatastoreContract, cluster_information
from tests.etcd_server import EtcdServer, etcd_server
from tests.requirement import missing_for_etcd
from tortie.cni.etcd_datastore import EtcdDatastore
from tortie.model.read import key_of
from tortie.model.resource import Resource
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_key import resource_key
from tortie.source.etcd_value import format_value
from tortie.source.store_refusal import StoreRefused, Why

pytestmark = pytest.mark.skipif(missing_for_etcd() is not None, reason=str(missing_for_etcd()))


@dataclass
class EtcdWorld:
    """A server, emptied between tests."""

    server: EtcdServer

    def open(self) -> EtcdDatastore:
        return EtcdDatastore(self.server.config)

    def put(self, resource: Resource) -> None:
        asyncio.run(self._put(resource))

    async def _put(self, resource: Resource) -> None:
        client = EtcdClient(self.server.config)
        await client.put(resource_key(key_of(resource)), format_value(resource))
        await client.close()

    async def clear(self) -> None:
        client = EtcdClient(self.server.config)
        await client.delete("/calico/", prefix=True)
        await client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


@pytest.fixture
def world(server: EtcdServer) -> EtcdWorld:
    made = EtcdWorld(server)
    asyncio.run(made.clear())
    for resource in (POOL, NODE, cluster_information(ready=True)):
        made.put(resource)
    return made


class TestEtcd(CniDatastoreContract):
    """The contract over etcd."""

    def test_an_endpoint_that_changed_since_it_was_read_is_not_removed(self, world: EtcdWorld) -> None:
        datastore = world.open()
        datastore.put_endpoint(ENDPOINT)
        found = datastore.endpoint("shop", ENDPOINT.metadata.name)
        assert found is not None
        datastore.put_endpoint(replace(ENDPOINT, spec=replace(ENDPOINT.spec, container_id="def")))
        with pytest.raises(StoreRefused) as caught:
            datastore.remove_endpoint(found)
        assert caught.value.why is Why.CONFLICT
        datastore.close()

    def test_a_change_keeps_who_the_endpoint_is(self, world: EtcdWorld) -> None:
        datastore = world.open()
        datastore.put_endpoint(ENDPOINT)
        first = datastore.endpoint("shop", ENDPOINT.metadata.name)
        datastore.put_endpoint(replace(ENDPOINT, spec=replace(ENDPOINT.spec, container_id="def")))
        second = datastore.endpoint("shop", ENDPOINT.metadata.name)
        assert first is not None
        assert second is not None
        assert second.metadata.uid == first.metadata.uid != ""
        assert second.metadata.creation_timestamp == first.metadata.creation_timestamp
        datastore.close()

    def test_an_etcd_that_says_nothing_of_the_cluster_is_not_ready(self, world: EtcdWorld) -> None:
        asyncio.run(world.clear())
        datastore = world.open()
        assert not datastore.ready()
        datastore.close()
