from __future__ import annotations

import pytest

from tortie.cli.terminal import Line, Paper, Style, find_paper, plain, write_lines


def test_a_line_that_fits_is_one_row() -> None:
    assert write_lines([plain("all is well", indent=2)], Paper(20)) == "  all is well\n"


def test_a_long_line_is_broken_at_blanks_and_hangs() -> None:
    line = Line((("one two three four five", Style.PLAIN),), indent=2, hang=3)
    assert write_lines([line], Paper(12)) == "  one two\n     three\n     four\n     five\n"


def test_a_word_longer_than_the_paper_is_left_whole() -> None:
    assert write_lines([plain("cali-tw-cali551b05c3e54 x")], Paper(10)) == "cali-tw-cali551b05c3e54\n    x\n"


def test_without_a_width_nothing_is_broken() -> None:
    text = "word " * 100
    assert write_lines([plain(text)], Paper()) == text.strip() + "\n"


def test_an_empty_line_has_no_blanks() -> None:
    assert write_lines([Line(indent=4)], Paper()) == "\n"


def test_blanks_between_pieces_stay() -> None:
    line = Line((("name", Style.NAME), ("  two blanks", Style.PLAIN)))
    assert write_lines([line], Paper()) == "name  two blanks\n"


def test_colour_wraps_every_piece_on_its_own_row() -> None:
    line = Line((("bad news", Style.BAD), (" plain", Style.PLAIN)), hang=2)
    assert write_lines([line], Paper(5, colour=True)) == "\x1b[1;31mbad\x1b[0m\n  \x1b[1;31mnews\x1b[0m\n  plain\n"


@pytest.mark.parametrize(
    ("word", "no_colour", "expected"),
    [("auto", None, False), ("always", None, True), ("always", "1", True), ("never", None, False)],
)
def test_paper_that_is_no_terminal_is_plain_unless_told(
    word: str, no_colour: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour is not None:
        monkeypatch.setenv("NO_COLOR", no_colour)
    assert find_paper(word) == Paper(None, expected)


class Terminal:
    """Something that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "value", "expected"), [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)]
)
def test_a_terminal_has_colour_unless_the_user_wants_none(
    name: str, value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setenv(name, value)
    assert find_paper() == Paper(77, expected)
