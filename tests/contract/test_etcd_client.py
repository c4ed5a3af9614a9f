"""The client of etcd over real servers: reading, writing, leases, watches, and what is known when a server goes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.etcd_server import EtcdServer, etcd_cluster, etcd_server
from tortie.source import etcd_client
from tortie.source.client_config import ClientConfig, Endpoint
from tortie.source.etcd_client import Condition, Delete, EtcdClient, Get, Put
from tortie.source.failure import DatastoreFailed, HistoryGone

pytestmark = pytest.mark.etcd

Script = Callable[[EtcdClient], Awaitable[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[EtcdServer]:
    with etcd_server() as one:
        yield one


@pytest.fixture
def play(server: EtcdServer) -> Callable[[Script], None]:
    """Runs a script with a client of the module's server, emptied before."""

    def run(script: Script) -> None:
        if server.process is None:
            server.start()

        async def inside() -> None:
            client = EtcdClient(server.config)
            await client.delete("/", prefix=True)
            await script(client)
            await client.close()

        asyncio.run(inside())

    return run


Play = Callable[[Script], None]


def test_an_entry_and_its_revisions(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        first = await client.put("/a", b"1")
        second = await client.put("/a", b"2")
        (entry,) = (await client.get("/a")).entries
        assert (entry.key, entry.value, entry.version) == ("/a", b"2", 2)
        assert (entry.create_revision, entry.mod_revision) == (first, second)
        assert (await client.get("/a", revision=first)).entries[0].value == b"1"
        assert (await client.get("/b")).entries == ()

    play(script)


def test_a_list_is_of_one_moment_and_comes_in_pages(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_client, "PAGE", 3)

    async def script(client: EtcdClient) -> None:
        await client.transact((), [Put(f"/a/{index:02}", b"x") for index in range(10)] + [Put("/b", b"y")])
        taken = client._range
        pages = 0

        async def meddled(start: bytes, end: bytes, **options: int) -> etcd_client.Range:
            nonlocal pages
            pages += 1
            page = await taken(start, end, **options)  # type: ignore[arg-type]
            await client.put(f"/a/{20 + pages}", b"later")
            return page

        client._range = meddled  # type: ignore[assignment]
        found = await client.list("/a/")
        assert [entry.key for entry in found.entries] == [f"/a/{index:02}" for index in range(10)]
        assert pages == 4
        client._range = taken  # type: ignore[method-assign]
        assert {entry.value for entry in (await client.list("/a/", keys_only=True)).entries} == {b""}

    play(script)


def test_a_transaction_happens_whole_or_not_at_all(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        made = await client.transact([Condition("/a", 0)], [Put("/a", b"1"), Put("/b", b"1")])
        assert made.succeeded and made.results == (None, None)
        again = await client.transact([Condition("/a", 0)], [Put("/a", b"2")], [Get("/a"), Get("/c")])
        assert not again.succeeded
        found, absent = again.results
        assert isinstance(found, etcd_client.Entry) and found.value == b"1" and absent is None
        gone = await client.transact(
            [Condition("/a", made.revision), Condition("/c", 0)], [Delete("/a"), Delete("/", prefix=True)]
        )
        assert gone.results == (1, 1)
        assert (await client.list("/")).entries == ()

    play(script)


def test_many_keys_at_once(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        await client.transact((), [Put(f"/{index}", b"x") for index in range(100)])
        revision = (await client.transact((), [Put(f"/{index}", b"x") for index in range(100, 150)])).revision
        await client.put("/0", b"later")
        found = await client.get_many([f"/{index}" for index in range(200)], revision=revision)
        assert len(found) == 150 and {entry.value for entry in found} == {b"x"}

    play(script)


def test_a_lease_takes_its_keys_with_it(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        lease = await client.grant(60)
        await client.put("/a", b"1", lease=lease)
        assert (await client.get("/a")).entries[0].lease == lease
        assert await client.renew(lease)
        await client.revoke(lease)
        assert not await client.renew(lease)
        assert (await client.get("/a")).entries == ()
        with pytest.raises(DatastoreFailed, match="requested lease not found"):
            await client.put("/a", b"1", lease=lease)

    play(script)


def test_a_watch_tells_everything_from_its_revision_on(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        revision = await client.put("/a/1", b"1")
        await client.put("/c", b"nobody watches this")
        await client.delete("/a/1")
        told: list[tuple[str, bytes | None]] = []
        async with asyncio.timeout(10):
            stands = False
            async for watched in client.watch(("/a/", "/b/"), revision):
                if not stands:
                    stands = True
                    assert watched.events == ()
                    await client.put("/b/1", b"2")
                told += [(event.key, event.entry.value if event.entry else None) for event in watched.events]
                if len(told) == 3:
                    break
        assert sorted(told, key=str) == [("/a/1", None), ("/a/1", b"1"), ("/b/1", b"2")]

    play(script)


def test_revisions_that_were_compacted_are_gone(play: Play, server: EtcdServer) -> None:
    async def script(client: EtcdClient) -> None:
        old = await client.put("/a", b"1")
        await client.put("/a", b"2")
        server.compact()
        with pytest.raises(HistoryGone):
            await client.get("/a", revision=old)
        with pytest.raises(HistoryGone):
            async for _ in client.watch(("/",), old):
                pass
        assert (await client.get("/a")).entries[0].value == b"2", "the connection is as good as before"

    play(script)


def test_a_value_too_large_is_refused_and_the_connection_stays(play: Play) -> None:
    async def script(client: EtcdClient) -> None:
        with pytest.raises(DatastoreFailed, match=r"larger than max|too large") as failure:
            await client.put("/a", b"x" * (2 << 20))
        assert not failure.value.uncertain
        await client.put("/a", b"x" * (1 << 20))

    play(script)


def test_many_calls_at_once_share_one_connection(play: Play, server: EtcdServer) -> None:
    async def script(client: EtcdClient) -> None:
        other = EtcdClient(server.config)
        connect, connections = other._connect, []

        async def counted(endpoint: Endpoint) -> object:
            connections.append(endpoint)
            return await connect(endpoint)

        other._connect = counted  # type: ignore[assignment,method-assign]
        await asyncio.gather(*(other.put(f"/{index}", b"x") for index in range(200)))
        assert len((await client.list("/")).entries) == 200
        assert len(connections) == 1
        await other.close()

    play(script)


def test_what_one_failure_takes_with_it_fails_and_is_not_cancelled(play: Play, server: EtcdServer) -> None:
    """The channel under other calls is closed; gRPC calls that a cancellation, which nobody asked for."""

    async def script(client: EtcdClient) -> None:
        await client.put("/a", b"1")

        async def follow() -> None:
            async for _ in client.watch(("/",), 1):
                standing.set()

        standing = asyncio.Event()
        watch = asyncio.create_task(follow())
        await standing.wait()
        connection = client._connection
        assert connection is not None
        await client._drop(connection)
        (outcome,) = await asyncio.gather(watch, return_exceptions=True)
        assert isinstance(outcome, DatastoreFailed)
        watch = asyncio.create_task(follow())
        standing.clear()
        await standing.wait()
        watch.cancel()
        (outcome,) = await asyncio.gather(watch, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError)

    play(script)


def test_a_client_that_was_closed_says_so(play: Play, server: EtcdServer) -> None:
    async def script(client: EtcdClient) -> None:
        other = EtcdClient(server.config)
        await other.put("/a", b"1")
        writes = [asyncio.create_task(other.put("/a", b"2")) for _ in range(20)]
        await asyncio.sleep(0)
        await other.close()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(outcome, int | DatastoreFailed) for outcome in outcomes), outcomes
        with pytest.raises(DatastoreFailed, match="was closed"):
            await other.get("/a")

    play(script)


def _unread_bytes(port: int) -> int:
    """What the kernel holds for the connections at a port (proc(5), /proc/net/tcp: rx_queue)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4].partition(":")[2], 16) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01")


def test_a_write_that_was_sent_and_not_answered_is_uncertain(play: Play, server: EtcdServer) -> None:
    async def script(client: EtcdClient) -> None:
        await client.put("/a", b"1")
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)  # Its kernel takes the request, and it says nothing.
        os.waitpid(server.process.pid, os.WUNTRACED)
        write = asyncio.create_task(client.put("/a", b"2"))
        async with asyncio.timeout(10):
            while not _unread_bytes(server.client_port):
                await asyncio.sleep(0.005)
        server.kill()
        with pytest.raises(DatastoreFailed) as failure:
            await write
        assert failure.value.uncertain and not failure.value.unauthorized
        with pytest.raises(DatastoreFailed) as failure:
            await client.put("/a", b"3")
        assert not failure.value.uncertain, "there was nobody to send it to"
        server.start()

    play(script)


def test_a_server_that_was_away_for_long_is_reached_at_the_first_try(play: Play, server: EtcdServer) -> None:
    """No memory of earlier failures is in the way, such as gRPC's own waits, which grow to two minutes."""

    async def script(client: EtcdClient) -> None:
        await client.put("/a", b"1")
        server.kill()
        for _ in range(30):
            with pytest.raises(DatastoreFailed):
                await client.get("/a")
        await asyncio.to_thread(server.start)
        assert len((await client.get("/a")).entries) == 1

    play(script)


def test_reads_go_to_the_next_server_and_writes_when_they_have_not_left() -> None:
    with etcd_cluster(3) as servers:
        config = ClientConfig(etcd_endpoints=",".join(one.endpoint for one in servers))

        async def script() -> None:
            client = EtcdClient(config)
            await client.put("/a", b"1")
            servers[0].kill()
            await asyncio.to_thread(servers[1].wait)
            assert (await client.get("/a")).entries[0].value == b"1"
            await client.put("/a", b"2")
            # Alone, a server has no leader, and does not pass off what it has for the state of the cluster.
            servers[1].kill()
            alone = EtcdClient(replace(config, etcd_endpoints=servers[2].endpoint))
            await asyncio.to_thread(servers[2].wait_without_leader)
            with pytest.raises(DatastoreFailed, match="no leader"):
                await alone.get("/a")
            await asyncio.to_thread(servers[0].launch)
            await asyncio.to_thread(servers[0].wait)
            assert (await client.get("/a")).entries[0].value == b"2"
            await client.close()
            await alone.close()

        asyncio.run(script())


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)) * 64], ids=["none", "HTTP/1", "noise"]
)
def test_what_answers_and_is_no_etcd(answer: bytes) -> None:
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await reader.read(16)
        writer.write(answer)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def run() -> None:
        other = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        client = EtcdClient(ClientConfig(etcd_endpoints=f"http://127.0.0.1:{port}"))
        with pytest.raises(DatastoreFailed, match=f"http://127.0.0.1:{port}: "):
            await client.get("/a")
        await client.close()
        other.close()
        await asyncio.gather(*(handler for handler in handlers if handler is not None))

    asyncio.run(run())


def test_who_takes_the_call_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_client, "DIAL_TIMEOUT_S", 0.2)

    async def run(port: int) -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints=f"http://127.0.0.1:{port}"))
        with pytest.raises(DatastoreFailed):
            await client.get("/a")
        await client.close()

    with socket.create_server(("127.0.0.1", 0)) as silent:  # The kernel takes the connection, nobody reads from it.
        asyncio.run(run(silent.getsockname()[1]))
