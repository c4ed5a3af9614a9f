"""Pods and namespaces that the CNI plugin asks of a strict API server."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.kubernetes_api import api_server
from tests.fakes.kubernetes_store import KINDS
from tortie.cni.kubernetes_pods import KubernetesPods
from tortie.net.error import InvalidInput
from tortie.source.client_config import ClientConfig
from tortie.source.failure import DatastoreFailed

BY_KIND = {kind.kind: kind for kind in KINDS if kind.built_in}
POD = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {
        "nodeName": "n1",
        "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80}]}],
    },
}


def test_a_pod_and_its_namespace() -> None:
    async def check() -> None:
        async with api_server(token="secret") as server:
            for kind, namespace, data in (
                ("Namespace", "", {"metadata": {"name": "shop", "annotations": {"a": "b"}}}),
                ("Pod", "shop", POD),
            ):
                found = BY_KIND[kind]
                server.store.create(found, namespace, {"apiVersion": found.api_version, "kind": kind, **data})
            pods = KubernetesPods(ClientConfig(k8s_api_endpoint=server.url, k8s_api_token="secret"))
            pod = await asyncio.to_thread(pods.pod, "shop", "web")
            assert pod is not None
            assert (pod.metadata.labels, pod.spec.containers[0].ports[0].name) == ({"app": "web"}, "http")
            assert await asyncio.to_thread(pods.pod, "shop", "nobody") is None
            assert await asyncio.to_thread(pods.namespace_annotations, "shop") == {"a": "b"}
            assert await asyncio.to_thread(pods.namespace_annotations, "elsewhere") == {}
            strangers = KubernetesPods(ClientConfig(k8s_api_endpoint=server.url, k8s_api_token="guess"))
            with pytest.raises(DatastoreFailed, match="Kubernetes API"):
                await asyncio.to_thread(strangers.pod, "shop", "web")
            pods.close()
            strangers.close()

    asyncio.run(check())


def test_a_server_that_is_not_there() -> None:
    pods = KubernetesPods(ClientConfig(k8s_api_endpoint="http://127.0.0.1:1"))
    with pytest.raises(DatastoreFailed, match="Kubernetes API"):
        pods.pod("shop", "web")
    pods.close()


def test_nothing_says_where_the_server_is() -> None:
    with pytest.raises(InvalidInput, match="nothing says where the Kubernetes API is"):
        KubernetesPods(ClientConfig())
