"""Where a command's node comes from: a snapshot file, or the live node; with what the user wants changed in it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from tortie.net.error import InvalidInput
from tortie.netfilter.snapshot import Snapshot
from tortie.simulator.trace import Walk

SLOW_BYTES = 10_000_000
"""From here on reading takes seconds."""


def load_node_snapshot(path: str | None, *, conntrack: str | None = None) -> Snapshot:
    """The snapshot of a file or directory, or of this node without one; `conntrack` replaces its connections."""
    if path is None:
        from tortie.cli.snapshot_file import read_live_snapshot

        snapshot = read_live_snapshot()
    else:
        from tortie.cli.snapshot_file import load_snapshot

        with _waiting(path):
            snapshot = load_snapshot(path)
    if conntrack is None:
        return snapshot
    from tortie.codec.conntrack import parse_conntrack

    return replace(snapshot, connections=parse_conntrack(read_text(conntrack), source=source_name(conntrack)))


@contextmanager
def _waiting(path: str) -> Iterator[None]:
    """A sign of life on stderr while much is read, where that is a terminal; gone when done."""
    size = snapshot_size(path)
    if size < SLOW_BYTES or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"reading {source_name(path)}, {size / 1e6:.0f} MB"):
        yield


def snapshot_size(path: str) -> int:
    """Bytes of a snapshot: of the file, or of all files in the directory; 0 where that is not known."""
    given = Path(path)
    try:
        files = list(given.iterdir()) if given.is_dir() else [given]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0


def snapshot_notes(snapshot: Snapshot) -> tuple[str, ...]:
    """What could not be read when the snapshot was made, or when it was loaded."""
    return tuple(f"snapshot: {remark}" for remark in snapshot.unreadable)


def tell_snapshot_notes(snapshot: Snapshot) -> None:
    """Writes the notes to stderr, for commands whose output tells of many packets."""
    for note in snapshot_notes(snapshot):
        sys.stderr.write(f"tortie: {note}\n")


def read_text(path: str) -> str:
    """The text of a file, or of stdin for `-`; raises `InvalidInput` when it cannot be read."""
    data = read_bytes(path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput("not UTF-8 text", source=source_name(path), line=line) from None


def source_name(path: str) -> str:
    """What a file is called in messages: `stdin` for `-`."""
    return "stdin" if path == "-" else path


def open_stdin() -> BinaryIO:
    """The bytes of stdin; raises `InvalidInput` when there is none."""
    if sys.stdin is None:
        raise InvalidInput("stdin is closed", remedy="give a file")
    return sys.stdin.buffer


def read_bytes(path: str) -> bytes:
    """The bytes of a file, or of stdin for `-`; raises `InvalidInput` when it cannot be read."""
    try:
        return open_stdin().read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=path) from None


def parse_assumptions(values: Iterable[str]) -> dict[str, str]:
    """`SUBJECT=OPTION` words as a mapping; raises `InvalidInput`."""
    assumed: dict[str, str] = {}
    for value in values:
        subject, equals, option = value.rpartition("=")
        if not equals or not subject or not option:
            raise InvalidInput(
                f"not an assumption: {value!r}", remedy="SUBJECT=OPTION, such as filter:FORWARD:3=match; a trace names them"
            )
        assumed[subject] = option
    return assumed


def check_assumptions(assumed: Mapping[str, str], walks: Iterable[Walk]) -> None:
    """Raises `InvalidInput` for an assumption that decided nothing: a subject that never came up, or no such option."""
    met: dict[str, set[str]] = {}
    used: set[str] = set()
    for walk in walks:
        for trace in walk.outcomes:
            for condition in trace.conditions:
                met.setdefault(condition.subject, set()).add(condition.option)
                if condition.assumed:
                    used.add(condition.subject)
    for subject, option in assumed.items():
        if subject in used:
            continue
        if subject in met:
            raise InvalidInput(
                f"--assume {subject}={option}: no such option", remedy=f"one of {', '.join(sorted(met[subject]))}"
            )
        if not met:
            raise InvalidInput(f"--assume {subject}={option}: this walk leaves nothing open to assume")
        raise InvalidInput(
            f"--assume {subject}={option}: this walk does not depend on it",
            remedy=f"it depends on {', '.join(sorted(met))}",
        )
