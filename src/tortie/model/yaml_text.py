"""YAML text to plain data, read as Go's YAML reader reads it, and the lines where fields stand.

Built on libyaml's events and not on its nodes: composing nodes recurses in C and dies of deep nesting, costs more, and what
plain words mean differs between PyYAML and go-yaml v2, which calicoctl uses (spec: model 0.1; gopkg.in/yaml.v2 resolve.go):
`20:30` is text and no number in base sixty, `y` is a truth value, a date is text. Keys that occur twice are refused. Data
carries no lines; when somebody needs one, the events are read again from where the resource starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from tortie.model.problem import Path, nearest
from tortie.net.error import InvalidInput

DEEPEST = 100
"""How many lists and mappings may be open at once."""
ALIAS_ALLOWANCE = 1_000_000
"""How many values aliases may add to a text, however short it is."""


@dataclass(frozen=True, slots=True)
class YamlValue:
    """Plain data and where it stands in the text: `offset` in characters, `line` and `column` from 0."""

    data: Any
    offset: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document; `elements` has the places of what a list at its root, or under a key of its root, holds."""

    root: YamlValue
    elements: dict[tuple[str | int, ...], YamlValue]


def parse_yaml(text: str) -> Iterator[YamlDocument]:
    """The documents of a text, one after the other, empty ones left out; raises `InvalidInput` with the line."""
    try:
        loader = yaml.CSafeLoader(text)
    except yaml.YAMLError as error:
        raise _refusal(error, text) from None
    builder = _Builder(loader, len(text))
    try:
        while True:
            document = builder.next_document()
            if document is None:
                return
            if document.root.data is not None:
                yield document
    except yaml.YAMLError as error:
        raise _refusal(error, text) from None
    finally:
        loader.dispose()


def find_yaml_line(text: str, start: YamlValue, path: Path) -> int:
    """The line, from 1, of the field at `path` below a value, or of the innermost container of it that is there."""
    loader: Any = yaml.CSafeLoader(_Rest(text, start))
    line = 0
    try:
        for _ in range(2):  # the stream's start and the document's
            loader.get_event()
        event = loader.get_event()
        line = event.start_mark.line
        for step in path:
            found = _step(loader, event, step)
            if found is None:
                break
            line, event = found
    except yaml.YAMLError:
        pass  # behind the end of a value that was cut out of its surroundings
    finally:
        loader.dispose()
    return start.line + line + 1


class _Rest:
    """A text from a value on, in the column where it stood, handed out in pieces: an error early in it costs little."""

    def __init__(self, text: str, start: YamlValue) -> None:
        self.text = text
        self.place = start.offset
        self.indent = " " * start.column

    def read(self, size: int = 4096) -> str:
        piece = self.indent + self.text[self.place : self.place + size]
        self.place += size
        self.indent = ""
        return piece


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line


def _step(loader: Any, event: Any, step: str | int) -> tuple[int, Any] | None:
    """From the start of a container into one of its values: the line of the key or element, and the value's first event."""
    if isinstance(event, yaml.MappingStartEvent):
        while not isinstance(key := loader.get_event(), yaml.MappingEndEvent):
            _skip(loader, key)
            value = loader.get_event()
            if type(key) is yaml.ScalarEvent and _key_text(key) == step:
                return _line(key), value
            _skip(loader, value)
    elif isinstance(event, yaml.SequenceStartEvent):
        index = 0
        while not isinstance(value := loader.get_event(), yaml.SequenceEndEvent):
            if index == step:
                return _line(value), value
            _skip(loader, value)
            index += 1
    return None


def _skip(loader: Any, event: Any) -> None:
    depth = 0
    while True:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if not depth:
            return
        event = loader.get_event()


def _refusal(error: yaml.YAMLError, text: str) -> InvalidInput:
    """What libyaml complains of; the end of the text counts as its last line."""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = None if mark is None else min(mark.line + 1, max(1, len(text.splitlines())))
    return InvalidInput(f"not YAML: {problem}", line=line)


# --- building ----------------------------------------------------------------------------------------------------


class _Open:
    """A list or mapping that is being filled; `key` waits for its value."""

    __slots__ = ("anchor", "before", "container", "key", "merged")

    def __init__(self, container: Any, anchor: str | None, before: int) -> None:
        self.container = container
        self.key: str | None = None
        self.merged: list[dict[str, Any]] | None = None
        self.anchor = anchor
        self.before = before


