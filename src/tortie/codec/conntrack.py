"""The connection table as text: `conntrack -L` in all its forms, and /proc/net/nf_conntrack.

One connection a line: protocol name and number, seconds left, state, the original tuple, `[UNREPLIED]`, the reply tuple,
`[ASSURED]`, then `name=value` words in any order. `-o extended` and /proc put `ipv4 2` in front; what other options add
(times, labels, ids) is read where `ConnEntry` has a place for it and skipped where not. A table may have a hundred thousand
lines, so a line is split once and looked at word by word.

Sources: spec netfilter 4.11; ct_seq_show in net/netfilter/nf_conntrack_standalone.c; src/conntrack/snprintf_default.c of
libnetfilter_conntrack; what conntrack 1.4.7 printed (tests/unit/codec/test_conntrack.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.protocol import GRE, ICMP, ICMPV6, PORT_PROTOCOLS, TCP
from tortie.netfilter.conntrack import ConnEntry, ConnTuple

_TIMES = re.compile(r"\[(?:start|stop)=[^]]*\] ?")
_LAYER3 = {"ipv4": "2", "ipv6": "10"}
_OTHER_NAMES = {"LISTEN": "SYN_SENT2"}
"""Older libraries print the name of a state that the kernel no longer has (spec: netfilter 4.5)."""
_REMEDY = "give what `conntrack -L` prints, or /proc/net/nf_conntrack"


def parse_conntrack(text: str, *, source: str | None = None) -> tuple[ConnEntry, ...]:
    """Every connection of a listing, in its order; raises `InvalidInput`."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith(("conntrack v", "#", "nfct_")):
            continue
        try:
            entries.append(_entry(line))
        except InvalidInput as error:
            raise error.at(source=source, line=number) from None
    return tuple(entries)


class _Half(NamedTuple):
    """One tuple's words and where the line goes on behind them."""

    words: dict[str, str]
    zone: int
    packets: int | None
    bytes: int | None
    rest: int


def _entry(line: str) -> ConnEntry:
    words = _TIMES.sub("", line).split() if "[st" in line else line.split()
    if len(words) > 1 and _LAYER3.get(words[0]) == words[1]:
        words = words[2:]
    if len(words) < 4 or not _is_number(words[1]) or int(words[1]) > 255:
        raise InvalidInput(f"a protocol's name and number are wanted, not {line[:60]!r}", remedy=_REMEDY)
    proto = int(words[1])
    tracked = words[0] != "unknown"
    place = 2
    timeout: int | None = None
    if _is_number(words[place]):
        timeout, place = int(words[place]), place + 1
    state: str | None = None
    if "=" not in words[place] and not words[place].startswith("["):
        state, place = words[place], place + 1
    original = _half(words, place)
    seen_reply = True
    place = original.rest
    while place < len(words) and not words[place].startswith("src="):
        seen_reply = seen_reply and words[place] != "[UNREPLIED]"
        place += 1
    reply = _half(words, place)
    tail, flags = _tail(words[reply.rest :])
    zone = _number(tail, "zone")
    offloaded = "[OFFLOAD]" in flags or "[HW_OFFLOAD]" in flags
    return ConnEntry(
        original=_tuple(proto, original.words, tracked),
        reply=_tuple(proto, reply.words, tracked),
        mark=_number(tail, "mark"),
        zone_original=zone or original.zone,
        zone_reply=zone or reply.zone,
        seen_reply=seen_reply,
        assured="[ASSURED]" in flags or offloaded,
        state=_OTHER_NAMES.get(state, state) if state is not None and proto == TCP else state,
        timeout_s=timeout,
        helper=tail.get("helper"),
        packets=None if original.packets is None or reply.packets is None else (original.packets, reply.packets),
        bytes=None if original.bytes is None or reply.bytes is None else (original.bytes, reply.bytes),
        labels=tail.get("labels"),
        use=_number(tail, "use") if "use" in tail else None,
        id=_number(tail, "id") if "id" in tail else None,
        offloaded=offloaded,
    )


def _half(words: list[str], place: int) -> _Half:
    """The words of one tuple: from its `src=` to the first word that cannot belong to it."""
    while place < len(words) and not words[place].startswith("src="):
        place += 1  # /proc prints timeouts of GRE in front of the tuple
    found: dict[str, str] = {}
    while place < len(words):
        name, mark, value = words[place].partition("=")
        if not mark or name not in _TUPLE_WORDS or name in found:
            break
        found[name] = value
        place += 1
    zone = 0
    if "zone-orig" in found or "zone-reply" in found:
        zone = _number(found, "zone-orig") or _number(found, "zone-reply")
    packets = _number(found, "packets") if "packets" in found else None
    octets = _number(found, "bytes") if "bytes" in found else None
    return _Half(found, zone, packets, octets, place)


_TUPLE_WORDS = frozenset(
    {
        "src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey", "zone-orig", "zone-reply", "packets",
        "bytes",
    }
)  # fmt: skip


def _tail(words: list[str]) -> tuple[dict[str, str], set[str]]:
    """The `name=value` words behind both tuples, and the marks in brackets."""
    values: dict[str, str] = {}
    flags: set[str] = set()
    for word in words:
        if word.startswith("["):
            flags.add(word)
            continue
        name, mark, value = word.partition("=")
        if mark:
            values[name] = value
    return values, flags


def _tuple(proto: int, words: dict[str, str], tracked: bool) -> ConnTuple:
    """The tuple of the words; `tracked` is False for a protocol that this kernel only knows by its number."""
    if "src" not in words or "dst" not in words:
        raise InvalidInput("a tuple has src= and dst=", remedy=_REMEDY)
    src, dst = parse_address(words["src"]), parse_address(words["dst"])
    family = src.family
    if family is not dst.family:
        raise InvalidInput(f"a tuple of two families: {src} and {dst}")
    keys = _KEYS.get(proto, ()) if tracked else ()
    if proto == (ICMPV6 if family is IPFamily.V4 else ICMP):
        keys = ()
    if any(key not in words for key in keys):
        raise InvalidInput(f"a tuple of protocol {proto} has {' '.join(f'{key}=' for key in keys)}", remedy=_REMEDY)
    if not keys:
        return ConnTuple(family, proto, src.value, dst.value)
    if proto in (ICMP, ICMPV6):
        target = _number(words, "type", 0xFF) << 8 | _number(words, "code", 0xFF)
        return ConnTuple(family, proto, src.value, dst.value, _number(words, "id", 0xFFFF), target)
    return ConnTuple(family, proto, src.value, dst.value, *[_number(words, key, 0xFFFF) for key in keys])


_KEYS: dict[int, tuple[str, ...]] = dict.fromkeys(PORT_PROTOCOLS, ("sport", "dport")) | {
    ICMP: ("id", "type", "code"),
    ICMPV6: ("id", "type", "code"),
    GRE: ("srckey", "dstkey"),
}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _number(words: dict[str, str], name: str, most: int = 0xFFFFFFFFFFFFFFFF) -> int:
    """The number of a word, 0 when it is absent; GRE keys are hexadecimal."""
    text = words.get(name)
    if text is None:
        return 0
    if text.isdigit() and text.isascii() and len(text) <= 20:
        value = int(text)
    elif _HEXADECIMAL.fullmatch(text) is not None:
        value = int(text, 16)
    else:
        raise InvalidInput(f"{name}= wants a number, not {text[:30]!r}")
    if value > most:
        raise InvalidInput(f"{name}= is at most {most}, not {text}")
    return value


_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")
