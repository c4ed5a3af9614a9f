"""Measuring one thing: whole processes, functions in a process of their own, and the figure that is shown.

Times are medians of a few runs, and processor time wherever that is all the work there is: other work on the machine then
changes figures least. Whatever needs a bare process (start-up) runs in one.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import subprocess
import time
import tracemalloc
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
    """Median processor time of a function in seconds, the collector off as in a bulk load."""
    times = []
    for _ in range(runs):
        gc.collect()
        gc.disable()
        start = time.process_time()
        kept = work()
        times.append(time.process_time() - start)
        gc.enable()
        del kept
    return statistics.median(times)


def command_seconds(words: Sequence[str], runs: int = RUNS) -> float | None:
    """Median processor time of a command and its children in seconds, None when it does not run here."""
    environment = {**os.environ, "XTABLES_LOCKFILE": "/tmp/tortie-bench.lock"}
    times = []
    for _ in range(runs):
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            ended = subprocess.run(words, capture_output=True, env=environment, check=False)
        except OSError:
            return None
        if ended.returncode != 0:
            return None
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime)
    return statistics.median(times)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that a function held at once, in bytes, beside what was there before."""
    tracemalloc.start()
    kept = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return peak
