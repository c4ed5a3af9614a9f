"""A selector as one function of labels, for asking it many times; `evaluate.selects` judges it.

Each node of the tree becomes a closure over what it compares with, so that nothing is looked up twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias, assert_never

from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

Predicate: TypeAlias = Callable[[Mapping[str, str]], bool]
"""True for labels that satisfy a selector."""


@lru_cache(maxsize=65536)
def compile_selector(tree: Selector) -> Predicate:
    """The selector as a function that says what `selects` says."""
    match tree:
        case All():
            return lambda labels: True
        case Has(label):
            return lambda labels: label in labels
        case Compare():
            return _comparison(tree)
        case Member(label, values, negated):
            if negated:
                return lambda labels: labels.get(label) not in values
            return lambda labels: labels.get(label) in values
        case Not(operand):
            inner = compile_selector(operand)
            return lambda labels: not inner(labels)
        case And(operands):
            return _conjunction(tuple(map(compile_selector, operands)))
        case Or(operands):
            return _disjunction(tuple(map(compile_selector, operands)))
        case _:
            assert_never(tree)


def _comparison(tree: Compare) -> Predicate:
    label, value = tree.label, tree.value
    match tree.relation:
        case Relation.EQUAL:
            return lambda labels: labels.get(label) == value
        case Relation.UNEQUAL:
            return lambda labels: labels.get(label) != value
        case Relation.CONTAINS:
            return lambda labels: label in labels and value in labels[label]
        case Relation.STARTS_WITH:
            return lambda labels: label in labels and labels[label].startswith(value)
        case Relation.ENDS_WITH:
            return lambda labels: label in labels and labels[label].endswith(value)
        case _:
            assert_never(tree.relation)


def _conjunction(operands: tuple[Predicate, ...]) -> Predicate:
    if len(operands) == 2:
        first, second = operands
        return lambda labels: first(labels) and second(labels)
    return lambda labels: all(operand(labels) for operand in operands)


def _disjunction(operands: tuple[Predicate, ...]) -> Predicate:
    if len(operands) == 2:
        first, second = operands
        return lambda labels: first(labels) or second(labels)
    return lambda labels: any(operand(labels) for operand in operands)
