"""What iptables-save prints, compared as text: whether a kernel holds just what it should, without reading a rule.

Parsing fifty thousand rules takes longer than writing them. So what is expected is printed as the tool would, and where
the texts are the same nothing needs to be parsed. Where they are not, for whatever reason (another program's rules, an
older tool's order of chains), nothing is concluded: then the text is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tortie.codec.ipset import parse_ipsets
from tortie.codec.rule import RuleWriter
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS
from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.netfilter.rule import Chain, Ruleset, Table

_CHANGING = re.compile(r"^#.*\n|^(:\S+ \S+ )\[\d+:\d+\]$", re.MULTILINE)
_END = "\nCOMMIT\n"
_TABLE = re.compile(r"^\*(\w+)\n.*?^COMMIT\n", re.MULTILINE | re.DOTALL)

_SET = re.compile(r"^create ", re.MULTILINE)
_SAVE = "ipset save"


def steady_text(printed: str) -> str:
    """What iptables-save printed without what changes by itself: comments with the time, counters of chains.

    Both stand in front of a table's first rule, or behind its end.
    """
    parts = printed.split(_END)
    for place, part in enumerate(parts):
        start = part.find("\n-A ")
        head = part if start < 0 else part[: start + 1]
        parts[place] = _CHANGING.sub(lambda found: f"{found[1]}[0:0]" if found[1] else "", head) + part[len(head) :]
    return _END.join(parts)


class Lister:
    """Prints the chains of one family as iptables-save does, each once as long as it is among those that are asked for.

    `writer` may be used for what is written before it is listed; its rules are forgotten when that was done.
    """

    def __init__(self, family: IPFamily) -> None:
        self.writer = RuleWriter(family, whole=True)
        self._chains: dict[int, tuple[Chain, str]] = {}

    def is_listed(self, ruleset: Ruleset, steady: str) -> bool:
        """True when a steady text is what iptables-save prints of the ruleset, its tables in any order."""
        expected = {table.name.value: table for table in ruleset.tables.values()}
        if any(table.opaque is not None for table in expected.values()):
            return False
        try:
            return self._compare(expected, steady)
        finally:
            self.writer.forget_rules()

    def _compare(self, expected: Mapping[str, Table], steady: str) -> bool:
        known, self._chains = self._chains, {}
        end, found = 0, 0
        for listed in _TABLE.finditer(steady):
            if listed.start() != end or listed[1] not in expected:
                return False
            if "".join(self._table(expected[listed[1]], known)) != listed[0]:
                return False
            end, found = listed.end(), found + 1
        return end == len(steady) and found == len(expected)

    def _table(self, table: Table, known: dict[int, tuple[Chain, str]]) -> Iterator[str]:
        """The text of a table in the kernel's order: its own chains, then others by name."""
        builtin = [hook.value for hook in BUILTIN_CHAINS[table.name]]
        others = sorted((name for name in table.chains if name not in builtin), key=_bytes)
        chains = [table.chains[name] for name in (*builtin, *others) if name in table.chains]
        yield f"*{table.name.value}\n"
        for chain in chains:
            yield f":{chain.name} {chain.policy or '-'} [0:0]\n"
        for chain in chains:
            if not chain.rules:
                continue
            held = known.get(id(chain)) or (chain, self._rules(chain))
            self._chains[id(chain)] = held
            yield held[1]
        yield "COMMIT\n"

    def _rules(self, chain: Chain) -> str:
        head, write = f"-A {chain.name} ", self.writer.write
        between = f"\n{head}"
        return f"{head}{between.join([write(rule) for rule in chain.rules])}\n"


class SetReader:
    """Reads `ipset save` again and again, and parses only what is another than last time: sets, and members of them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, IPSet]] = {}

    def read(self, text: str) -> dict[str, IPSet]:
        """All sets; raises `InvalidInput`."""
        if not text.startswith("create "):
            self._known = {}
            return parse_ipsets(text, source=_SAVE)
        found: dict[str, tuple[str, IPSet]] = {}
        for part in _SET.split(text)[1:]:
            name = part[: part.find(" ")]
            known = self._known.get(name)
            if known is None or known[0] != part:
                known = part, _read_set(part, known)
            if name in found:
                raise InvalidInput(f"set {name} is there twice", source=_SAVE)
            found[name] = known
        self._known = found
        return {name: one for name, (_, one) in found.items()}


def _read_set(part: str, known: tuple[str, IPSet] | None) -> IPSet:
    """The set of a text without its first word; members that were in another text of it are the same objects."""
    head, *lines = _lines(part)
    before = {} if known is None else _members_by_line(head, *known)
    if before:
        new = [line for line in lines if line not in before]
        one = _parsed("\n".join((head, *new)))
        if _is_by_line(one, new):
            before.update(zip(new, one.entries, strict=True))
            return replace(one, entries=tuple([before[line] for line in lines]))
    return _parsed(part)


def _members_by_line(head: str, part: str, one: IPSet) -> dict[str, SetEntry]:
    """The members of a set by the lines they were read from; none if it was made in other words, which they depend on."""
    before, *lines = _lines(part)
    return dict(zip(lines, one.entries, strict=True)) if before == head and _is_by_line(one, lines) else {}


def _is_by_line(one: IPSet, lines: Sequence[str]) -> bool:
    """True when each line is a member and the other way round."""
    return one.complete and not one.unread and len(one.entries) == len(lines)


def _lines(part: str) -> list[str]:
    return [line for line in part.split("\n") if line]


def _parsed(part: str) -> IPSet:
    (one,) = parse_ipsets(f"create {part}", source=_SAVE).values()
    return one


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
