"""A wall clock that a test sets while programs run, by Debian's libfaketime; clocks that cannot be set go on as they do.

The agent, the libraries that it loads and the tools that it runs see the same time. Files keep the times that the kernel
gives them, as those of another machine would. gRPC waits with the same functions of libc, which go by the clock given here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.requirement import fake_time_library

PRELUDE = "import select, time; time.sleep = lambda s: (select.select([], [], [], s), None)[1]; "
"""libfaketime 0.9.10 takes a moment of the monotonic clock, which `time.sleep` waits for, for one of the wall clock."""


class WallClock:
    """What programs with `environment` see as the time of day; right until it is set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wall-clock"
        self._ahead_s = 0
        self.set(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """For programs that are to see this clock."""
        return {
            "LD_PRELOAD": str(fake_time_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Meant for an old glibc; with it waits on the monotonic clock last far too long now and then.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead_s: int) -> None:
        """From now on the clock shows so many seconds more than the right one, or less."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n")
        new.rename(self._file)
        self._ahead_s = ahead_s

    def now(self) -> datetime:
        """What it shows."""
        return datetime.fromtimestamp(time.time() + self._ahead_s, UTC)

    @staticmethod
    def forget(process: int) -> None:
        """Takes away what the library leaves in shared memory when a process is killed."""
        for name in (f"faketime_shm_{process}", f"sem.faketime_sem_{process}"):
            with suppress(FileNotFoundError):
                (Path("/dev/shm") / name).unlink()
