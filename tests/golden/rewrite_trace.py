"""Writes the golden files of traces anew: `python -m tests.golden.rewrite_trace`; look at the difference like at code.

Every text is made twice, so that what changes from run to run cannot become golden.
"""

from __future__ import annotations

from pathlib import Path

from tests import trace_values
from tortie.cli.terminal import Paper, write_lines
from tortie.cli.trace_text import View, walk_lines

FOLDER = Path(__file__).parent / "trace"
PAPERS = {"plain": Paper(), "narrow": Paper(60), "colour": Paper(100, colour=True)}
VIEWS = {"": View(trace_values.NAMING), "-misses": View(trace_values.NAMING, misses=True)}


def cases() -> dict[str, str]:
    """File name to text: every hand-built walk as it is usually shown, one of them on other paper and in full."""
    texts = {
        f"{name}.txt": write_lines(walk_lines(walk, VIEWS[""]), PAPERS["plain"]) for name, walk in trace_values.ALL.items()
    }
    one = trace_values.ALL["dropped-by-policy"]
    for paper in ("narrow", "colour"):
        texts[f"dropped-by-policy-{paper}.txt"] = write_lines(walk_lines(one, VIEWS[""]), PAPERS[paper])
    texts["dropped-by-policy-misses.txt"] = write_lines(walk_lines(one, VIEWS["-misses"]), PAPERS["plain"])
    return texts


def main() -> None:
    """Makes all texts twice, compares, writes."""
    texts = cases()
    if texts != cases():
        raise SystemExit("the same walk gave two texts")
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
