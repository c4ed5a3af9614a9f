"""Reads and writes single resources in etcd, each write conditional on what was there (spec: model 8.3).

A resource's revision is its key's last revision in etcd, as text, in `metadata.resource_version`; it is no part of the
value. A new resource gets a time and an identity of its own, which updates keep. What Calico's client does beyond single
resources, such as freeing a pool's blocks before the pool goes, is `tortie.source.calico_client`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tortie.model.json_text import load_json
from tortie.model.problem import FieldProblem
from tortie.model.read import Key, key_of
from tortie.model.resource import Resource
from tortie.net.error import InvalidInput
from tortie.source.etcd_client import Condition, Delete, Entry, EtcdClient, Get, Outcome, Put
from tortie.source.etcd_key import kind_prefix, parse_key, resource_key
from tortie.source.etcd_value import format_value, parse_value
from tortie.source.store_refusal import conflict, exists, missing


def utc_now() -> str:
    """The time as resources have it: RFC 3339, UTC, seconds (spec: model 8.2)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Identity:
    """What an update keeps of the resource that it replaces: when it was made, who it is, and its revision."""

    creation_timestamp: str
    uid: str
    revision: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The resources that there were at `revision`; `refused` says which values could not be read."""

    resources: tuple[Resource, ...]
    revision: str
    refused: tuple[InvalidInput, ...] = ()


class EtcdStore:
    """Single resources in etcd. All methods raise `DatastoreFailed` when etcd cannot be asked."""

    def __init__(
        self,
        client: EtcdClient,
        *,
        now: Callable[[], str] = utc_now,
        new_uid: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._client = client
        self._now = now
        self._new_uid = new_uid

    # --- reading -------------------------------------------------------------------------------------------------

    async def get(self, key: Key, revision: str = "") -> Resource:
        """The resource, now or as it was at a revision.

        Raises `StoreRefused` when there is none, `InvalidInput` when the value cannot be read.
        """
        found = await self._client.get(resource_key(key), revision=revision_number(revision) if revision else 0)
        if not found.entries:
            raise missing(key)
        return _resource(found.entries[0])

    async def list(self, kind: str, namespace: str = "") -> Listing:
        """All resources of a kind, of one namespace or all, by namespace and name."""
        found = await self._client.list(kind_prefix(kind, namespace))
        resources: dict[Key, Resource] = {}
        refused: list[InvalidInput] = []
        for entry in found.entries:
            key = parse_key(entry.key)
            if key is None or key.kind != kind:
                continue
            try:
                resources[key] = _resource(entry)
            except InvalidInput as error:
                refused.append(error)
        return Listing(tuple(resources[key] for key in sorted(resources)), str(found.revision), tuple(refused))

    async def identity(self, key: Key) -> Identity:
        """What an update keeps, also of a value that cannot be read as a resource; raises `StoreRefused`."""
        found = await self._client.get(resource_key(key))
        if not found.entries:
            raise missing(key)
        entry = found.entries[0]
        return Identity(*_own_metadata(entry.value), revision=str(entry.mod_revision))

    # --- writing -------------------------------------------------------------------------------------------------

    async def create(self, resource: Resource) -> Resource:
        """Writes a new resource and returns it as it is kept; raises `StoreRefused` when there is one of its name."""
        metadata = resource.metadata
        if metadata.resource_version:
            raise _field("field must not be set for a Create request", "resourceVersion", metadata.resource_version)
        made = replace(metadata, creation_timestamp=self._now(), uid=metadata.uid or self._new_uid())
        written = replace(resource, metadata=made)
        outcome = await self._write(written, 0)
        if not outcome.succeeded:
            raise exists(key_of(resource))
        return _at(written, outcome.revision)

    async def update(self, resource: Resource) -> Resource:
        """Replaces the resource whose revision it has, and returns it as it is kept.

        Raises `StoreRefused` when there is none or it has changed since, `InvalidInput` without revision, time or identity.
        """
        metadata = resource.metadata
        for name, value in (
            ("resourceVersion", metadata.resource_version),
            ("creationTimestamp", metadata.creation_timestamp),
            ("uid", metadata.uid),
        ):
            if not value:
                raise _field("field must be set for an Update request", name)
        outcome = await self._write(resource, revision_number(metadata.resource_version))
        if not outcome.succeeded:
            raise missing(key_of(resource)) if outcome.results == (None,) else conflict(key_of(resource))
        return _at(resource, outcome.revision)

    async def delete(self, key: Key, revision: str = "") -> None:
        """Deletes a resource, if a revision is given only as it was then; raises `StoreRefused`."""
        text = resource_key(key)
        if not revision:
            if not await self._client.delete(text):
                raise missing(key)
            return
        outcome = await self._client.transact((Condition(text, revision_number(revision)),), (Delete(text),), (Get(text),))
        if not outcome.succeeded:
            raise missing(key) if outcome.results == (None,) else conflict(key)

    async def _write(self, resource: Resource, revision: int) -> Outcome:
        text = resource_key(key_of(resource))
        return await self._client.transact((Condition(text, revision),), (Put(text, format_value(resource)),), (Get(text),))


def revision_number(text: str) -> int:
    """A revision of etcd from its text; raises `InvalidInput`."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 63):
        raise _field("the revision is no number that etcd has", "resourceVersion", text)
    return int(text)


def _field(reason: str, name: str, value: str = "") -> InvalidInput:
    shown = f" = '{value}'" if value else ""
    return FieldProblem(f"error with field Metadata.{name[0].upper()}{name[1:]}{shown} ({reason})")


def _resource(entry: Entry) -> Resource:
    return _at(parse_value(entry.key, entry.value), entry.mod_revision)


def _at(resource: Resource, revision: int) -> Resource:
    metadata = replace(resource.metadata, resource_version=str(revision))
    return replace(resource, metadata=metadata)


def _own_metadata(value: bytes) -> tuple[str, str]:
    """Time and identity in a value that may be damaged otherwise; what is not there is made up anew by the caller."""
    try:
        data: Any = load_json(value.decode())
        metadata = data["metadata"]
        return str(metadata["creationTimestamp"] or ""), str(metadata["uid"] or "")
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", ""
