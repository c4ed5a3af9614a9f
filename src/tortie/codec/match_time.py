"""The option table of the time match: seconds of the day, Unix times, days of month and week.

The kernel keeps days as bit sets, so an inverted list prints as the remaining days. iptables 1.8.9 prints the default
`--datestop` always (spec: netfilter 9.5), others never: a value keeps whether it was there, and `command` adds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tortie.codec.extension import Extension, Given, plain, test, unprinted
from tortie.codec.kind import RAW
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import Test, TimeMatch

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?")
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:T(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?)?)?)?")
_LAST_SECOND_OF_DAY = 86399
LAST_DATE = 0x7FFFFFFF
"""The default of `--datestop`, 2038-01-19."""


def _read_clock(text: str) -> int:
    found = _CLOCK.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (99, 0, 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise InvalidInput(f"not a time of day: {text!r}", remedy="write hh:mm or hh:mm:ss")
    return hours * 3600 + minutes * 60 + seconds


def _write_clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _read_date(text: str) -> int:
    found = _DATE.fullmatch(text)
    if found is not None:
        year, month, day, hour, minute, second = (int(part) if part else None for part in found.groups())
        try:
            moment = datetime(year or 1970, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
        except ValueError:
            found = None
        else:
            stamp = int(moment.timestamp())
            if 0 <= stamp <= LAST_DATE:
                return stamp
    raise InvalidInput(f"not a date from 1970 to 2038: {text!r}", remedy="write YYYY-MM-DDThh:mm:ss")


def _write_date(stamp: int) -> str:
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _read_weekday(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 7:
        return int(text)
    for number, name in enumerate(_WEEKDAYS, 1):
        if text[:2] == name[:2]:
            return number
    raise InvalidInput(f"not a day of the week: {text!r}")


def _read_month_day(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 31:
        return int(text)
    raise InvalidInput(f"not a day of the month: {text!r}")


def _days(item: Given, count: int) -> Test[frozenset[int]] | None:
    read = _read_weekday if count == 7 else _read_month_day
    days = frozenset(read(part) for part in item.argument.rstrip(",").split(","))
    if item.inverted:
        days = frozenset(range(1, count + 1)) - days
    return None if len(days) == count else Test(days)


def _build_time(given: Sequence[Given], family: IPFamily) -> TimeMatch:
    filled: dict[str, Any] = {}
    for item in given:
        name, argument = item.option.name, item.argument
        if name in ("timestart", "timestop"):
            filled["start_s" if name == "timestart" else "stop_s"] = _read_clock(argument)
        elif name in ("datestart", "datestop"):
            filled["date_start" if name == "datestart" else "date_stop"] = _read_date(argument)
            filled["date_start"] = filled.get("date_start") or None
        elif name == "monthdays":
            filled["month_days"] = _days(item, 31)
        elif name == "weekdays":
            filled["week_days"] = _days(item, 7)
        elif name == "contiguous":
            filled["contiguous"] = True
        elif name in ("kerneltz", "localtz"):
            filled["kernel_timezone"] = True
    start, stop = filled.get("start_s") or 0, filled.get("stop_s")
    if start or stop not in (None, _LAST_SECOND_OF_DAY):
        filled |= {"start_s": start, "stop_s": _LAST_SECOND_OF_DAY if stop is None else stop}
    else:
        filled |= {"start_s": None, "stop_s": None}
    if filled.get("contiguous") and (stop is None or stop >= start):
        raise InvalidInput("time takes --contiguous only when it stops earlier in the day than it starts")
    return TimeMatch(**filled)


def _take_apart_time(value: TimeMatch, family: IPFamily) -> Iterable[str | None]:
    if value.start_s is not None or value.stop_s is not None:
        stop = _LAST_SECOND_OF_DAY if value.stop_s is None else value.stop_s
        yield f"--timestart {_write_clock(value.start_s or 0)} --timestop {_write_clock(stop)}"
    yield _write_days("monthdays", value.month_days, tuple(map(str, range(1, 32))))
    yield _write_days("weekdays", value.week_days, _WEEKDAYS)
    yield f"--datestart {_write_date(value.date_start)}" if value.date_start else None
    yield f"--datestop {_write_date(value.date_stop)}" if value.date_stop else None
    yield "--kerneltz" if value.kernel_timezone else None
    yield "--contiguous" if value.contiguous else None


def _write_days(option: str, days: Test[frozenset[int]] | None, names: Sequence[str]) -> str | None:
    if days is None:
        return None
    listed = ",".join(name for number, name in enumerate(names, 1) if number in days.value)
    return f"{'! ' if days.inverted else ''}--{option} {listed}"


_OPTIONS = (
    plain("timestart", RAW, "start_s"),
    plain("timestop", RAW, "stop_s"),
    test("monthdays", RAW, "month_days"),
    test("weekdays", RAW, "week_days"),
    plain("datestart", RAW, "date_start"),
    plain("datestop", RAW, "date_stop"),
    plain("kerneltz", None, "kernel_timezone"),
    plain("contiguous", None, "contiguous"),
    *unprinted(plain("", None, "kernel_timezone"), "localtz"),
    *unprinted(plain("", None), "utc"),
)
TIME = Extension("time", TimeMatch, _OPTIONS, build=_build_time, take_apart=_take_apart_time)
"""The time match."""
