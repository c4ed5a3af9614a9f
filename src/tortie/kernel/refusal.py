"""What is raised when the kernel, or the tool that speaks to it, does not do what it was told."""

from __future__ import annotations

from collections.abc import Sequence


class KernelRefused(Exception):
    """A command that did not do its work: what it was, what it said, and the line of its input that it stumbled over."""

    def __init__(self, command: Sequence[str], message: str, line: str | None = None) -> None:
        super().__init__(command, message, line)
        self.command = tuple(command)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        text = f"`{' '.join(self.command)}`: {self.message}"
        return text if self.line is None else f"{text} (at `{self.line}`)"
