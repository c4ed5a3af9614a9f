"""Files to documents: one object each, with a way to find lines in the text.

Texts are YAML with any number of documents, or JSON. Lists are taken apart, whatever they are called: a plain list as
calicoctl takes it, `kind: List` as kubectl prints it, `kind: PodList` whose elements may leave out what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tortie.model.json_text import element_offsets, find_json_line, parse_json
from tortie.model.problem import FieldProblem, Path
from tortie.model.yaml_text import YamlDocument, find_yaml_line, parse_yaml
from tortie.net.error import InvalidInput


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data that should be an object; `line` is where it starts, `line_of` finds the line of a field, from 1."""

    data: Any
    line: int
    line_of: Callable[[Path], int]


def parse_documents(text: str) -> Iterator[Document]:
    """The objects in a text, one after the other; raises `InvalidInput` with the line where it stops making sense."""
    text = text.removeprefix("\ufeff")
    start = text.lstrip()[:1]
    if start in ("{", "["):
        try:
            data = parse_json(text)
        except InvalidInput as refusal:
            yield from _yaml_or(text, refusal)
        else:
            yield from _json_documents(text, data)
    elif start:
        for document in parse_yaml(text):
            yield from _yaml_documents(text, document)


def _yaml_or(text: str, refusal: InvalidInput) -> Iterator[Document]:
    """Braces may also be YAML's; a text that is neither is taken for JSON, unless only YAML knows the line."""
    try:
        documents = list(parse_yaml(text))
    except InvalidInput as other:
        raise (refusal if refusal.line is not None else other) from None
    for document in documents:
        yield from _yaml_documents(text, document)


def _json_documents(text: str, data: Any) -> Iterator[Document]:
    path = _list_path(data)
    if path is None:
        yield Document(data, find_json_line(text, 0, 1, ()), partial(find_json_line, text, 0, 1))
        return
    elements = data[path[0]] if path else data
    line, place = 1, 0
    for element, offset in zip(elements, element_offsets(text, *path), strict=True):
        line, place = line + text.count("\n", place, offset), offset
        yield Document(_element(data, element), line, partial(find_json_line, text, offset, line))


def _yaml_documents(text: str, document: YamlDocument) -> Iterator[Document]:
    data = document.root.data
    path = _list_path(data)
    if path is None:
        yield Document(data, document.root.line + 1, partial(find_yaml_line, text, document.root))
        return
    elements = data[path[0]] if path else data
    for index, element in enumerate(elements):
        place = document.elements.get((*path, index))
        if place is None or place.data is not element:
            # Not a container, or an alias: the way starts at the root.
            find = partial(_find_below, text, document, (*path, index))
            yield Document(_element(data, element), find(()), find)
        else:
            yield Document(_element(data, element), place.line + 1, partial(find_yaml_line, text, place))


def _find_below(text: str, document: YamlDocument, above: Path, path: Path) -> int:
    return find_yaml_line(text, document.root, (*above, *path))


def _list_path(data: Any) -> tuple[str, ...] | None:
    """The keys that lead to a list's elements, or None when the data is no list."""
    if type(data) is list:
        return ()
    if type(data) is dict and str(data.get("kind", "")).endswith("List") and "items" in data:
        if data["items"] is None:
            data["items"] = []
        if type(data["items"]) is not list:
            raise FieldProblem("expected a list", path=("items",))
        return ("items",)
    return None


def _element(outer: Any, element: Any) -> Any:
    """An element of a typed list with its type, which such lists may leave out."""
    if type(outer) is not dict or type(element) is not dict or outer["kind"] == "List":
        return element
    return {"apiVersion": outer.get("apiVersion"), "kind": outer["kind"].removesuffix("List")} | element
