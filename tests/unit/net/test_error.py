"""How bad input is told to whoever gave it."""

from __future__ import annotations

import pytest

from tortie.net.error import InvalidInput

TOLD = {
    "a message alone": (InvalidInput("bad"), "bad"),
    "its file": (InvalidInput("bad", source="x"), "x: bad"),
    "its line": (InvalidInput("bad", line=3), "3: bad"),
    "both, and what to do": (InvalidInput("bad", source="x", line=3, remedy="fix it"), "x:3: bad (fix it)"),
}


@pytest.mark.parametrize(("error", "text"), TOLD.values(), ids=TOLD)
def test_what_is_told(error: InvalidInput, text: str) -> None:
    assert str(error) == text


def test_a_place_is_filled_in_only_where_none_was_known() -> None:
    assert str(InvalidInput("bad", line=3).at(source="x", line=9)) == "x:3: bad"
    assert str(InvalidInput("bad", source="y", remedy="fix it").at(source="x", line=9)) == "y:9: bad (fix it)"
