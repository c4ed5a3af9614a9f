"""Rates of limit and hashlimit: the kernel keeps a period in fixed point, so the printed rate may differ from the given.

A rate of 7777 a second becomes one unit of a 10000th of a second and prints as `10000/sec`. Sources: the printed form of
iptables 1.8.9 for every rate tried; XT_LIMIT_SCALE 10000 (linux/netfilter/xt_limit.h) and XT_HASHLIMIT_SCALE_v2 1000000
(linux/netfilter/xt_hashlimit.h).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tortie.codec.kind import Kind, read_number
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

_LIMIT_SCALE = 10_000
_HASHLIMIT_SCALE = 1_000_000
_UNITS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_UNIT_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_BYTE_RATE = re.compile(r"(\d+)([km]?)b/s(?:ec(?:ond)?)?", re.ASCII)
_SIZE = re.compile(r"(\d+)([km]?)b", re.ASCII)
_BYTE_UNITS = {"m": 1 << 20, "k": 1 << 10, "": 1}
_BYTE_SHIFT = 4
_BYTE_EXPIRE_MS = 15000


def read_period(text: str, scale: int) -> int:
    """The period between two packets in units of a `scale`th of a second."""
    count_text, slash, unit_text = text.partition("/")
    seconds = _read_unit(unit_text) if slash else 1
    count = int(count_text) if count_text.isascii() and count_text.isdigit() else 0
    if count == 0 or count // seconds > scale:
        raise InvalidInput(f"bad rate: {text!r}", remedy=f"rates run from 1/day to {scale}/sec")
    period = scale * seconds // count
    if not period:
        raise InvalidInput(f"rate too fast: {text!r}")
    return period


def _read_unit(text: str) -> int:
    unit = text.lower()
    for word, seconds in _UNIT_WORDS.items():
        if unit and word.startswith(unit):
            return seconds
    raise InvalidInput(f"unknown unit of time: {text!r}", remedy="write a number and a unit, such as 5/min")


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
    return _write_period(read_period(text, _LIMIT_SCALE), _LIMIT_SCALE)


LIMIT_RATE = Kind(_read_limit, lambda value, _: str(value))
"""`--limit`: held as iptables-save prints it."""


_CREDITS_PER_SECOND = 32_000
"""HZ times the credits of a jiffy: the same for HZ 250 and HZ 1000 (net/netfilter/xt_limit.c)."""
_WORD = 0xFFFFFFFF


def _credits(period: int) -> int:
    if period > _WORD // _CREDITS_PER_SECOND:
        return period // _LIMIT_SCALE * _CREDITS_PER_SECOND & _WORD
    return period * _CREDITS_PER_SECOND // _LIMIT_SCALE


def limit_overflows(rate: str, burst: int) -> bool:
    """True when the legacy back-end refuses: in 32 bits the burst costs less than one packet (net/netfilter/xt_limit.c)."""
    period = read_period(rate, _LIMIT_SCALE)
    return burst == 0 or _credits(period * burst & _WORD) < _credits(period)


@dataclass(frozen=True, slots=True)
class HashRate:
    """A rate of hashlimit: as printed, with the unit it was given in and the one it is printed in."""

    text: str
    unit_ms: int
    printed_unit_ms: int
    bytes: int | None = None
    """Bytes a second as the kernel keeps them; None for a rate in packets."""

    def burst(self, given: str | None) -> str | None:
        """The burst as printed: 5 packets unless given; bytes in whole multiples of the rate, and only if given."""
        if self.bytes is None:
            return "5" if given is None else str(_read_size(given, 1_000_000))
        if given is None:
            return None
        size = _read_size(given, (1 << 64) - 1)
        if size < self.bytes:
            raise InvalidInput(f"hashlimit's burst cannot be smaller than a second's {self.bytes} bytes")
        whole = -(-size // self.bytes) * self.bytes
        letter, unit = next((letter, unit) for letter, unit in _BYTE_UNITS.items() if whole >= unit)
        return f"{whole // unit}{letter}b"


def read_hash_rate(text: str, *, counted: bool) -> HashRate:
    """Reads packets or bytes in a unit of time; raises `InvalidInput`.

    `counted` is hashlimit's rate match, which counts packets in an interval: there the unit is that interval's default.
    """
    found = _BYTE_RATE.fullmatch(text)
    if found is not None:
        cost = _bytes_to_cost(int(found[1]) * _BYTE_UNITS[found[2]])
        size = _cost_to_bytes(cost)
        return HashRate(_write_bytes(size, cost), _BYTE_EXPIRE_MS, _BYTE_EXPIRE_MS, size)
    count, _, unit_text = text.partition("/")
    unit = _read_unit(unit_text) if unit_text else 1
    printed = _write_period(read_period(f"{count}/sec" if counted else text, _HASHLIMIT_SCALE), _HASHLIMIT_SCALE)
    return HashRate(printed, unit * 1000, _UNITS[printed.partition("/")[2]] * 1000)


def _read_size(text: str, highest: int) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        return read_number(text, 1, highest)
    size = int(found[1]) * _BYTE_UNITS[found[2]]
    if not 1 <= size <= highest:
        raise InvalidInput(f"burst out of range: {text!r}")
    return size


def _bytes_to_cost(size: int) -> int:
    cost = 0xFFFFFFFF // ((size >> _BYTE_SHIFT) + 1)
    if size >> _BYTE_SHIFT == 0 or cost == 0:
        raise InvalidInput(f"rate out of range: {size} bytes a second")
    return cost


def _cost_to_bytes(cost: int) -> int:
    return (0xFFFFFFFF // cost - 1) << _BYTE_SHIFT


def _write_bytes(size: int, cost: int) -> str:
    """The rate in the largest unit that keeps the cost."""
    for letter, unit in _BYTE_UNITS.items():
        whole = size & ~(unit - 1) & 0xFFFFFFFF
        if size >= unit and (unit == 1 or _bytes_to_cost(whole) == cost):
            return f"{size // unit}{letter}b/s"
    return f"{size}b/s"
