"""`-m time` on the session's clock, in UTC (spec: netfilter 7.6).

A period of the day that ends before it begins goes over midnight; with `--contiguous` the hours after midnight belong to
the day before. Source: time_mt in net/netfilter/xt_time.c.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tortie.netfilter.match import Test, TimeMatch
from tortie.simulator.answer import Answer
from tortie.simulator.match_header import Holds, doubtful
from tortie.simulator.skb import Skb

_DAY_S = 86400
_LAST_DATE = 0x7FFFFFFF


def compile_time(match: TimeMatch) -> Holds:
    """`-m time`; the kernel's own time zone (`--kerneltz`) is in no snapshot."""
    if match.kernel_timezone:
        return doubtful("the time fits, in the kernel's time zone")

    def test(skb: Skb) -> Answer:
        return time_miss(match, int(skb.session.clock_s)) is None

    return test


def time_miss(match: TimeMatch, stamp: int) -> str | None:
    """What does not fit at a moment given in seconds since 1970; None when all fits."""
    if not (match.date_start or 0) <= stamp <= (_LAST_DATE if match.date_stop is None else match.date_stop):
        return "the date is outside the period"
    start = match.start_s or 0
    stop = _DAY_S - 1 if match.stop_s is None else match.stop_s
    second = stamp % _DAY_S
    over_midnight = start >= stop
    if (second < start and second > stop) if over_midnight else not start <= second <= stop:
        return "the time of day is outside the period"
    if over_midnight and match.contiguous and second <= stop:
        stamp -= _DAY_S
    day = datetime.fromtimestamp(stamp, UTC)
    if not _is_among(match.week_days, day.isoweekday()):
        return f"the day of the week is {day:%A}"
    if not _is_among(match.month_days, day.day):
        return f"the day of the month is {day.day}"
    return None


def _is_among(days: Test[frozenset[int]] | None, day: int) -> bool:
    return days is None or (day in days.value) is not days.inverted


def explain_time(match: TimeMatch, skb: Skb) -> str:
    """Why `-m time` missed."""
    stamp = int(skb.session.clock_s)
    now = datetime.fromtimestamp(stamp, UTC)
    return f"it is {now:%Y-%m-%d %H:%M:%S} UTC: {time_miss(match, stamp)}"
