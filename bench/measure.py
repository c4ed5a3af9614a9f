"""Measuring one thing: whole processes, functions in a process of their own, and the figure that is shown.

Times are medians of a few runs. Whatever needs a bare process (memory, start-up) runs in one, so that figures do not
depend on what was measured before them.
"""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RUNS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: what was measured, the figure in words, the aim, and whether it was met."""

    what: str
    value: str
    aim: str = ""
    met: bool | None = None


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall time of a function in seconds, the collector off as in a bulk load."""
    times = []
    for _ in range(runs):
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        kept = work()
        times.append(time.perf_counter() - start)
        gc.enable()
        del kept
    return statistics.median(times)


def command_seconds(words: Sequence[str], runs: int = RUNS) -> float | None:
    """Median wall time of a command in seconds, None when it does not run here."""
    environment = {**os.environ, "XTABLES_LOCKFILE": "/tmp/tortie-bench.lock"}
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        try:
            ended = subprocess.run(words, capture_output=True, env=environment, check=False)
        except OSError:
            return None
        if ended.returncode != 0:
            return None
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_own_process(code: str) -> str:
    """What a piece of Python prints when it runs in a fresh interpreter of the same environment."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ended.stdout.strip()
