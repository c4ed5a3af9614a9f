"""Resources in the Kubernetes API: Calico's own kinds of 3.7, and what Calico makes of Kubernetes' (spec: model 1.4, 5).

Each kind is listed and watched for itself, by a task of its own. A watch that ends, because its time was up or because the
connection broke off, goes on from the last version it heard of, of a bookmark if need be. When the server no longer has
that version, or could not be reached, the kind is listed anew and the difference told. The source is in sync when all kinds
have been listed, lost while one of them cannot be reached, and regained when all have been listed again.

A kind that the server does not know has no objects; it is asked for again now and then. Handles of IPAM are not watched:
there is one for each pod, and only IPAM reads them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tortie.model.event import SourceEvent
from tortie.model.resource import ReadOptions
from tortie.source.etcd_key import IPAM_PLURALS, PLURALS
from tortie.source.failure import DatastoreFailed, HistoryGone
from tortie.source.kubernetes_client import KubernetesClient, ObjectKind
from tortie.source.ledger import Ledger, Place
from tortie.source.link import BackOff, Link
from tortie.source.reading import read_object

GROUP = "crd.projectcalico.org"
_NOT_STORED = frozenset({"Node", "Profile", "WorkloadEndpoint", "IPAMHandle"})
"""Kinds of Calico that are Kubernetes' own objects, or that nobody here reads."""
KINDS = (
    ObjectKind("", "v1", "namespaces", "Namespace"),
    ObjectKind("", "v1", "nodes", "Node"),
    ObjectKind("", "v1", "pods", "Pod"),
    ObjectKind("", "v1", "serviceaccounts", "ServiceAccount"),
    ObjectKind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    *(
        ObjectKind(GROUP, "v1", plural, kind)
        for kind, plural in sorted((*PLURALS.items(), *IPAM_PLURALS.items()))
        if kind not in _NOT_STORED
    ),
)
"""What is watched."""
WATCH_S = (300, 600)
"""A watch lasts between these; it is drawn, so that the watches of many nodes do not begin anew together."""
_UNKNOWN_KIND_S = 60.0
_UNKNOWN_TRIES = 8
"""So often in a row must a kind of which there are objects be unknown before they are taken for gone: a server that has
just begun may not know its custom resources yet."""
_SHORT_S = 1.0
"""A watch that ended before this, and told nothing, did not work."""
_SHORT_TRIES = 3
"""After so many of those in a row the kind is listed anew: who cannot watch must look."""


@dataclass(slots=True)
class _State:
    """How far a kind is: whether its objects are known as of now, and why not."""

    listed: bool = False
    lost: str | None = None
    unknown: int = 0
    """How often in a row the server did not know the kind though there are objects."""


