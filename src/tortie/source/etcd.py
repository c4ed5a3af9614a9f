"""Resources in etcd, in Calico 3.7's own layout (spec: model 8.1 to 8.4, 8.6): what calicoctl writes and Felix reads.

A session begins with all there is at one revision, and goes on with a watch from the next. It ends when the connection
does, or when the watch fell behind and its history was compacted; the next session lists the keys with the revisions of
their last changes, and reads the values of those alone that changed meanwhile. So it makes no difference how long it was
away, nor whether history was compacted: what is told is the difference. A cluster that is another one than before, or whose
revisions went back, as after a restored backup, is read whole.

A watch that fell behind is no loss: the server is there. Keys below the resources' prefix that Calico 3.7 does not make
are refused as places. Handles of IPAM are not watched: there is one for each container, and only IPAM reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from tortie.model.event import SourceEvent
from tortie.model.read import key_of
from tortie.net.error import InvalidInput
from tortie.source.etcd_client import Entry, Range, Watched
from tortie.source.etcd_key import IPAM_BLOCKS, IPAM_CONFIG, IPAM_HOSTS, PLURALS, RESOURCES, parse_key
from tortie.source.etcd_value import parse_value, readable
from tortie.source.failure import DatastoreFailed, HistoryGone
from tortie.source.ledger import Ledger, Place
from tortie.source.link import BackOff, Link
from tortie.source.reading import Definition

PREFIXES = (RESOURCES, IPAM_BLOCKS, IPAM_HOSTS, IPAM_CONFIG)
"""What is watched."""
_FEW = 500
"""Up to so many changed keys are asked for one by one after an interruption; of more, everything is."""

Version = tuple[int, int]
"""A key's creation and last change."""


class Reader(Protocol):
    """What the source needs of a client; `EtcdClient` is one, and says what each raises."""

    async def cluster_id(self) -> int:
        """What tells the cluster from others."""

    async def list(self, prefix: str, *, revision: int = 0, keys_only: bool = False) -> Range:
        """All entries below a prefix at one moment."""

    async def get_many(self, keys: Sequence[str], *, revision: int) -> tuple[Entry, ...]:
        """Some entries at a revision."""

    def watch(self, prefixes: Sequence[str], revision: int) -> AsyncIterator[Watched]:
        """What happens from a revision on."""

    async def close(self) -> None:
        """Gives up the connection."""


class EtcdSource:
    """Tells of the resources in a cluster of etcd. `wait` sleeps; both it and `back_off` are there for tests."""

    def __init__(
        self,
        client: Reader,
        *,
        back_off: BackOff | None = None,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._wait = wait
        self._link = Link(back_off or BackOff())
        self._ledger = Ledger()
        self._versions: dict[str, Version] = {}
        self._revision = 0
        self._cluster: int | None = None

    async def close(self) -> None:
        """Gives up the connection; `events` then fails and is not to be read on."""
        await self._client.close()

    async def events(self) -> AsyncIterator[SourceEvent]:
        """Everything there is, `InSync`, then changes, for ever. To be read by one reader."""
        while True:
            try:
                await self._compare()
                for event in self._ledger.changes():
                    yield event
                for event in self._link.reached():
                    yield event
                async for watched in self._client.watch(PREFIXES, self._revision + 1):
                    for change in watched.events:
                        self._put(change.key, change.entry)
                    self._revision = max(self._revision, watched.revision)
                    for event in self._ledger.changes():
                        yield event
            except HistoryGone:
                # The server is there, and what happened is found by comparing; but a compaction may strike again.
                await self._wait(self._link.back_off.next_s())
            except DatastoreFailed as failure:
                for event in self._link.lost(failure.reason):
                    yield event
                await self._wait(self._link.back_off.next_s())

    # --- comparing -----------------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        """Brings the ledger to what the cluster holds at one revision."""
        cluster = await self._client.cluster_id()
        if cluster != self._cluster or not self._versions:
            await self._read_all()
        else:
            keys, revision = await self._list(keys_only=True)
            found = {entry.key: (entry.create_revision, entry.mod_revision) for entry in keys}
            changed = [key for key, version in found.items() if self._versions.get(key) != version]
            if revision < self._revision or len(changed) > _FEW:
                await self._read_all()
            else:
                for entry in await self._client.get_many(changed, revision=revision):
                    self._put(entry.key, entry)
                for key in self._versions.keys() - found.keys():
                    self._put(key, None)
                self._revision = revision
        self._cluster = cluster

    async def _read_all(self) -> None:
        entries, revision = await self._list(keys_only=False)
        keys = {entry.key for entry in entries}
        for key in self._versions.keys() - keys:
            self._put(key, None)
        for index, entry in enumerate(entries):
            self._put(entry.key, entry)
            if index % 256 == 0:
                await asyncio.sleep(0)  # Reading values takes a while; others have something to do as well.
        self._revision = revision

    async def _list(self, *, keys_only: bool) -> tuple[list[Entry], int]:
        """What is there under all prefixes at one revision."""
        entries: list[Entry] = []
        revision = 0
        for prefix in PREFIXES:
            found = await self._client.list(prefix, revision=revision, keys_only=keys_only)
            entries += found.entries
            # Later lists are asked for at the first one's revision; their headers have the newest.
            revision = revision or found.revision
        return entries, revision

    def _put(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            self._versions.pop(key, None)
            self._ledger.put(key, None)
        else:
            self._versions[key] = entry.create_revision, entry.mod_revision
            self._ledger.put(key, Place(tuple(read_entry(entry)), entry.create_revision))


def read_entry(entry: Entry) -> Iterable[Definition]:
    """What a key of etcd says: one resource, what is wrong with it, or nothing for keys that are nobody's."""
    key = parse_key(entry.key)
    if key is None:
        if entry.key.startswith(RESOURCES):
            yield _strange(entry)
        return
    try:
        resource = parse_value(entry.key, entry.value)
    except InvalidInput as problem:
        data = readable(entry.key, entry.value)
        yield Definition(key, problem, entry.key, str(entry.mod_revision), data)
        return
    assert key_of(resource) == key, (key, resource)
    yield Definition(key, resource, entry.key, str(entry.mod_revision))


def _strange(entry: Entry) -> Definition:
    """A key that Calico 3.7 makes for no resource; one of a kind that it does not know is nothing that Felix would read."""
    problem = InvalidInput(
        "no resource of Calico 3.7 has such a key", source=entry.key, remedy="was it written by another version?"
    )
    plural = entry.key.removeprefix(RESOURCES).partition("/")[0]
    unknown = plural not in PLURALS.values()
    return Definition(None, problem, entry.key, data=readable(entry.key, entry.value), superfluous=unknown)
