"""Option tables of the matches on IPv6 extension headers and addresses.

Printed forms and orders were read off iptables 1.8.9 on both back-ends (spec: netfilter 7.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tortie.codec.extension import Extension, Given, fill_fields, filled_fields, plain, test, whole
from tortie.codec.kind import (
    PREFIX,
    RAW,
    Kind,
    number,
    number_range,
    read_host,
    read_number,
)
from tortie.codec.match_transport import V6
from tortie.net.address import IPFamily, format_address
from tortie.net.error import InvalidInput
from tortie.netfilter.match import (
    Eui64Match,
    FragMatch,
    Ipv6headerMatch,
    OptionsMatch,
    RtMatch,
    SrhMatch,
    Test,
)


def _build_frag(given: Sequence[Given], family: IPFamily) -> FragMatch:
    filled = filled_fields(given, family)
    if "more" in filled and "last" in filled:
        raise InvalidInput("frag takes one of --fragmore and --fraglast")
    return FragMatch(**filled)


_FRAG = Extension(
    "frag",
    FragMatch,
    (
        test("fragid", number_range(0xFFFFFFFF, vacuous=True), "id"),
        test("fraglen", number(), "length"),
        plain("fragres", None, "reserved"),
        plain("fragfirst", None, "first"),
        plain("fragmore", None, "more"),
        plain("fraglast", None, "last"),
    ),
    families=V6,
    build=_build_frag,
)


def _read_header_options(text: str, family: IPFamily) -> tuple[tuple[int, int | None], ...]:
    found: list[tuple[int, int | None]] = []
    for part in text.split(","):
        kind, joint, length = part.partition(":")
        size = read_number(length, 0, 255) if joint else None
        option = read_number(kind, 0, 255)
        if option == 0 and joint:
            raise InvalidInput("the option Pad1 has no length")
        found.append((option, None if size == 255 else size))
    if len(found) > 16:
        raise InvalidInput(f"too many header options: {len(found)}, 16 at most")
    return tuple(found)


def _write_header_options(value: tuple[tuple[int, int | None], ...], family: IPFamily) -> str:
    return ",".join(str(kind) if length is None else f"{kind}:{length}" for kind, length in value)


def _options_extension(name: str) -> Extension:
    return Extension(
        name,
        OptionsMatch,
        (
            test(f"{name}-len", number(), "length"),
            plain(f"{name}-opts", Kind(_read_header_options, _write_header_options), "options"),
        ),
        families=V6,
        constants={"header": name},
    )


def _read_addresses(text: str, family: IPFamily) -> tuple[int, ...]:
    return tuple(read_host(part, family) for part in text.split(","))


_ADDRESSES = Kind(_read_addresses, lambda value, family: ",".join(format_address(family, item) for item in value))


def _build_rt(given: Sequence[Given], family: IPFamily) -> RtMatch:
    filled: dict[str, Any] = {}
    for item in given:
        if item.option.name.startswith("rt-0-") and filled.get("type") != Test(0):
            raise InvalidInput(f"rt takes --{item.option.name} only behind --rt-type 0")
        fill_fields(filled, item, family)
        if item.option.name == "rt-0-not-strict" and "addresses" not in filled:
            raise InvalidInput("rt takes --rt-0-not-strict only behind --rt-0-addrs")
    return RtMatch(**filled)


_RT = Extension(
    "rt",
    RtMatch,
    (
        test("rt-type", number(), "type"),
        test("rt-segsleft", number_range(0xFFFFFFFF, vacuous=True), "segments_left"),
        test("rt-len", number(), "length"),
        plain("rt-0-res", None, "reserved"),
        plain("rt-0-addrs", _ADDRESSES, "addresses"),
        plain("rt-0-not-strict", None, "not_strict"),
    ),
    families=V6,
    build=_build_rt,
)

_HEADER_NAMES = {
    "hop": "hop-by-hop", "dst": "ipv6-opts", "route": "ipv6-route", "frag": "ipv6-frag", "auth": "ah", "esp": "esp",
    "none": "ipv6-nonxt", "prot": "protocol",
}  # fmt: skip
_HEADER_NUMBERS = {
    "0": "hop-by-hop", "43": "ipv6-route", "44": "ipv6-frag", "50": "esp", "51": "ah", "59": "ipv6-nonxt",
    "60": "ipv6-opts", "255": "protocol",
}  # fmt: skip
_HEADERS = ("hop-by-hop", "ipv6-opts", "ipv6-route", "ipv6-frag", "ah", "esp", "ipv6-nonxt", "protocol")


def _read_headers(text: str, family: IPFamily) -> tuple[str, ...]:
    found = set()
    for part in text.split(","):
        name = _HEADER_NAMES.get(part) or _HEADER_NUMBERS.get(part) or part
        if name not in _HEADERS:
            raise InvalidInput(f"unknown IPv6 header: {part!r}")
        found.add(name)
    return tuple(name for name in _HEADERS if name in found)


_IPV6HEADER = Extension(
    "ipv6header",
    Ipv6headerMatch,
    (whole("header", Kind(_read_headers, lambda value, _: ",".join(value)), "headers"), plain("soft", None, "soft")),
    families=V6,
)
_EUI64 = Extension("eui64", Eui64Match, families=V6)

_SRH_STEMS = ("srh-hdr-len", "srh-segs-left", "srh-last-entry")
_SRH_NUMBERS = tuple(f"{stem}-{compare}" for stem in _SRH_STEMS for compare in ("eq", "gt", "lt"))
_SRH_NETS = ("srh-psid", "srh-nsid", "srh-lsid")
_SRH_NAMES = ("srh-next-hdr", *_SRH_NUMBERS, "srh-tag", *_SRH_NETS)


def _build_srh(given: Sequence[Given], family: IPFamily) -> SrhMatch:
    found: dict[str, tuple[str, str, bool]] = {}
    for item in given:
        name, text = item.option.name, item.argument
        if name in _SRH_NETS:
            text = PREFIX.write(PREFIX.read(text, family), family)
        elif name == "srh-next-hdr":
            text = str(read_number(text, 0, 255))
        else:
            text = str(read_number(text, 0, 65535 if name == "srh-tag" else 255))
        found[name] = (name, text, item.inverted)
    for stem in _SRH_STEMS:
        if len({found[name][1] for name in found if name.startswith(stem)}) > 1:
            raise InvalidInput(f"srh keeps one number for all --{stem} tests")
    return SrhMatch(tuple(found[name] for name in _SRH_NAMES if name in found))


def _take_apart_srh(value: SrhMatch, family: IPFamily) -> Iterable[str | None]:
    for name, text, inverted in value.options:
        yield f"{'! ' if inverted else ''}--{name} {text}"


_SRH = Extension(
    "srh",
    SrhMatch,
    tuple(test(name, RAW, "options") for name in _SRH_NAMES),
    families=V6,
    build=_build_srh,
    take_apart=_take_apart_srh,
)


IPV6_MATCHES: tuple[Extension, ...] = (
    _FRAG, _options_extension("hbh"), _options_extension("dst"), _RT, _IPV6HEADER, _EUI64, _SRH,
)  # fmt: skip
"""Every match that only IPv6 has, but hl and icmp6."""
