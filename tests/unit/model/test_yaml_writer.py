"""YAML as calicoctl prints it, and never a word that another reader takes for something else."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.yaml_text import parse_yaml
from tortie.model.yaml_writer import format_yaml

TEXTS: dict[str, tuple[Any, str]] = {
    "keys in order": ({"b": 1, "a": {"d": None, "c": True}}, "a:\n  c: true\n  d: null\nb: 1\n"),
    "lists are not indented": ({"a": [1, {"b": 2}]}, "a:\n- 1\n- b: 2\n"),
    "nothing in them": ({"a": [], "b": {}}, "a: []\nb: {}\n"),
    "a long line stays one": ({"a": "x " * 200 + "y"}, "a: " + "x " * 200 + "y\n"),
    "letters of any language": ({"a": "ä"}, "a: ä\n"),
    "lines": ({"a": "one\ntwo"}, "a: 'one\n\n  two'\n"),
}


@pytest.mark.parametrize(("data", "text"), TEXTS.values(), ids=TEXTS)
def test_text(data: Any, text: str) -> None:
    assert format_yaml(data) == text


WORDS = [
    "yes", "n", "On", "~", "", "null", "1", "-7", "0x1F", "010", "1_000", "1.5", "1e+3", "0b1", ".inf", ".NaN", "20:30",
    "2019-06-17", "=", "<<", "- a", "a: b", "a #b", "#a", "*a", "&a", "!a", "'a'", '"', "%a", "@a", "`a", "{a", "[a",
    "a\tb", " a", "a ", "\n", "\u2028", "\0", "\x7f", "???", "10.0.0.0/8", "all()", "a == 'b'",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_text_stays_text(word: str) -> None:
    data = {"value": word, "list": [word], word: "key"}
    (document,) = parse_yaml(format_yaml(data))
    assert document.root.data == data


def test_what_is_there_twice_is_written_twice() -> None:
    shared = {"a": 1}
    assert format_yaml({"v": shared, "w": shared}) == "v:\n  a: 1\nw:\n  a: 1\n"
