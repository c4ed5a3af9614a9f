"""The small HTTP server, asked by a real socket."""

from __future__ import annotations

import asyncio

import pytest

from tortie.agent.server import Answer, answer_to, open_server

PAGES = {"/liveness": lambda: Answer(204), "/metrics": lambda: Answer(200, b"x 1\n"), "/bad": lambda: Answer(503, b"why\n")}


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"GET /liveness HTTP/1.1\r\n\r\n", 204),
        (b"GET /metrics?x=1 HTTP/1.0\r\nHost: x\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        (b"GET /bad HTTP/1.1\r\n\r\n", 503),
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"", 400),
    ],
)
def test_answers(head: bytes, code: int) -> None:
    assert answer_to(head, PAGES).code == code


async def _exchange(*parts: bytes) -> bytes:
    server = await open_server("127.0.0.1", 0, PAGES)
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        for part in parts:
            writer.write(part)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
    return received


def test_over_a_socket() -> None:
    received = asyncio.run(_exchange(b"GET /metrics HT", b"TP/1.1\r\nHost: x\r\n", b"\r\n"))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n")
    assert body == b"x 1\n"


def test_a_head_that_never_ends_is_refused() -> None:
    received = asyncio.run(_exchange(b"GET /metrics HTTP/1.1\r\n", b"x" * 40_000))
    assert received.startswith(b"HTTP/1.1 400") or received == b""


def test_the_head_of_a_page_alone() -> None:
    """It tells the length of what would follow, and nothing does (RFC 9110, HEAD)."""
    received = asyncio.run(_exchange(b"HEAD /metrics HTTP/1.1\r\n\r\n"))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Content-Length: 4" in head and body == b""
