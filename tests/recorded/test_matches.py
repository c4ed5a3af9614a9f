"""What real kernels answered to the cases of `tests.cases.matches`, asked of the simulator again."""

from __future__ import annotations

import pytest

from tests.cases.match_case import Case, recordings, simulate, to_record
from tests.cases.matches import CASES
from tortie.netfilter.hook import Backend

ANSWERS = recordings()
QUESTIONS = [
    (release, case, backend)
    for release in ANSWERS
    for case in CASES
    for backend in case.backends
    if backend.value in ANSWERS[release].get(case.name, {})
]


def test_every_case_has_been_asked_of_a_kernel() -> None:
    asked = {(case.name, backend) for _, case, backend in QUESTIONS}
    assert asked == {(case.name, backend) for case in CASES for backend in case.backends}


@pytest.mark.parametrize(
    ("release", "case", "backend"), QUESTIONS, ids=[f"{r}-{c.name}-{b.value}" for r, c, b in QUESTIONS]
)
def test_simulator_answers_as_the_kernel_did(release: str, case: Case, backend: Backend) -> None:
    assert to_record(case, simulate(case, backend)) == ANSWERS[release][case.name][backend.value]
