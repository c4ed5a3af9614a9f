"""Lines of the log."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator

import pytest

from tortie.agent.command import Level, Log
from tortie.agent.log import LOGGER, lost_lines, set_log_level, set_up_log, write_log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; what logging was set to comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text(stream: io.StringIO) -> None:
    set_up_log("text", "INFO", stream, with_time=False)
    write_log(Log(Level.WARNING, "something is wrong", {"where": "eth 0", "failed passes": 3, "empty": ""}))
    assert stream.getvalue() == 'WARNING something is wrong where="eth 0" failed-passes=3 empty=""\n'


def test_text_with_time(stream: io.StringIO) -> None:
    set_up_log("text", "INFO", stream)
    write_log(Log(Level.INFO, "x"))
    assert stream.getvalue()[10] == "T" and stream.getvalue().endswith("Z INFO    x\n")


def test_control_characters_cannot_make_lines(stream: io.StringIO) -> None:
    set_up_log("text", "INFO", stream, with_time=False)
    write_log(Log(Level.INFO, "a\nERROR forged\x1b[31m"))
    assert stream.getvalue() == "INFO    a\\nERROR forged\\x1b[31m\n"


def test_json(stream: io.StringIO) -> None:
    set_up_log("json", "INFO", stream)
    write_log(Log(Level.ERROR, "a\nb", {"steps": 3, "message": "hidden"}))
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert {name: told[name] for name in ("level", "message", "steps")} == {
        "level": "error", "message": "a\nb", "steps": 3,
    }  # fmt: skip


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_lines_that_cannot_be_written_are_counted(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log("text", "INFO", Full())
    assert lost_lines() == 0
    write_log(Log(Level.INFO, "lost"))
    write_log(Log(Level.DEBUG, "not wanted"))
    assert (lost_lines(), capsys.readouterr().err) == (1, "")


def test_levels(stream: io.StringIO) -> None:
    set_up_log("text", "WARNING", stream, with_time=False)
    write_log(Log(Level.INFO, "not shown"))
    logging.getLogger("library").info("not shown")
    set_log_level("DEBUG")
    write_log(Log(Level.DEBUG, "shown"))
    assert stream.getvalue() == "DEBUG   shown\n"


def test_an_exception_is_told_with_its_lines(stream: io.StringIO) -> None:
    set_up_log("text", "INFO", stream, with_time=False)
    try:
        raise ValueError("our mistake")
    except ValueError:
        logging.getLogger(LOGGER).exception("ends")
    assert "ValueError: our mistake" in stream.getvalue()
