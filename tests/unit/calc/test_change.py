"""Changes are true when there is one; that they are the right ones: test_state_sequence.py."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tortie.calc.change import Changes, MemberChange

SOMETHING = {"ip_sets": {"s:x": MemberChange()}}


def test_no_change_is_false() -> None:
    assert not Changes()


@pytest.mark.parametrize("name", [field.name for field in fields(Changes)])
def test_any_change_is_true(name: str) -> None:
    assert replace(Changes(), **{name: SOMETHING.get(name, frozenset({"x"}))})  # type: ignore[arg-type]
