"""Lists and watches objects of the Kubernetes API, as its documentation has it ("API concepts", detection of changes).

lightkube reads the configuration and knows how to prove who we are; the requests are made here, because its own watch asks
for no bookmarks and does not say when a stream ended (docs/decisions/kubernetes-client.md). Lists come in pages of one
state, watches go on from it; a state that the server no longer has is `HistoryGone`, everything else that goes wrong
`DatastoreFailed`.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.config.models import Cluster, User
from lightkube.core.exceptions import ConfigError
from msgspec import MsgspecError
from msgspec.structs import replace as replace_fields

from tortie.model.json_text import load_json
from tortie.net.error import InvalidInput
from tortie.source.client_config import ClientConfig
from tortie.source.failure import DatastoreFailed, HistoryGone
from tortie.source.kubernetes_plug_in import PlugInAuth

PAGE = 500
"""Objects that are asked for at once."""
TIMEOUT_S = 30.0
"""For a connection, and for each part of an answer that is not a watch."""
_GRACE_S = 30.0
"""So long after its time a watch counts as dead."""
_LONGEST_EVENT = 64 << 20
"""No object is as large (etcd takes 1.5 MB): who sends more in one line sends no events."""
_LONGEST_RETRY_S = 60.0
"""A server that wants to be left alone for longer is asked all the same."""
_GONE = 410
_FAILURES = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ConfigError, ValueError, KeyError, TypeError)
"""What a request may end in; the last three when a plug-in that should say who we are prints something else."""
_SOCKET_OPTIONS = (
    # A server that went without a word is found out within a minute, however quiet the watch is (tcp(7)).
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
)


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """Where the objects of a kind are: `group` is empty for Kubernetes' core."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The version as objects say it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """The objects of all namespaces."""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}/{self.plural}"

    @property
    def name(self) -> str:
        """The kind in messages, as `kubectl get` takes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class ObjectList:
    """All objects of a kind as they were at one moment, `version` of the API server."""

    objects: tuple[dict[str, Any], ...]
    version: str


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An object is new or changed, or was deleted; a bookmark, which only says how far the watch is, has None."""

    object: dict[str, Any] | None
    deleted: bool
    version: str


