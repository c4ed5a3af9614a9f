"""Rates as the kernel keeps them and iptables-save prints them."""

from __future__ import annotations

import pytest

from tortie.codec.rate import LIMIT_RATE, limit_overflows, read_hash_rate
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

LIMITS = [
    ("5/s", "5/sec"), ("5", "5/sec"), ("5/m", "5/min"), ("3/hour", "3/hour"), ("7/d", "7/day"), ("60/min", "1/sec"),
    ("61/min", "61/min"), ("120/min", "2/sec"), ("7777/sec", "10000/sec"), ("1000/day", "1000/day"), ("24/day", "1/hour"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "printed"), LIMITS, ids=[given for given, _ in LIMITS])
def test_limits_are_printed_in_the_unit_the_tools_choose(given: str, printed: str) -> None:
    assert LIMIT_RATE.read(given, IPFamily.V4) == printed


@pytest.mark.parametrize("given", ["0/s", "5/x", "5/", "a/s", "", "10001/sec", "-5/s", "5/seconds"])
def test_rates_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(InvalidInput):
        LIMIT_RATE.read(given, IPFamily.V4)


def test_a_burst_whose_cost_does_not_fit_is_an_overflow() -> None:
    assert limit_overflows("1/day", 5)
    assert not limit_overflows("1/day", 3)
    assert limit_overflows("40/day", 460)
    assert not limit_overflows("40/day", 62)
    assert limit_overflows("5/sec", 0)


BYTE_RATES = [
    ("512kb/s", "512kb/s"), ("100b/s", "96b/s"), ("1600b/s", "1600b/s"), ("123456kb/s", "123589kb/s"),
    ("5000mb/s", "5286113568b/s"), ("1mb/s", "1mb/s"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "printed"), BYTE_RATES, ids=[given for given, _ in BYTE_RATES])
def test_byte_rates_are_rounded_as_the_kernel_keeps_them(given: str, printed: str) -> None:
    assert read_hash_rate(given, counted=False).text == printed


BURSTS = [
    ("512kb/s", None, None), ("512kb/s", "512kb", "512kb"), ("512kb/s", "513kb", "1mb"), ("100kb/s", "250kb", "300kb"),
    ("1600b/s", "5kb", "6kb"), ("5/sec", None, "5"), ("5/sec", "10kb", "10240"),
]  # fmt: skip


@pytest.mark.parametrize(("rate", "given", "printed"), BURSTS, ids=[f"{rate} {given}" for rate, given, _ in BURSTS])
def test_bursts_are_whole_multiples_of_a_byte_rate(rate: str, given: str | None, printed: str | None) -> None:
    assert read_hash_rate(rate, counted=False).burst(given) == printed


def test_a_counted_rate_keeps_its_number_and_turns_its_unit_into_an_interval() -> None:
    found = read_hash_rate("120/min", counted=True)
    assert (found.text, found.unit_ms, found.printed_unit_ms) == ("120/sec", 60000, 1000)
