"""Texts are taken apart into objects, each with the line where it and any of its fields stand."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.document import parse_documents
from tortie.net.error import InvalidInput

A, B = {"kind": "A", "x": 1}, {"kind": "B"}
TEXTS: dict[str, tuple[str, list[tuple[Any, int]]]] = {
    "nothing": ("\n  \n", []),
    "YAML": ("kind: A\nx: 1\n", [(A, 1)]),
    "YAML documents": ("---\nkind: A\nx: 1\n---\n\nkind: B\n", [(A, 2), (B, 6)]),
    "JSON": ('\n{"kind": "A", "x": 1}', [(A, 2)]),
    "a list in YAML": ("- kind: A\n  x: 1\n- kind: B\n", [(A, 1), (B, 3)]),
    "a list in JSON": ('[{"kind": "A", "x": 1},\n\n {"kind": "B"}]', [(A, 1), (B, 3)]),
    "a List in YAML": ("kind: List\nitems:\n- kind: A\n  x: 1\n- kind: B\n", [(A, 3), (B, 5)]),
    "a List in JSON": ('{"kind": "List", "items": [\n{"kind": "A", "x": 1},\n{"kind": "B"}]}', [(A, 2), (B, 3)]),
    "an empty List": ("kind: List\nitems:\n", []),
    "a typed list": (
        "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {}\n- kind: Other\n",
        [({"apiVersion": "v1", "kind": "Pod", "metadata": {}}, 4), ({"apiVersion": "v1", "kind": "Other"}, 5)],
    ),
    "braces that are YAML's": ("{kind: B}\n---\n{kind: B}\n", [(B, 1), (B, 3)]),
    "a byte order mark": ("\ufeffkind: B\n", [(B, 1)]),
    "an alias in a list": ("- &x {kind: B}\n- *x\n", [(B, 1), (B, 2)]),
    "what is no object": ("- 1\n- text\n", [(1, 1), ("text", 2)]),
    "a kind that ends in List without items": ("kind: GuestList\n", [({"kind": "GuestList"}, 1)]),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS)
def test_documents(text: str, expected: list[tuple[Any, int]]) -> None:
    assert [(document.data, document.line) for document in parse_documents(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "kind: List\nitems:\n- kind: A\n- kind: B\n  spec:\n    x: 1\n",
        '{"kind": "List", "items": [\n{"kind": "A"},\n{"kind": "B",\n "spec":\n {"y": 1,\n"x": 1}}]}',
        '{kind: List, items: [\n{kind: A},\n{kind: B,\n "spec":\n {"y": 1,\n"x": 1}}]}',
        "- kind: A\n-\n\n  kind: B\n  spec: {y: 1,\n    x: 1}\n",
    ],
    ids=["YAML", "JSON", "flow", "plain list"],
)
def test_lines_of_fields_count_from_the_top_of_the_text(text: str) -> None:
    _, found = parse_documents(text)
    assert found.line_of(("spec", "x")) == 6


REFUSED = {
    "neither JSON nor YAML": ('{"a": 1,\n"b" 2}', "not JSON: Expecting ':' delimiter", 2),
    "a JSON key twice": ('{"a": 1,\n"a": 2}', "the key 'a' is there twice", 2),
    "items that are no list": ("kind: List\nitems: {a: 1}\n", "expected a list", None),
    "the second document": ("a: 1\n---\nb: [\n", "not YAML: ", 3),
}


@pytest.mark.parametrize(("text", "message", "line"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str, line: int | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        list(parse_documents(text))
    assert refusal.value.message.startswith(message)
    assert refusal.value.line == line


def test_documents_in_front_of_a_bad_one_are_there() -> None:
    documents = parse_documents("a: 1\n---\nb: [\n")
    assert next(documents).data == {"a": 1}