class _Builder:
    """Reads events into plain data, with a stack of its own; `size` counts values, those that aliases repeat among them."""

    def __init__(self, loader: Any, length: int) -> None:
        self.next_event = loader.get_event
        self.allowance = ALIAS_ALLOWANCE + length
        self.size = 0
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.elements: dict[tuple[str | int, ...], YamlValue] = {}

    def next_document(self) -> YamlDocument | None:
        """The next document, or None at the end."""
        event = self.next_event()
        while not isinstance(event, yaml.DocumentStartEvent):
            if isinstance(event, yaml.StreamEndEvent):
                return None
            event = self.next_event()
        self.anchors, self.elements = {}, {}
        event = self.next_event()
        mark = event.start_mark
        data = self.value(event)
        return YamlDocument(YamlValue(data, mark.index, mark.line, mark.column), self.elements)

    def value(self, event: Any) -> Any:
        """The value that starts with `event`; the loop goes on until nothing is open."""
        stack = self.stack = []
        while True:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if stack and stack[-1].key is None and type(stack[-1].container) is dict:
                    self.open_key(stack[-1], event)
                    event = self.next_event()
                    continue
                self.size += 1
                done = _scalar(event)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (done, 1)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.open(event, {} if kind is yaml.MappingStartEvent else [])
                event = self.next_event()
                continue
            elif kind is yaml.AliasEvent:
                done = self.alias(event)
            else:
                done = self.close()
            if not stack:
                return done
            self.put(stack[-1], done, event)
            event = self.next_event()

    def open(self, event: Any, container: Any) -> None:
        stack = self.stack
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _at(event, f"unknown tag {event.tag!r}")
        if stack:
            outer = stack[-1]
            if type(outer.container) is dict and outer.key is None:
                raise _at(event, "a list or mapping cannot be a key")
            if len(stack) == DEEPEST:
                raise _at(event, f"nested more than {DEEPEST} levels deep")
            if len(stack) <= 2 and type(outer.container) is list:
                mark = event.start_mark
                path: Path = (*(step.key for step in stack[:-1] if step.key is not None), len(outer.container))
                self.elements[path] = YamlValue(container, mark.index, mark.line, mark.column)
        stack.append(_Open(container, event.anchor, self.size))
        self.size += 1

    def close(self) -> Any:
        done = self.stack.pop()
        if done.merged:
            for mapping in done.merged:
                for key, value in mapping.items():
                    done.container.setdefault(key, value)
        if done.anchor is not None:
            self.anchors[done.anchor] = (done.container, self.size - done.before)
        return done.container

    def alias(self, event: Any) -> Any:
        if self.stack and type(self.stack[-1].container) is dict and self.stack[-1].key is None:
            raise _at(event, "an alias cannot be a key")
        if event.anchor not in self.anchors:
            raise _at(event, f"unknown anchor {event.anchor!r}", remedy=nearest(event.anchor, self.anchors))
        value, size = self.anchors[event.anchor]
        self.size += size
        if self.size > self.allowance:
            raise _at(event, "aliases repeat too much")
        return value

    def open_key(self, frame: _Open, event: Any) -> None:
        key = _key_text(event)
        if key is None:
            raise _at(event, "nothing cannot be a key")
        if key in frame.container:
            raise _at(event, f"the key {key!r} is there twice")
        if key == "<<" and event.implicit[0] and frame.merged is None:
            frame.merged = []
        frame.key = key

    def put(self, frame: _Open, value: Any, event: Any) -> None:
        if type(frame.container) is list:
            frame.container.append(value)
            return
        if frame.key == "<<" and frame.merged == []:
            frame.merged = value if type(value) is list else [value]
            if not all(type(mapping) is dict for mapping in frame.merged):
                raise _at(event, "only mappings can be merged")
        else:
            assert frame.key is not None
            frame.container[frame.key] = value
        frame.key = None


def _at(event: Any, message: str, *, remedy: str | None = None) -> InvalidInput:
    return InvalidInput(message, line=event.start_mark.line + 1, remedy=remedy)


# --- scalars -----------------------------------------------------------------------------------------------------

_TAGGED: dict[str, type | tuple[type, ...]] = {
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": (int, float),
    "tag:yaml.org,2002:bool": bool,
    "tag:yaml.org,2002:null": type(None),
}


def _scalar(event: Any) -> Any:
    tag = event.tag
    if tag is None:
        return resolve_plain(event.value) if event.implicit[0] else event.value
    if tag in ("!", "tag:yaml.org,2002:str"):
        return event.value
    wanted = _TAGGED.get(tag)
    if wanted is None:
        raise _at(event, f"unknown tag {tag!r}")
    value = resolve_plain(event.value)
    if not isinstance(value, wanted):
        raise _at(event, f"{event.value!r} does not fit its tag {tag!r}")
    return value


def _key_text(event: Any) -> str | None:
    value = _scalar(event)
    if value is None or type(value) is str:
        return value
    return str(value).lower() if type(value) is bool else str(value)


_WORDS: dict[str, bool | None] = (
    dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True)
    | dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False)
    | dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
)
_SPECIAL = {
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"), "+.inf": float("inf"), "+.Inf": float("inf"),
    "+.INF": float("inf"), "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))", re.ASCII)
_BINARY = re.compile(r"(-?)0b([01]+)")
_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?", re.ASCII)
_LONGEST_NUMBER = 400


@lru_cache(maxsize=65536)
def resolve_plain(text: str) -> str | int | float | bool | None:
    """What a plain word of YAML is to go-yaml v2: a truth value, nothing, a number, or else text."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _SPECIAL:
        return _SPECIAL[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    digits = text.replace("_", "")
    if text[0] != ".":
        found = _INTEGER.fullmatch(digits)
        if found is not None:
            sign, hexadecimal, octal, decimal = found.groups()
            value = int(hexadecimal, 16) if hexadecimal else int(decimal) if decimal else int(octal or "0", 8)
            if value < 2**64:
                return -value if sign == "-" else value
        binary = _BINARY.fullmatch(digits)
        if binary is not None:
            return int(binary.group(1) + binary.group(2), 2)
    return float(digits) if _FLOAT.fullmatch(digits) else text
