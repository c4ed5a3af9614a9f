"""The status as a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tortie.agent.report import EndpointStatus
from tortie.agent.state import Unreadable
from tortie.agent.status import NodeStatus
from tortie.agent.status_file import StatusFile, read_status, status_document
from tortie.calc.view import WorkloadId
from tortie.model.read import Key
from tortie.net.error import InvalidInput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATUS = NodeStatus(
    "node-1", 7, 61.26, in_sync=True, ready=True, lost=None, held_back=None,
    unreadable=(Unreadable("place", Key("NetworkPolicy", "ns", "p"), "bad", closed=True),),
    endpoints={"host": EndpointStatus.DOWN, WorkloadId("k8s", "ns/b", "eth0"): EndpointStatus.UP,
               WorkloadId("k8s", "ns/a", "eth0"): EndpointStatus.ERROR},
)  # fmt: skip


def test_the_document() -> None:
    document = status_document(STATUS, NOON, "1.2")
    assert document["version"] == "1.2"
    assert document["time"] == "2026-01-01T12:00:00Z"
    assert document["uptimeSeconds"] == 61.3
    assert list(document["workloadEndpoints"].items()) == [("k8s/ns/a/eth0", "error"), ("k8s/ns/b/eth0", "up")]
    assert document["hostEndpoints"] == {"host": "down"}
    assert document["unreadable"] == [
        {"place": "place", "resource": "NetworkPolicy(ns/p)", "problem": "bad", "closed": True}
    ]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "new" / "status.json", lambda: NOON)
    file.replace(STATUS)
    assert read_status(file.path) == json.loads(json.dumps(status_document(STATUS, NOON)))
    assert file.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no agent has written its status here"), ("{", "not the status"), ("[]", "not the status"), ("{}", "not the")],
)
def test_what_is_no_status(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "status.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_status(path)
