"""One iptables command line applied to a ruleset value: what would the kernel hold afterwards?

The command is in the user's spelling, with or without the program's name. What iptables 1.8.9 or the kernel would refuse
raises `InvalidInput` with the reason, except what only a live system knows: whether a set, a helper or a device exists.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from tortie.codec.match_time import LAST_DATE
from tortie.codec.open_table import OpenTable, is_builtin
from tortie.codec.placement import check_rule, check_table, is_native
from tortie.codec.specification import Line, build_specification, read_line
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.match import IntRange, LimitMatch, Match, TcpFlagsTest, Test, TimeMatch
from tortie.netfilter.rule import Counters, Rule, Ruleset
from tortie.netfilter.target import Drop, Jump, Nflog

_TABLES = {table.value: table for table in TableName}
_PROGRAMS = {
    f"{stem}{suffix}": (family, backend)
    for stem, family in (("iptables", IPFamily.V4), ("ip6tables", IPFamily.V6))
    for suffix, backend in (("", None), ("-legacy", Backend.LEGACY), ("-nft", Backend.NFT))
}
_LONGEST_TARGET_NAME = 28
_WITH_RULE = "ACDIR"


def apply_command(ruleset: Ruleset, command: str) -> Ruleset:
    """The ruleset after one command, such as `-t mangle -I FORWARD 1 -s 10.0.0.0/8 -j DROP`.

    A table that does not exist yet is made first, as the tools do. Raises `InvalidInput` when the command would be refused
    or only prints.
    """
    line = read_line(_split_command(ruleset, command), ruleset.family)
    if line.other_family:
        raise InvalidInput(f"the command is not meant for IPv{ruleset.family.value} rules")
    name = _TABLES.get(line.table or "filter")
    if name is None:
        raise InvalidInput(f"unknown table {line.table!r}", remedy=f"tables are {', '.join(_TABLES)}")
    old = ruleset.tables.get(name)
    table = OpenTable.of(old) if old is not None else OpenTable.fresh(name)
    if is_builtin(name, line.chain):
        table.declare_builtin_chains()
    apply_line(table, line, ruleset.backend)
    new = table.close()
    check_table(new, ruleset.family, ruleset.backend)
    return replace(ruleset, tables={**ruleset.tables, name: new})


def _split_command(ruleset: Ruleset, command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"the command's quotes do not match: {error}") from None
    if words and not words[0].startswith(("-", "!")):
        program = words.pop(0).rpartition("/")[2]
        found = _PROGRAMS.get(program)
        if found is None:
            raise InvalidInput(f"not an iptables command: {program!r}", remedy=f"one of {', '.join(_PROGRAMS)}")
        family, backend = found
        if family is not ruleset.family or backend not in (None, ruleset.backend):
            raise InvalidInput(f"{program} does not speak of {ruleset.backend.value} IPv{ruleset.family.value} rules")
    return words


def apply_line(table: OpenTable, line: Line, backend: Backend) -> None:
    """Carries out a line's command on an open table; raises `InvalidInput`."""
    if not line.command:
        raise InvalidInput("no command", remedy="begin with -A, -I, -D, -R, -N, -X, -F, -P or -E")
    if len(line.chain.encode("utf-8", "surrogateescape")) > _LONGEST_TARGET_NAME:
        raise InvalidInput(f"chain name too long: {line.chain!r}")
    if line.command in _WITH_RULE and not (line.command == "D" and line.operands):
        _apply_with_rule(table, line, backend)
        return
    _refuse_rule_parts(line)
    match line.command:
        case "D":
            table.delete_number(line.chain, _rule_number(line.operands[0]))
        case "F":
            table.flush(line.chain)
        case "Z":
            table.zero(line.chain, _rule_number(line.operands[0]) if line.operands else None)
        case "N":
            table.new_chain(line.chain, line.family)
        case "X":
            if line.chain:
                table.delete_chain(line.chain)
            else:
                table.delete_chains()
        case "E":
            table.rename_chain(line.chain, line.operands[0])
        case "P":
            if table.name is TableName.NAT and line.operands[0] == "DROP":
                raise InvalidInput("table nat is not meant for filtering: policy DROP is refused")
            table.set_policy(line.chain, line.operands[0], line.counters)
        case _:
            raise InvalidInput(f"-{line.command} only prints and changes nothing")


def _refuse_rule_parts(line: Line) -> None:
    parts = [*line.header, *("m" for _ in line.matches), *("j" for _ in [line.jump] if line.jump is not None)]
    if parts:
        raise InvalidInput(f"-{parts[0]} does not go with -{line.command}")
    if line.counters is not None and line.command != "P":
        raise InvalidInput(f"-c does not go with -{line.command}")


def _rule_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise InvalidInput(f"not a rule number: {text!r}")
    return int(text)