class KubernetesSource:
    """Tells of the resources in the Kubernetes API. `wait`, `now` and `draw` are there for tests."""

    def __init__(
        self,
        client: KubernetesClient,
        *,
        options: ReadOptions | None = None,
        back_off: Callable[[], BackOff] = BackOff,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw_watch_s: Callable[[], int] = lambda: random.randint(*WATCH_S),  # noqa: S311
    ) -> None:
        self._client = client
        self._options = options or ReadOptions(use_pod_cidr=client.use_pod_cidr)
        self._new_back_off = back_off
        self._wait = wait
        self._draw_watch_s = draw_watch_s
        self._link = Link(back_off())
        self._ledger = Ledger()
        self._places: dict[str, tuple[str, str, Place]] = {}
        self._states = {kind: _State() for kind in KINDS}
        self._woken = asyncio.Event()

    async def close(self) -> None:
        """Gives up all connections; `events` is not to be read on."""
        await self._client.close()

    async def events(self) -> AsyncIterator[SourceEvent]:
        """Everything there is, `InSync`, then changes, for ever. To be read by one reader."""
        tasks = [asyncio.ensure_future(self._follow(kind)) for kind in KINDS]
        for task in tasks:
            task.add_done_callback(lambda task: self._woken.set())
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                for task in tasks:
                    if task.done():
                        task.result()  # They end only by mistakes of ours.
                for event in self._tell():
                    yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self) -> list[SourceEvent]:
        told = self._ledger.changes()
        reasons = [state.lost for state in self._states.values() if state.lost is not None]
        if reasons:
            told += self._link.lost(reasons[0])
        elif all(state.listed for state in self._states.values()):
            told += self._link.reached()
        return told

    # --- one kind --------------------------------------------------------------------------------------------------

    async def _follow(self, kind: ObjectKind) -> None:
        """Lists and watches a kind for ever."""
        back_off = self._new_back_off()
        version: str | None = None
        short = 0
        while True:
            try:
                if version is None:
                    version = await self._list(kind)
                if version is None:
                    await self._wait(_UNKNOWN_KIND_S)
                    continue
                before = version
                version, worked = await self._watch(kind, version)
                if worked or version != before:
                    back_off.reset()
                    short = 0
                    continue
                short += 1
                if short % _SHORT_TRIES == 0:
                    version = None
                await self._wait(back_off.next_s())
            except HistoryGone:
                version = None
                await self._wait(back_off.next_s())
            except DatastoreFailed as failure:
                version = None
                self._set(kind, lost=failure.reason)
                await self._wait(max(back_off.next_s(), failure.retry_after_s))

    def _set(self, kind: ObjectKind, *, lost: str | None = None) -> None:
        state = self._states[kind]
        state.lost, state.listed = lost, state.listed or lost is None
        self._woken.set()

    async def _list(self, kind: ObjectKind) -> str | None:
        """Brings the ledger to all that there is of a kind; the version that the list is of."""
        found = await self._client.list(kind)
        begin, state = f"{kind.name}/", self._states[kind]
        if found is None and state.unknown < _UNKNOWN_TRIES and any(name.startswith(begin) for name in self._places):
            state.unknown += 1
            raise DatastoreFailed(f"{self._client.server}: {kind.name} is not known any more, though there were objects")
        state.unknown = 0
        places: dict[str, Place] = {}
        for index, data in enumerate(found.objects if found else ()):
            name = place_of(kind, data)
            places[name] = self._read(name, data)
            if index % 64 == 0:
                await asyncio.sleep(0)
        for name in [name for name in self._places if name.startswith(begin) and name not in places]:
            del self._places[name]
        self._ledger.replace(places, begin=begin)
        self._set(kind)
        return found.version if found else None

    async def _watch(self, kind: ObjectKind, version: str) -> tuple[str, bool]:
        """Follows a kind until the watch ends; the last version heard of, and whether the watch was a real one."""
        timeout_s = self._draw_watch_s()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async for event in self._client.watch(kind, version, timeout_s):
            version = event.version
            if event.object is None:
                continue
            name = place_of(kind, event.object)
            if event.deleted:
                self._places.pop(name, None)
                self._ledger.put(name, None)
            else:
                self._ledger.put(name, self._read(name, event.object))
            self._woken.set()
        return version, loop.time() - begun >= _SHORT_S

    def _read(self, name: str, data: dict[str, Any]) -> Place:
        """What an object says; one that was read before in the same version is not read again."""
        metadata = data.get("metadata")
        known = metadata if type(metadata) is dict else {}
        uid, version = str(known.get("uid", "")), str(known.get("resourceVersion", ""))
        before = self._places.get(name)
        if before is not None and version and before[:2] == (uid, version):
            return before[2]
        place = Place(read_object(name, data, self._options), str(known.get("creationTimestamp") or ""))
        self._places[name] = uid, version, place
        return place


def place_of(kind: ObjectKind, data: dict[str, Any]) -> str:
    """The name of an object's place: its kind, its namespace if it has one, and its name."""
    metadata = data.get("metadata")
    known = metadata if type(metadata) is dict else {}
    words = (kind.name, known.get("namespace"), known.get("name"))
    return "/".join(str(word) for word in words if word)
