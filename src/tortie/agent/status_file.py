"""The status as a file on the node: JSON, replaced as a whole, so that whoever reads it sees one moment.

A disk that is full costs the new status, not the old one and not the agent.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tortie.agent.status import NodeStatus
from tortie.calc.view import WorkloadId
from tortie.net.error import InvalidInput

DEFAULT_PATH = Path("/run/tortie/status.json")


def status_document(status: NodeStatus, now: datetime, version: str = "") -> dict[str, Any]:
    """The status as JSON; endpoints in order, workloads as `orchestrator/workload/endpoint`; `version` is the agent's."""
    workloads = {
        "/".join((one.orchestrator, one.workload, one.endpoint)): state.value
        for one, state in status.endpoints.items()
        if isinstance(one, WorkloadId)
    }
    hosts = {one: state.value for one, state in status.endpoints.items() if isinstance(one, str)}
    return {
        "time": now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": version,
        "node": status.hostname,
        "pid": status.pid,
        "uptimeSeconds": round(status.uptime_s, 1),
        "inSync": status.in_sync,
        "ready": status.ready,
        "datastoreLost": status.lost,
        "heldBack": status.held_back,
        "problems": list(status.problems),
        "remarks": list(status.remarks),
        "unreadable": [
            {
                "place": one.place,
                "resource": None if one.key is None else str(one.key),
                "problem": one.message,
                "closed": one.closed,
            }
            for one in status.unreadable
        ],
        "workloadEndpoints": dict(sorted(workloads.items())),
        "hostEndpoints": dict(sorted(hosts.items())),
    }


@dataclass(frozen=True, slots=True)
class StatusFile:
    """Writes the status to a file; `now` tells the time that stands in it, `version` is the agent's."""

    path: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    version: str = ""

    async def write(self, status: NodeStatus) -> None:
        """Replaces the file; raises `OSError`, and then the old one is still there."""
        await asyncio.to_thread(self.replace, status)

    def replace(self, status: NodeStatus) -> None:
        """The same, blocking."""
        text = json.dumps(status_document(status, self.now(), self.version), indent=1) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(number, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, self.path)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise


def read_status(path: Path) -> Mapping[str, Any]:
    """The status in a file; raises `InvalidInput` when there is none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput("no agent has written its status here", source=str(path), remedy="is one running?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot be read: {error}", source=str(path)) from None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("node"), str):
        raise InvalidInput("not the status of an agent", source=str(path))
    return found
