"""The contract over real etcd, written as calicoctl writes it, and what only etcd has: compaction, users, fail-over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from tests.contract.source import Plain, RunIn, Script, SourceContract, World, key_of_plain, net_set, policy
from tests.etcd_server import EtcdServer, TlsFiles, etcd_cluster, etcd_server, free_ports
from tests.hearing import Hearer, Source
from tortie.model.read import Key
from tortie.model.resource import PassedOver, ReadOptions, read_resource
from tortie.source.client_config import ClientConfig
from tortie.source.etcd import EtcdSource
from tortie.source.etcd_client import EtcdClient, Put
from tortie.source.etcd_key import RESOURCES, resource_key, stored_name
from tortie.source.etcd_value import format_object, format_value
from tortie.source.failure import DatastoreFailed
from tortie.source.link import BackOff

pytestmark = pytest.mark.etcd


def source_of(config: ClientConfig) -> EtcdSource:
    return EtcdSource(EtcdClient(config), back_off=BackOff(0.02, 0.1, lambda: 0.5))


class EtcdWorld(World):
    """A server of etcd, and a client that writes as calicoctl does."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server
        self.client = EtcdClient(server.config)

    def source(self) -> Source:
        return source_of(self.server.config)

    async def put(self, *resources: Plain) -> None:
        writes = []
        for data in resources:
            found = read_resource(data, ReadOptions())
            assert not isinstance(found, PassedOver)
            writes.append(Put(resource_key(key_of_plain(data)), format_value(found)))
        for first in range(0, len(writes), 100):
            await self.client.transact((), writes[first : first + 100])

    async def spoil(self, resource: Plain) -> None:
        stored = resource["metadata"] | {"name": stored_name(resource["kind"], resource["metadata"]["name"])}
        bad = resource | {"metadata": stored, "spec": resource["spec"] | {"nope": 1}}
        await self.client.put(resource_key(key_of_plain(resource)), format_object(bad))

    async def delete(self, *resources: Plain) -> None:
        for data in resources:
            await self.client.delete(resource_key(key_of_plain(data)))

    async def go(self) -> None:
        self.server.kill()

    async def come_back(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.client.close()
        self.client = EtcdClient(self.server.config)


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as one:
        yield one


@pytest.fixture
def run_in(server: EtcdServer) -> RunIn:
    """Runs a script over the module's server, emptied before."""

    def run(script: Script) -> None:
        if server.process is None:
            server.start()

        async def inside() -> None:
            world = EtcdWorld(server)
            await world.client.delete("/", prefix=True)
            try:
                await script(world)
            finally:
                await world.client.close()

        asyncio.run(inside())

    return run


class TestEtcd(SourceContract):
    """The contract."""


class TestHistory:
    def test_compacted_history_makes_no_difference(self, run_in: RunIn, server: EtcdServer) -> None:
        """While the source is away, everything changes and the history of it is thrown away."""

        async def script(world: World) -> None:
            assert isinstance(world, EtcdWorld)
            await world.put(net_set("a"), net_set("b"), net_set("c"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                before = len(heard.events)
                await world.go()
                await heard.until(lambda heard: heard.lost is not None, "lost")
                # The source tries again at once, so the changes are made where it cannot look.
                port, world.server.client_port = world.server.client_port, free_ports(1)[0]
                await world.come_back()
                await world.put(net_set("a", "10.7.0.0/16"), net_set("d"))
                await world.delete(net_set("b"))
                await world.put(net_set("e"))
                await world.delete(net_set("e"))
                server.compact()
                await world.go()
                world.server.client_port = port
                await world.come_back()
                await heard.until(lambda heard: heard.lost is None, "regained")
                told = [str(getattr(event, "key", type(event).__name__)) for event in heard.events[before:]]
                assert told == [
                    "Lost",
                    "GlobalNetworkSet(a)",
                    "GlobalNetworkSet(b)",
                    "GlobalNetworkSet(d)",
                    "Regained",
                ]

        run_in(script)

    def test_a_watch_that_begins_in_compacted_history_is_begun_anew(self, run_in: RunIn, server: EtcdServer) -> None:
        """Between the list and the watch history is compacted: no loss is told, and nothing is missed."""

        class Compacting(EtcdClient):
            turns = 0

            async def watch(self, prefixes, revision):  # type: ignore[no-untyped-def]
                self.turns += 1
                if self.turns == 1:
                    await world_of_test.put(net_set("late"))
                    await world_of_test.put(net_set("later"))
                    server.compact()
                async for watched in super().watch(prefixes, revision):
                    yield watched

        async def script(world: World) -> None:
            nonlocal world_of_test
            world_of_test = world
            await world.put(net_set("a"))
            client = Compacting(server.config)
            async with Hearer(EtcdSource(client, back_off=BackOff(0.01, 0.02))) as heard:
                await heard.until(lambda heard: len(heard.resources) == 3, "all heard")
                await world.put(net_set("end"))
                await heard.until(lambda heard: len(heard.resources) == 4, "the second watch stands")
                assert client.turns == 2 and heard.in_sync
                assert not any(type(event).__name__ == "Lost" for event in heard.events)

        world_of_test: World
        run_in(script)

    def test_another_cluster_at_the_same_address(self, run_in: RunIn, server: EtcdServer) -> None:
        """The data is thrown away: the same keys at lower revisions are other resources."""

        async def script(world: World) -> None:
            await world.put(net_set("a"), net_set("b"))
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                await world.go()
                await heard.until(lambda heard: heard.lost is not None, "lost")
                server.wipe()
                await world.come_back()
                await heard.until(lambda heard: heard.lost is None, "regained")
                assert not heard.resources
                await world.put(net_set("a", "10.3.0.0/16"))
                await heard.until(lambda heard: len(heard.resources) == 1, "told")

        run_in(script)

    def test_what_is_no_resource_is_refused_as_a_place_or_passed_over(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            assert isinstance(world, EtcdWorld)
            await world.put(net_set("a"))
            put = world.client.put
            await put(f"{RESOURCES}tiers/x", b"{}")
            await put(f"{RESOURCES}globalnetworkpolicies/security.x", b"{}")
            await put(f"{RESOURCES}nodes/n", b"\xff\xfe")
            await put("/calico/felix/v2/no-region/host/n/status", b"{}")
            await put("/calico/ipam/v2/host/n", b"")
            await put("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-26", b'{"state":"confirmed","deleted":false}')
            block = b'{"cidr":"10.0.0.0/26","affinity":"host:n","allocations":[],"unallocated":[],"attributes":[]}'
            await put("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26", block)
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                assert set(heard.refused) == {
                    (f"{RESOURCES}tiers/x", None),
                    (f"{RESOURCES}globalnetworkpolicies/security.x", None),
                    (f"{RESOURCES}nodes/n", Key("Node", "", "n")),
                }
                assert {key.kind for key in heard.keys} == {"GlobalNetworkSet", "BlockAffinity", "IPAMBlock"}
                await world.client.delete(f"{RESOURCES}tiers/x")
                await heard.until(lambda heard: len(heard.refused) == 2, "mended")

        run_in(script)


@pytest.fixture(scope="module")
def guarded() -> Iterator[EtcdServer]:
    """A server that asks who one is."""
    with etcd_server() as server:
        server.ctl("user", "add", "root:secret")
        server.ctl("user", "add", "felix:word")
        server.ctl("auth", "enable")
        yield server


class TestUsers:
    def test_a_user_and_a_password_also_after_a_restart(self) -> None:
        """Simple tokens do not outlive the server: the source asks for a new one, and tells nothing of it."""
        with etcd_server() as server:
            server.ctl("user", "add", "root:secret")
            server.ctl("role", "add", "reader")
            server.ctl("role", "grant-permission", "reader", "readwrite", "/calico/", "/calico0")
            server.ctl("user", "add", "felix:word")
            server.ctl("user", "grant-role", "felix", "reader")
            server.ctl("auth", "enable")
            config = replace(server.config, etcd_username="felix", etcd_password="word")

            async def script() -> None:
                client = EtcdClient(config)
                await client.put(f"{RESOURCES}nodes/n", b"{}")
                async with Hearer(source_of(config)) as heard:
                    await heard.until_in_sync()
                    assert len(heard.refused) == 1
                    server.kill()
                    await heard.until(lambda heard: heard.lost is not None, "lost")
                    await asyncio.to_thread(server.launch)
                    await heard.until(lambda heard: heard.lost is None, "regained")
                    await client.delete(f"{RESOURCES}nodes/n")
                    await heard.until(lambda heard: not heard.refused, "heard again")
                await client.close()

            asyncio.run(script())

    @pytest.mark.parametrize(
        ("user", "password", "words"),
        [
            ("", "", "user name is empty"),
            ("felix", "wrong", "authentication failed"),
            ("felix", "word", "permission denied"),
        ],
    )
    def test_who_may_not_read_is_told_so(self, guarded: EtcdServer, user: str, password: str, words: str) -> None:
        config = replace(guarded.config, etcd_username=user, etcd_password=password)

        async def script() -> None:
            async with Hearer(source_of(config)) as heard:
                await heard.until(lambda heard: heard.lost is not None, "lost")
                assert words in str(heard.lost) and guarded.endpoint in str(heard.lost)
            client = EtcdClient(config)
            with pytest.raises(DatastoreFailed) as refusal:
                await client.put("/calico/x", b"")
            assert refusal.value.unauthorized and not refusal.value.uncertain
            await client.close()

        asyncio.run(script())


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def tls(self, authority: trustme.CA, tmp_path: Path) -> TlsFiles:
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        files = TlsFiles(tmp_path / "server.pem", tmp_path / "server-key.pem", tmp_path / "authority.pem")
        certificate.cert_chain_pems[0].write_to_path(files.certificate)
        certificate.private_key_pem.write_to_path(files.key)
        authority.cert_pem.write_to_path(files.authority)
        return files

    def test_certificates_of_both_sides(self, authority: trustme.CA, tls: TlsFiles, tmp_path: Path) -> None:
        client = authority.issue_cert("client@example.org")
        client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
        client.private_key_pem.write_to_path(tmp_path / "client-key.pem")
        with etcd_server(tls) as server:
            by_file = replace(
                server.config,
                etcd_ca_cert_file=str(tls.authority),
                etcd_cert_file=str(tmp_path / "client.pem"),
                etcd_key_file=str(tmp_path / "client-key.pem"),
            )
            inline = replace(
                server.config,
                etcd_ca_cert=authority.cert_pem.bytes().decode(),
                etcd_cert=client.cert_chain_pems[0].bytes().decode(),
                etcd_key=client.private_key_pem.bytes().decode(),
            )
            strange = replace(by_file, etcd_ca_cert_file="", etcd_ca_cert=trustme.CA().cert_pem.bytes().decode())
            nobody = replace(by_file, etcd_cert_file="", etcd_key_file="")
            lacking = replace(by_file, etcd_key_file=str(tmp_path / "nothing"))

            async def script() -> None:
                for good in (by_file, inline):
                    async with Hearer(source_of(good)) as heard:
                        await heard.until_in_sync()
                for bad in (strange, nobody, lacking):
                    async with Hearer(source_of(bad)) as heard:
                        await heard.until(lambda heard: heard.lost is not None, "lost")
                        assert not heard.in_sync
                assert "No such file" in str(heard.lost)

            asyncio.run(script())


class TestSeveralServers:
    def test_when_one_goes_the_next_is_asked(self) -> None:
        with etcd_cluster(3) as servers:
            config = ClientConfig(etcd_endpoints=",".join(server.endpoint for server in servers))

            async def script() -> None:
                writer = EtcdClient(replace(config, etcd_endpoints=servers[2].endpoint))
                await writer.put(f"{RESOURCES}nodes/n", b"{}")
                async with Hearer(source_of(config)) as heard:
                    await heard.until_in_sync()
                    servers[0].kill()
                    await asyncio.to_thread(servers[2].wait)
                    await writer.put(f"{RESOURCES}nodes/m", b"{}")
                    await heard.until(lambda heard: len(heard.refused) == 2, "heard from the second")
                    await heard.until(lambda heard: heard.lost is None, "regained")
                    # Alone, a server knows that it has lost the cluster, and what it has is not taken for the state.
                    servers[1].kill()
                    await heard.until(lambda heard: heard.lost is not None, "lost")
                    await asyncio.to_thread(servers[0].launch)
                    await heard.until(lambda heard: heard.lost is None, "regained")
                await writer.close()

            asyncio.run(script())

    def test_a_server_that_is_not_there_is_passed_over(self, server: EtcdServer) -> None:
        config = ClientConfig(etcd_endpoints=f"http://127.0.0.1:1,{server.endpoint}")

        async def script() -> None:
            async with Hearer(source_of(config)) as heard:
                await heard.until_in_sync()
                assert not any(type(event).__name__ == "Lost" for event in heard.events)
            await asyncio.sleep(0)

        asyncio.run(script())

    def test_policies_come_under_the_names_that_users_see(self, run_in: RunIn) -> None:
        async def script(world: World) -> None:
            assert isinstance(world, EtcdWorld)
            await world.put(policy("allow-web"))
            stored = await world.client.list(f"{RESOURCES}networkpolicies/")
            assert [entry.key for entry in stored.entries] == [f"{RESOURCES}networkpolicies/prod/default.allow-web"]
            async with Hearer(world.source()) as heard:
                await heard.until_in_sync()
                assert heard.keys == {Key("NetworkPolicy", "prod", "allow-web")}

        run_in(script)
