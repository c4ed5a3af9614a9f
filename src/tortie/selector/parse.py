"""Selector text to its tree (spec: model 3.1, 3.2).

The scanner works from left to right and knows operator words only directly behind a label, so that the same words can be
labels. Nesting deeper than `DEEPEST` is refused, since no reader of the tree should be brought down by one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tortie.net.error import InvalidInput
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

DEEPEST = 100
"""How many parentheses may be open at once."""

_BLANKS = re.compile(r"[ \t]*")
_LABEL = re.compile(r"[a-zA-Z0-9_./-]{1,512}")
_HAS = re.compile(r"has\([ \t]*([a-zA-Z0-9_./-]{1,512})[ \t]*\)")
_ALL = re.compile(r"all\([ \t]*\)")
_OPERATORS: tuple[tuple[re.Pattern[str], Relation | bool], ...] = (
    (re.compile(r"=="), Relation.EQUAL),
    (re.compile(r"!="), Relation.UNEQUAL),
    (re.compile(r"contains"), Relation.CONTAINS),
    (re.compile(r"starts[ \t]*with"), Relation.STARTS_WITH),
    (re.compile(r"ends[ \t]*with"), Relation.ENDS_WITH),
    (re.compile(r"not[ \t]*in\b"), True),
    (re.compile(r"in\b"), False),
)
"""What may stand behind a label: a relation, or membership with whether it is negated."""


@lru_cache(maxsize=16384)
def parse_selector(text: str) -> Selector:
    """The tree of a selector; an empty or blank text selects everything. Raises `InvalidInput` with the position."""
    scanner = _Scanner(text)
    scanner.skip()
    if scanner.at_end():
        return All()
    tree = _disjunction(scanner)
    if not scanner.at_end():
        raise scanner.error("unexpected text behind the selector")
    return tree


class _Scanner:
    """A place in the text; every `take` moves behind what it took and the blanks after it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0

    def at_end(self) -> bool:
        return self.place == len(self.text)

    def error(self, message: str) -> InvalidInput:
        rest = self.text[self.place : self.place + 20]
        where = f"at {rest!r}" if rest else "at the end"
        return InvalidInput(f"selector {self.text!r}: {message} {where} (character {self.place + 1})")

    def skip(self) -> None:
        found = _BLANKS.match(self.text, self.place)
        assert found is not None
        self.place = found.end()

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.place)
        if found is not None:
            self.place = found.end()
            self.skip()
        return found

    def take_symbol(self, symbol: str) -> bool:
        if not self.text.startswith(symbol, self.place):
            return False
        self.place += len(symbol)
        self.skip()
        return True

    def take_string(self) -> str | None:
        quote = self.text[self.place : self.place + 1]
        if quote not in ('"', "'"):
            return None
        end = self.text.find(quote, self.place + 1)
        if end < 0:
            raise self.error("unterminated string")
        value = self.text[self.place + 1 : end]
        self.place = end + 1
        self.skip()
        return value


def _disjunction(scanner: _Scanner) -> Selector:
    operands = [_conjunction(scanner)]
    while scanner.take_symbol("||"):
        operands.append(_conjunction(scanner))
    return operands[0] if len(operands) == 1 else Or(tuple(operands))


def _conjunction(scanner: _Scanner) -> Selector:
    operands = [_operation(scanner)]
    while scanner.take_symbol("&&"):
        operands.append(_operation(scanner))
    return operands[0] if len(operands) == 1 else And(tuple(operands))


def _operation(scanner: _Scanner) -> Selector:
    negated = False
    while scanner.take_symbol("!"):
        negated = not negated
    tree = _primary(scanner)
    return Not(tree) if negated else tree


def _primary(scanner: _Scanner) -> Selector:
    if scanner.take_symbol("("):
        return _parenthesis(scanner)
    found = scanner.take(_HAS)
    if found is not None:
        return Has(found.group(1))
    if scanner.take(_ALL) is not None:
        return All()
    found = scanner.take(_LABEL)
    if found is None:
        raise scanner.error("expected a label, has(), all(), '!' or '('")
    return _labelled(scanner, found.group())


def _parenthesis(scanner: _Scanner) -> Selector:
    scanner.depth += 1
    if scanner.depth > DEEPEST:
        raise scanner.error(f"more than {DEEPEST} parentheses are open")
    tree = _disjunction(scanner)
    if not scanner.take_symbol(")"):
        raise scanner.error("expected ')'")
    scanner.depth -= 1
    return tree


def _labelled(scanner: _Scanner, label: str) -> Selector:
    for pattern, operator in _OPERATORS:
        if scanner.take(pattern) is None:
            continue
        if isinstance(operator, bool):
            return Member(label, _string_set(scanner), operator)
        value = scanner.take_string()
        if value is None:
            raise scanner.error(f"expected a string after {operator.value!r}")
        return Compare(label, operator, value)
    raise scanner.error(f"expected an operator after label {label!r}")


def _string_set(scanner: _Scanner) -> frozenset[str]:
    if not scanner.take_symbol("{"):
        raise scanner.error("expected '{'")
    values: set[str] = set()
    while not scanner.take_symbol("}"):
        value = scanner.take_string()
        if value is None:
            raise scanner.error("expected a string or '}'")
        values.add(value)
        if not scanner.take_symbol(",") and not scanner.text.startswith("}", scanner.place):
            raise scanner.error("expected ',' or '}'")
    return frozenset(values)
