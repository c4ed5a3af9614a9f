"""Talks to etcd v3: ranges, transactions, leases and watches, over whichever of its servers answers.

A thin layer over the messages and stubs that aetcd generated from etcd's own definitions (docs/decisions/etcd-client.md).
One server is spoken to at a time, over one connection, until it fails. Then reads go to the next one at once. A write goes
to the next one only as long as it has not left us: one that was sent and not answered may have been carried out, and ends
in a failure that says so (`uncertain`). A server that has lost the rest of the cluster counts as failed.

Everything that can go wrong is `DatastoreFailed`, or `HistoryGone` for revisions that were compacted. Certificates are read
anew for each connection, so that they may be replaced meanwhile. The object belongs to the event loop that used it first.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tortie.source.client_config import ClientConfig, Endpoint
from tortie.source.failure import DatastoreFailed, HistoryGone

# Failures are told by us; gRPC's own lines on standard error would only say them again.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import aetcd.rpc as rpc  # type: ignore[import-untyped]
import grpc  # type: ignore[import-untyped]

DIAL_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 30.0
PAGE = 2000
"""Entries that are asked for at once."""
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Keep-alive as Calico's own client has it (spec: model 8.3), so that a silent network is found out.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    # Each connection tries for itself: gRPC would remember failures of an address, and back off for minutes.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)
_NEEDS_LEADER = ("hasleader", "true")
"""Asks a server that has lost the cluster to refuse instead of answering from what it has (clientv3.WithRequireLeader)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value; revisions are the cluster's, `version` counts the key's own changes since it was made."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """The entries of a range as they were at `revision`."""

    entries: tuple[Entry, ...]
    revision: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a key for a transaction to be carried out: its last change, or 0 for a key that is not there."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Writes a key, bound to a lease if one is given."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Get:
    """Reads a key, within a transaction."""

    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a key, or with `prefix` all that begin with it."""

    key: str
    prefix: bool = False


