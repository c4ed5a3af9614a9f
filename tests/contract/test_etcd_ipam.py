"""Addresses kept in a real etcd do what every store of addresses must do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.ipam import (
    IpamContract,
    World,
    assert_nothing_was_lost,
    launch_claimant,
    read_told,
    read_whole,
    wait_for_life,
)
from tests.etcd_server import EtcdServer, etcd_server
from tests.ipam_claimant import HOSTS, RESOURCES
from tests.requirement import missing_for_etcd
from tortie.model.read import key_of
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_ipam import EtcdIpam
from tortie.source.etcd_key import IPAM, resource_key
from tortie.source.etcd_value import format_value

pytestmark = pytest.mark.skipif(missing_for_etcd() is not None, reason=str(missing_for_etcd()))


@dataclass
class EtcdWorld:
    """A server, emptied between tests."""

    server: EtcdServer
    kind: str = "etcd"

    @property
    def place(self) -> str:
        return self.server.endpoint

    def open(self) -> EtcdIpam:
        return EtcdIpam(EtcdClient(self.server.config))

    def kept(self) -> dict[str, Any]:
        async def read() -> dict[str, Any]:
            client = EtcdClient(self.server.config)
            found = await client.list(IPAM)
            await client.close()
            return {entry.key: json.loads(entry.value) for entry in found.entries}

        return asyncio.run(read())

    def clear(self) -> None:
        async def write() -> None:
            client = EtcdClient(self.server.config)
            await client.delete("/calico/", prefix=True)
            for resource in RESOURCES:
                await client.put(resource_key(key_of(resource)), format_value(resource))
            await client.close()

        asyncio.run(write())


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as running:
        yield running


class TestEtcdIpam(IpamContract):
    """The suite over etcd."""

    @pytest.fixture
    def world(self, server: EtcdServer) -> World:
        world = EtcdWorld(server)
        world.clear()
        return world

    def test_an_etcd_that_is_killed_under_way_loses_nothing(self, world: World, server: EtcdServer) -> None:
        processes = [launch_claimant(world, host, seed, steps=500) for seed, host in enumerate(HOSTS)]
        try:
            for process in processes:
                wait_for_life(process)
            time.sleep(0.2)
            server.kill()
            outputs = [process.communicate(timeout=30)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
            server.kill()
            server.start()
        assert not any('"ended"' in text for text in outputs)
        told, whole = read_told(outputs), read_whole(world)
        assert told.given
        assert whole.problems(quiet=False) == []
        assert_nothing_was_lost(told, whole)
        self.take_all_back(world, whole)
