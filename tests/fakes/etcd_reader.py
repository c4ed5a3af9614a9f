"""A cluster of etcd in memory, as far as the source asks it, that can be away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tortie.source.etcd_client import Entry, KeyEvent, Range, Watched
from tortie.source.failure import DatastoreFailed, HistoryGone


class EtcdInMemory:
    """Keeps entries by key and tells its one watch of changes; counts what it is asked."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.entries: dict[str, Entry] = {}
        self.history: list[tuple[int, KeyEvent]] = []
        self.away: str | None = None
        self.calls: list[str] = []
        self.values_read = 0
        self._changed = asyncio.Event()

    def put(self, key: str, value: bytes) -> None:
        self.revision += 1
        before = self.entries.get(key)
        created = before.create_revision if before else self.revision
        entry = self.entries[key] = Entry(key, value, created, self.revision, before.version + 1 if before else 1)
        self._record(KeyEvent(key, entry))

    def delete(self, key: str) -> None:
        self.revision += 1
        del self.entries[key]
        self._record(KeyEvent(key, None))

    def go(self, reason: str) -> None:
        """Fails every call, and the watch, until `come_back`."""
        self.away = reason
        self._changed.set()

    def come_back(self) -> None:
        self.away = None

    def restore(self, revision: int) -> None:
        """Goes back to what was there at a revision, as far as it was not changed since."""
        self.revision = revision
        self.entries = {key: entry for key, entry in self.entries.items() if entry.mod_revision <= revision}
        self.history = []

    def compact(self) -> None:
        self.compacted = self.revision

    def _record(self, event: KeyEvent) -> None:
        self.history.append((self.revision, event))
        self._changed.set()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away is not None:
            raise DatastoreFailed(self.away)

    async def cluster_id(self) -> int:
        self._called("cluster")
        return 7

    async def list(self, prefix: str, *, revision: int = 0, keys_only: bool = False) -> Range:
        self._called("list keys" if keys_only else "list")
        assert revision in (0, self.revision)
        found = [entry for key, entry in sorted(self.entries.items()) if key.startswith(prefix)]
        self.values_read += 0 if keys_only else len(found)
        return Range(tuple(found), self.revision)

    async def get_many(self, keys: Sequence[str], *, revision: int) -> tuple[Entry, ...]:
        self._called("get")
        assert revision == self.revision
        self.values_read += len(keys)
        return tuple(self.entries[key] for key in keys if key in self.entries)

    async def watch(self, prefixes: Sequence[str], revision: int) -> AsyncIterator[Watched]:
        self._called("watch")
        if revision <= self.compacted:
            raise HistoryGone("compacted")
        yield Watched((), self.revision)
        told = revision - 1
        while True:
            if self.away is not None:
                raise DatastoreFailed(self.away)
            events = [(at, event) for at, event in self.history if at > told and event.key.startswith(tuple(prefixes))]
            told = self.revision
            if events:
                yield Watched(tuple(event for _, event in events), told)
                continue
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        self.calls.append("close")
