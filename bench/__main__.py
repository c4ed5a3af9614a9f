"""Prints every figure: `python -m bench [NAME …]` runs all, or those whose name contains a word."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import (
    agent,
    auditing,
    calculating,
    changing,
    laboratory,
    parsing,
    programming,
    reading,
    rendering,
    startup,
    tracing,
)
from bench.measure import Figure

SUITES: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "parsing": parsing.figures,
    "tracing": tracing.figures,
    "reading": reading.figures,
    "calculating": calculating.figures,
    "rendering": rendering.figures,
    "programming": programming.figures,
    "changing": changing.figures,
    "auditing": auditing.figures,
    "agent": agent.figures,
    "laboratory": laboratory.figures,
    "startup": startup.figures,
}


def main(words: list[str]) -> None:
    """Runs the suites and prints a line a figure as soon as it is there."""
    for word in words:
        if not any(word in name for name in SUITES):
            sys.exit(f"bench: no suite has {word!r} in its name (there are {', '.join(SUITES)})")
    print(
        f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}; medians of processor time"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, figures in SUITES.items():
            if words and not any(word in name for word in words):
                continue
            for figure in figures(Path(folder)):
                verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
                aim = f"   (aim: {figure.aim}) {verdict}" if figure.aim else ""
                print(f"{figure.what:58} {figure.value}{aim}", flush=True)


main(sys.argv[1:])
