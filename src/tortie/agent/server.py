"""A small HTTP server for the few pages that machines ask the agent for: metrics, liveness, readiness.

Requests are read to the end of their head and no further; what is not a GET of a page that is there gets an error. Nothing
that is asked can take long or change anything, and a peer that sends nothing, too much or garbage loses its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

_LONGEST_HEAD = 16 << 10
_PATIENCE_S = 10.0
_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
_REASONS |= {503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    code: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Answer]]
"""Path to what makes the page."""


async def open_server(host: str | None, port: int, pages: Pages) -> asyncio.Server:
    """Serves pages on a port until it is closed; without a host on every address. Raises `OSError`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_PATIENCE_S):
                    head = await _head(reader)
                    writer.write(_response(answer_to(head, pages), without_body=head.startswith(b"HEAD ")))
                    await writer.drain()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    return await asyncio.start_server(handle, host, port, limit=_LONGEST_HEAD)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""


def answer_to(head: bytes, pages: Pages) -> Answer:
    """The answer to the head of a request."""
    words = head.partition(b"\r\n")[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return Answer(400, b"not a request of HTTP/1\n")
    if words[0] not in (b"GET", b"HEAD"):
        return Answer(405, b"only GET\n")
    page = pages.get(words[1].partition(b"?")[0].decode("latin-1"))
    return Answer(404, b"no such page\n") if page is None else page()


def _response(answer: Answer, *, without_body: bool = False) -> bytes:
    body = b"" if answer.code == 204 else answer.body
    head = [
        f"HTTP/1.1 {answer.code} {_REASONS.get(answer.code, 'Unknown')}",
        f"Content-Length: {len(body)}",
        f"Content-Type: {answer.content_type}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + (b"" if without_body else body)
