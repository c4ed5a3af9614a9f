"""How long is waited for what."""

from __future__ import annotations

import pytest

from tortie.agent.backoff import REPAIR_S, next_recheck, repair_delay, retry_delay


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10_000, 30.0)])
def test_tries_come_ever_later(failures: int, delay: float) -> None:
    assert retry_delay(failures) == delay


@pytest.mark.parametrize(
    ("repairs", "refresh_s", "delay"),
    [(0, 90.0, REPAIR_S), (4, 90.0, REPAIR_S), (5, 90.0, 1.0), (8, 90.0, 8.0), (100, 90.0, 90.0), (100, 0.0, 60.0)],
)
def test_repairs_come_at_once_until_somebody_fights_back(repairs: int, refresh_s: float, delay: float) -> None:
    assert repair_delay(repairs, refresh_s) == delay


@pytest.mark.parametrize(("before", "after"), [(1.0, 2.0), (1024.0, 2048.0), (2048.0, None), (0.0, None)])
def test_checks_of_what_was_written_end_after_an_hour(before: float, after: float | None) -> None:
    assert next_recheck(before) == after
