"""What a plan looks like, letter by letter; rewrite with `python -m tests.golden.rewrite_plan`."""

from __future__ import annotations

import pytest

from tests.golden.rewrite_plan import FOLDER, cases

CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_a_plan_looks_as_it_did(name: str) -> None:
    assert CASES[name] == (FOLDER / name).read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.glob("*.txt")} == CASES.keys()
