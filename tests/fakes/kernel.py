"""A kernel as a value: tables of both back-ends and ip sets, changed by the text that the real tools read.

It refuses what the real one refuses where plans could go wrong: rules that name a chain or set that is not there, chains
that are in use or not empty, sets that are in use or of another type, edits at places that do not exist. A restore of a
table is one step; each line of `ipset restore` is one. tests/contract holds it and the real kernel to one suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tortie.codec.command import apply_line
from tortie.codec.ipset import parse_ipsets
from tortie.codec.open_table import OpenTable, is_builtin
from tortie.codec.placement import check_table
from tortie.codec.specification import read_line
from tortie.codec.words import split_words
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.match import SetMatch
from tortie.netfilter.rule import Counters, Ruleset, Table


class Refused(Exception):
    """What a tool says when the kernel does not take its input, and the line it speaks of."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass
class FakeKernel:
    """What the kernel holds; every method changes it as one call of a tool would."""

    rulesets: dict[tuple[IPFamily, Backend], Ruleset] = field(default_factory=dict)
    ip_sets: dict[str, IPSet] = field(default_factory=dict)

    @staticmethod
    def holding(rulesets: Mapping[IPFamily, Ruleset], ip_sets: Mapping[str, IPSet]) -> FakeKernel:
        made = FakeKernel({(one.family, one.backend): one for one in rulesets.values()}, dict(ip_sets))
        made._check_sets()
        return made

    def copy(self) -> FakeKernel:
        return FakeKernel(dict(self.rulesets), dict(self.ip_sets))

    def ruleset(self, family: IPFamily, backend: Backend) -> Ruleset:
        return self.rulesets.get((family, backend), Ruleset(family, backend, {}))

    # --- iptables-restore --noflush ---

    def restore(self, family: IPFamily, backend: Backend, text: str) -> None:
        """All tables of the text one after the other, each whole or not at all."""
        table: OpenTable | None = None
        for number, line in enumerate(text.splitlines(), 1):
            try:
                if line.startswith("*"):
                    table = self._open(family, backend, TableName(line[1:]))
                elif line == "COMMIT":
                    assert table is not None
                    self._commit(family, backend, table.close())
                    table = None
                elif line and not line.startswith("#"):
                    assert table is not None, line
                    self._apply(table, line, family, backend)
            except InvalidInput as error:
                raise Refused(error.message, number) from None
        if table is not None:
            raise Refused("COMMIT expected", len(text.splitlines()) + 1)

    def _open(self, family: IPFamily, backend: Backend, name: TableName) -> OpenTable:
        held = self.ruleset(family, backend).tables.get(name)
        return OpenTable.of(held) if held is not None else OpenTable.fresh(name)

    def _apply(self, table: OpenTable, line: str, family: IPFamily, backend: Backend) -> None:
        if not line.startswith(":"):
            words = split_words(line)
            for option, name in pairwise(words):
                if option == "--match-set" and name not in self.ip_sets:
                    raise InvalidInput(f"Set {name} doesn't exist.")
            apply_line(table, read_line(words, family), backend)
            return
        name, policy, *_ = line[1:].split()
        if is_builtin(table.name, name):
            if policy != "-":
                table.set_policy(name, policy, Counters(0, 0))
        elif name in table.rules:
            table.flush(name)
        else:
            table.new_chain(name, family)

    def _commit(self, family: IPFamily, backend: Backend, table: Table) -> None:
        check_table(table, family, backend)
        self._check_table_sets(table)
        held = self.ruleset(family, backend)
        self.rulesets[family, backend] = replace(held, tables={**held.tables, table.name: table})

    # --- ipset restore ---

    def ipset(self, line: str, number: int = 1) -> None:
        """One line of `ipset restore`."""
        command, name, *rest = line.split()
        if command == "create":
            if name in self.ip_sets:
                raise Refused("Set cannot be created: set with the same name already exists", number)
            self.ip_sets[name] = parse_ipsets(line)[name]
            return
        if name not in self.ip_sets:
            raise Refused("The set with the given name does not exist", number)
        if command == "destroy":
            if name in self.used_sets():
                raise Refused("Set cannot be destroyed: it is in use by a kernel component", number)
            del self.ip_sets[name]
        elif command == "swap":
            self._swap(name, rest[0], number)
        else:
            self._change(command, name, rest, number)

    def _swap(self, name: str, other: str, number: int) -> None:
        one, two = self.ip_sets[name], self.ip_sets[other]
        if one.type != two.type or one.family != two.family:
            raise Refused("The sets cannot be swapped: their type does not match", number)
        self.ip_sets[name], self.ip_sets[other] = replace(two, name=name), replace(one, name=other)

    def _change(self, command: str, name: str, words: list[str], number: int) -> None:
        held = self.ip_sets[name]
        exist = "-exist" in words
        family = f" family inet{'6' if held.family is IPFamily.V6 else ''}"
        entry = parse_ipsets(f"create x {held.type}{family}\nadd x {' '.join(w for w in words if w != '-exist')}")["x"]
        (element,) = entry.entries
        if held.type == "hash:net" and getattr(element.parts[0], "length", 1) == 0:
            raise Refused("The value of the CIDR parameter of the IP address is invalid", number)
        if (element in held.entries) is (command == "add"):
            if not exist:
                raise Refused("Element cannot be added or deleted: it's already so", number)
            return
        if command == "add":
            if len(held.entries) >= int(held.options.get("maxelem") or 65536):
                raise Refused("Hash is full, cannot add more elements", number)
            self.ip_sets[name] = replace(held, entries=(*held.entries, element))
        else:
            self.ip_sets[name] = replace(held, entries=tuple(one for one in held.entries if one != element))

    # --- who names whom ---

    def used_sets(self) -> set[str]:
        return {name for ruleset in self.rulesets.values() for t in ruleset.tables.values() for name in _named_sets(t)}

    def _check_table_sets(self, table: Table) -> None:
        for name in _named_sets(table):
            if name not in self.ip_sets:
                raise InvalidInput(f"Set {name} doesn't exist.")

    def _check_sets(self) -> None:
        for ruleset in self.rulesets.values():
            for table in ruleset.tables.values():
                self._check_table_sets(table)


def _named_sets(table: Table) -> set[str]:
    return {
        match.name
        for chain in table.chains.values()
        for rule in chain.rules
        for match in rule.matches
        if isinstance(match, SetMatch)
    }
