"""Whether a selector selects an object with these labels (spec: model 3.3).

This is the plain reading, slow and obvious; the index is judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector


def selects(tree: Selector, labels: Mapping[str, str]) -> bool:
    """True when the labels satisfy the selector."""
    match tree:
        case All():
            return True
        case Has(label):
            return label in labels
        case Compare(label, relation, value):
            return _compares(labels.get(label), relation, value)
        case Member(label, values, negated):
            return (labels.get(label) in values) is not negated
        case Not(operand):
            return not selects(operand, labels)
        case And(operands):
            return all(selects(operand, labels) for operand in operands)
        case Or(operands):
            return any(selects(operand, labels) for operand in operands)
        case _:
            assert_never(tree)


def _compares(found: str | None, relation: Relation, value: str) -> bool:
    if found is None:
        return relation is Relation.UNEQUAL
    match relation:
        case Relation.EQUAL:
            return found == value
        case Relation.UNEQUAL:
            return found != value
        case Relation.CONTAINS:
            return value in found
        case Relation.STARTS_WITH:
            return found.startswith(value)
        case Relation.ENDS_WITH:
            return found.endswith(value)
        case _:
            assert_never(relation)
