"""The agent's status in a real etcd, under Felix's keys (spec: model 7.5, 8.5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from tests.etcd_server import EtcdServer, etcd_server
from tortie.agent.report import EndpointStatus
from tortie.agent.status import NodeStatus
from tortie.calc.view import WorkloadId
from tortie.cli.agent_status import EtcdStatus
from tortie.source.client_config import ClientConfig
from tortie.source.etcd_client import EtcdClient

pytestmark = pytest.mark.etcd

STATUS = NodeStatus(
    "node-1", 1, 12.5, in_sync=True, ready=True, lost=None, held_back=None, reporting=True, reporting_ttl_s=60.0,
    endpoints={WorkloadId("k8s", "ns/pod", "eth0"): EndpointStatus.UP, "host": EndpointStatus.ERROR},
)  # fmt: skip
OWN = "/calico/felix/v2/no-region/host/node-1"
ENDPOINTS = {
    f"{OWN}/workload/k8s/ns%2fpod/endpoint/eth0": {"status": "up"},
    "/calico/felix/v1/host/node-1/endpoint/host": {"status": "error"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as one:
        yield one


def play(server: EtcdServer, script: Callable[[EtcdClient, EtcdStatus], Awaitable[None]]) -> None:
    async def inside() -> None:
        client, other = EtcdClient(server.config), EtcdClient(server.config)
        await client.delete("/", prefix=True)
        await script(client, EtcdStatus(other))
        await client.close()
        await other.close()

    asyncio.run(inside())


async def stored(client: EtcdClient) -> dict[str, dict[str, object]]:
    return {entry.key: json.loads(entry.value) for entry in (await client.list("/calico/felix/")).entries}


def test_node_and_endpoints(server: EtcdServer) -> None:
    async def script(client: EtcdClient, sink: EtcdStatus) -> None:
        await sink.write(STATUS)
        found = await stored(client)
        assert {key: found[key] for key in found if "endpoint" in key} == ENDPOINTS
        own = found[f"{OWN}/status"]
        assert (own["uptime"], own["first_update"]) == (12.5, True)
        await sink.write(STATUS)
        assert (await stored(client))[f"{OWN}/last_reported_status"]["first_update"] is False

    play(server, script)


def test_the_nodes_own_key_ends_by_itself(server: EtcdServer) -> None:
    async def script(client: EtcdClient, sink: EtcdStatus) -> None:
        await sink.write(STATUS)
        entries = {entry.key: entry for entry in (await client.list(OWN)).entries}
        assert entries[f"{OWN}/status"].lease and not entries[f"{OWN}/last_reported_status"].lease

    play(server, script)


def test_what_changes_is_written_and_what_is_gone_deleted(server: EtcdServer) -> None:
    async def script(client: EtcdClient, sink: EtcdStatus) -> None:
        await sink.write(STATUS)
        await sink.write(replace(STATUS, endpoints={"host": EndpointStatus.DOWN}))
        found = {key: value for key, value in (await stored(client)).items() if "endpoint" in key}
        assert found == {"/calico/felix/v1/host/node-1/endpoint/host": {"status": "down"}}

    play(server, script)


def test_a_new_agent_cleans_up_behind_an_old_one(server: EtcdServer) -> None:
    async def script(client: EtcdClient, sink: EtcdStatus) -> None:
        await client.put(f"{OWN}/workload/k8s/ns%2fold/endpoint/eth0", b'{"status":"up"}')
        await sink.write(STATUS)
        assert {key: value for key, value in (await stored(client)).items() if "endpoint" in key} == ENDPOINTS

    play(server, script)


def test_endpoints_only_when_asked_for_and_nothing_before_in_sync(server: EtcdServer) -> None:
    async def script(client: EtcdClient, sink: EtcdStatus) -> None:
        await sink.write(replace(STATUS, in_sync=False, reporting=False))
        assert await stored(client) == {}
        await sink.write(replace(STATUS, reporting=False))
        assert set(await stored(client)) == {f"{OWN}/status", f"{OWN}/last_reported_status"}

    play(server, script)


def test_a_server_without_space_is_an_error_that_can_be_waited_out() -> None:
    """Its quota is used up: it refuses what would take space, new leases too, until somebody has made room."""

    async def script(server: EtcdServer) -> None:
        client = EtcdClient(server.config)
        sink = EtcdStatus(client)
        await sink.write(STATUS)
        filler = "x" * 500_000
        while server.ctl("put", "filler", text=filler, check=False).returncode == 0:
            pass
        assert "NOSPACE" in server.ctl("alarm", "list").stdout
        changed = replace(STATUS, endpoints={"host": EndpointStatus.UP})
        for status in (changed, replace(changed, reporting_ttl_s=0.0)):
            with pytest.raises(OSError, match=r"etcd: .*database space exceeded"):
                await sink.write(status)
        assert (await client.list(f"{OWN}/last_reported_status")).entries, "what is there can be read"
        server.compact()
        server.ctl("defrag")
        server.ctl("alarm", "disarm")
        await sink.write(changed)
        found = {key: value for key, value in (await stored(client)).items() if "endpoint" in key}
        assert found == {"/calico/felix/v1/host/node-1/endpoint/host": {"status": "up"}}
        await client.close()

    with etcd_server(options=("--quota-backend-bytes", "3000000")) as server:
        asyncio.run(script(server))


def test_a_datastore_that_is_away_is_an_error_that_can_be_waited_out() -> None:
    async def script() -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints="http://127.0.0.1:1"))
        with pytest.raises(OSError, match="etcd: "):
            await EtcdStatus(client).write(STATUS)
        await client.close()

    asyncio.run(script())
