"""The one text of a selector, whatever was written (spec: model 3.5).

Two rules share an ip set exactly when their selectors have the same canonical text.
"""

from __future__ import annotations

from typing import assert_never

from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Selector


def format_selector(tree: Selector) -> str:
    """The canonical text; parsing it gives an equal tree."""
    match tree:
        case All():
            return "all()"
        case Has(label):
            return f"has({label})"
        case Compare(label, relation, value):
            return f"{label} {relation.value} {_quoted(value)}"
        case Member(label, values, negated):
            inside = ", ".join(_quoted(value) for value in sorted(values, key=str.encode))
            return f"{label} {'not in' if negated else 'in'} {{{inside}}}"
        case Not(operand):
            return f"!{format_selector(operand)}"
        case And(operands):
            return f"({' && '.join(map(format_selector, operands))})"
        case Or(operands):
            return f"({' || '.join(map(format_selector, operands))})"
        case _:
            assert_never(tree)


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"
