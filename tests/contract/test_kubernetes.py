"""The contract over the strict API server, written by lightkube over HTTP, and what only the Kubernetes API has.

The server is a stand-in (tests/fakes/kubernetes_api.py); that lightkube's own client works against it is tested there.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from lightkube import AsyncClient, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

from tests.contract.source import Plain, RunIn, Script, SourceContract, World, net_set, policy
from tests.fakes.kubernetes_api import ApiServer, api_server
from tests.fakes.kubernetes_store import CRD_GROUP, KINDS, Kind
from tests.hearing import Hearer, Source
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.event import Changed, Lost
from tortie.model.read import Key
from tortie.source import kubernetes_plug_in
from tortie.source.client_config import ClientConfig
from tortie.source.kubernetes import KINDS as WATCHED
from tortie.source.kubernetes import KubernetesSource
from tortie.source.kubernetes_client import KubernetesClient
from tortie.source.link import BackOff

BY_KIND = {kind.kind: kind for kind in KINDS if kind.group == CRD_GROUP}
POLICIES = ("NetworkPolicy", "GlobalNetworkPolicy")


def source_of(server: ApiServer, **config: Any) -> KubernetesSource:
    client = KubernetesClient(ClientConfig(k8s_api_endpoint=server.url, **config))
    return KubernetesSource(client, back_off=lambda: BackOff(0.02, 0.1, lambda: 0.5))


def stored(data: Plain) -> Plain:
    """A resource as Calico keeps it in Kubernetes."""
    metadata = dict(data["metadata"])
    if data["kind"] in POLICIES:
        metadata["name"] = f"default.{metadata['name']}"
    return data | {"apiVersion": f"{CRD_GROUP}/v1", "metadata": metadata}


class KubernetesWorld(World):
    """An API server, and lightkube to write with."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.client = AsyncClient(KubeConfig.from_one(cluster=Cluster(server=server.url), user=User()), trust_env=False)

    def source(self) -> Source:
        return source_of(self.server)

    async def put(self, *resources: Plain) -> None:
        if len(resources) > 100:  # Many are not worth a request each.
            for data in resources:
                self.server.store.create(BY_KIND[data["kind"]], "", stored(data))
            return
        for data in resources:
            made = _resource(BY_KIND[data["kind"]])(stored(data))
            try:
                await self.client.create(made)
            except ApiError as error:
                if error.status.reason != "AlreadyExists":
                    raise
                await self.client.replace(made)

    async def spoil(self, resource: Plain) -> None:
        await self.put(resource | {"spec": resource["spec"] | {"nope": 1}})

    async def delete(self, *resources: Plain) -> None:
        for data in resources:
            metadata = stored(data)["metadata"]
            try:
                await self.client.delete(
                    _resource(BY_KIND[data["kind"]]), metadata["name"], namespace=metadata.get("namespace")
                )
            except ApiError as error:
                if error.status.reason != "NotFound":
                    raise

    async def go(self) -> None:
        await self.server.stop()

    async def come_back(self) -> None:
        await self.server.start()


def _resource(kind: Kind) -> Any:
    """lightkube's class for a kind."""
    create = create_namespaced_resource if kind.namespaced else create_global_resource
    return create(kind.group, kind.version, kind.kind, kind.plural)


class TestKubernetes(SourceContract):
    @pytest.fixture
    def run_in(self) -> RunIn:
        def run(script: Script) -> None:
            async def inside() -> None:
                async with api_server() as server:
                    world = KubernetesWorld(server)
                    await script(world)
                    await world.client._client.close()

            asyncio.run(inside())

        return run


def in_server(script: Callable[[ApiServer], Awaitable[None]], **options: Any) -> None:
    """Runs a script with a server of its own."""

    async def run() -> None:
        async with api_server(**options) as server:
            await script(server)

    asyncio.run(run())


def by_name(plural: str, group: str = "") -> Kind:
    return next(kind for kind in KINDS if (kind.plural, kind.group) == (plural, group))


PODS, NODES = by_name("pods"), by_name("nodes")
SETS = by_name("globalnetworksets", CRD_GROUP)


def pod(name: str, node: str = "n", ip: str = "10.65.0.2", **labels: str) -> Plain:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": ip},
    }


