"""Option tables of the matches with chance, history or an environment: limits, lists, quotas, fingerprints.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.6, 9.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tortie.codec.extension import (
    Extension,
    Given,
    Option,
    fill_fields,
    filled_fields,
    format_option,
    make,
    plain,
    whole,
)
from tortie.codec.kind import (
    MASK,
    RAW,
    Kind,
    name_list,
    number,
    read_number,
    words_of,
)
from tortie.codec.match_transport import V4
from tortie.codec.rate import LIMIT_RATE, HashRate, read_hash_rate
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    HashlimitMatch,
    LimitMatch,
    NfacctMatch,
    OsfMatch,
    QuotaMatch,
    RecentMatch,
    Side,
    StatisticMatch,
)

_LIMIT_OPTIONS = (plain("limit", LIMIT_RATE, "rate", always=True), plain("limit-burst", number(0, 10000), "burst"))


def _build_limit(given: Sequence[Given], family: IPFamily) -> LimitMatch:
    return LimitMatch(**{"rate": "3/hour", **filled_fields(given, family)})


_LIMIT = Extension("limit", LimitMatch, _LIMIT_OPTIONS, build=_build_limit)

_HASHLIMIT_MODES = ("srcip", "srcport", "dstip", "dstport")
_HASHLIMIT_RATES = ("hashlimit-upto", "hashlimit-above", "hashlimit")
_HASHLIMIT_REST = (
    plain("hashlimit-mode", name_list({mode: mode for mode in _HASHLIMIT_MODES}), "modes"),
    plain("hashlimit-name", RAW, "name"),
    plain("hashlimit-htable-size", number(), "htable_size"),
    plain("hashlimit-htable-max", number(), "htable_max"),
    plain("hashlimit-htable-gcinterval", number(), "htable_gcinterval"),
    plain("hashlimit-htable-expire", number(), "htable_expire"),
    plain("hashlimit-srcmask", number(0, 128), "source_mask"),
    plain("hashlimit-dstmask", number(0, 128), "destination_mask"),
    plain("hashlimit-rate-match", None, "rate_match"),
    plain("hashlimit-rate-interval", number(1), "rate_interval"),
)


def _build_hashlimit(given: Sequence[Given], family: IPFamily) -> HashlimitMatch:
    filled: dict[str, Any] = {}
    rate: HashRate | None = None
    burst: str | None = None
    counted = any(item.option.name == "hashlimit-rate-match" for item in given)
    for item in given:
        name = item.option.name
        if name in _HASHLIMIT_RATES:
            if rate is not None:
                raise InvalidInput("hashlimit takes one rate")
            rate = read_hash_rate(item.argument, counted=counted)
            filled |= {"rate": rate.text, "above": (name == "hashlimit-above") is not item.inverted}
        elif name == "hashlimit-burst":
            burst = item.argument
        else:
            fill_fields(filled, item, family)
    if rate is None or "name" not in filled:
        raise InvalidInput("hashlimit needs a rate and --hashlimit-name")
    _drop_hashlimit_defaults(filled, rate, family)
    return HashlimitMatch(burst=rate.burst(burst), **filled)


def _drop_hashlimit_defaults(filled: dict[str, Any], rate: HashRate, family: IPFamily) -> None:
    """Leaves out what is not printed: defaults, and an expiry equal to the unit of the printed rate."""
    if filled.setdefault("htable_expire", rate.unit_ms) == rate.printed_unit_ms:
        del filled["htable_expire"]
    for key, default in (("htable_gcinterval", 1000), ("htable_size", 0), ("htable_max", 0)):
        if filled.get(key) == default:
            del filled[key]
    for key in ("source_mask", "destination_mask"):
        if filled.get(key, 0) > family.bits:
            raise InvalidInput(f"hashlimit's masks have up to {family.bits} bits")
        if filled.get(key) == family.bits:
            del filled[key]
    if not filled.get("rate_match"):
        filled.pop("rate_interval", None)
    elif rate.bytes is None:
        filled.setdefault("rate_interval", rate.unit_ms // 1000)
    if filled.get("rate_interval") == 1:
        del filled["rate_interval"]


def _take_apart_hashlimit(value: HashlimitMatch, family: IPFamily) -> Iterable[str | None]:
    yield f"--hashlimit-{'above' if value.above else 'upto'} {value.rate}"
    yield f"--hashlimit-burst {value.burst}" if value.burst is not None else None
    for option in _HASHLIMIT_REST:
        yield format_option(option, value, family, _HASHLIMIT.defaults)


_HASHLIMIT = Extension(
    "hashlimit",
    HashlimitMatch,
    (
        *(whole(name, RAW, "rate") for name in _HASHLIMIT_RATES),
        plain("hashlimit-burst", RAW, "burst"),
        *_HASHLIMIT_REST,
    ),
    build=_build_hashlimit,
    take_apart=_take_apart_hashlimit,
)


def _read_probability(text: str, family: IPFamily) -> int:
    try:
        share = float(text)
    except ValueError:
        raise InvalidInput(f"not a probability: {text!r}") from None
    if not 0 <= share <= 1:
        raise InvalidInput(f"not a probability from 0 to 1: {text!r}")
    return round(share * 0x80000000)


_PROBABILITY = whole("probability", Kind(_read_probability, lambda value, _: f"{value / 0x80000000:.11f}"), "probability")
_EVERY = whole("every", number(1), "every")
_PACKET = plain("packet", number(), "packet")


def _build_statistic(given: Sequence[Given], family: IPFamily) -> StatisticMatch:
    filled: dict[str, object] = {}
    mode = ""
    for item in given:
        if item.option.name == "mode":
            mode = item.argument
        else:
            fill_fields(filled, item, family)
    needed = {"random": {"probability"}, "nth": {"every", "packet"}}.get(mode)
    if needed is None or filled.keys() - {"inverted"} != needed:
        raise InvalidInput("statistic needs --mode random --probability or --mode nth --every --packet")
    if mode == "nth" and int(str(filled["packet"])) >= int(str(filled["every"])):
        raise InvalidInput("statistic's --packet must be below --every")
    return StatisticMatch(**filled)  # type: ignore[arg-type]


def _take_apart_statistic(value: StatisticMatch, family: IPFamily) -> Iterable[str | None]:
    yield "--mode nth" if value.probability is None else "--mode random"
    for option in (_PROBABILITY, _EVERY, _PACKET):
        yield format_option(option, value, family, _STATISTIC.defaults)


_STATISTIC = Extension(
    "statistic",
    StatisticMatch,
    (plain("mode", words_of("random", "nth")), _PROBABILITY, _EVERY, _PACKET),
    build=_build_statistic,
    take_apart=_take_apart_statistic,
)


def _recent_command(name: str) -> Option:
    return whole(name, None, command=name)


_RECENT_SIDES = (plain("rsource", None, side=Side.SRC), plain("rdest", None, side=Side.DST))


def _read_seconds(text: str, family: IPFamily) -> int:
    """Seconds in 32 bits; save prints the upper half of them as negative numbers."""
    return (1 << 32) - read_number(text[1:], 1, 1 << 31) if text.startswith("-") else read_number(text, 1)


_SECONDS = Kind(_read_seconds, lambda value, _: str(value - (1 << 32) if value >> 31 else value))
_RECENT_OPTIONS = (
    *(_recent_command(name) for name in ("set", "rcheck", "update", "remove")),
    plain("seconds", _SECONDS, "seconds"),
    plain("reap", None, "reap"),
    plain("hitcount", number(1), "hitcount"),
    plain("rttl", None, "ttl"),
    plain("name", RAW, "name", always=True),
    plain("mask", MASK, "mask"),
    *_RECENT_SIDES,
)


def _build_recent(given: Sequence[Given], family: IPFamily) -> RecentMatch:
    filled: dict[str, object] = {}
    for item in given:
        if item.option in _RECENT_SIDES:
            filled["side"] = item.option.constants["side"]
        else:
            fill_fields(filled, item, family)
    found: RecentMatch = make(_RECENT, {"mask": family.all_ones, **filled})
    reads = found.command in ("rcheck", "update")
    if not reads and (found.ttl or found.seconds is not None or found.hitcount is not None):
        raise InvalidInput("recent takes --seconds, --hitcount and --rttl only with --rcheck and --update")
    if found.reap and found.seconds is None:
        raise InvalidInput("recent's --reap needs --seconds")
    if not found.name or "/" in found.name:
        raise InvalidInput(f"bad name of a recent list: {found.name!r}")
    return found


_RECENT = Extension("recent", RecentMatch, _RECENT_OPTIONS, build=_build_recent)
_QUOTA = Extension("quota", QuotaMatch, (whole("quota", number(0, (1 << 64) - 1), "quota"),))


# --- environment --------------------------------------------------------------------------------------------------

_NFACCT = Extension("nfacct", NfacctMatch, (plain("nfacct-name", RAW, "name"),))
_OSF = Extension(
    "osf",
    OsfMatch,
    (whole("genre", RAW, "genre"), plain("ttl", number(0, 2), "ttl"), plain("log", number(0, 2), "log")),
    families=V4,
)


HISTORY_MATCHES: tuple[Extension, ...] = (_LIMIT, _HASHLIMIT, _STATISTIC, _RECENT, _QUOTA, _NFACCT, _OSF)
"""Every match with chance, history or environment, but time."""
