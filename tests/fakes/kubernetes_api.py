"""A strict API server of Kubernetes over real HTTP on loopback, with or without TLS, for one event loop.

It serves lists in pages, watches with bookmarks, gets and writes of the kinds in `kubernetes_store`, by the documented
protocol, and refuses what a real server refuses; what a real server merely ignores (unknown parameters, a version beside a
continue token) it refuses as well, so that no test passes by accident. Tests make trouble by its methods: history that is
gone, tokens that ran out, streams that end or break, servers that are down, refuse or talk nonsense.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.kubernetes_store import KINDS, Event, Kind, StatusError, Store

_LIST_PARAMETERS = frozenset({"limit", "continue", "resourceVersion"})
_WATCH_PARAMETERS = frozenset({"watch", "allowWatchBookmarks", "resourceVersion", "timeoutSeconds"})
_WRITE_PARAMETERS = frozenset({"fieldManager", "dryRun", "gracePeriodSeconds", "propagationPolicy"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    parameters: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path stands for."""

    kind: Kind
    namespace: str
    name: str


@dataclass(slots=True)
class _Watch:
    """A stream that is open; `None` in the queue ends it."""

    kind: Kind
    namespace: str
    bookmarks: bool
    queue: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)


class ApiServer:
    """The server; `store` may be written directly or over HTTP."""

    def __init__(self, store: Store, *, token: str = "", context: ssl.SSLContext | None = None) -> None:
        self.store = store
        self.token = token
        self.context = context
        self.port = 0
        self.requests: list[Request] = []
        self.gone_as_event = False
        """Whether a version that is gone is refused within the stream, as servers with a watch cache do."""
        self.refusals: dict[str, tuple[int, str]] = {}
        """Plurals that are answered with a code and a reason."""
        self.retry_after = ""
        """What refusals say of when to ask again."""
        self.unknown: set[Kind] = set()
        """Kinds that are not defined."""
        self.nonsense: bytes | None = None
        """What lists are answered with instead."""
        self.dumps: Callable[..., str] = json.dumps
        """How objects are written."""
        self.page_limit = 10_000
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: list[_Watch] = []
        self._pages: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        store.listeners.append(self._publish)

    # --- being there ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, at the port of before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.context, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Goes away at once, with all connections."""
        server, self._server = self._server, None
        if server is not None:
            # asyncio forgets a connection that it has accepted when its server is closed in the same turn: no more of them,
            # and a turn for those that there are.
            for listener in server.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            await asyncio.sleep(0)
            server.close()
        self.drop_connections()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop_connections(self) -> None:
        """Breaks every connection off in the middle."""
        for writer in list(self._connections):
            writer.transport.abort()
        for watch in self._watches:
            watch.queue.put_nowait(None)

    # --- making trouble ------------------------------------------------------------------------------------------

    def end_watches(self) -> None:
        """Ends every stream as if its time were up."""
        for watch in self._watches:
            watch.queue.put_nowait(None)

    def send_bookmarks(self) -> None:
        """Tells those streams that asked for it how far they are."""
        for watch in self._watches:
            if watch.bookmarks:
                metadata = {"resourceVersion": str(self.store.version), "creationTimestamp": None}
                bookmark = {"kind": watch.kind.kind, "apiVersion": watch.kind.api_version, "metadata": metadata}
                watch.queue.put_nowait({"type": "BOOKMARK", "object": bookmark})

    def expire_tokens(self) -> None:
        """Lists that are not at their end have to begin anew."""
        self._pages.clear()

    def send_error(self, code: int, reason: str, message: str) -> None:
        """Tells an error within every stream, and ends it."""
        for watch in self._watches:
            watch.queue.put_nowait({"type": "ERROR", "object": StatusError(code, reason, message).status})
            watch.queue.put_nowait(None)

    def send_raw(self, data: dict[str, Any]) -> None:
        """Tells something that no server would."""
        for watch in self._watches:
            watch.queue.put_nowait(data)

    @property
    def watching(self) -> int:
        """How many streams are open."""
        return len(self._watches)

    def _publish(self, event: Event) -> None:
        for watch in self._watches:
            if watch.kind is event.kind and watch.namespace in ("", event.object["metadata"].get("namespace")):
                watch.queue.put_nowait({"type": event.type, "object": event.object})

    # --- HTTP ----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(writer)
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                try:
                    await self._answer(request, reader, writer)
                except StatusError as error:
                    wait = [f"retry-after: {self.retry_after}"] if self.retry_after else []
                    await _respond_raw(writer, error.code, json.dumps(error.status).encode(), *wait)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(writer)
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            raise StatusError(401, "Unauthorized", "Unauthorized")
        if not any(word in request.headers.get("accept", "*/*") for word in ("*/*", "application/json")):
            raise StatusError(406, "NotAcceptable", "only application/json is served here")
        target = self._target(request.path)
        if target.kind.plural in self.refusals:
            code, reason = self.refusals[target.kind.plural]
            message = f'{target.kind.plural} is forbidden: User "tortie" cannot list it' if code == 403 else reason
            raise StatusError(code, reason, message)
        match request.method:
            case "GET" if target.name:
                await _respond(writer, 200, self.store.get(target.kind, target.namespace, target.name))
            case "GET" if request.parameters.get("watch") in ("true", "1"):
                await self._watch(request, target, reader, writer)
            case "GET":
                await self._list(request, target, writer)
            case "POST" | "PUT" | "DELETE":
                await self._write(request, target, writer)
            case _:
                raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the resource")

    def _target(self, path: str) -> _Target:
        words = path.strip("/").split("/")
        if words[0] == "api" and len(words) > 1:
            group, version, rest = "", words[1], words[2:]
        elif words[0] == "apis" and len(words) > 2:
            group, version, rest = words[1], words[2], words[3:]
        else:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        for kind in KINDS:
            if rest and (kind.group, kind.version, kind.plural) == (group, version, rest[0]) and kind not in self.unknown:
                if namespace and not kind.namespaced:
                    break
                return _Target(kind, namespace, rest[1] if len(rest) > 1 else "")
        raise StatusError(404, "NotFound", "the server could not find the requested resource")

    # --- verbs -----------------------------------------------------------------------------------------------------

    async def _list(self, request: Request, target: _Target, writer: asyncio.StreamWriter) -> None:
        _check_parameters(request, _LIST_PARAMETERS)
        if self.nonsense is not None:
            await _respond_raw(writer, 200, self.nonsense)
            return
        limit = _number(request, "limit", 0) or self.page_limit
        token = request.parameters.get("continue", "")
        if token:
            if "resourceVersion" in request.parameters:
                message = "specifying resource version is not allowed when using continue"
                raise StatusError(400, "BadRequest", message)
            if token not in self._pages:
                message = "The provided continue parameter is too old to display a consistent list result."
                raise StatusError(410, "Expired", message)
            version, rest = self._pages.pop(token)
        else:
            version, rest = self.store.version, self.store.list(target.kind, target.namespace)
        page, rest = rest[:limit], rest[limit:]
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if rest:
            metadata |= {"continue": f"{target.kind.plural}-{version}-{len(rest)}", "remainingItemCount": len(rest)}
            self._pages[metadata["continue"]] = version, rest
        if target.kind.built_in:
            page = [{name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in page]
        whole = {"kind": f"{target.kind.kind}List", "apiVersion": target.kind.api_version, "metadata": metadata}
        await _respond_raw(writer, 200, self.dumps(whole | {"items": page}).encode())

    async def _watch(
        self, request: Request, target: _Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _check_parameters(request, _WATCH_PARAMETERS)
        bookmarks = request.parameters.get("allowWatchBookmarks") in ("true", "1")
        watch = _Watch(target.kind, target.namespace, bookmarks)
        timeout_s = _number(request, "timeoutSeconds", 3600)
        try:
            backlog = self._backlog(request, target)
        except StatusError as error:
            if error.code != 410 or not self.gone_as_event:
                raise
            watch.queue.put_nowait({"type": "ERROR", "object": error.status})
            watch.queue.put_nowait(None)
            backlog = []
        for event in backlog:
            watch.queue.put_nowait(event)
        self._watches.append(watch)
        # A client asks nothing while it watches: whatever is read is that it has gone.
        gone = asyncio.ensure_future(reader.read(1))
        gone.add_done_callback(lambda _: watch.queue.put_nowait(None))
        try:
            await _respond_head(writer, 200, "transfer-encoding: chunked")
            end = asyncio.get_running_loop().time() + timeout_s
            while (event := await _next(watch.queue, end)) is not None:
                # As Go writes it: letters as they are, also those that Unicode takes for the ends of lines.
                data = self.dumps(event, ensure_ascii=False).encode() + b"\n"
                # Two chunks, so that no reader counts on lines and chunks being the same.
                for part in (data[:7], data[7:]):
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            self._watches.remove(watch)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _backlog(self, request: Request, target: _Target) -> list[dict[str, Any]]:
        """What a stream begins with: everything, or what happened since a version."""
        text = request.parameters.get("resourceVersion", "")
        if text in ("", "0"):
            return [{"type": "ADDED", "object": item} for item in self.store.list(target.kind, target.namespace)]
        return [
            {"type": event.type, "object": event.object}
            for event in self.store.since(_number(request, "resourceVersion", 0))
            if event.kind is target.kind and target.namespace in ("", event.object["metadata"].get("namespace"))
        ]

    async def _write(self, request: Request, target: _Target, writer: asyncio.StreamWriter) -> None:
        _check_parameters(request, _WRITE_PARAMETERS)
        if target.kind.namespaced and not target.namespace:
            raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        if request.method == "DELETE":
            self.store.delete(target.kind, target.namespace, target.name)
            await _respond(writer, 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
            return
        if request.headers.get("content-type") != "application/json":
            raise StatusError(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        try:
            data = json.loads(request.body)
        except ValueError as error:
            raise StatusError(400, "BadRequest", f"the object provided is unrecognized: {error}") from None
        if request.method == "POST":
            await _respond(writer, 201, self.store.create(target.kind, target.namespace, data))
        else:
            await _respond(writer, 200, self.store.replace(target.kind, target.namespace, target.name, data))


async def _next(queue: asyncio.Queue[dict[str, Any] | None], end: float) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout_at(end):
            return await queue.get()
    except TimeoutError:
        return None


def _check_parameters(request: Request, known: frozenset[str]) -> None:
    for name in request.parameters:
        if name not in known:
            raise StatusError(400, "BadRequest", f"unknown query parameter {name!r}")


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameters.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise StatusError(400, "BadRequest", f"{name}: Invalid value: {text!r}: must be a number")
    return int(text)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None when there is none. What is no HTTP/1.1 breaks the connection."""
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("ascii").rstrip("\r\n").split("\r\n")
    method, target, protocol = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if protocol != "HTTP/1.1" or "host" not in headers:
        raise OSError("not HTTP/1.1")
    url = urlsplit(target)
    pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    if len(dict(pairs)) != len(pairs):
        raise OSError("a parameter is there twice")
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, url.path, dict(pairs), headers, body)


async def _respond(writer: asyncio.StreamWriter, code: int, data: dict[str, Any]) -> None:
    await _respond_raw(writer, code, json.dumps(data).encode())


async def _respond_raw(writer: asyncio.StreamWriter, code: int, body: bytes, *lines: str) -> None:
    await _respond_head(writer, code, f"content-length: {len(body)}", *lines)
    writer.write(body)
    await writer.drain()


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase


async def _respond_head(writer: asyncio.StreamWriter, code: int, *lines: str) -> None:
    head = [f"HTTP/1.1 {code} {_phrase(code)}", "content-type: application/json", *lines, "", ""]
    writer.write("\r\n".join(head).encode())
    await writer.drain()


@asynccontextmanager
async def api_server(
    store: Store | None = None, *, token: str = "", context: ssl.SSLContext | None = None
) -> AsyncIterator[ApiServer]:
    """A server of its own, running."""
    server = ApiServer(store or Store(), token=token, context=context)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