def _apply_with_rule(table: OpenTable, line: Line, backend: Backend) -> None:
    _check_interfaces(line)
    if line.counters is not None and line.command in "CD":
        raise InvalidInput(f"-c does not go with -{line.command}")
    rules = [_as_kept(rule, backend) for rule in _with_counters(build_specification(line).rules, table)]
    for rule in rules:
        if isinstance(rule.target, Drop) and table.name is TableName.NAT:
            raise InvalidInput("table nat is not meant for filtering: DROP is refused")
        if isinstance(rule.target, Jump) and rule.target.chain not in table.rules:
            raise InvalidInput(f"{rule.target.chain} is neither a chain of {table.name.value} nor a known target")
        check_rule(rule, table.name, line.family, backend)
    match line.command:
        case "A":
            table.append(line.chain, rules)
        case "I":
            table.insert(line.chain, _rule_number(line.operands[0]) if line.operands else 1, rules)
        case "R":
            table.replace_rule(line.chain, _rule_number(line.operands[0]), rules)
        case "D":
            table.delete(line.chain, rules)
        case _:
            if any(rule not in table.chain(line.chain) for rule in rules):
                raise InvalidInput(f"no such rule in chain {line.chain}")


def _as_kept(rule: Rule, backend: Backend) -> Rule:
    """The rule as the back-end keeps it: nft drops tests that look at nothing and the old `--nflog-range`."""
    target = rule.target
    if isinstance(target, Nflog):
        if backend is Backend.NFT:
            target = replace(target, range=None)
        else:
            cut = target.prefix.encode("utf-8", "surrogateescape")[:_LEGACY_NFLOG_PREFIX]
            target = replace(target, prefix=cut.decode("utf-8", "surrogateescape"))
    matches = tuple(_with_last_date(match) for match in rule.matches)
    if backend is Backend.NFT:
        kept = (_as_nft_keeps(match) for match in matches)
        matches = _merged(match for match in kept if match is not None)
    return replace(rule, target=target, matches=matches)


def _with_last_date(match: Match) -> Match:
    """A time match with the date that the tools fill in."""
    return replace(match, date_stop=LAST_DATE) if isinstance(match, TimeMatch) and match.date_stop is None else match


def _as_nft_keeps(match: Match) -> Match | None:
    """The match as nft keeps it: tests that cover everything leave no trace; None when nothing is left (1.8.9)."""
    if isinstance(match, LimitMatch) and match.burst == 0:
        return replace(match, burst=5)
    if not is_native(match):
        return match
    kept = {item.name: _kept_test(getattr(match, item.name)) for item in fields(match)}
    left = type(match)(**kept)
    return None if left == type(match)() != match else left


def _kept_test(test: Test[Any] | None) -> Test[Any] | None:
    """A port or flag test in nft's form: nothing for all ports, and a range from zero turned round instead of inverted."""
    if test is None or not test.inverted:
        return test
    match test.value:
        case IntRange(0, 65535) | TcpFlagsTest(0, 0):
            return None
        case IntRange(0, high) if high > 0:
            return Test(IntRange(high + 1, 65535))
        case _:
            return test


def _merged(matches: Iterable[Match]) -> tuple[Match, ...]:
    """Several tcp or udp matches that do not contradict each other as the one match that nft prints for them.

    Where they do, nft 1.8.9 forgets to print one of them; here both stay.
    """
    found: list[Match] = []
    for match in matches:
        place = next((place for place, earlier in enumerate(found) if _agree(earlier, match)), None)
        if place is None:
            found.append(match)
        else:
            found[place] = replace(found[place], **_given(match))
    return tuple(found)


def _agree(earlier: Match, match: Match) -> bool:
    if type(earlier) is not type(match) or not (is_native(earlier) and is_native(match)):
        return False
    first, second = _given(earlier), _given(match)
    return bool(first and second) and all(first[name] == second[name] for name in first.keys() & second.keys())


def _given(match: Match) -> dict[str, Any]:
    """The tests of a match that are given, by field."""
    return {item.name: value for item in fields(match) if (value := getattr(match, item.name)) is not None}


_LEGACY_NFLOG_PREFIX = 63


def _check_interfaces(line: Line) -> None:
    if line.chain in ("PREROUTING", "INPUT") and "o" in line.header:
        raise InvalidInput(f"-o cannot be used in {line.chain}")
    if line.chain in ("POSTROUTING", "OUTPUT") and "i" in line.header:
        raise InvalidInput(f"-i cannot be used in {line.chain}")


def _with_counters(rules: Sequence[Rule], table: OpenTable) -> list[Rule]:
    """New rules count from zero where the table's rules carry counters."""
    counted = any(rule.counters is not None for held in table.rules.values() for rule in held[:1])
    return [replace(rule, counters=rule.counters or (Counters(0, 0) if counted else None)) for rule in rules]