Operation: TypeAlias = Put | Get | Delete


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction: whether the conditions held, its revision, and what each operation gave.

    A `Get` gives the entry or None, a `Delete` how many keys there were, a `Put` None.
    """

    succeeded: bool
    revision: int
    results: tuple[Entry | int | None, ...]


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key was written, or deleted when `entry` is None."""

    key: str
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What happened to the watched keys up to `revision`, oldest first; nothing for a mere sign of life."""

    events: tuple[KeyEvent, ...]
    revision: int


@dataclass(slots=True)
class _Connection:
    """An open channel to one server, and the token that it gave us."""

    endpoint: Endpoint
    channel: Any
    token: str | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("token", self.token), _NEEDS_LEADER) if self.token else (_NEEDS_LEADER,)


def prefix_end(prefix: str) -> bytes:
    """The key behind all those that begin with `prefix`."""
    data = prefix.encode().rstrip(b"\xff")
    return data[:-1] + bytes((data[-1] + 1,)) if data else b"\0"


class EtcdClient:
    """A client of one cluster. Made without connecting; `close` when done."""

    def __init__(self, config: ClientConfig) -> None:
        """Raises `InvalidInput` when the configuration names no server."""
        self._config = config
        self._endpoints = config.endpoints
        self._next = 0
        self._connection: _Connection | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The servers, in the order in which they are tried."""
        return self._endpoints

    async def close(self) -> None:
        """Gives up the connection, for good; calls that are on their way fail."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.channel.close()

    # --- reading -------------------------------------------------------------------------------------------------

    async def get(self, key: str, *, revision: int = 0) -> Range:
        """The entry of one key, if it is there, now or as it was at a revision."""
        return await self._range(key.encode(), b"", revision=revision)

    async def list(self, prefix: str, *, revision: int = 0, keys_only: bool = False) -> Range:
        """All entries whose keys begin with `prefix`, as they were at one moment, in the order of their keys."""
        start, end = prefix.encode(), prefix_end(prefix)
        entries: list[Entry] = []
        while True:
            page = await self._range(start, end, revision=revision, limit=PAGE, keys_only=keys_only)
            entries += page.entries
            revision = revision or page.revision
            if not page.more or not page.entries:
                return Range(tuple(entries), revision)
            start = page.entries[-1].key.encode() + b"\0"

    async def get_many(self, keys: Sequence[str], *, revision: int) -> tuple[Entry, ...]:
        """The entries of those of the keys that were there at a revision."""
        found: list[Entry] = []
        for first in range(0, len(keys), _MOST_OPERATIONS):
            operations = [
                rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode(), revision=revision))
                for key in keys[first : first + _MOST_OPERATIONS]
            ]
            reply = await self._call(rpc.KVStub, "Txn", rpc.TxnRequest(success=operations), repeatable=True)
            found += [_entry(kv) for answer in reply.responses for kv in answer.response_range.kvs]
        return tuple(found)

    async def _range(
        self, start: bytes, end: bytes, *, revision: int = 0, limit: int = 0, keys_only: bool = False
    ) -> Range:
        request = rpc.RangeRequest(key=start, range_end=end, revision=revision, limit=limit, keys_only=keys_only)
        reply = await self._call(rpc.KVStub, "Range", request, repeatable=True)
        return Range(tuple(_entry(kv) for kv in reply.kvs), reply.header.revision, reply.more)

    async def cluster_id(self) -> int:
        """What tells this cluster from others, also from one that took its place at the same address."""
        reply = await self._call(rpc.MaintenanceStub, "Status", rpc.StatusRequest(), repeatable=True)
        return int(reply.header.cluster_id)

    # --- writing -------------------------------------------------------------------------------------------------

    async def transact(
        self,
        conditions: Sequence[Condition],
        success: Sequence[Operation],
        failure: Sequence[Operation] = (),
    ) -> Outcome:
        """Carries out `success` if all conditions hold, else `failure`, as one step."""
        request = rpc.TxnRequest(
            compare=[
                rpc.Compare(
                    result=rpc.Compare.EQUAL,
                    target=rpc.Compare.MOD,
                    key=condition.key.encode(),
                    mod_revision=condition.mod_revision,
                )
                for condition in conditions
            ],
            success=[_operation(operation) for operation in success],
            failure=[_operation(operation) for operation in failure],
        )
        reply = await self._call(rpc.KVStub, "Txn", request, repeatable=False)
        return Outcome(reply.succeeded, reply.header.revision, tuple(map(_result, reply.responses)))

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Writes a key whatever it held; the revision."""
        return (await self.transact((), (Put(key, value, lease),))).revision

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """Deletes a key, or all that begin with it; how many there were."""
        (count,) = (await self.transact((), (Delete(key, prefix),))).results
        assert isinstance(count, int)
        return count

    async def grant(self, ttl_s: int) -> int:
        """A lease: what is written with it goes when `ttl_s` seconds have passed and nobody renewed it."""
        reply = await self._call(rpc.LeaseStub, "LeaseGrant", rpc.LeaseGrantRequest(TTL=ttl_s), repeatable=False)
        return int(reply.ID)

    async def revoke(self, lease: int) -> None:
        """Ends a lease, and deletes what was written with it."""
        await self._call(rpc.LeaseStub, "LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease), repeatable=False)

    async def renew(self, lease: int) -> bool:
        """Starts a lease's time again; False when it has ended."""
        connection = await self._connected()
        try:
            call = rpc.LeaseStub(connection.channel).LeaseKeepAlive(metadata=connection.metadata, timeout=CALL_TIMEOUT_S)
            await call.write(rpc.LeaseKeepAliveRequest(ID=lease))
            reply = await call.read()
            await call.done_writing()
        except grpc.RpcError as error:
            raise await self._failed(connection, error, repeatable=True) from None
        except (asyncio.CancelledError, asyncio.InvalidStateError) as error:
            raise await self._ended(connection, error) from None
        if reply is grpc.aio.EOF:
            raise DatastoreFailed(f"{connection.endpoint}: etcd ended the call")
        return bool(reply.TTL > 0)

    # --- watching ------------------------------------------------------------------------------------------------

    async def watch(self, prefixes: Sequence[str], revision: int) -> AsyncIterator[Watched]:
        """What happens to keys that begin with one of `prefixes` from `revision` on, until the connection fails.

        The first thing told is empty and says that the watch stands. Raises `HistoryGone` when the revision has been
        compacted, `DatastoreFailed` otherwise.
        """
        connection = await self._connected()
        call = rpc.WatchStub(connection.channel).Watch(metadata=connection.metadata)
        try:
            for prefix in prefixes:
                request = rpc.WatchCreateRequest(
                    key=prefix.encode(), range_end=prefix_end(prefix), start_revision=revision, progress_notify=True
                )
                await call.write(rpc.WatchRequest(create_request=request))
            standing = 0
            while True:
                reply = await call.read()
                if reply is grpc.aio.EOF:
                    raise DatastoreFailed(f"{connection.endpoint}: etcd ended the watch")
                await self._refuse_cancelled(connection, reply)
                standing += reply.created
                if reply.created and standing < len(prefixes):
                    continue
                yield Watched(tuple(map(_key_event, reply.events)), reply.header.revision)
        except grpc.RpcError as error:
            raise await self._failed(connection, error, repeatable=True) from None
        except (asyncio.CancelledError, asyncio.InvalidStateError) as error:
            raise await self._ended(connection, error) from None
        finally:
            call.cancel()

    async def _refuse_cancelled(self, connection: _Connection, reply: Any) -> None:
        if not reply.canceled:
            return
        if reply.compact_revision:
            raise HistoryGone(f"revisions below {reply.compact_revision} were compacted")
        # Tokens run out and are forgotten when a server starts anew: the next connection asks for one of its own.
        await self._drop(connection)
        reason = reply.cancel_reason or "etcd cancelled the watch"
        raise DatastoreFailed(f"{connection.endpoint}: {reason}", unauthorized="permission denied" in reason)

    # --- connections -----------------------------------------------------------------------------------------------

    async def _call(self, stub: Any, method: str, request: Any, *, repeatable: bool) -> Any:
        """One call; what may be repeated goes to each server once before it fails."""
        renewed = False
        attempts = len(self._endpoints) if repeatable else 1
        while True:
            connection = await self._connected()
            try:
                call = getattr(stub(connection.channel), method)
                return await call(request, metadata=connection.metadata, timeout=CALL_TIMEOUT_S)
            except asyncio.CancelledError as error:
                raise await self._ended(connection, error, uncertain=not repeatable) from None
            except grpc.RpcError as error:
                failure = await self._failed(connection, error, repeatable=repeatable)
                if _token_is_old(error) and not renewed:
                    renewed = True
                    continue
                attempts -= 1
                if isinstance(failure, HistoryGone) or self._connection is not None or attempts <= 0:
                    raise failure from None

    async def _connected(self) -> _Connection:
        """The connection that there is, or one to the next server that answers; all are tried once."""
        async with self._lock:
            self._refuse_if_closed()
            if self._connection is not None:
                return self._connection
            failures: list[DatastoreFailed] = []
            for _ in self._endpoints:
                endpoint = self._endpoints[self._next % len(self._endpoints)]
                try:
                    self._connection = await self._connect(endpoint)
                except DatastoreFailed as failure:
                    failures.append(failure)
                    self._next += 1
                else:
                    if self._closed:  # Meanwhile: nobody else would end it.
                        await self._drop(self._connection)
                        break
                    return self._connection
            self._refuse_if_closed()
            unauthorized = all(failure.unauthorized for failure in failures)
            raise DatastoreFailed("; ".join(failure.reason for failure in failures), unauthorized=unauthorized)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise DatastoreFailed("the client of etcd was closed")

    async def _connect(self, endpoint: Endpoint) -> _Connection:
        channel = self._open(endpoint)
        connection = _Connection(endpoint, channel)
        try:
            status = await rpc.MaintenanceStub(channel).Status(rpc.StatusRequest(), timeout=DIAL_TIMEOUT_S)
            if not status.leader:
                raise DatastoreFailed(f"{endpoint}: etcd has no leader")
            if self._config.etcd_username:
                request = rpc.AuthenticateRequest(name=self._config.etcd_username, password=self._config.etcd_password)
                reply = await rpc.AuthStub(channel).Authenticate(request, timeout=DIAL_TIMEOUT_S)
                connection.token = reply.token
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION and "not enabled" in str(error.details()):
                return connection  # A name and a password are given, and the server asks for none.
            await channel.close()
            failure = _failure(endpoint, error)
            if not endpoint.encrypted and "Socket closed" in str(error.details()):
                failure = DatastoreFailed(f"{failure.reason}; it may want https")
            raise failure from None
        except BaseException:
            await channel.close()
            raise
        return connection

    def _open(self, endpoint: Endpoint) -> Any:
        if not endpoint.encrypted:
            return grpc.aio.insecure_channel(endpoint.target, options=_CHANNEL_OPTIONS)
        config = self._config
        authority = _pem(config.etcd_ca_cert, config.etcd_ca_cert_file)
        key, certificate = _pem(config.etcd_key, config.etcd_key_file), _pem(config.etcd_cert, config.etcd_cert_file)
        _check_certificates(config, authority, key, certificate)
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return grpc.aio.secure_channel(endpoint.target, credentials, options=_CHANNEL_OPTIONS)

    async def _drop(self, connection: _Connection) -> None:
        """Leaves a server; the next connection goes to another one, if there is one."""
        if self._connection is connection:
            self._connection = None
            self._next += 1
        await connection.channel.close()

    async def _ended(self, connection: _Connection, error: BaseException, *, uncertain: bool = False) -> DatastoreFailed:
        """What it means that a call is over before it was answered; a task that is being cancelled is cancelled.

        gRPC raises the same whether the task is cancelled or the channel under the call was closed, by another call that
        failed or by `close`.
        """
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise error
        await self._drop(connection)
        return DatastoreFailed(f"{connection.endpoint}: the connection was closed", uncertain=uncertain)

    async def _failed(
        self, connection: _Connection, error: grpc.RpcError, *, repeatable: bool
    ) -> DatastoreFailed | HistoryGone:
        """What an error means; the connection is given up when it is no good any more."""
        if error.code() is grpc.StatusCode.OUT_OF_RANGE and "compacted" in str(error.details()):
            return HistoryGone(str(error.details()))
        if _token_is_old(error):
            if self._connection is connection:
                self._connection = None  # Not the server's fault: it is asked again.
            await connection.channel.close()
        elif error.code() not in _ANSWERS:
            await self._drop(connection)
        uncertain = not repeatable and error.code() in _LOST
        return _failure(connection.endpoint, error, uncertain=uncertain)


_MOST_OPERATIONS = 100
"""In a transaction; etcd takes 128 unless told otherwise (--max-txn-ops)."""
_ANSWERS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Refusals by a server that is well: another one would say the same."""
_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


_CHANNELS_WORDS = re.compile(r"^.*last error: (?:[A-Z_]+: )?(?:ipv[46]:\S+: )?")
"""What gRPC puts in front of the reason for which a connection failed: states and addresses, which are said already."""


_PLAIN_WORDS = (
    (re.compile(r"^Unwrap failed"), "the server broke off the TLS session; it may not take the client's certificate"),
    (re.compile(r"^Socket closed$"), "the server closed the connection"),
    (re.compile(r"CERTIFICATE_VERIFY_FAILED|Hostname Verification"), "the server's certificate is not to be trusted: "),
    (re.compile(r"WRONG_VERSION_NUMBER"), "the server does not speak TLS"),
    (re.compile(r"^Failed parsing HTTP/2"), "the server is no etcd: "),
    (re.compile(r"^Deadline Exceeded$"), "no answer in time"),
)
"""What gRPC's words for a failed connection mean; those that end in a colon are put in front of its own."""


def _plain(details: str) -> str:
    for pattern, words in _PLAIN_WORDS:
        if pattern.search(details):
            return words + details if words.endswith(": ") else words
    return details


def _token_is_old(error: grpc.RpcError) -> bool:
    """True when etcd no longer knows the token, or the permissions have changed since it was given."""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return True
    return error.code() is grpc.StatusCode.INVALID_ARGUMENT and "auth: revision" in str(error.details())


def _failure(endpoint: Endpoint, error: grpc.RpcError, *, uncertain: bool = False) -> DatastoreFailed:
    code, details = error.code(), _plain(_CHANNELS_WORDS.sub("", str(error.details())))
    unauthorized = code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    unauthorized = unauthorized or any(words in details for words in ("auth", "user name is empty"))
    return DatastoreFailed(
        f"{endpoint}: {details or code.name.lower()}", unauthorized=unauthorized and code not in _LOST, uncertain=uncertain
    )


def _pem(text: str, file: str) -> bytes | None:
    """What the configuration itself has, or the file that it names."""
    if text:
        return text.encode()
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise DatastoreFailed(f"{file}: {error.strerror}") from None


def _check_certificates(config: ClientConfig, authority: bytes | None, key: bytes | None, own: bytes | None) -> None:
    """Refuses what is no certificate, by its name: gRPC would say no more than that it failed, or abort the process."""
    if (key is None) is not (own is None):
        given, lacking = ("key", "certificate") if own is None else ("certificate", "key")
        raise DatastoreFailed(f"a client's {given} is given, and no {lacking} for it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is not None:
        name = config.etcd_ca_cert_file if not config.etcd_ca_cert else "etcdCACert"
        with _as_file(authority) as path:
            try:
                context.load_verify_locations(path)
            except ssl.SSLError:
                raise DatastoreFailed(f"{name}: no certificate in PEM that can be read") from None
    if key is not None and own is not None:
        names = [config.etcd_cert_file if not config.etcd_cert else "etcdCert"]
        names += [config.etcd_key_file if not config.etcd_key else "etcdKey"]
        with _as_file(own) as own_path, _as_file(key) as key_path:
            try:
                # A key that asks for a password is none for gRPC either.
                context.load_cert_chain(own_path, key_path, password="")
            except ssl.SSLError as error:
                told = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be read as PEM"
                raise DatastoreFailed(f"{' and '.join(names)} {told}") from None


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path for those who read only files; it holds the data in memory alone."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


def _entry(kv: Any) -> Entry:
    key = kv.key.decode(errors="backslashreplace")
    return Entry(key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _key_event(event: Any) -> KeyEvent:
    if event.type == rpc.Event.DELETE:
        return KeyEvent(event.kv.key.decode(errors="backslashreplace"), None)
    entry = _entry(event.kv)
    return KeyEvent(entry.key, entry)


def _operation(operation: Operation) -> Any:
    match operation:
        case Put(key, value, lease):
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value, lease=lease))
        case Get(key):
            return rpc.RequestOp(request_range=rpc.RangeRequest(key=key.encode()))
        case Delete(key, prefix):
            end = prefix_end(key) if prefix else b""
            return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key.encode(), range_end=end))


def _result(answer: Any) -> Entry | int | None:
    if answer.HasField("response_range"):
        return _entry(answer.response_range.kvs[0]) if answer.response_range.kvs else None
    if answer.HasField("response_delete_range"):
        return int(answer.response_delete_range.deleted)
    return None
