"""Lines of styled words, and the paper they are written on: width and colour.

A `Line` knows its indent and its words, not where it will be broken; `write_lines` breaks it to the paper's width at
blanks and indents what follows. Colour is used on a terminal unless NO_COLOR is set (no-color.org), or when forced.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum


class Style(Enum):
    """What a piece of text is; `value` is its SGR code (ECMA-48)."""

    PLAIN = ""
    HEAD = "1"
    GOOD = "1;32"
    BAD = "1;31"
    DOUBT = "1;33"
    NAME = "36"
    FAINT = "2"


Piece = tuple[str, Style]


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line; `hang` is the extra indent of its continuation rows.

    `note` is a remark behind it after a `#`; where both do not fit into one row it gets rows of its own.
    """

    pieces: tuple[Piece, ...] = ()
    indent: int = 0
    hang: int = 4
    note: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """Where lines go: `width` in columns, None for no limit."""

    width: int | None = None
    colour: bool = False


def find_paper(colour: str = "auto") -> Paper:
    """The paper that stdout is: its width when it is a terminal; `colour` is auto, always or never."""
    terminal = sys.stdout.isatty()
    width = None
    if terminal:
        from shutil import get_terminal_size

        width = get_terminal_size().columns
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    wanted = colour == "always" or (colour == "auto" and terminal and not dull)
    return Paper(width, wanted)


def plain(text: str, indent: int = 0, style: Style = Style.PLAIN) -> Line:
    """A line in one style."""
    return Line(((text, style),), indent)


def write_lines(lines: Iterable[Line], paper: Paper) -> str:
    """The text of all lines, each ended by a newline."""
    return "".join(f"{row}\n" for line in lines for row in _rows(line, paper))


def _rows(line: Line, paper: Paper) -> Iterator[str]:
    """The rows of a line, with its note where it fits."""
    if not line.note:
        yield from _broken(line, paper)
        return
    length = line.indent + sum(len(text) for text, _ in line.pieces)
    if paper.width is None or length + len(line.note) + 4 <= paper.width:
        yield from _broken(replace(line, pieces=(*line.pieces, (f"  # {line.note}", Style.FAINT))), paper)
        return
    yield from _broken(line, paper)
    yield from _broken(Line(((f"# {line.note}", Style.FAINT),), line.indent + line.hang, hang=2), paper)


def _broken(line: Line, paper: Paper) -> Iterator[str]:
    """The pieces broken at blanks where they are too long; a word longer than the paper is left whole."""
    row: list[Piece] = []
    used = margin = line.indent
    for word in _words(line):
        bare = len("".join(text for text, _ in word).rstrip())
        if paper.width is not None and bare and row and used + bare > paper.width:
            yield _paint(row, margin, paper)
            margin = line.indent + line.hang
            row, used = [], margin
        row.extend(word)
        used += sum(len(text) for text, _ in word)
    yield _paint(row, margin, paper)


def _words(line: Line) -> Iterator[list[Piece]]:
    """Words with the blanks that follow them; one that goes on in the next piece is one word."""
    word: list[Piece] = []
    ended = False
    for text, style in line.pieces:
        for part in re.findall(r" +|[^ ]+", text):
            blank = part.startswith(" ")
            if ended and not blank:
                yield word
                word = []
            word.append((part, style))
            ended = blank
    if word:
        yield word


def _paint(row: list[Piece], margin: int, paper: Paper) -> str:
    merged: list[Piece] = []
    for text, style in row:
        if merged and merged[-1][1] is style:
            merged[-1] = (merged[-1][0] + text, style)
        else:
            merged.append((text, style))
    if merged:
        merged[-1] = (merged[-1][0].rstrip(), merged[-1][1])
    if not any(text for text, _ in merged):
        return ""
    return " " * margin + "".join(_coloured(text, style, paper) for text, style in merged)


def _coloured(text: str, style: Style, paper: Paper) -> str:
    if not paper.colour or style is Style.PLAIN or not text.strip():
        return text
    return f"\x1b[{style.value}m{text}\x1b[0m"
