"""What is wrong with a field: an `InvalidInput` that knows the way from the root of the resource to the field.

Readers build the way from the inside out: who finds the problem knows only his own value, each container on the way out
adds where that value stood. The place in the file is looked up at the end, from the whole way.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypeAlias

from tortie.net.error import InvalidInput

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the root of a resource to one of its fields."""


class FieldProblem(InvalidInput):
    """A bad value at `path`; what it means for the file is said by `resolved`."""

    def __init__(self, message: str, *, path: Path = (), remedy: str | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.path = path

    def inside(self, *steps: str | int) -> FieldProblem:
        """The same problem seen from `steps` further out."""
        return FieldProblem(self.message, path=(*steps, *self.path), remedy=self.remedy)

    def resolved(self, *, source: str | None, line: int | None, subject: str = "") -> InvalidInput:
        """The error to show: with the field's name in front, of `subject` such as `IPPool(a)`, in this file and line."""
        where = " ".join(part for part in (subject, format_path(self.path)) if part)
        message = f"{where}: {self.message}" if where else self.message
        return InvalidInput(message, source=source, line=line, remedy=self.remedy)


def field_problem(error: InvalidInput) -> FieldProblem:
    """Any error about a value as one with a way, which is empty so far."""
    return error if isinstance(error, FieldProblem) else FieldProblem(error.message, remedy=error.remedy)


def format_path(path: Path) -> str:
    """A way as people write it: `spec.ingress[0].source`; keys with dots or slashes in brackets."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier() or step.replace("-", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A remedy that names what may have been meant; capitals do not count. None when nothing comes near."""
    lowered = {word.lower(): word for word in known}
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.7)
    return f"did you mean {lowered[found[0]]}?" if found else None
