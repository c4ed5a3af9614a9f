"""The fewest labels that make a selector select somebody.

A tree is taken apart into ways to make it true or false, each a handful of labels to set or take away; of many only the
smallest are kept. Only an endpoint's own labels can be changed: what a profile hands on can be overridden and not taken
away, and what Calico itself gives cannot be changed at all (spec: model 1.6, 4.1). Every way is tried on the labels before
it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import assert_never

from tortie.model.kubernetes_conversion import NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX
from tortie.model.name import label_problem
from tortie.selector.evaluate import selects
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

Edit = tuple[tuple[str, str | None], ...]
"""Labels with the values they get, None to take one away; sorted by name."""
_GIVEN = ("projectcalico.org/", NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX)
"""In front of labels that are not the user's to set."""
_MOST_WAYS = 24
_SOME_VALUE = "true"


def smallest_edit(tree: Selector, own: Mapping[str, str], inherited: Mapping[str, str]) -> Edit | None:
    """The fewest labels to change so that a selector selects; None when no change of own labels does it."""
    for edit in _ways(tree, True, {**inherited, **own}):
        after = apply_edit(own, edit)
        if _is_possible(edit) and after is not None and selects(tree, {**inherited, **after}):
            return edit
    return None


def apply_edit(own: Mapping[str, str], edit: Edit) -> dict[str, str] | None:
    """The labels after an edit; None when it takes away what is not there."""
    after = dict(own)
    for label, value in edit:
        if value is not None:
            after[label] = value
        elif after.pop(label, None) is None:
            return None
    return after


def describe_edit(edit: Edit) -> str:
    """`label app=api`, `no label app`."""
    return " and ".join(f"no label {label}" if value is None else f"label {label}={value}" for label, value in edit)


def _is_possible(edit: Edit) -> bool:
    given = {label: value for label, value in edit if value is not None}
    return bool(edit) and not any(label.startswith(_GIVEN) for label, _ in edit) and label_problem(given) is None


def _ways(tree: Selector, want: bool, labels: Mapping[str, str]) -> list[Edit]:
    """Ways to make a tree hold, or not hold, smallest first; a part that is as it should be already is left alone."""
    if selects(tree, labels) is want:
        return [()]
    match tree:
        case All():
            return []
        case Has(label):
            return [((label, _SOME_VALUE if want else None),)]
        case Compare(label, relation, value):
            return [((label, value if want is not (relation is Relation.UNEQUAL) else None),)]
        case Member(label, values, negated):
            return [((label, value),) for value in sorted(values)] if want is not negated else [((label, None),)]
        case Not(operand):
            return _ways(operand, not want, labels)
        case And(operands):
            return _all_of(operands, True, labels) if want else _any_of(operands, False, labels)
        case Or(operands):
            return _any_of(operands, True, labels) if want else _all_of(operands, False, labels)
        case _:
            assert_never(tree)


def _any_of(operands: Iterable[Selector], want: bool, labels: Mapping[str, str]) -> list[Edit]:
    return _smallest(way for operand in operands for way in _ways(operand, want, labels))


def _all_of(operands: Iterable[Selector], want: bool, labels: Mapping[str, str]) -> list[Edit]:
    found: list[Edit] = [()]
    for operand in operands:
        joined = (_join(one, other) for one, other in product(found, _ways(operand, want, labels)))
        found = _smallest(edit for edit in joined if edit is not None)
    return found


def _join(one: Edit, other: Edit) -> Edit | None:
    """Both edits; None when they give a label two values."""
    both = dict(one)
    for label, value in other:
        if both.setdefault(label, value) != value:
            return None
    return tuple(sorted(both.items()))


def _smallest(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(set(edits), key=lambda edit: (len(edit), [(label, value or "") for label, value in edit]))[:_MOST_WAYS]
