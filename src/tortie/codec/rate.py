"""Rates of limit and hashlimit: the kernel keeps a period in fixed point, so the printed rate may differ from the given.

A rate of 7777 a second becomes one unit of a 10000th of a second and prints as `10000/sec`. Sources: the printed form of
iptables 1.8.9 for every rate tried; XT_LIMIT_SCALE 10000 (linux/netfilter/xt_limit.h) and XT_HASHLIMIT_SCALE_v2 1000000
(linux/netfilter/xt_hashlimit.h).
"""

from __future__ import annotations

import re

from tortie.codec.kind import Kind, read_number
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

_LIMIT_SCALE = 10_000
_HASHLIMIT_SCALE = 1_000_000
_UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_UNIT_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_BYTES = re.compile(r"(\d+)([km]?)b(?:/s(?:ec(?:ond)?)?)?", re.IGNORECASE)
_BYTE_UNITS = {"m": 1 << 20, "k": 1 << 10, "": 1}
_BYTE_SHIFT = 4


def _read_period(text: str, scale: int) -> int:
    """The period between two packets in units of a `scale`th of a second."""
    count_text, slash, unit_text = text.partition("/")
    seconds = 1
    if slash:
        unit = unit_text.lower()
        found = [value for word, value in _UNIT_WORDS.items() if unit and word.startswith(unit)]
        if not found:
            raise InvalidInput(f"bad rate: {text!r}", remedy="write a number and a unit, such as 5/min")
        seconds = found[0]
    count = read_number(count_text, 1) if not count_text.startswith("0") else 0
    if count == 0 or count // seconds > scale:
        raise InvalidInput(f"bad rate: {text!r}", remedy=f"rates run from 1/day to {scale}/sec")
    period = scale * seconds // count
    if not period:
        raise InvalidInput(f"rate too fast: {text!r}")
    return period


def _write_period(period: int, scale: int) -> str:
    names = list(_UNITS)
    chosen = names[0]
    for name in names[1:]:
        whole = _UNITS[name] * scale
        if period > whole or whole // period < whole % period:
            break
        chosen = name
    return f"{_UNITS[chosen] * scale // period}/{chosen}"


def _read_limit(text: str, family: IPFamily) -> str:
    return _write_period(_read_period(text, _LIMIT_SCALE), _LIMIT_SCALE)


LIMIT_RATE = Kind(_read_limit, lambda value, _: str(value))
"""`--limit`: held as iptables-save prints it."""


def _read_hashlimit(text: str, family: IPFamily) -> str:
    found = _BYTES.fullmatch(text)
    if found is None:
        return _write_period(_read_period(text, _HASHLIMIT_SCALE), _HASHLIMIT_SCALE)
    size = int(found[1]) * _BYTE_UNITS[found[2].lower()]
    return f"{_write_bytes(size >> _BYTE_SHIFT << _BYTE_SHIFT)}/s"


def _write_bytes(size: int) -> str:
    for letter, unit in _BYTE_UNITS.items():
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}b"
    return f"{size}b"


HASHLIMIT_KIND = Kind(_read_hashlimit, lambda value, _: str(value))
"""`--hashlimit-upto` and `--hashlimit-above`: packets or bytes in a unit of time, held as printed."""


def hashlimit_burst(rate: str, given: object) -> str | None:
    """The burst as printed: 5 packets unless given; for rates in bytes only what was given."""
    if rate.endswith("b/s"):
        return None if given is None else str(given)
    return str(read_number(str(given), 1)) if given is not None else "5"