async def all_watching(server: ApiServer) -> None:
    """Waits until every kind is watched."""
    async with asyncio.timeout(10):
        while server.watching < len(WATCHED):
            await asyncio.sleep(0.005)


class TestObjectsOfKubernetes:
    def test_what_calico_makes_of_them(self) -> None:
        async def script(server: ApiServer) -> None:
            put = server.store.create
            put(by_name("namespaces"), "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}})
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}
            put(by_name("serviceaccounts"), "prod", account)
            put(PODS, "prod", pod("web-0", app="web"))
            put(PODS, "prod", pod("on-host") | {"spec": {"nodeName": "n", "hostNetwork": True}})
            put(NODES, "", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
            rules = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "deny"},
                "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
            }
            put(by_name("networkpolicies", "networking.k8s.io"), "prod", rules)
            put(by_name("networkpolicies", CRD_GROUP), "prod", stored(policy("p")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert {str(key) for key in heard.keys} == {
                    "Profile(kns.prod)",
                    "Profile(ksa.prod.web)",
                    "WorkloadEndpoint(prod/n-k8s-web--0-eth0)",
                    "Node(n)",
                    "NetworkPolicy(prod/knp.default.deny)",
                    "NetworkPolicy(prod/p)",
                }
                assert not heard.refused

        in_server(script)

    def test_a_pod_through_its_life(self) -> None:
        async def script(server: ApiServer) -> None:
            key = Key("WorkloadEndpoint", "prod", "n-k8s-a-eth0")
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                server.store.create(PODS, "prod", pod("a") | {"spec": {"containers": []}, "status": {}})
                server.store.replace(PODS, "prod", "a", pod("a", ip="") | {"status": {}})
                await heard.until(lambda heard: key in heard.keys, "scheduled")
                server.store.replace(PODS, "prod", "a", pod("a"))
                await heard.until(lambda heard: _nets(heard, key) == ["10.65.0.2/32"], "has an address")
                told = len(heard.events)
                beat = pod("a")
                beat["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
                server.store.replace(PODS, "prod", "a", beat)
                server.store.delete(PODS, "prod", "a")
                await heard.until(lambda heard: key not in heard.keys, "gone")
                assert len(heard.events) == told + 1, "a heartbeat is nothing to tell"

        in_server(script)

    def test_a_bad_annotation_refuses_the_pod_by_its_endpoint(self) -> None:
        async def script(server: ApiServer) -> None:
            bad = pod("a")
            bad["metadata"]["annotations"] = {"cni.projectcalico.org/floatingIPs": "[1"}
            server.store.create(PODS, "prod", bad)
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert list(heard.refused) == [("pods/prod/a", Key("WorkloadEndpoint", "prod", "n-k8s-a-eth0"))]
                server.store.replace(PODS, "prod", "a", pod("a"))
                await heard.until(lambda heard: not heard.refused and len(heard.resources) == 1, "mended")

        in_server(script)

    def test_two_objects_that_are_the_same_policy(self) -> None:
        """A policy of Calico's kind under the name that Kubernetes' own has: the older stands, the other is refused."""

        async def script(server: ApiServer) -> None:
            rules = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "x"},
                "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
            }
            native, own = by_name("networkpolicies", "networking.k8s.io"), by_name("networkpolicies", CRD_GROUP)
            other = policy("x") | {"apiVersion": f"{CRD_GROUP}/v1"}
            other["metadata"]["name"] = "knp.default.x"
            server.store.create(native, "prod", rules)
            server.store.create(own, "prod", other)
            key = Key("NetworkPolicy", "prod", "knp.default.x")
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert heard.keys == {key}
                assert list(heard.refused) == [(f"networkpolicies.{CRD_GROUP}/prod/knp.default.x", None)]
                server.store.delete(native, "prod", "x")
                await heard.until(lambda heard: not heard.refused and key in heard.keys, "the other stands")

        in_server(script)


class TestProtocol:
    def test_lists_come_in_pages_of_one_state(self) -> None:
        async def script(server: ApiServer) -> None:
            for index in range(1200):
                server.store.create(SETS, "", stored(net_set(f"s-{index}")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert len(heard.resources) == 1200
                pages = [one for one in server.requests if one.path.endswith("/globalnetworksets")]
                assert [sorted(one.parameters) for one in pages[:3]] == [
                    ["limit"],
                    ["continue", "limit"],
                    ["continue", "limit"],
                ]

        in_server(script)

    def test_a_list_whose_pages_ran_out_is_begun_anew(self) -> None:
        async def script(server: ApiServer) -> None:
            for index in range(1200):
                server.store.create(SETS, "", stored(net_set(f"s-{index}")))
            taken = server._list

            async def once(request: Any, *rest: Any) -> None:
                await taken(request, *rest)
                if request.path.endswith("/globalnetworksets") and len(server.requests) < 40:
                    server.expire_tokens()
                    server._list = taken  # type: ignore[method-assign]

            server._list = once  # type: ignore[method-assign]
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert len(heard.resources) == 1200
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    def test_watches_that_end_go_on_from_the_last_bookmark(self) -> None:
        async def script(server: ApiServer) -> None:
            server.store.create(SETS, "", stored(net_set("a")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                server.store.create(NODES, "", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
                await heard.until(lambda heard: len(heard.resources) == 2, "a change of another kind")
                server.send_bookmarks()
                server.store.compact()
                before = len(server.requests)
                server.end_watches()
                async with asyncio.timeout(10):
                    while len(server.requests) < before + len(WATCHED):
                        await asyncio.sleep(0.005)
                server.store.create(SETS, "", stored(net_set("b")))
                await heard.until(lambda heard: len(heard.resources) == 3, "heard after it")
                again = server.requests[before : before + len(WATCHED)]
                assert all(one.parameters.get("watch") == "true" for one in again), "no list was needed"
                assert {one.parameters["resourceVersion"] for one in again} == {str(server.store.oldest)}
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    @pytest.mark.parametrize("as_event", [False, True], ids=["410 Gone", "ERROR event"])
    def test_a_version_that_is_gone_is_listed_anew(self, as_event: bool) -> None:
        async def script(server: ApiServer) -> None:
            server.gone_as_event = as_event
            server.store.create(SETS, "", stored(net_set("a")))
            server.store.create(SETS, "", stored(net_set("b")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                server.store.listeners.clear()  # What happens now no stream tells.
                server.store.replace(SETS, "", "a", stored(net_set("a", "10.9.0.0/16")))
                server.store.delete(SETS, "", "b")
                server.store.create(SETS, "", stored(net_set("c")))
                server.store.compact()
                server.store.listeners.append(server._publish)
                server.end_watches()
                await heard.until(lambda heard: {key.name for key in heard.keys} == {"a", "c"}, "the difference")
                assert isinstance(heard.events[3], Changed)
                assert len(heard.events) == 6
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    def test_connections_that_break_off(self) -> None:
        async def script(server: ApiServer) -> None:
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                for turn in range(3):
                    await all_watching(server)
                    server.drop_connections()
                    server.store.create(SETS, "", stored(net_set(f"s-{turn}")))
                    await heard.until(lambda heard, turn=turn: len(heard.resources) == turn + 1, "heard")  # type: ignore[misc]
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    @pytest.mark.parametrize(
        ("code", "reason"),
        [(403, "Forbidden"), (500, "InternalError"), (503, "ServiceUnavailable"), (429, "TooManyRequests")],
    )
    def test_one_kind_that_is_not_served_is_a_loss_that_ends(self, code: int, reason: str) -> None:
        async def script(server: ApiServer) -> None:
            server.refusals["pods"] = code, reason
            async with Hearer(source_of(server)) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert "pods" in str(heard.lost) and server.url in str(heard.lost)
                assert not heard.in_sync
                server.refusals.clear()
                await heard.until_in_sync()
                assert heard.lost is None

        in_server(script)

    def test_a_kind_that_is_not_defined_has_no_objects(self) -> None:
        async def script(server: ApiServer) -> None:
            server.unknown.add(by_name("networksets", CRD_GROUP))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                assert heard.lost is None

        in_server(script)

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "ADDED"},
            {"type": "ADDED", "object": {"metadata": {}}},
            {"type": "PATCHED", "object": {"metadata": {"resourceVersion": "1"}}},
            {"type": "ERROR", "object": {"code": 500, "message": "etcd is down"}},
        ],
        ids=["no object", "no version", "unknown type", "an error"],
    )
    def test_nonsense_in_a_stream_is_a_loss_and_no_more(self, event: dict[str, Any]) -> None:
        async def script(server: ApiServer) -> None:
            server.store.create(SETS, "", stored(net_set("a")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                server.send_raw(event)
                await heard.until(lambda heard: heard.lost is not None, "lost")
                await heard.until(lambda heard: heard.lost is None, "regained")
                assert len(heard.resources) == 1

        in_server(script)

    @pytest.mark.parametrize("letter", ["\u0085", "\u2028", "\u2029", "é", "😀"], ids=ascii)
    def test_letters_that_end_lines_elsewhere_end_none_here(self, letter: str) -> None:
        """Only a line feed ends an event; Go writes all of these as they are."""

        async def script(server: ApiServer) -> None:
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                made = stored(net_set("a"))
                made["metadata"] |= {"annotations": {"note": f"one{letter}two"}}
                server.store.create(SETS, "", made)
                await heard.until(lambda heard: len(heard.resources) == 1, "heard")
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    @pytest.mark.parametrize("tail", [b'{"type":"ADDED","obj', b'{"type":"ADDED","object":{}}'], ids=["half", "no end"])
    def test_a_line_without_its_end_was_cut_off_and_is_no_loss(self, tail: bytes) -> None:
        """As when a proxy ends a stream in the middle: what was cut off is asked for again."""
        asked: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.decode().split()[1])
            metadata = {"name": "a", "resourceVersion": "7"}
            line = json.dumps({"type": "ADDED", "object": {"metadata": metadata}}).encode() + b"\n"
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + line + tail)
            writer.close()
            await writer.wait_closed()

        async def run() -> None:
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                client = KubernetesClient(ClientConfig(k8s_api_endpoint=f"http://127.0.0.1:{port}"))
                kind = next(kind for kind in WATCHED if kind.kind == "GlobalNetworkSet")
                assert [event.version async for event in client.watch(kind, "1", 5)] == ["7"]
                await client.close()

        asyncio.run(run())

    def test_half_of_a_pair_of_surrogates_stops_nobody(self) -> None:
        """Neither in a list nor in an event; Go reads it as U+FFFD."""

        async def script(server: ApiServer) -> None:
            escaped = json.dumps

            def respond(data: Any, **options: Any) -> str:
                return escaped(data, **options).replace("HALF", "\\ud800")

            def marked(name: str) -> Plain:
                made = stored(net_set(name))
                return made | {"metadata": made["metadata"] | {"annotations": {"note": "HALF"}}}

            server.dumps = respond
            server.store.create(SETS, "", marked("a"))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                server.store.create(SETS, "", marked("b"))
                await heard.until(lambda heard: len(heard.resources) == 2, "heard")
                notes = {one.metadata.annotations["note"] for one in heard.resources.values()}
                assert notes == {"\ufffd"} and not heard.refused

        in_server(script)

    def test_a_server_that_wants_to_be_left_alone_is(self) -> None:
        waits: list[float] = []

        async def script(server: ApiServer) -> None:
            server.refusals["pods"] = 429, "TooManyRequests"
            server.retry_after = "3"

            async def wait(seconds: float) -> None:
                waits.append(seconds)
                server.refusals.clear()

            client = KubernetesClient(ClientConfig(k8s_api_endpoint=server.url))
            source = KubernetesSource(client, back_off=lambda: BackOff(0.02, 0.1, lambda: 0.5), wait=wait)
            async with Hearer(source) as heard:
                await heard.until_in_sync()
            assert waits == [3.0]

        in_server(script)

    def test_a_kind_that_is_forgotten_for_a_while_keeps_its_objects(self) -> None:
        """A server that has just begun may not know its custom resources yet."""

        async def script(server: ApiServer) -> None:
            server.store.create(SETS, "", stored(net_set("a")))
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                server.unknown.add(SETS)
                server.drop_connections()
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert "globalnetworksets" in str(heard.lost) and len(heard.resources) == 1
                server.unknown.clear()
                await heard.until(lambda heard: heard.lost is None, "regained")
                assert len(heard.resources) == 1
                server.unknown.add(SETS)
                server.drop_connections()
                await heard.until(lambda heard: not heard.resources and heard.lost is None, "believed in the end")

        in_server(script)

    def test_who_cannot_watch_looks(self) -> None:
        """As behind a proxy that ends every stream at once."""

        async def script(server: ApiServer) -> None:
            async def no_watch(request: Any, target: Any, reader: Any, writer: asyncio.StreamWriter) -> None:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")
                await writer.drain()

            server._watch = no_watch  # type: ignore[method-assign]
            async with Hearer(source_of(server)) as heard:
                await heard.until_in_sync()
                server.store.create(SETS, "", stored(net_set("a")))
                await heard.until(lambda heard: len(heard.resources) == 1, "found")
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script)

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"[]",
            b'{"items": []}',
            b"\xff",
            b"[" * 5000,
            b'{"metadata": {"resourceVersion": "1"}, "items": {"a": 1}}',
        ],
    )
    def test_nonsense_for_a_list_is_a_loss_and_no_more(self, body: bytes) -> None:
        async def script(server: ApiServer) -> None:
            server.nonsense = body
            async with Hearer(source_of(server)) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                server.nonsense = None
                await heard.until_in_sync()

        in_server(script)

    def test_streams_last_as_long_as_was_asked(self) -> None:
        async def script(server: ApiServer) -> None:
            client = KubernetesClient(ClientConfig(k8s_api_endpoint=server.url))
            source = KubernetesSource(client, draw_watch_s=lambda: 1)
            async with Hearer(source) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                before = len(server.requests)
                async with asyncio.timeout(10):
                    while len(server.requests) < before + len(WATCHED):
                        await asyncio.sleep(0.01)
                watches = [one for one in server.requests if one.parameters.get("watch")]
                assert {one.parameters["timeoutSeconds"] for one in watches} == {"1"}
                assert {one.parameters["allowWatchBookmarks"] for one in watches} == {"true"}

        in_server(script)


class TestWhoWeAre:
    def test_a_token_over_tls(self, tmp_path: Path) -> None:
        authority, context = _tls(tmp_path)

        async def script(server: ApiServer) -> None:
            async with Hearer(source_of(server, k8s_ca_file=authority, k8s_api_token="secret")) as heard:
                await heard.until_in_sync()
            async with Hearer(source_of(server, k8s_ca_file=authority, k8s_api_token="wrong")) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert "Unauthorized" in str(heard.lost)
            async with Hearer(source_of(server, k8s_api_token="secret")) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert "certificate verify failed" in str(heard.lost)
            async with Hearer(source_of(server, k8s_api_token="secret", k8s_insecure_skip_tls_verify=True)) as heard:
                await heard.until_in_sync()

        in_server(script, token="secret", context=context)

    def test_in_a_pod_with_a_token_that_is_replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        authority, context = _tls(tmp_path)
        account = tmp_path / "account"
        account.mkdir()
        (account / "ca.crt").write_text(Path(authority).read_text())
        (account / "namespace").write_text("kube-system")
        (account / "token").write_text("first")

        async def script(server: ApiServer) -> None:
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
            source = KubernetesSource(KubernetesClient(ClientConfig(), service_account=account))
            async with Hearer(source) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                (account / "token").write_text("second")
                server.token = "second"
                server.end_watches()
                server.store.create(SETS, "", stored(net_set("a")))
                await heard.until(lambda heard: len(heard.resources) == 1, "heard with the new token")
                assert not any(isinstance(event, Lost) for event in heard.events)

        in_server(script, token="first", context=context)

    @pytest.mark.parametrize(
        ("program", "words"),
        [
            ('echo \'{"status": {"token": "secret"}}\'', ""),
            ("echo nonsense", "printed no token"),
            ("echo '{}'", "printed no token"),
            ("echo why >&2; exit 3", "ended with 3: why"),
            ("exec sleep 60", "said nothing for 0 s"),
        ],
        ids=["a token", "no JSON", "no token", "an error", "silence"],
    )
    def test_a_plug_in_that_says_who_we_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
    ) -> None:
        """However many kinds are asked for, it is run once."""
        if "sleep" in program:
            monkeypatch.setattr(kubernetes_plug_in, "LONGEST_S", 0.2)
        plug_in = _plug_in(tmp_path, program)

        async def script(server: ApiServer) -> None:
            client = KubernetesClient(_kubeconfig(tmp_path, server, plug_in))
            source = KubernetesSource(client, back_off=lambda: BackOff(60, 60))
            async with Hearer(source) as heard:
                await heard.until(lambda heard: heard.in_sync or heard.lost is not None, "heard")
                assert heard.in_sync is not bool(words)
                if words:
                    assert heard.lost is not None and f"{plug_in}: {words}" in heard.lost
            assert (tmp_path / "runs").read_text() == "x"

        in_server(script, token="secret")

    def test_a_token_that_runs_out_is_asked_for_once_more(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("first")
        plug_in = _plug_in(tmp_path, 'echo "{\\"status\\": {\\"token\\": \\"$(cat token)\\"}}"')

        async def script(server: ApiServer) -> None:
            async with Hearer(KubernetesSource(KubernetesClient(_kubeconfig(tmp_path, server, plug_in)))) as heard:
                await heard.until_in_sync()
                await all_watching(server)
                (tmp_path / "token").write_text("second")
                server.token = "second"
                server.end_watches()
                server.store.create(SETS, "", stored(net_set("a")))
                await heard.until(lambda heard: len(heard.resources) == 1, "heard with the new token")
                assert not any(isinstance(event, Lost) for event in heard.events)
            assert (tmp_path / "runs").read_text() == "xx"

        in_server(script, token="first")

    def test_a_plug_in_ends_with_whom_it_works_for(self, tmp_path: Path) -> None:
        """Nor does anything stay open to it, which would be found when the loop has ended."""
        plug_in = _plug_in(tmp_path, "sleep 60 & echo $! > child; echo $$ > process; wait")

        async def script(server: ApiServer) -> None:
            async with Hearer(KubernetesSource(KubernetesClient(_kubeconfig(tmp_path, server, plug_in)))):
                async with asyncio.timeout(10):
                    while not (tmp_path / "process").exists() or not (tmp_path / "process").read_text():
                        await asyncio.sleep(0.005)
            for name in ("process", "child"):
                number = (tmp_path / name).read_text().strip()
                # What nobody waits for any more is at most a name in the table of processes.
                assert _state(number) in ("", "Z")

        in_server(script, token="secret")
        gc.collect()

    def test_a_kubeconfig_with_a_certificate(self, tmp_path: Path) -> None:
        authority, context = _tls(tmp_path, ask_clients=True)

        async def script(server: ApiServer) -> None:
            config = {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority": "authority.pem"}}],
                "users": [{"name": "u", "user": {"client-certificate": "client.pem", "client-key": "client-key.pem"}}],
            }
            (tmp_path / "kubeconfig").write_text(json.dumps(config))
            client = KubernetesClient(ClientConfig(kubeconfig=str(tmp_path / "kubeconfig")))
            async with Hearer(KubernetesSource(client)) as heard:
                await heard.until_in_sync()
            async with Hearer(source_of(server, k8s_ca_file=authority)) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")

        in_server(script, context=context)


def _tls(folder: Path, *, ask_clients: bool = False) -> tuple[str, ssl.SSLContext]:
    """The file of an authority, and a server's context with a certificate of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    client = authority.issue_cert("client@example.org")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    client.private_key_pem.write_to_path(folder / "client-key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if ask_clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return str(folder / "authority.pem"), context


def _plug_in(folder: Path, program: str) -> Path:
    """A program that counts its runs in the file `runs`."""
    path = folder / "plug-in"
    path.write_text(f"#!/bin/sh\ncd {folder}\nprintf x >> runs\n{program}\n")
    path.chmod(0o700)
    return path


def _kubeconfig(folder: Path, server: ApiServer, plug_in: Path) -> ClientConfig:
    """A configuration by which the program says who we are."""
    program = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": str(plug_in)}
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"exec": program}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return ClientConfig(kubeconfig=str(folder / "kubeconfig"))


def _state(process: str) -> str:
    """The letter that the kernel has for how a process is (proc(5)); empty when there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _nets(heard: Hearer, key: Key) -> list[str]:
    found = heard.resources.get(key)
    return [str(net) for net in found.spec.ip_networks] if isinstance(found, WorkloadEndpoint) else []
