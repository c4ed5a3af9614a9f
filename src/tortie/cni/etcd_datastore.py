"""A cluster whose resources and addresses are in Calico's etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from tortie.ipam.command import Steps
from tortie.model.cluster import ClusterInformation
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.pool import IPPool
from tortie.model.profile import Profile
from tortie.model.read import Key, key_of
from tortie.model.resource import Resource
from tortie.source.client_config import ClientConfig
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_ipam import EtcdIpam
from tortie.source.etcd_store import EtcdStore
from tortie.source.store_refusal import StoreRefused, Why

T = TypeVar("T")


class EtcdDatastore:
    """Resources in etcd; a `Datastore`, with one connection from the first question to `close`.

    Methods raise `DatastoreFailed` besides what `Datastore` says, and `StoreRefused` when an endpoint is written by two.
    """

    def __init__(self, config: ClientConfig) -> None:
        """Connects when something is asked for; raises `InvalidInput` for endpoints that make no sense."""
        self._runner = asyncio.Runner()
        self._client = EtcdClient(config)
        self._store = EtcdStore(self._client)
        self._ipam = EtcdIpam(self._client)

    def ready(self) -> bool:
        """False unless the cluster says that it is ready, as Calico's plugin has it."""
        found = self._get(Key("ClusterInformation", "", "default"))
        return isinstance(found, ClusterInformation) and found.spec.datastore_ready is True

    def endpoint(self, namespace: str, name: str) -> WorkloadEndpoint | None:
        """An endpoint, with the revision that writing it again is conditional on."""
        found = self._get(Key("WorkloadEndpoint", namespace, name))
        return found if isinstance(found, WorkloadEndpoint) else None

    def endpoints(self) -> tuple[WorkloadEndpoint, ...]:
        """The endpoints of all namespaces that can be read."""
        found = self._run(self._store.list("WorkloadEndpoint"))
        return tuple(one for one in found.resources if isinstance(one, WorkloadEndpoint))

    def put_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Creates the endpoint, or replaces what is there now."""
        existing = self._get(key_of(endpoint))
        if existing is None:
            self._run(self._store.create(endpoint))
            return
        kept = existing.metadata
        metadata = replace(
            endpoint.metadata,
            resource_version=kept.resource_version,
            creation_timestamp=kept.creation_timestamp,
            uid=kept.uid,
        )
        self._run(self._store.update(replace(endpoint, metadata=metadata)))

    def remove_endpoint(self, endpoint: WorkloadEndpoint) -> None:
        """Deletes the endpoint as it was read; one that has changed since is a conflict."""
        try:
            self._run(self._store.delete(key_of(endpoint), endpoint.metadata.resource_version))
        except StoreRefused as refusal:
            if refusal.why is not Why.MISSING:
                raise

    def profile(self, name: str) -> Profile | None:
        """A profile."""
        found = self._get(Key("Profile", "", name))
        return found if isinstance(found, Profile) else None

    def create_profile(self, profile: Profile) -> None:
        """Creates the profile unless there is one."""
        try:
            self._run(self._store.create(profile))
        except StoreRefused as refusal:
            if refusal.why is not Why.EXISTS:
                raise

    def pools(self) -> tuple[IPPool, ...]:
        """The pools that can be read."""
        found = self._run(self._store.list("IPPool"))
        return tuple(pool for pool in found.resources if isinstance(pool, IPPool))

    def addresses(self, steps: Steps[T]) -> T:
        """Carries out an operation on addresses."""
        return self._run(self._ipam.run(steps))

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError):
            self._run(self._client.close())
        self._runner.close()

    def _get(self, key: Key) -> Resource | None:
        try:
            return self._run(self._store.get(key))
        except StoreRefused as refusal:
            if refusal.why is not Why.MISSING:
                raise
            return None

    def _run(self, awaited: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaited

        return self._runner.run(wait())
