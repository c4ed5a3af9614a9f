"""BIRD's configuration on disk, and the daemon that runs on it.

New files are written beside the old ones and read by `bird -p` before they take their place, so a running or restarted
BIRD never meets a file that it refuses. It is told of the change over its control socket (`configure`), which keeps every
session whose own part did not change (BIRD manual, "Remote control"). The main file goes last, behind those it includes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed

_PLACE = re.compile(r"(?P<file>[^\s:]+):(?P<line>\d+):\d+ (?P<message>.+)")
_TAKEN = re.compile(r"^(?:0003|0004|0018|0020)?[ -]*Reconfigur(?:ed|ation in progress)", re.MULTILINE)
_STAGE = ".tortie-new"


@dataclass(frozen=True, slots=True)
class BirdDaemon:
    """One daemon: its program (`bird`, `bird6`), its client, the folder and main file of its configuration, its socket."""

    program: str
    client: str
    folder: Path
    main_file: str
    control: Path


@dataclass(frozen=True, slots=True)
class BirdChange:
    """What was done: whether files changed, and whether a running daemon took them over."""

    written: bool
    reloaded: bool


def program_bird(run: Feed, daemon: BirdDaemon, files: Mapping[str, str]) -> BirdChange:
    """Brings a daemon to run on these files, given by name with included ones before the main one.

    The main file must be among them. Nothing is touched when nothing differs, nor when BIRD refuses the files: raises
    `KernelRefused` with BIRD's words and the line, and when the daemon does not take them over; `OSError` when the folder
    cannot be written to.
    """
    if daemon.main_file not in files:
        raise ValueError(f"{daemon.main_file} is not among the files")
    daemon.folder.mkdir(parents=True, exist_ok=True)
    if all(_held(daemon.folder / name) == text for name, text in files.items()):
        return BirdChange(written=False, reloaded=False)
    stage = daemon.folder / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        for name, text in files.items():
            (stage / name).write_text(text)
        _check(run, daemon, stage, files)
        for name in sorted(files, key=lambda name: name == daemon.main_file):
            os.replace(stage / name, daemon.folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return BirdChange(written=True, reloaded=_reload(run, daemon))


def _held(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _check(run: Feed, daemon: BirdDaemon, stage: Path, files: Mapping[str, str]) -> None:
    command = [daemon.program, "-p", "-c", str(stage / daemon.main_file)]
    ran = run(command)
    if ran.missing:
        raise KernelRefused(command, "not installed")
    if ran.code == 0:
        return
    found = _PLACE.search(ran.error) or _PLACE.search(ran.out.decode(errors="replace"))
    if found is None:
        raise KernelRefused(command, ran.complaint)
    name, number = Path(found["file"]).name, int(found["line"])
    lines = files.get(name, "").splitlines()
    line = lines[number - 1].strip() if 0 < number <= len(lines) else None
    raise KernelRefused(command, f"{name}:{number}: {found['message']}", line)


def _reload(run: Feed, daemon: BirdDaemon) -> bool:
    """Tells the daemon; False when there is none."""
    if not daemon.control.exists():
        return False
    command = [daemon.client, "-s", str(daemon.control), "configure"]
    ran = run(command)
    said = ran.out.decode(errors="replace")
    if ran.missing:
        raise KernelRefused(command, "not installed")
    if "Unable to connect" in said + ran.error or "Connection refused" in said + ran.error:
        return False  # a socket that a dead daemon left
    if ran.code != 0 or not _TAKEN.search(said):
        raise KernelRefused(command, _last_line(said) or ran.complaint)
    return True


def _last_line(text: str) -> str:
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
