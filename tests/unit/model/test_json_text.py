"""JSON is read strictly, and the line of any field is found again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.model.json_text import element_offsets, find_json_line, load_json, parse_json
from tortie.model.problem import Path
from tortie.net.error import InvalidInput

VALUES: dict[str, Any] = {
    '{"a": [1, 2.5, "x", null, true]}': {"a": [1, 2.5, "x", None, True]},
    " [ ] \n": [],
    '"\\u00e4"': "ä",
    '"\\ud83d\\ude00"': "😀",
    '"\\ud800"': "\ufffd",
    '"\\uDC00a\\ud83d"': "\ufffda\ufffd",
    '{"\\ud800": ["\\udfff", 1, null]}': {"\ufffd": ["\ufffd", 1, None]},
    '"\\\\ud800"': "\\ud800",
    "-0": 0,
}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_read(text: str, value: Any) -> None:
    assert parse_json(text) == value


REFUSED = {
    "no JSON": ("{\n'a': 1}", "not JSON: Expecting property name enclosed in double quotes", 2),
    "cut off": ('{\n"a":', "not JSON: Expecting value", 2),
    "cut off behind a line": ("[\n", "not JSON: Expecting value", 1),
    "something behind it": ("{}\n\n{}", "not JSON: Extra data", 3),
    "a key twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice in one object", None),
    "no number": ('{"a": NaN}', "NaN is no number", None),
    "infinity": ('{"a": -Infinity}', "-Infinity is no number", None),
    "a number too long": ("1" * 5000, "not JSON that can be read: Exceeds the limit", None),
    "halves of surrogates that make one key": ('{"\\ud800": 1, "\\udfff": 2}', "is there twice", None),
    "deep": ("[" * 100_000, "nested too deeply", None),
}


def test_what_an_api_server_writes_may_have_keys_twice() -> None:
    assert load_json('{"a": "\\ud800", "a": "\\udc00"}') == {"a": "\ufffd"}


@pytest.mark.parametrize(("text", "message", "line"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, message: str, line: int | None) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_json(text)
    assert message in refusal.value.message
    assert refusal.value.line == line


TEXT = """{
  "kind": "List",
  "items": [
    {"a": {"b": [10,
                 20]}},
    { "key with \\"quotes\\" } ]":
        {"c":
           true}}
  ]
}
"""
LINES: dict[str, tuple[Path, int]] = {
    "the root": ((), 1),
    "a key": (("items",), 3),
    "an element": (("items", 1), 6),
    "deep": (("items", 0, "a", "b", 1), 5),
    "behind a key with quotes": (("items", 1, 'key with "quotes" } ]', "c"), 7),
    "the nearest that is there": (("items", 0, "x", "y"), 4),
    "below a scalar": (("kind", "x"), 2),
    "beyond a list's end": (("items", 9), 3),
}


@pytest.mark.parametrize(("path", "line"), LINES.values(), ids=LINES)
def test_lines(path: Path, line: int) -> None:
    assert find_json_line(TEXT, 0, 1, path) == line


def test_lines_count_from_where_a_value_starts() -> None:
    first, second = element_offsets(TEXT, "items")
    assert TEXT[first:].startswith('{"a"')
    assert find_json_line(TEXT, second, 6, ('key with "quotes" } ]', "c")) == 7
    assert find_json_line(TEXT, second, 100, ()) == 100


@pytest.mark.parametrize(("value", "path"), [([], ()), ({"items": []}, ("items",))])
def test_a_list_may_be_empty(value: Any, path: tuple[str, ...]) -> None:
    assert element_offsets(json.dumps(value), *path) == []


def test_a_list_at_the_root_has_offsets_too() -> None:
    assert element_offsets(" [1 ,\n {} ]") == [2, 7]
