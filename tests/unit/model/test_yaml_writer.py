"""Plain data as YAML: as calicoctl prints it, and text that stays text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.model.yaml_text import parse_yaml
from tortie.model.yaml_writer import format_yaml


def test_keys_are_in_order_and_lists_are_not_indented() -> None:
    data = {"kind": "IPPool", "apiVersion": "v3", "spec": {"b": [1, {"c": True, "a": None}], "a": {}}}
    assert format_yaml(data) == "apiVersion: v3\nkind: IPPool\nspec:\n  a: {}\n  b:\n  - 1\n  - a: null\n    c: true\n"


@pytest.mark.parametrize(
    "text",
    ["y", "no", "On", "~", "null", "", "1", "0x10", "1_000", "1e+3", ".5", "0b1", "1.10", "true", "=", "<<", "2019-05-01"],
)
def test_words_that_readers_take_for_something_else_are_quoted(text: str) -> None:
    assert read(format_yaml({"a": text})) == {"a": text}


@pytest.mark.parametrize(("text", "line"), [("all()", "a: all()\n"), ("has(x) && y == 'z'", "a: has(x) && y == 'z'\n")])
def test_plain_text_is_plain(text: str, line: str) -> None:
    assert format_yaml({"a": text}) == line


def test_what_occurs_twice_is_written_twice() -> None:
    shared = {"x": ["y1"]}
    assert "&" not in format_yaml([shared, shared])


plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.text(max_size=8).filter(lambda text: "\x85" not in text),
        st.text("yYnNoOtrue.0123456789eE+-_xb:~#'\"{}[]&*!|>%@` \n\t", max_size=8),
    ),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(st.text("abny1 ~", max_size=3), children)),
    max_leaves=12,
).filter(lambda data: data is not None)


@given(plain)
def test_what_is_written_reads_back(data: Any) -> None:
    assert read(format_yaml(data)) == data


def read(text: str) -> Any:
    (document,) = parse_yaml(text)
    return document.root.data
