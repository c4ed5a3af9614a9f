"""The agent's log: one line an event, as text for people or as JSON for machines; fields beside the message.

Text lines carry no time when systemd's journal reads them, since it has its own. A line that cannot be written, as on
a full disk, is lost and counted; whoever wrote it goes on.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from tortie.agent.command import Level, Log

LOGGER = "tortie.agent"
_LEVELS = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARNING: logging.WARNING,
    Level.ERROR: logging.ERROR,
}


def write_log(line: Log) -> None:
    """Writes one line of the agent's."""
    logging.getLogger(LOGGER).log(_LEVELS[line.level], "%s", line.text, extra={"fields": line.fields})


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    found = getattr(record, "fields", {})
    return found if isinstance(found, Mapping) else {}


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `message`, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        told |= {name: value for name, value in _fields(record).items() if name not in told}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)


class TextLines(logging.Formatter):
    """Time, level and message, then the fields as `name=value`; control characters are written as escapes."""

    def __init__(self, *, with_time: bool = True) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        """The line, and an exception's lines below it."""
        fields = "".join(f" {name.replace(' ', '-')}={_word(value)}" for name, value in _fields(record).items())
        head = f"{_time(record)} " if self._with_time else ""
        line = _printable(f"{head}{record.levelname:7} {record.getMessage()}{fields}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _word(value: object) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(letter in text for letter in ' "=') else text


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines to a stream; `lost` are those that could not be written."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lost = 0

    def handleError(self, record: logging.LogRecord) -> None:
        """Counts a line that the stream does not take; a mistake of ours in a line is shown as ever."""
        if isinstance(sys.exc_info()[1], OSError):
            self.lost += 1
        else:
            super().handleError(record)


def lost_lines() -> int:
    """How many lines could not be written so far."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, Lines))


def set_up_log(form: str, level: str, stream: TextIO | None = None, *, with_time: bool = True) -> None:
    """Sends all logging to a stream, stderr if none is given; `form` is `json` or `text`."""
    handler = Lines(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines(with_time=with_time))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """What the agent itself logs from; of libraries only warnings are shown."""
    logging.getLogger(LOGGER).setLevel(level)
