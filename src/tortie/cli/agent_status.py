"""The status in etcd, under Felix's keys (spec: model 7.5, 8.5).

The node's own key lives as long as it is renewed. Endpoints are written when they change, and read back from time to time,
since others may have changed them. All of it is worth less than the policy: a write that fails is tried with the next.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

from tortie.agent.status import NodeStatus
from tortie.calc.view import WorkloadId
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_key import (
    felix_last_status_key,
    felix_status_key,
    host_endpoint_status_key,
    host_endpoint_status_prefix,
    workload_status_key,
    workload_status_prefix,
)
from tortie.source.failure import DatastoreFailed

WRITE_TIMEOUT_S = 10.0
_RESYNC_EVERY = 180
"""Writes after which what is stored is read back (spec: model 7.5)."""


class EtcdStatus:
    """Writes the status of the node, and of its endpoints where that is asked for."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._written: dict[str, str] | None = None
        self._writes = 0
        self._lease: int | None = None
        self._first = True

    async def write(self, status: NodeStatus) -> None:
        """Brings the keys to the status; raises `OSError`."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._write_node(status)
                if status.reporting:
                    await self._write_endpoints(status)
        except (DatastoreFailed, TimeoutError) as failure:
            self._written = None
            self._lease = None
            said = "no answer in time" if isinstance(failure, TimeoutError) else str(failure)
            raise OSError(f"etcd: {said}") from None

    async def _write_node(self, status: NodeStatus) -> None:
        if status.reporting_ttl_s <= 0 or not status.in_sync:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        told = {"time": now, "uptime": status.uptime_s, "first_update": self._first}
        value = json.dumps(told).encode()
        if self._lease is None or not await self._client.renew(self._lease):
            self._lease = await self._client.grant(max(int(status.reporting_ttl_s), 1))
        await self._client.put(felix_status_key(status.hostname, status.region), value, lease=self._lease)
        await self._client.put(felix_last_status_key(status.hostname, status.region), value)
        self._first = False

    async def _write_endpoints(self, status: NodeStatus) -> None:
        wanted = _endpoint_values(status)
        if self._written is None or self._writes % _RESYNC_EVERY == 0:
            self._written = await self._stored(status)
        self._writes += 1
        for key, value in wanted.items():
            if self._written.get(key) != value:
                await self._client.put(key, value.encode())
                self._written[key] = value
        for key in self._written.keys() - wanted.keys():
            await self._client.delete(key)
            del self._written[key]

    async def _stored(self, status: NodeStatus) -> dict[str, str]:
        found: dict[str, str] = {}
        prefixes = workload_status_prefix(status.hostname, status.region), host_endpoint_status_prefix(status.hostname)
        for prefix in prefixes:
            entries = await self._client.list(prefix)
            found |= {entry.key: entry.value.decode(errors="replace") for entry in entries.entries}
        return found


def _endpoint_values(status: NodeStatus) -> dict[str, str]:
    found = {}
    for endpoint, state in status.endpoints.items():
        if isinstance(endpoint, WorkloadId):
            names = endpoint.orchestrator, endpoint.workload, endpoint.endpoint
            key = workload_status_key(status.hostname, *names, status.region)
        else:
            key = host_endpoint_status_key(status.hostname, endpoint)
        found[key] = json.dumps({"status": state.value})
    return found
