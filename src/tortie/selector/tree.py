"""A selector as a closed tree of values.

A tree keeps what the source said and only that: nesting stays, a set's values are a set, a chain of `!` is one `Not` or
none. `Selector` is the union that every reader exhausts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Relation(Enum):
    """How a label's value is compared with a string; `value` is the operator as the canonical text spells it."""

    EQUAL = "=="
    UNEQUAL = "!="
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"


@dataclass(frozen=True, slots=True)
class All:
    """`all()`: every object."""


@dataclass(frozen=True, slots=True)
class Has:
    """`has(label)`: the label is there, with any value."""

    label: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A label's value against a string; only UNEQUAL holds where the label is absent."""

    label: str
    relation: Relation
    value: str


@dataclass(frozen=True, slots=True)
class Member:
    """`in` and, with `negated`, `not in`; the latter also holds where the label is absent."""

    label: str
    values: frozenset[str]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of its operand."""

    operand: Selector


@dataclass(frozen=True, slots=True)
class And:
    """All operands hold; there are at least two."""

    operands: tuple[Selector, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the operands holds; there are at least two."""

    operands: tuple[Selector, ...]


Selector: TypeAlias = All | Has | Compare | Member | Not | And | Or
