"""Keeps addresses in files, for a machine that has its resources in a directory and no etcd.

The files hold what etcd would, under names made of its keys: `ipv4/block/10.0.0.0-26.json` below `assignment`. One lock
file serialises operations: an operation has the directory to itself from its first command to its last, and the kernel
gives the lock back when its process dies. A file is written beside its place, flushed, and renamed, so that it is old or
new and never half. What a dead asker leaves is what `tortie.ipam` allows for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, assert_never
from urllib.parse import quote, unquote

from tortie.ipam.command import (
    AffinityKey,
    BlockKey,
    Command,
    Create,
    Delete,
    Entry,
    EntryKey,
    EntryValue,
    ForgetHost,
    ListAffinities,
    ListBlocks,
    Read,
    ReadBlocks,
    ReadNode,
    ReadPools,
    Steps,
    Update,
)
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.model.read import Resources
from tortie.net.address import Prefix
from tortie.source.etcd_key import IPAM, parse_ipam_key
from tortie.source.failure import DatastoreFailed
from tortie.source.ipam_text import (
    affinities_prefix,
    blocks_prefix,
    format_ipam_key,
    format_ipam_value,
    host_mark,
    parse_ipam_value,
)

T = TypeVar("T")
LOCK = "lock"
LONGEST_WAIT_S = 30.0
_TURN_S = 0.01
_SUFFIX = ".json"


class FileIpam:
    """Addresses kept below `directory`, which is made when it is first written to; pools and nodes are `resources`'."""

    def __init__(
        self,
        directory: Path,
        resources: Resources,
        *,
        wait_s: float = LONGEST_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._directory = directory
        self._resources = resources
        self._wait_s = wait_s
        self._clock = clock
        self._sleep = sleep

    async def run(self, operation: Steps[T]) -> T:
        """Carries out an operation of `tortie.ipam`; raises what it raises, and `DatastoreFailed`."""
        try:
            with self._locked():
                answer: Any = None
                while True:
                    try:
                        command = operation.send(answer)
                    except StopIteration as end:
                        result: T = end.value
                        return result
                    answer = self._answer(command)
        except OSError as error:
            raise DatastoreFailed(f"{error.filename or self._directory}: {error.strerror or error}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = self._clock() + self._wait_s
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._clock() >= end:
                        message = f"{self._directory / LOCK}: another program has held the lock for {self._wait_s:g} s"
                        raise DatastoreFailed(message) from None
                    self._sleep(_TURN_S)
            yield
        finally:
            os.close(handle)

    def _answer(self, command: Command) -> Any:
        match command:
            case Read(key):
                return self._read(key)
            case Create(key, value):
                return None if self._read(key) is not None else self._write(key, value)
            case Update(entry, value):
                return self._write(entry.key, value) if self._is_current(entry) else None
            case Delete(entry):
                current = self._is_current(entry)
                if current:
                    self._remove(self._path(format_ipam_key(entry.key)))
                return current
            case ListBlocks(family):
                return _in_order(self._listed(blocks_prefix(family)))
            case ReadBlocks(family):
                found = _in_order(self._listed(blocks_prefix(family)))
                blocks = [self._read(BlockKey(cidr)) for cidr in found]
                return {block.value.cidr: block.value for block in blocks if block is not None}
            case ListAffinities(host, family):
                found = _in_order(self._listed(affinities_prefix(host, family)))
                claims = [self._read(AffinityKey(host, cidr)) for cidr in found]
                return tuple(claim for claim in claims if claim is not None)
            case ReadPools():
                return tuple(sorted(self._resources.of(IPPool), key=lambda pool: pool.metadata.name))
            case ReadNode(host):
                return self._resources.get(Node, host)
            case ForgetHost(host):
                self._remove(self._path(host_mark(host)))
                return None
            case _:
                assert_never(command)

    def _path(self, text: str) -> Path:
        folder, _, rest = text.removeprefix(IPAM).partition("/")
        # A handle is one word, whatever its asker put into it.
        parts = [folder, rest] if folder == "handle" else text.removeprefix(IPAM).split("/")
        words = [quote(part, safe="") for part in parts]
        # A word that is only dots would lead somewhere else.
        safe = [word.replace(".", "%2E") if not word.strip(".") else word for word in words]
        return self._directory.joinpath(*safe[:-1], f"{safe[-1]}{_SUFFIX}")

    def _listed(self, prefix: str) -> Iterator[Prefix]:
        folder = self._path(f"{prefix}x").parent
        names = sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
        for name in names:
            if name.endswith(_SUFFIX):
                parsed = parse_ipam_key(prefix + unquote(name.removesuffix(_SUFFIX)))
                if parsed is not None:
                    yield parsed[1]

    def _read(self, key: EntryKey) -> Entry[Any] | None:
        try:
            data = self._path(format_ipam_key(key)).read_bytes()
        except FileNotFoundError:
            return None
        return Entry(key, parse_ipam_value(key, data), _revision(data))

    def _is_current(self, entry: Entry[Any]) -> bool:
        """True when the entry is what was read: nobody else writes meanwhile, only this operation itself."""
        found = self._read(entry.key)
        return found is not None and found.revision == entry.revision

    def _write(self, key: EntryKey, value: EntryValue) -> Entry[Any]:
        path = self._path(format_ipam_key(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        # Indented for people; what it says is what etcd would hold.
        data = json.dumps(json.loads(format_ipam_value(value)), indent=1).encode() + b"\n"
        beside = path.parent / f".{path.name}.new"
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)
        return Entry(key, value, _revision(data))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Makes names that were written or removed last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _revision(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _in_order(cidrs: Iterator[Prefix]) -> tuple[Prefix, ...]:
    return tuple(sorted(cidrs, key=lambda cidr: (cidr.address, cidr.length)))
