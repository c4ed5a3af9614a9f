"""Ranges of keys and certificates; the rest is tested over real servers (tests/contract/test_etcd_client.py)."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import trustme

from tortie.net.error import InvalidInput
from tortie.source import etcd_client
from tortie.source.client_config import ClientConfig, Endpoint
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


AUTHORITY = trustme.CA()
ONE, OTHER = (AUTHORITY.issue_cert(f"{name}@example.org") for name in ("one", "other"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"etcd_key": "x"}, "a client's key is given, and no certificate for it"),
        ({"etcd_cert": "x"}, "a client's certificate is given, and no key for it"),
        ({"etcd_ca_cert_file": "/dev/null"}, "/dev/null: no certificate in PEM that can be read"),
        ({"etcd_ca_cert": "x"}, "etcdCACert: no certificate in PEM that can be read"),
        ({"etcd_cert": "x", "etcd_key_file": "/dev/null"}, "etcdCert and /dev/null cannot be read as PEM"),
        (
            {"etcd_cert": ONE.cert_chain_pems[0].bytes().decode(), "etcd_key": OTHER.private_key_pem.bytes().decode()},
            "etcdCert and etcdKey do not belong together",
        ),
    ],
    ids=["key alone", "certificate alone", "empty authority", "no authority", "no certificate", "of two"],
)
def test_certificates_that_cannot_be_used_are_named(given: dict[str, Any], words: str) -> None:
    """Half of a pair would make gRPC abort the process; of the others it says nothing that helps."""

    async def run() -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints="https://127.0.0.1:1", **given))
        with pytest.raises(DatastoreFailed, match=f"^{re.escape(words)}$"):
            await client.get("a")
        await client.close()

    asyncio.run(run())


def test_a_client_that_is_closed_while_it_connects_leaves_no_connection_behind() -> None:
    async def run() -> None:
        client = EtcdClient(ClientConfig(etcd_endpoints="http://127.0.0.1:1"))
        channel = client._open(client.endpoints[0])
        connecting, go_on = asyncio.Event(), asyncio.Event()

        async def connect(endpoint: Endpoint) -> object:
            connecting.set()
            await go_on.wait()
            return etcd_client._Connection(endpoint, channel)

        client._connect = connect  # type: ignore[assignment,method-assign]
        call = asyncio.create_task(client.get("a"))
        await connecting.wait()
        await client.close()
        go_on.set()
        with pytest.raises(DatastoreFailed, match="was closed"):
            await call
        assert client._connection is None and channel._channel.closed()

    asyncio.run(run())
