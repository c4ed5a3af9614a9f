"""Short ways for tests to read one resource, and to hold what refuses it."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from tortie.model.problem import FieldProblem, format_path
from tortie.model.reader import read_value

T = TypeVar("T")


def read_spec(kind: type[T], spec: dict[str, Any], **metadata: Any) -> T:
    """A resource called `a` with this spec."""
    return read_value(kind, {"metadata": {"name": "a"} | metadata, "spec": spec})


def refusal_of_spec(kind: type[object], spec: dict[str, Any], **metadata: Any) -> str:
    """What refuses a resource called `a` with this spec, behind the field's name."""
    with pytest.raises(FieldProblem) as refusal:
        read_spec(kind, spec, **metadata)
    return f"{format_path(refusal.value.path)}: {refusal.value.message}"
