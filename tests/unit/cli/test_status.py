"""`tortie status`: how an agent's status is told."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tortie.cli.main import main
from tortie.cli.status import age_s, is_running, status_lines

GOOD: dict[str, Any] = {
    "time": "2026-01-01T12:00:00Z", "version": metadata.version("tortie"),
    "node": "node-1", "pid": 1, "uptimeSeconds": 61.0, "inSync": True, "ready": True,
    "datastoreLost": None, "heldBack": None, "problems": [], "remarks": [], "unreadable": [],
    "workloadEndpoints": {"k8s/ns/a/eth0": "up", "k8s/ns/b/eth0": "error"}, "hostEndpoints": {},
}  # fmt: skip


def run(tmp_path: Path, changes: dict[str, Any], *words: str) -> tuple[int, str]:
    path = tmp_path / "status.json"
    path.write_text(json.dumps({**GOOD, "pid": os.getpid(), **changes}))
    result = CliRunner().invoke(main, ["status", "--status-file", str(path), *words])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({}, 0, "as the datastore says"),
        ({"pid": 4_000_000}, 1, "NOT RUNNING"),
        ({"pid": 4_000_000}, 1, "what follows is how it was then"),
        ({"version": "0.0.1"}, 0, f"version    0.0.1; this command is {metadata.version('tortie')}"),
        ({"version": None}, 0, "version    unknown"),
        ({"workloadEndpoints": ["a"], "unreadable": ["b"], "problems": "c"}, 1, "problem    c"),
        ({"workloadEndpoints": {"a": 7}, "uptimeSeconds": "x", "time": 5, "remarks": {"x": 1}}, 0, "7          a"),
        ({"time": "2999-01-01T12:00:00Z"}, 0, "wrote this at 2999-01-01T12:00:00Z, which is yet to come"),
        ({"ready": False}, 1, "being programmed"),
        ({"ready": False, "heldBack": "the interfaces are not known"}, 1, "nothing is programmed: the interfaces"),
        ({"heldBack": "the cluster says no"}, 1, "nothing is programmed: the cluster says no"),
        ({"problems": ["the lock"]}, 1, "NOT as the datastore says"),
        ({"datastoreLost": "refused"}, 1, "LOST (refused); what was known stands"),
        ({"datastoreLost": "refused", "inSync": False}, 1, "nothing is known of it yet"),
        (
            {"unreadable": [{"place": "f", "resource": "NetworkPolicy(ns/p)", "problem": "bad", "closed": True}]},
            1,
            "unreadable NetworkPolicy(ns/p): bad; what it could have stopped is closed",
        ),
    ],
)
def test_what_is_said_and_the_exit_code(tmp_path: Path, changes: dict[str, Any], code: int, said: str) -> None:
    found, output = run(tmp_path, changes)
    assert found == code
    assert said in output


def test_nothing_is_said_of_the_version_that_is_the_same(tmp_path: Path) -> None:
    assert "version" not in run(tmp_path, {})[1]


def test_endpoints_are_counted_and_those_in_trouble_named(tmp_path: Path) -> None:
    _, output = run(tmp_path, {})
    assert "1 up, 1 error" in output
    assert "error      k8s/ns/b/eth0" in output
    assert "k8s/ns/a/eth0" not in output


def test_as_json(tmp_path: Path) -> None:
    code, output = run(tmp_path, {}, "--json")
    told = json.loads(output)
    assert code == 0 and told["running"] is True and told["node"] == "node-1" and told["ageSeconds"] > 0


def test_without_an_agent_it_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status", "--status-file", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "no agent has written its status here" in result.output


def test_text_from_others_cannot_move_the_cursor(tmp_path: Path) -> None:
    _, output = run(tmp_path, {"remarks": ["\x1b[2Jgone\n"]})
    assert "\x1b" not in output and "\\x1b[2Jgone" in output


@pytest.mark.parametrize(
    ("pid", "running"),
    [(os.getpid(), True), (4_000_000, False), (None, False), (-1, False)],
    ids=["this process", "nobody's", "none", "no process's"],
)
def test_whether_it_runs(pid: Any, running: bool) -> None:
    assert is_running(pid) is running


def test_its_age() -> None:
    now = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    assert age_s("2026-01-01T12:00:00Z", now) == 30
    assert age_s("soon", now) is None
    assert age_s("2026-01-01T12:00:00Z", now + timedelta(days=1)) == 86430


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "61 s"), (150, "2 minutes"), (9000, "2 hours"), (200_000, "2 days"), (None, "some time")]
)
def test_how_long_it_has_been_there(seconds: Any, words: str) -> None:
    found = {**GOOD, "running": True, "ageSeconds": 1.0, "uptimeSeconds": seconds}
    assert f", {words} after it began" in next(iter(status_lines(found)))
