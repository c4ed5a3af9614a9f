"""Times, on a clock that is an argument: 2023-11-14 is a Tuesday."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.match_builder import Question, ask
from tortie.simulator.answer import Doubt, DoubtKind

TUESDAY = datetime(2023, 11, 14, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("options", "hour", "answer"),
    [
        ("--timestart 08:00 --timestop 18:00", 8.0, True),
        ("--timestart 08:00 --timestop 18:00", 18.0, True),
        ("--timestart 08:00 --timestop 18:00", 18.001, False),
        ("--timestart 22:00 --timestop 06:00", 23.0, True),
        ("--timestart 22:00 --timestop 06:00", 5.0, True),
        ("--timestart 22:00 --timestop 06:00", 7.0, False),
        ("--timestart 22:00 --timestop 06:00 --weekdays Mon", 5.0, False),
        ("--timestart 22:00 --timestop 06:00 --weekdays Mon --contiguous", 5.0, True),
        ("--timestart 22:00 --timestop 06:00 --weekdays Tue --contiguous", 5.0, False),
        ("--timestart 22:00 --timestop 06:00 --weekdays Tue --contiguous", 23.0, True),
        ("--weekdays Tue,Wed", 0.0, True),
        ("! --weekdays Tue", 0.0, False),
        ("--monthdays 13,15", 0.0, False),
        ("! --monthdays 13,15", 0.0, True),
        ("--datestart 2023-11-14T12:00:00", 11.999, False),
        ("--datestart 2023-11-14T12:00:00", 12.0, True),
        ("--datestop 2023-11-14T12:00:00", 12.0, True),
        ("--datestop 2023-11-14T12:00:00", 12.001, False),
    ],
)
def test_times(options: str, hour: float, answer: bool) -> None:
    question = Question(f"-m time {options}")
    question.session.clock_s = TUESDAY + hour * 3600
    assert question.ask() is answer


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--datestop 2020-01-01", "the date is outside the period"),
        ("--timestart 10:00 --timestop 11:00", "the time of day is outside the period"),
        ("--weekdays Mon", "the day of the week is Tuesday"),
        ("--monthdays 1", "the day of the month is 14"),
    ],
)
def test_reasons(options: str, reason: str) -> None:
    question = Question(f"-m time {options}")
    question.session.clock_s = TUESDAY
    assert question.why() == f"it is 2023-11-14 00:00:00 UTC: {reason}"


def test_the_kernel_s_own_time_zone_is_in_no_snapshot() -> None:
    assert ask("-m time --kerneltz --weekdays Mon") == Doubt(DoubtKind.UNKNOWN, "the time fits, in the kernel's time zone")
