"""Option tables of the targets that have no effect on a packet's path; their values are the words as printed.

Printed forms were read off iptables 1.8.9; those of LED and CLUSTERIP, which the tested kernel lacks, from its help texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from tortie.codec.extension import Extension, Given, Option, plain
from tortie.codec.kind import PREFIX, RAW, STRING, Kind, number, read_number, words_of
from tortie.codec.match_transport import V4, V6
from tortie.net.address import AddressMask, IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.target import PlainTarget

Texts = dict[str, str]
"""Arguments by option name, as printed; empty for a flag."""


def _extension(
    name: str,
    *options: Option,
    families: tuple[IPFamily, ...] = (*V4, *V6),
    needs: tuple[str, ...] = (),
    one_of: tuple[str, ...] = (),
) -> Extension:
    """A target kept as its words; `needs` must all be given, of `one_of` exactly one."""

    def build(given: Sequence[Given], family: IPFamily) -> PlainTarget:
        return _build(name, options, given, family, needs, one_of)

    return Extension(name, PlainTarget, options, families, build=build, take_apart=_take_apart)


def _build(
    name: str,
    options: Sequence[Option],
    given: Sequence[Given],
    family: IPFamily,
    needs: tuple[str, ...],
    one_of: tuple[str, ...],
) -> PlainTarget:
    texts: Texts = {}
    for item in given:
        kind = item.option.kind
        texts[item.option.name] = kind.write(kind.read(item.argument, family), family) if kind else ""
    missing = [option for option in needs if option not in texts]
    if missing:
        raise InvalidInput(f"{name} needs --{missing[0]}")
    if one_of and sum(option in texts for option in one_of) != 1:
        raise InvalidInput(f"{name} needs one of {', '.join(f'--{option}' for option in one_of)}")
    if name == "HMARK":
        texts = _settle_hmark(texts, family)
    elif name == "RATEEST":
        texts = _settle_rateest(texts)
    words = [
        word for option in options if option.name in texts for word in (f"--{option.name}", texts[option.name]) if word
    ]
    return PlainTarget(name, tuple(words))


def _take_apart(value: PlainTarget, family: IPFamily) -> Iterable[str | None]:
    return value.words


# --- HMARK --------------------------------------------------------------------------------------------------------


def _read_prefix_length(text: str, family: IPFamily) -> int:
    """A prefix length; those of IPv4 are cut to 32 bits, in IPv6 too long ones are refused."""
    return min(read_number(text), 32) if family is IPFamily.V4 else read_number(text, 0, 128)


_PREFIX_LENGTH = Kind(_read_prefix_length, lambda value, _: str(value))
_PORT_MASK = number(0, 0xFFFF, "#06x")
_WIDE_MASK = number(form="#010x")
_HMARK_TUPLE: dict[str, tuple[str, str]] = {
    "src": ("hmark-src-prefix", ""),
    "dst": ("hmark-dst-prefix", ""),
    "sport": ("hmark-sport-mask", "0xffff"),
    "dport": ("hmark-dport-mask", "0xffff"),
    "spi": ("hmark-spi-mask", "0xffffffff"),
    "proto": ("hmark-proto-mask", "0xffff"),
}
"""What each word of `--hmark-tuple` stands for; the prefixes are as long as an address."""
_HMARK_PORTS = ("hmark-sport-mask", "hmark-dport-mask", "hmark-sport", "hmark-dport")
_HMARK_SPIS = ("hmark-spi-mask", "hmark-spi")


def _settle_hmark(texts: Texts, family: IPFamily) -> Texts:
    settled = dict(texts)
    words = settled.pop("hmark-tuple", "").split(",") if "hmark-tuple" in settled else []
    for word in words:
        if word == "ct":
            settled["hmark-tuple"] = "ct"
            continue
        option, text = _HMARK_TUPLE.get(word, ("", ""))
        if not option or option in settled:
            raise InvalidInput(f"HMARK's --hmark-tuple cannot take {word!r} here")
        settled[option] = text or str(family.bits)
    hashed = settled.keys() - {"hmark-rnd", "hmark-mod", "hmark-offset"}
    if not hashed or (hashed & set(_HMARK_PORTS) and hashed & set(_HMARK_SPIS)):
        raise InvalidInput("HMARK needs something to hash, and not both ports and SPI")
    return settled


# --- RATEEST ------------------------------------------------------------------------------------------------------

_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|sec|secs|ms|msec|msecs|us|usec|usecs)?", re.ASCII)
_SECONDS = {"s": 1.0, "m": 1e-3, "u": 1e-6}
_SHORTEST_INTERVAL_S = 0.25
_LONGEST_INTERVAL_S = 8.0


def _read_seconds(text: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidInput(f"not a time: {text!r}", remedy="write a number with s, ms or us")
    return float(found[1]) * (_SECONDS[found[2][0]] if found[2] else 1e-6)


def _write_seconds(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1000:.1f}ms"


def _settle_rateest(texts: Texts) -> Texts:
    """The interval rounded up to a power of two, the averaging time to what a shift of the interval gives."""
    wanted = _read_seconds(texts["rateest-interval"])
    interval = _SHORTEST_INTERVAL_S
    while interval < wanted:
        interval *= 2
    if interval > _LONGEST_INTERVAL_S:
        raise InvalidInput("RATEEST's interval is too long")
    average = _read_seconds(texts["rateest-ewmalog"])
    shift = 0
    while shift < 31 and interval / -math.log(1 - 1 / (1 << (shift + 1))) <= average:
        shift += 1
    if not 1 <= shift < 31:
        raise InvalidInput("RATEEST's averaging time is out of range")
    return {
        **texts,
        "rateest-interval": _write_seconds(interval),
        "rateest-ewmalog": _write_seconds(interval * (1 << shift)),
    }


# --- all of them --------------------------------------------------------------------------------------------------


def _read_translated(text: str, family: IPFamily) -> AddressMask:
    found: AddressMask = PREFIX.read(text, family)
    length = found.prefix_length
    if found.value & ~found.mask or length is None or length > 64:
        raise InvalidInput(f"not a prefix of up to 64 bits: {text!r}")
    return found


_LONGEST_TIMEOUT_S = 0x7FFFFFFF // 1000 - 1
_TRANSLATED = Kind(_read_translated, PREFIX.write)
PLAIN_TARGETS: tuple[Extension, ...] = (
    _extension(
        "HMARK",
        plain("hmark-src-prefix", _PREFIX_LENGTH),
        plain("hmark-dst-prefix", _PREFIX_LENGTH),
        plain("hmark-sport-mask", _PORT_MASK),
        plain("hmark-dport-mask", _PORT_MASK),
        plain("hmark-spi-mask", _WIDE_MASK),
        plain("hmark-sport", _PORT_MASK),
        plain("hmark-dport", _PORT_MASK),
        plain("hmark-spi", _WIDE_MASK),
        plain("hmark-proto-mask", number(0, 0xFFFF, "#04x")),
        plain("hmark-rnd", _WIDE_MASK),
        plain("hmark-mod", number(1)),
        plain("hmark-offset", number()),
        plain("hmark-tuple", RAW),
        needs=("hmark-rnd", "hmark-mod"),
    ),
    _extension(
        "IDLETIMER",
        plain("timeout", number(1, _LONGEST_TIMEOUT_S)),
        plain("label", RAW),
        plain("alarm", None),
        needs=("timeout", "label"),
    ),
    _extension(
        "LED",
        plain("led-trigger-id", STRING),
        plain("led-delay", RAW),
        plain("led-always-blink", None),
        needs=("led-trigger-id",),
    ),
    _extension(
        "RATEEST",
        plain("rateest-name", RAW),
        plain("rateest-interval", RAW),
        plain("rateest-ewmalog", RAW),
        needs=("rateest-name", "rateest-interval", "rateest-ewmalog"),
    ),
    _extension("SECMARK", plain("selctx", RAW), needs=("selctx",)),
    _extension("CONNSECMARK", plain("save", None), plain("restore", None), one_of=("save", "restore")),
    _extension(
        "DNPT", plain("src-pfx", _TRANSLATED), plain("dst-pfx", _TRANSLATED), families=V6, needs=("src-pfx", "dst-pfx")
    ),
    _extension(
        "SNPT", plain("src-pfx", _TRANSLATED), plain("dst-pfx", _TRANSLATED), families=V6, needs=("src-pfx", "dst-pfx")
    ),
    _extension(
        "CLUSTERIP",
        plain("new", None),
        plain("hashmode", words_of("sourceip", "sourceip-sourceport", "sourceip-sourceport-destport")),
        plain("clustermac", RAW),
        plain("total-nodes", number()),
        plain("local-node", RAW),
        plain("hash-init", number()),
        families=V4,
    ),
)
"""Targets that leave the path alone, and the few that Tortie only prints back."""
