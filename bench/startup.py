"""What a user waits for before anything happens: the command's start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, command_seconds


def figures(folder: Path) -> Iterator[Figure]:
    """`tortie --help` against a bare interpreter."""
    ours = command_seconds([sys.executable, "-c", "from tortie.cli.main import main; main(['--help'])"], runs=9)
    bare = command_seconds([sys.executable, "-c", "pass"], runs=9)
    assert bare is not None
    if ours is None:
        yield Figure("start of the command line", "it does not run")
    else:
        value = f"{ours * 1e3:.0f} ms, {ours / bare:.1f}× of a bare Python"
        yield Figure("start of the command line", value, "under 200 ms", ours < 0.2)
