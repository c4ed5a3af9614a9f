"""The strict API server does for lightkube's own client what a real one does, and refuses what a real one refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Pod

from tests.fakes.kubernetes_api import ApiServer, api_server

SETS = create_global_resource("crd.projectcalico.org", "v1", "GlobalNetworkSet", "globalnetworksets")


def play(script: Callable[[ApiServer, AsyncClient], Awaitable[None]]) -> None:
    """Runs a script with a server and a client of lightkube."""

    async def run() -> None:
        async with api_server() as server:
            client = AsyncClient(KubeConfig.from_one(cluster=Cluster(server=server.url), user=User()), trust_env=False)
            await script(server, client)
            await client.close()

    asyncio.run(run())


def pod(name: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name), spec=PodSpec(containers=[Container(name="c", image="i")]))


def test_writing_and_reading() -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        made = await client.create(pod("a"), namespace="ns")
        assert made.metadata is not None and made.metadata.uid and made.metadata.namespace == "ns"
        found = await client.get(Pod, "a", namespace="ns")
        assert found.metadata is not None and found.spec is not None
        found.metadata.labels = {"x": "y"}
        changed = await client.replace(found, namespace="ns")
        assert changed.metadata is not None
        assert int(changed.metadata.resourceVersion or 0) > int(made.metadata.resourceVersion or 0)
        with pytest.raises(ApiError) as refusal:
            await client.replace(made, namespace="ns")
        assert refusal.value.status.reason == "Conflict"
        with pytest.raises(ApiError) as refusal:
            await client.create(pod("a"), namespace="ns")
        assert refusal.value.status.reason == "AlreadyExists"
        await client.delete(Pod, "a", namespace="ns")
        with pytest.raises(ApiError) as refusal:
            await client.get(Pod, "a", namespace="ns")
        assert refusal.value.status.code == 404

    play(script)


def test_lists_in_pages_of_one_state() -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        for index in range(7):
            await client.create(pod(f"p-{index}"), namespace="ns")
        version = server.store.version
        found = client.list(Pod, namespace="*", chunk_size=3)
        names = []
        async for one in found:
            assert one.metadata is not None
            names.append(one.metadata.name)
            if len(names) == 1:
                await client.create(pod("p-later"), namespace="ns")
        assert names == [f"p-{index}" for index in range(7)]
        assert found.resourceVersion == str(version)
        assert len([one async for one in client.list(Pod, namespace="ns")]) == 8
        assert [one async for one in client.list(Pod, namespace="other")] == []

    play(script)


def test_lightkubes_own_watch() -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        await client.create(pod("a"), namespace="ns")
        told = []
        async with asyncio.timeout(10):
            async for kind, one in client.watch(Pod, namespace="ns", server_timeout=30):
                told.append((kind, one.metadata.name if one.metadata else None))
                match len(told):
                    case 1:
                        await client.create(pod("elsewhere"), namespace="other")
                        await client.create(pod("b"), namespace="ns")
                    case 2:
                        server.end_watches()  # It begins anew from the last version by itself.
                        await client.delete(Pod, "a", namespace="ns")
                    case 3:
                        break
        assert told == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]

    play(script)


def test_its_watch_of_a_version_that_is_gone() -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        await client.create(pod("a"), namespace="ns")
        server.store.compact()
        server.gone_as_event = True
        with pytest.raises(ApiError) as refusal:
            async for _ in client.watch(Pod, namespace="*", resource_version="1000"):
                pass
        assert refusal.value.status.code == 410

    play(script)


def test_custom_kinds_are_taken_as_they_are_and_built_in_ones_are_not() -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        await client.create(SETS(metadata={"name": "a"}, spec={"nets": "anything"}))
        assert (await client.get(SETS, "a"))["spec"] == {"nets": "anything"}
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            bad = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "spec": "anything"}
            assert (await http.post("/api/v1/namespaces", json=bad)).status_code == 400
        await client.create(Namespace(metadata=ObjectMeta(name="a")))

    play(script)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/services", 404),
        ("GET", "/apis/crd.projectcalico.org/v3/ippools", 404),
        ("GET", "/api/v1/namespaces/ns/nodes", 404),
        ("GET", "/api/v1/pods?limit=x", 400),
        ("GET", "/api/v1/pods?limit=1&continue=old", 410),
        ("GET", "/api/v1/pods?continue=old&resourceVersion=1", 400),
        ("GET", "/api/v1/pods?pages=3", 400),
        ("GET", "/api/v1/pods?watch=true&limit=5", 400),
        ("GET", "/api/v1/pods?watch=true&resourceVersion=abc", 400),
        ("GET", "/api/v1/pods?watch=true&resourceVersion=1", 410),
        ("GET", "/api/v1/pods?watch=true&resourceVersion=999999", 504),
        ("POST", "/api/v1/pods", 405),
        ("PATCH", "/api/v1/namespaces/ns/pods/a", 405),
        ("DELETE", "/api/v1/namespaces/ns/pods/a", 404),
    ],
)
def test_what_is_refused(method: str, path: str, code: int) -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            response = await http.request(method, path)
            assert response.status_code == code
            status = response.json()
            assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", code)

    play(script)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"metadata": {"name": "A_"}}, 422),
        ({"metadata": {}}, 422),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400),
        ({"metadata": {"name": "a", "resourceVersion": "5"}}, 400),
        ({"kind": "Node"}, 400),
        ({"apiVersion": "v2"}, 400),
    ],
)
def test_objects_that_are_refused(change: dict[str, Any], code: int) -> None:
    async def script(server: ApiServer, client: AsyncClient) -> None:
        data = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}} | change
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            response = await http.post("/api/v1/namespaces/ns/pods", json=data)
            assert response.status_code == code, response.text
            text = json.dumps(data)
            assert (await http.post("/api/v1/namespaces/ns/pods", content=text)).status_code == 415

    play(script)
