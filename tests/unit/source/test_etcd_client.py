"""Ranges of keys and certificates; the rest is tested over real servers (tests/contract/test_etcd_client.py)."""

from __future__ import annotations

import asyncio

import pytest

from tortie.net.error import InvalidInput
from tortie.source.client_config import ClientConfig
from tortie.source.etcd_client import EtcdClient, prefix_end
from tortie.source.failure import DatastoreFailed


@pytest.mark.parametrize(
    ("prefix", "end"), [("/calico/", b"/calico0"), ("a", b"b"), ("", b"\0"), ("é", b"\xc3\xaa")], ids=repr
)
def test_the_end_of_a_prefix(prefix: str, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_a_client_needs_a_server() -> None:
    with pytest.raises(InvalidInput, match="no etcd endpoints specified"):
        EtcdClient(ClientConfig())


def test_all_servers_that_do_not_answer_are_named() -> None:
    async def run() -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints="http://127.0.0.1:1,http://127.0.0.1:2"))
        with pytest.raises(DatastoreFailed) as failure:
            await client.get("a")
        refused = "Failed to connect to remote host: Connection refused"
        assert failure.value.reason == f"http://127.0.0.1:1: {refused}; http://127.0.0.1:2: {refused}"
        with pytest.raises(DatastoreFailed) as failure:
            await client.put("a", b"")
        assert not failure.value.uncertain, "it was never sent"
        await client.close()

    asyncio.run(run())


def test_a_certificate_that_is_not_there_is_named() -> None:
    async def run() -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints="https://127.0.0.1:1", etcd_ca_cert_file="/nothing.pem"))
        with pytest.raises(DatastoreFailed, match=r"/nothing\.pem: No such file or directory"):
            await client.get("a")
        await client.close()

    asyncio.run(run())
