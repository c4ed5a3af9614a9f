"""JSON text to plain data, and the lines where fields stand.

The standard library's decoder does the work. Keys that occur twice are refused, as they are in YAML. Half of a pair of
surrogates, which no text in UTF-8 can hold, is read as U+FFFD, as Calico's programs read it (Go's encoding/json). When
somebody needs a line, the text is walked once more from where the resource starts, skipping value after value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tortie.model.problem import Path
from tortie.net.error import InvalidInput

_BLANKS = re.compile(r"[ \t\n\r]*")


def parse_json(text: str) -> Any:
    """The one value of a text; raises `InvalidInput` with the line."""
    try:
        return _whole(text, _DECODER.decode(text))
    except json.JSONDecodeError as error:
        line = min(error.lineno, max(1, len(text.splitlines())))  # behind the last line is at its end
        raise InvalidInput(f"not JSON: {error.msg}", line=line) from None
    except RecursionError:
        raise InvalidInput("not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise InvalidInput(f"not JSON that can be read: {error}") from None


def load_json(text: str) -> Any:
    """The value of a text that an API server wrote, whose keys may occur twice; raises `ValueError` or `RecursionError`."""
    return _whole(text, json.loads(text))


def element_offsets(text: str, *path: str) -> list[int]:
    """Where the elements of a list start, which is the root or stands under keys of it; the text is good JSON."""
    offset = _skip_blanks(text, 0)
    for key in path:
        offset = next(value for name, _, value in _members(text, offset) if name == key)
    return [value for _, _, value in _members(text, offset)]


def find_json_line(text: str, offset: int, line: int, path: Path) -> int:
    """The line of the field at `path`, or of its innermost container, below the value that stands at `offset` in `line`."""
    value = place = _skip_blanks(text, offset)
    for step in path:
        if text[value] not in "{[":
            break
        found = next((entry for entry in _members(text, value) if entry[0] == step), None)
        if found is None:
            break
        _, place, value = found
    return line + text.count("\n", offset, place)


def _members(text: str, offset: int) -> Iterator[tuple[str | int, int, int]]:
    """What an object or array holds: key or index, where that stands, where the value starts."""
    mapping = text[offset] == "{"
    index = 0
    offset = _skip_blanks(text, offset + 1)
    while text[offset] not in "}]":
        key: str | int = index
        place = offset
        if mapping:
            key, offset = _SKIPPER.raw_decode(text, offset)
            offset = _skip_blanks(text, _skip_blanks(text, offset) + 1)
        yield key, place, offset
        _, offset = _SKIPPER.raw_decode(text, offset)
        offset = _skip_blanks(text, offset)
        if text[offset] == ",":
            offset = _skip_blanks(text, offset + 1)
        index += 1


def _skip_blanks(text: str, offset: int) -> int:
    found = _BLANKS.match(text, offset)
    assert found is not None
    return found.end()


def _whole(text: str, data: Any) -> Any:
    """The data without halves of pairs of surrogates, which only escapes can bring."""
    return _without_halves(data) if _ESCAPED_SURROGATE.search(text) else data


def _without_halves(data: Any) -> Any:
    match data:
        case str():
            return _HALF.sub("\ufffd", data)
        case list():
            return [_without_halves(one) for one in data]
        case dict():
            return _object([(_without_halves(key), _without_halves(value)) for key, value in data.items()])
        case _:
            return data


_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_SKIPPER = json.JSONDecoder()
