"""Ways that stay though the rules that make them change: from one interface, or one mark, to one chain.

A tree of gotos sorts packets to the chain of their endpoint. When an endpoint comes the tree may be cut differently, and
then nearly all of its rules change while nearly every packet ends up where it did. `lasting_ways` finds for which
interfaces and marks two versions of a list of rules lead to the same chain by gotos alone; for those a changed tree is no
change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from tortie.netfilter.match import CommentMatch, InInterfaceMatch, MarkMatch, Match, OutInterfaceMatch
from tortie.netfilter.rule import Rule, Table
from tortie.netfilter.target import Goto

Key: TypeAlias = InInterfaceMatch | OutInterfaceMatch | MarkMatch
"""One interface by its whole name, or one value of some bits of the mark."""


def lasting_ways(old_table: Table, old: Sequence[Rule], new_table: Table, new: Sequence[Rule]) -> tuple[Rule, ...]:
    """A rule for each interface and mark that both lists send to one chain, which both tables have."""
    found = []
    for key in _keys(old_table, old):
        way = _way(old_table, old, key)
        if way is not None and way in new_table.chains and way == _way(new_table, new, key):
            found.append(Rule((key,), Goto(way)))
    return tuple(found)


def _keys(table: Table, rules: Iterable[Rule]) -> Iterator[Key]:
    """Every interface and mark that the rules, or chains they go to, ask for by itself."""
    seen: dict[Key, None] = {}
    todo, visited = list(rules), set()
    while todo:
        rule = todo.pop(0)
        tests = _tests(rule)
        if not isinstance(rule.target, Goto) or len(tests) != 1:
            continue
        if isinstance(tests[0], Key) and _is_whole(tests[0]):
            seen[tests[0]] = None
        elif rule.target.chain in table.chains and rule.target.chain not in visited:
            visited.add(rule.target.chain)
            todo += table.chains[rule.target.chain].rules
    return iter(seen)


def _tests(rule: Rule) -> list[Match]:
    return [match for match in rule.matches if not isinstance(match, CommentMatch)]


def _is_whole(key: Key) -> bool:
    return not key.inverted and (isinstance(key, MarkMatch) or not key.name.endswith("+"))


def _way(table: Table, rules: Sequence[Rule], key: Key) -> str | None:
    """The last chain that a packet of which nothing but the key is known surely goes to."""
    for rule in rules:
        answers = {_answer(test, key) for test in _tests(rule)}
        if False in answers:
            continue
        if None in answers or not isinstance(rule.target, Goto) or rule.target.chain not in table.chains:
            return None
        further = _way(table, table.chains[rule.target.chain].rules, key)
        return rule.target.chain if further is None else further
    return None


def _answer(test: Match, key: Key) -> bool | None:
    """What a test says of a packet with the key; None when it may say either."""
    if isinstance(test, MarkMatch) and isinstance(key, MarkMatch):
        if test.mask != key.mask:
            return None
        return (test.value == key.value) is not test.inverted
    if isinstance(test, InInterfaceMatch) and isinstance(key, InInterfaceMatch):
        return _names(test.name, key.name) is not test.inverted
    if isinstance(test, OutInterfaceMatch) and isinstance(key, OutInterfaceMatch):
        return _names(test.name, key.name) is not test.inverted
    return None


def _names(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def way_rule(way: Rule, comment: str) -> Rule:
    """A way as a rule of ours."""
    return replace(way, matches=(*way.matches, CommentMatch(comment)))
