"""`tortie status`: how the agent on this node does, for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

EXIT_NOT_WELL = 1
"""There is an agent, but it is not running, not ready, or has something to complain of."""

_HELP = """Say how the agent on this node does: whether the kernel is as the datastore says, and what stands in the way.

\b
Exit code: 0 when all is well, 1 when something is not, 2 when no agent ever wrote its status here.

\b
Examples:
  tortie status
  tortie status --json | jq .workloadEndpoints
"""


@click.command(help=_HELP)
@click.option("--status-file", type=click.Path(path_type=Path), metavar="FILE", help="What the agent writes.")
@click.option("--json", "as_json", is_flag=True, help="The file itself, with `running` and `ageSeconds` added.")
def status(status_file: Path | None, as_json: bool) -> None:
    """Reads the status file and shows it."""
    from tortie.agent.status_file import DEFAULT_PATH, read_status

    found = dict(read_status(status_file or DEFAULT_PATH))
    found["running"] = is_running(found.get("pid"))
    found["ageSeconds"] = age_s(found.get("time"), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in status_lines(found):
            click.echo(_printable(line))
    if not is_well(found):
        raise SystemExit(EXIT_NOT_WELL)


def is_running(pid: Any) -> bool:
    """Whether the process that wrote the status is there still."""
    return isinstance(pid, int) and pid > 0 and Path(f"/proc/{pid}").exists()


def age_s(text: Any, now: datetime) -> float | None:
    """Seconds since a time of the file, None when there is no telling."""
    try:
        return round((now - datetime.fromisoformat(str(text).replace("Z", "+00:00"))).total_seconds(), 1)
    except (ValueError, TypeError):
        return None


def is_well(found: Mapping[str, Any]) -> bool:
    """True when there is nothing to do for anybody."""
    return bool(found["running"] and found.get("ready")) and not (
        found.get("datastoreLost") or found.get("heldBack") or found.get("problems") or found.get("unreadable")
    )


def status_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The status in words: the summary, then whatever needs attention, then endpoints that are not up."""
    from importlib import metadata

    ours = metadata.version("tortie")
    running = f"running, process {found['pid']}" if found["running"] else "NOT RUNNING"
    yield f"agent      {running}; wrote this {_age(found)}, {_duration(found.get('uptimeSeconds'))} after it began"
    if found.get("version") != ours:
        yield f"version    {found.get('version') or 'unknown'}; this command is {ours}"
    if not found["running"]:
        yield "           what follows is how it was then; what was programmed stands, and nobody looks after it"
    yield f"node       {found['node']}"
    yield f"datastore  {_datastore(found)}"
    yield f"kernel     {_kernel(found)}"
    for title, name in (("workloads", "workloadEndpoints"), ("hosts", "hostEndpoints")):
        counts = Counter(_table(found, name).values())
        told = ", ".join(f"{counts[word]} {word}" for word in ("up", "down", "error") if counts[word])
        yield f"{title:10} {told or 'none'}"
    for title, name in (("problem", "problems"), ("remark", "remarks")):
        for text in _list(found, name):
            yield f"{title:10} {text}"
    for one in _list(found, "unreadable"):
        if isinstance(one, Mapping):
            closed = "; what it could have stopped is closed" if one.get("closed") else ""
            yield f"unreadable {one.get('resource') or one.get('place')}: {one.get('problem')}{closed}"
        else:
            yield f"unreadable {one}"
    for name in ("workloadEndpoints", "hostEndpoints"):
        for endpoint, word in _table(found, name).items():
            if word != "up":
                yield f"{word:10} {endpoint}"


def _age(found: Mapping[str, Any]) -> str:
    seconds = found["ageSeconds"]
    if seconds is None:
        return "at an unknown time"
    if seconds <= -1:
        return f"at {found['time']}, which is yet to come: the clock was set back"
    return f"{max(seconds, 0):.0f} s ago"


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the file; an agent of another version may have written something else there."""
    value = found.get(name)
    return value if isinstance(value, list) else [value] if value else []


def _table(found: Mapping[str, Any], name: str) -> dict[str, str]:
    value = found.get(name)
    return {key: str(word) for key, word in value.items()} if isinstance(value, dict) else {}


def _datastore(found: Mapping[str, Any]) -> str:
    lost = found.get("datastoreLost")
    if lost:
        what = "what was known stands" if found.get("inSync") else "nothing is known of it yet"
        return f"LOST ({lost}); {what}"
    return "in sync" if found.get("inSync") else "being read"


def _kernel(found: Mapping[str, Any]) -> str:
    if found.get("heldBack"):
        return f"nothing is programmed: {found['heldBack']}"
    if found.get("problems"):
        return "NOT as the datastore says, see problems"
    return "as the datastore says" if found.get("ready") else "being programmed"


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)):
        return "some time"
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
