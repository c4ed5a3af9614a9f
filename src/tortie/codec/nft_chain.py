"""`nft -y list chains`: which base chains of nf_tables see packets beside those of iptables.

Only where chains hang is read, not their rules: enough to say that a packet's fate also depends on something unread.
With `-y` priorities are numbers; without it their names (`filter - 1`) are understood as nft(8) gives them.
"""

from __future__ import annotations

import re

from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS
from tortie.netfilter.snapshot import ForeignChain

_TABLE = re.compile(r"table (\S+) (.+) \{.*")
_CHAIN = re.compile(r"chain (.+) \{.*")
_HOOK = re.compile(r"type (\w+) hook (\w+)(?: devices? (?:= )?(?:\{[^}]*\}|\S+))? priority ([^;]+);(?: policy (\w+);)?.*")
_PRIORITY = re.compile(r"(?:(-?\d+)|(\w+))(?: ([+-]) (\d+))?")
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100, "out": 100}
_BRIDGE_PRIORITIES = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
_OWN = {(table.value, hook.value) for table, hooks in BUILTIN_CHAINS.items() for hook in hooks}


def parse_foreign_chains(text: str, *, source: str | None = None) -> tuple[ForeignChain, ...]:
    """Base chains that are not those of iptables-nft or ip6tables-nft, in order; raises `InvalidInput`."""
    found: list[ForeignChain] = []
    family = table = chain = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped == "}" or stripped.startswith("#"):
            continue
        if (match := _TABLE.fullmatch(stripped)) is not None:
            family, table, chain = match[1], match[2], None
        elif (match := _CHAIN.fullmatch(stripped)) is not None and table is not None:
            chain = match[1]
        elif (match := _HOOK.fullmatch(stripped)) is not None and family is not None and table is not None and chain:
            kind, hook, priority, policy = match.groups()
            if not (family in ("ip", "ip6") and (table, chain) in _OWN):
                number_of = _priority(priority, family)
                if number_of is None:
                    raise InvalidInput(f"not a priority: {priority!r}", source=source, line=number, remedy="use `nft -y`")
                found.append(ForeignChain(family, table, chain, kind, hook, number_of, policy))
        else:
            raise InvalidInput(
                f"no line of `nft list chains`: {stripped[:60]!r}", source=source, line=number, remedy="give what it prints"
            )
    return tuple(found)


def _priority(text: str, family: str) -> int | None:
    match = _PRIORITY.fullmatch(text.strip())
    if match is None or len(text) > 30:
        return None
    number, name, sign, offset = match.groups()
    names = _BRIDGE_PRIORITIES if family == "bridge" else _PRIORITIES
    base = int(number) if number is not None else names.get(name)
    if base is None:
        return None
    return base + (int(offset) if sign == "+" else -int(offset) if sign else 0)
