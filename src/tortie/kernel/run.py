"""Running the tools that know the kernel: argument lists, never a shell; what came of it is a value.

A tool that is not installed is an expected answer, not an error. Nothing here decides what to run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar

TIMEOUT_S = 120.0
"""A tool that takes longer hangs: a million routes or connections are listed in seconds."""
T = TypeVar("T")
_MISSING = 127
_TIMED_OUT = 124
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a tool did: exit code (127 when it is not installed, as shells have it), its output and its complaints."""

    code: int
    out: bytes = b""
    error: str = ""

    @property
    def missing(self) -> bool:
        """True when there is no such tool."""
        return self.code == _MISSING

    @property
    def complaint(self) -> str:
        """The last line that the tool wrote to stderr, or its exit code."""
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


class Run(Protocol):
    """How a tool is run; the tests' fake kernel fits as well."""

    def __call__(self, command: Sequence[str]) -> Ran:
        """Runs a command to its end; raises nothing."""
        ...


class Feed(Protocol):
    """How a tool is run that reads what it shall do."""

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        """Runs a command to its end with the data as its input; raises nothing."""
        ...


def run_tool(command: Sequence[str], data: bytes = b"", *, started: Callable[[int], object] | None = None) -> Ran:
    """Runs one tool to its end in the C locale, with the system's own folders searched as well.

    `started` is told the number of the process.
    """
    path = os.pathsep.join([*os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep), *_SYSTEM_PATHS])
    environment = {**os.environ, "PATH": path, "LC_ALL": "C"}
    pipe = subprocess.PIPE
    try:
        with (
            _file(data) as given,
            _file() as printed,
            subprocess.Popen(command, stdin=given, stdout=printed, stderr=pipe, env=environment) as process,  # noqa: S603
        ):
            if started is not None:
                started(process.pid)
            try:
                _, error = process.communicate(timeout=TIMEOUT_S)
                out = _whole(printed)
            except subprocess.TimeoutExpired:
                process.kill()
                return Ran(_TIMED_OUT, error=f"no answer within {TIMEOUT_S:.0f} seconds")
            except BaseException:
                process.kill()
                raise
    except FileNotFoundError:
        return Ran(_MISSING)
    except OSError as refusal:
        return Ran(126, error=refusal.strerror or str(refusal))
    return Ran(process.returncode, out, error.decode(errors="replace"))


def _file(data: bytes = b"") -> BinaryIO:
    """A file in memory with this content: through a pipe megabytes of rules would go in pieces of a few kilobytes."""
    made = open(os.memfd_create("tortie"), "w+b")  # noqa: SIM115
    made.write(data)
    made.seek(0)
    return made


def _whole(file: BinaryIO) -> bytes:
    """All that a tool has written; its place in the file is ours too."""
    file.seek(0)
    return file.read()


def run_together(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Runs jobs that mostly wait for tools side by side, all to their ends; raises what the first that failed raised."""
    if len(jobs) < 2:
        return [job() for job in jobs]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(jobs)) as pool:
        waiting = [pool.submit(job) for job in jobs]
    return [one.result() for one in waiting]