class KubernetesClient:
    """A client of one API server. Made without connecting; `close` when done."""

    def __init__(self, config: ClientConfig, *, service_account: Path = Path(SERVICE_ACCOUNT)) -> None:
        """Raises `InvalidInput` when the configuration does not say where the server is, or names what is not there."""
        cluster = kubernetes_config(config, service_account)
        try:
            verify = verify_cluster(cluster.cluster, cluster.user or User(), cluster.abs_file, trust_env=False)
            transport = httpx.AsyncHTTPTransport(verify=verify, socket_options=_SOCKET_OPTIONS)
            auth = _auth(cluster.user)
        except (OSError, ValueError, ConfigError) as error:
            raise InvalidInput(f"cannot use the certificates or the user: {error}", source=_source(cluster)) from None
        self.server = cluster.cluster.server
        self.use_pod_cidr = config.k8s_use_pod_cidr
        self._http = httpx.AsyncClient(
            base_url=self.server, transport=transport, auth=auth, timeout=httpx.Timeout(TIMEOUT_S), trust_env=False
        )

    async def close(self) -> None:
        """Gives up all connections."""
        await self._http.aclose()

    async def list(self, kind: ObjectKind) -> ObjectList | None:
        """All objects of a kind; None when the server does not know the kind."""
        objects: list[dict[str, Any]] = []
        parameters: dict[str, str] = {"limit": str(PAGE)}
        while True:
            try:
                response = await self._http.get(kind.path, params=parameters)
            except _FAILURES as error:
                raise self._failed(kind, error) from None
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            data = self._answer(kind, response, response.content)
            metadata = data.get("metadata")
            items = data.get("items") or []  # Go writes an empty list as null.
            if type(metadata) is not dict or type(metadata.get("resourceVersion")) is not str:
                raise DatastoreFailed(f"{self.server}: the list of {kind.name} has no resourceVersion")
            if type(items) is not list:
                raise DatastoreFailed(f"{self.server}: the list of {kind.name} has no items")
            objects += [_typed(kind, item) for item in items]
            if not metadata.get("continue"):
                return ObjectList(tuple(objects), metadata["resourceVersion"])
            parameters = {"limit": str(PAGE), "continue": metadata["continue"]}

    async def watch(self, kind: ObjectKind, version: str, timeout_s: int) -> AsyncIterator[ObjectEvent]:
        """What happens to objects of a kind after `version`, for at most `timeout_s`.

        Ends when the server ends it, also when the connection breaks off: either way the watch may go on from the last
        version. A watch that cannot even begin is `DatastoreFailed`.
        """
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(timeout_s),
        }
        timeout = httpx.Timeout(TIMEOUT_S, read=timeout_s + _GRACE_S)
        begun = False
        try:
            async with self._http.stream("GET", kind.path, params=parameters, timeout=timeout) as response:
                if response.status_code != httpx.codes.OK:
                    self._answer(kind, response, await response.aread())
                begun = True
                async for line in self._lines(kind, response.aiter_bytes()):
                    yield self._event(kind, line)
        except _FAILURES as error:
            if not begun:
                raise self._failed(kind, error) from None

    async def _lines(self, kind: ObjectKind, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The lines of a stream, which end with a line feed and nothing else: texts may hold what Unicode calls line ends.

        What comes behind the last of them was cut off in the middle; the next watch tells it again.
        """
        rest = b""
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
            if len(rest) > _LONGEST_EVENT:
                raise DatastoreFailed(f"{self.server}: an event of {kind.name} of more than {_LONGEST_EVENT >> 20} MiB")

    def _event(self, kind: ObjectKind, line: bytes) -> ObjectEvent:
        data = self._parsed(kind, line)
        found = data.get("object")
        if type(found) is not dict:
            raise DatastoreFailed(f"{self.server}: an event of {kind.name} without an object")
        if data.get("type") == "ERROR":
            raise self._refusal(kind, found.get("code"), found)
        metadata = found.get("metadata")
        version = metadata.get("resourceVersion") if type(metadata) is dict else None
        if type(version) is not str or not version:
            raise DatastoreFailed(f"{self.server}: an event of {kind.name} without a resourceVersion")
        match data.get("type"):
            case "ADDED" | "MODIFIED":
                return ObjectEvent(_typed(kind, found), False, version)
            case "DELETED":
                return ObjectEvent(_typed(kind, found), True, version)
            case "BOOKMARK":
                return ObjectEvent(None, False, version)
            case other:
                raise DatastoreFailed(f"{self.server}: an event of {kind.name} of the unknown type {other!r}")

    def _answer(self, kind: ObjectKind, response: httpx.Response, content: bytes) -> dict[str, Any]:
        """A good answer's object; raises what a bad one means."""
        if response.status_code == httpx.codes.OK:
            return self._parsed(kind, content)
        try:
            status = load_json(content.decode())
        except (ValueError, RecursionError):
            status = None
        raise self._refusal(kind, response.status_code, status, _seconds(response.headers.get("retry-after", "")))

    def _refusal(
        self, kind: ObjectKind, code: Any, status: Any, retry_after_s: float = 0.0
    ) -> DatastoreFailed | HistoryGone:
        """What a code means, in the words of the status that came with it."""
        reason = status.get("message") if type(status) is dict else None
        message = f"{self.server}: {kind.name}: {reason or f'the answer is {code}'}"
        if code == _GONE:
            return HistoryGone(message)
        unauthorized = code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        return DatastoreFailed(message, unauthorized=unauthorized, retry_after_s=retry_after_s)

    def _parsed(self, kind: ObjectKind, content: bytes) -> dict[str, Any]:
        try:
            data = load_json(content.decode())
        except (ValueError, RecursionError):
            data = None
        if type(data) is not dict:
            raise DatastoreFailed(f"{self.server}: the answer about {kind.name} is no JSON object")
        return data

    def _failed(self, kind: ObjectKind, error: Exception) -> DatastoreFailed:
        return DatastoreFailed(f"{self.server}: {kind.name}: {str(error) or type(error).__name__}")


def _seconds(text: str) -> float:
    """How long a server wants to be left alone (RFC 9110, Retry-After); 0 where it gives a date or nothing."""
    return min(float(text), _LONGEST_RETRY_S) if text.isascii() and text.isdigit() else 0.0


def _typed(kind: ObjectKind, item: Any) -> dict[str, Any]:
    """An object with its type, which lists of Kubernetes' own kinds leave out."""
    if type(item) is not dict:
        return {"apiVersion": kind.api_version, "kind": kind.kind}
    return {"apiVersion": kind.api_version, "kind": kind.kind} | item


# --- configuration -------------------------------------------------------------------------------------------------


def kubernetes_config(config: ClientConfig, service_account: Path) -> SingleConfig:
    """Where the server is and who we are: a kubeconfig's word, then what is given one by one, else the pod's own.

    Raises `InvalidInput`.
    """
    found = None
    if config.kubeconfig:
        found = _read_kubeconfig(config.kubeconfig)
    elif not config.k8s_api_endpoint:
        try:
            found = KubeConfig.from_service_account(service_account).get()
        except (OSError, KeyError, ValueError, ConfigError) as error:
            remedy = "give KUBECONFIG or K8S_API_ENDPOINT, or run in a pod"
            raise InvalidInput(f"nothing says where the Kubernetes API is: {error}", remedy=remedy) from None
    cluster, user = (found.cluster, found.user) if found else (Cluster(), None)
    given_cluster = {"server": config.k8s_api_endpoint, "certificate_auth": config.k8s_ca_file}
    cluster = _with_given(cluster, given_cluster | {"insecure": config.k8s_insecure_skip_tls_verify})
    given_user = {
        "client_cert": config.k8s_cert_file,
        "client_key": config.k8s_key_file,
        "token": config.k8s_api_token,
    }
    user = _with_given(user or User(), given_user)
    if config.k8s_api_token:
        user = replace_fields(user, token_file=None)
    one = KubeConfig.from_one(cluster=cluster, user=user, fname=found.fname if found else None).get()
    assert one is not None
    return one


def _with_given(value: Any, given: Mapping[str, str | bool]) -> Any:
    return replace_fields(value, **{name: word for name, word in given.items() if word})


def _read_kubeconfig(path: str) -> SingleConfig:
    try:
        found = KubeConfig.from_file(path).get()
    except KeyError as error:
        raise InvalidInput(f"there is no {error} in it", source=path) from None
    except (OSError, ValueError, TypeError, AttributeError, MsgspecError, yaml.YAMLError, ConfigError) as error:
        raise InvalidInput(f"is no kubeconfig that can be used: {error}", source=path) from None
    assert found is not None
    return found


def _auth(user: User | None) -> httpx.Auth | None:
    """How requests say who we are; a token wins over a program that makes one."""
    if user is not None and user.exec and user.token_file is None and user.token is None:
        return PlugInAuth(user.exec)
    found: httpx.Auth | None = user_auth(user)
    return found


def _source(config: SingleConfig) -> str | None:
    return str(config.fname) if config.fname else None
