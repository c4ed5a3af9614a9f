"""What Tortie raises when data from outside is wrong.

Errors are sorted by who must act. Data that somebody wrote or a tool printed is `InvalidInput`: a command shows it as one
line without a traceback and ends with code 2. Our own mistakes are `ValueError` or `AssertionError` and stay uncaught.
"""

from __future__ import annotations


class InvalidInput(Exception):
    """Input that cannot be used: `source` and `line` say where, `remedy` says what to do about it."""

    def __init__(
        self, message: str, *, source: str | None = None, line: int | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.line = line
        self.remedy = remedy

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.remedy})" if self.remedy else text

    def at(self, *, source: str | None = None, line: int | None = None) -> InvalidInput:
        """The same error with the place filled in where it was not known yet."""
        return InvalidInput(
            self.message,
            source=self.source if self.source is not None else source,
            line=self.line if self.line is not None else line,
            remedy=self.remedy,
        )
