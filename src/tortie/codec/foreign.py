"""What a text is when it is not iptables-save's: told from its first lines, so that the error can name it."""

from __future__ import annotations

import re

from tortie.net.error import InvalidInput

SAVE_REMEDY = "give the output of iptables-save"
"""What to do about a text of another kind."""

_OWN_FILE = "ip sets belong in a file of their own"
_KINDS: tuple[tuple[str, str, str], ...] = (
    (r"table (ip|ip6|inet|arp|bridge|netdev) |#!/usr/sbin/nft|(add|flush) (table|ruleset)", "an nft listing", SAVE_REMEDY),
    (r"(create|add) \S+ |Name: \S", "an ipset listing", _OWN_FILE),
    (r"Chain \S+ \(", "the output of iptables -L, which leaves out parts of rules", SAVE_REMEDY),
    (r"\s*[\[{]\s*([\"{\]}]|$)", "JSON", SAVE_REMEDY),
    (r"\s*<", "XML or HTML", SAVE_REMEDY),
    (r"(default|(local|broadcast) [0-9a-f.:]+|[0-9a-f.:]+/\d+) (via|dev) ", "a routing table", SAVE_REMEDY),
    (r"(tcp|udp|icmp|ipv4|ipv6) +\d+ ", "a conntrack listing", SAVE_REMEDY),
    (r"\*broute|:BROUTING\b|Bridge (table|chain):", "an ebtables listing", SAVE_REMEDY),
    (r"iptables|ip6tables|sudo |-?bash:|\S+: command not found", "a shell script or its messages", SAVE_REMEDY),
)  # fmt: skip
_COMPRESSED = {"\x1f\udc8b": "gzip", "\udcfd7zXZ": "xz", "BZh": "bzip2", "(\udcb5/\udcfd": "zstd"}
"""How compressed files begin when their bytes are read as UTF-8 with surrogate escapes."""
_LOOKED_AT = 4096


def refuse_foreign(text: str, source: str | None) -> None:
    """Raises `InvalidInput` when the text is binary, compressed or the output of another tool."""
    for head, what in _COMPRESSED.items():
        if text.startswith(head):
            raise InvalidInput(f"this file is compressed ({what})", source=source, remedy="unpack it first")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput("this is no text: it holds zero bytes", source=source, line=line, remedy=SAVE_REMEDY)
    for place, row in enumerate(text[:_LOOKED_AT].split("\n"), 1):
        if not row.strip() or (row.startswith("#") and not row.startswith("#!")):
            continue
        for pattern, what, remedy in _KINDS:
            if re.match(pattern, row):
                message = f"this is {what}, not iptables-save's output"
                raise InvalidInput(message, source=source, line=place, remedy=remedy)
        return
