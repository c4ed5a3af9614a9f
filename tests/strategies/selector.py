"""Drawn selector trees over a few labels and values, so that they meet the drawn objects."""

from __future__ import annotations

from hypothesis import strategies as st

from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

LABEL_NAMES = ("a", "b", "in", "has", "projectcalico.org/namespace")
VALUES = ("", "x", "xy", "y", "it's")

labels = st.dictionaries(st.sampled_from(LABEL_NAMES), st.sampled_from(VALUES))
_names = st.sampled_from(LABEL_NAMES)
_leaves: st.SearchStrategy[Selector] = st.one_of(
    st.just(All()),
    st.builds(Has, _names),
    st.builds(Compare, _names, st.sampled_from(Relation), st.sampled_from(VALUES)),
    st.builds(Member, _names, st.frozensets(st.sampled_from(VALUES), max_size=3), st.booleans()),
)


def _branches(children: st.SearchStrategy[Selector]) -> st.SearchStrategy[Selector]:
    several = st.lists(children, min_size=2, max_size=3).map(tuple)
    positive = children.filter(lambda tree: not isinstance(tree, Not))
    return st.one_of(st.builds(Not, positive), st.builds(And, several), st.builds(Or, several))


trees: st.SearchStrategy[Selector] = st.recursive(_leaves, _branches, max_leaves=8)
