"""YAML is read as Go's reader reads it, nothing brings it down, and the line of any field is found again."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.problem import Path
from tortie.model.yaml_text import ALIAS_ALLOWANCE, DEEPEST, find_yaml_line, parse_yaml, resolve_plain
from tortie.net.error import InvalidInput


def read(text: str) -> list[Any]:
    return [document.root.data for document in parse_yaml(text)]


PLAIN: dict[str, Any] = {
    # truth values and nothing, as in YAML 1.1
    "yes": True, "n": False, "On": True, "TRUE": True, "tRUE": "tRUE", "~": None, "": None, "null": None, "nil": "nil",
    # numbers
    "0": 0, "-7": -7, "+7": 7, "1_000": 1000, "0x1F": 31, "010": 8, "08": 8.0, "0b101": 5, "1.5": 1.5, ".5": 0.5,
    "1e3": "1e3", "1e+3": 1000.0, "-.inf": float("-inf"), "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 18446744073709551616.0,
    # text that other readers take for something else
    "20:30": "20:30", "2019-06-17": "2019-06-17", "1.2.3": "1.2.3", "10.0.0.0/8": "10.0.0.0/8", "=": "=", "0o17": "0o17",
    "0x": "0x", "-": "-", "+": "+", ".": ".", "_1": "_1",
}  # fmt: skip


@pytest.mark.parametrize(("word", "value"), PLAIN.items())
def test_plain_words(word: str, value: Any) -> None:
    found = resolve_plain(word)
    assert (found, type(found)) == (value, type(value))


TEXTS: dict[str, tuple[str, list[Any]]] = {
    "nothing": ("", []),
    "a comment": ("# nothing\n", []),
    "documents": ("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
    "empty documents between": ("---\n---\na: 1\n---\n---\n# x\n", [{"a": 1}]),
    "quotes make text": ("a: '1'\nb: \"yes\"\nc: |\n  1\n", [{"a": "1", "b": "yes", "c": "1\n"}]),
    "keys become text": ("1: a\nyes: b\n1.5: c\n", [{"1": "a", "true": "b", "1.5": "c"}]),
    "flow": ("{a: [1, {b: 2}], c: {}}", [{"a": [1, {"b": 2}], "c": {}}]),
    "an alias": ("a: &x [1]\nb: *x\n", [{"a": [1], "b": [1]}]),
    "a merge": ("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", [{"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}]),
    "merges": ("- &x {p: 1}\n- &y {p: 2, q: 2}\n- <<: [*x, *y]\n", [[{"p": 1}, {"p": 2, "q": 2}, {"p": 1, "q": 2}]]),
    "a quoted merge key is a key": ("a: {'<<': 1}", [{"a": {"<<": 1}}]),
    "tags": ("a: !!str 1\nb: !!int '2'\nc: !!float 3\nd: !!null ''\n", [{"a": "1", "b": 2, "c": 3, "d": None}]),
    "a scalar": ("just text", ["just text"]),
}


@pytest.mark.parametrize(("text", "value"), TEXTS.values(), ids=TEXTS)
def test_read(text: str, value: list[Any]) -> None:
    assert read(text) == value


REFUSED = {
    "a tab": ("a: 1\n\tb: 2\n", "not YAML: found a tab character", 2),
    "never closed": ("a: [1,\nb: 2\n", "not YAML: ", 2),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "the key 'a' is there twice", 3),
    "a key twice, in two spellings": ("1: a\n'1': b\n", "the key '1' is there twice", 2),
    "an unknown anchor": ("a: &here 1\nb: *hera\n", "unknown anchor 'hera'", 2),
    "an anchor of another document": ("a: &x 1\n---\nb: *x\n", "unknown anchor 'x'", 3),
    "a list as a key": ("a: 1\n? [1]\n: 2\n", "a list or mapping cannot be a key", 2),
    "an alias as a key": ("a: &x k\n*x : 2\n", "an alias cannot be a key", 2),
    "nothing as a key": ("a: 1\n~: 2\n", "nothing cannot be a key", 2),
    "a merge of something else": ("a: 1\nb:\n  <<: text\n", "only mappings can be merged", 3),
    "an unknown tag": ("a: !thing 1\n", "unknown tag '!thing'", 1),
    "an unknown tag of a list": ("a: !!set {b}\n", "unknown tag 'tag:yaml.org,2002:set'", 1),
    "a tag that does not fit": ("a: !!int text\n", "'text' does not fit its tag", 1),
    "deep": ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"nested more than {DEEPEST} levels deep", 1),
    "a control character": ("a: \x01\n", "not YAML: control characters are not allowed", None),
    "an anchor that holds itself": ("&a [*a]\n", "unknown anchor 'a'", 1),
}


@pytest.mark.parametrize(("text", "message", "line"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str, line: int | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(text)
    assert refusal.value.message.startswith(message)
    assert refusal.value.line == line


def test_a_billion_laughs_are_refused_early() -> None:
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    with pytest.raises(InvalidInput, match="aliases repeat too much"):
        read(text)
    assert ALIAS_ALLOWANCE < 10**11


TEXT = """# a list
kind: List
items:
- metadata:
    name: a
  spec: {ports: [80,
    90], "quoted key": x}
- metadata: &m
    name: b
- metadata: *m
- <<: {other: 1}
  last: 2
"""
LINES: dict[str, tuple[Path, int]] = {
    "the root": ((), 2),
    "a key": (("items",), 3),
    "an element": (("items", 1), 8),
    "deep": (("items", 0, "spec", "ports", 1), 7),
    "a quoted key": (("items", 0, "spec", "quoted key"), 7),
    "the nearest that is there": (("items", 0, "metadata", "labels", "x"), 4),
    "below a scalar": (("kind", "x"), 2),
    "behind an alias": (("items", 2, "metadata", "name"), 10),
    "behind a merge": (("items", 3, "last"), 12),
    "beyond a list's end": (("items", 9), 3),
}


@pytest.mark.parametrize(("path", "line"), LINES.values(), ids=LINES)
def test_lines(path: Path, line: int) -> None:
    (document,) = parse_yaml(TEXT)
    assert find_yaml_line(TEXT, document.root, path) == line


@pytest.mark.parametrize(("path", "line"), [((), 4), (("metadata", "name"), 5), (("spec", "ports", 0), 6)])
def test_lines_are_found_from_an_element_on(path: Path, line: int) -> None:
    (document,) = parse_yaml(TEXT)
    assert find_yaml_line(TEXT, document.elements["items", 0], path) == line
