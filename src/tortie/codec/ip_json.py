"""What `ip -j` prints, as objects whose fields are asked for by name and kind.

`ip` may print one name twice in an object: a route with a tunnel (`encap`) holds the tunnel's `dst` and `tos` beside its
own. The first value of a name counts, except that what a tunnel prints about itself is put aside (`_TUNNEL_WORDS`). Numbers
come as numbers, as decimal or as hexadecimal text, depending on version and on `-N`. A list may hold empty objects, which
stand for what a filter left out.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from tortie.net.address import Address, IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput

_TUNNEL_WORDS = frozenset(
    {
        "action", "csum_mode", "csum_type", "dst", "erspan_opts", "geneve_opts", "headroom", "hook_type", "hoplimit",
        "hw_type", "id", "ident_type", "iif", "in", "locator", "mode", "nh4", "nh6", "oif", "out", "segs", "src", "tc",
        "tos", "ttl", "vrftable", "vxlan_opts", "xmit",
    }
)  # fmt: skip
"""What lwt_print_encap of iproute2 prints of a tunnel, all before the route's own remaining fields."""

T = TypeVar("T")


class Node:
    """One JSON object of `ip`, with a name for messages (`route 3`)."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def _wrong(self, key: str, wanted: str) -> InvalidInput:
        return InvalidInput(f"{self.name}: {key} should be {wanted}, not {json.dumps(self.fields[key])[:60]}")

    def text(self, key: str) -> str | None:
        """A string, None when absent; a number counts as its digits."""
        value = self.fields.get(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise self._wrong(key, "a text")

    def number(self, key: str, *, most: int = 0xFFFFFFFF) -> int | None:
        """A number from 0 to `most`, None when absent; text may be decimal or hexadecimal."""
        value = self.fields.get(key)
        if isinstance(value, str) and len(value) <= 20:
            digits = value[2:] if value.startswith("0x") else value
            try:
                value = (
                    int(digits, 16 if value.startswith("0x") else 10) if digits.isascii() and digits.isalnum() else value
                )
            except ValueError:
                raise self._wrong(key, "a number") from None
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self._wrong(key, f"a number from 0 to {most}")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty when absent."""
        value = self.fields.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise self._wrong(key, "a list of texts")
        return tuple(value)

    def flag(self, key: str) -> bool:
        """True for `true`, a number that is not 0, and for a bare mark (`null`)."""
        if key not in self.fields:
            return False
        value = self.fields[key]
        return value is None or value is True or (isinstance(value, int) and value != 0)

    def children(self, key: str) -> list[Node]:
        """A list of objects, empty when absent."""
        value = self.fields.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(child, dict) for child in value):
            raise self._wrong(key, "a list of objects")
        return [Node(self.name, child) for child in value if child]

    def child(self, key: str) -> Node | None:
        """An object, None when absent."""
        value = self.fields.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return Node(self.name, value)

    def address(self, key: str) -> Address | None:
        """An IP address, None when absent."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return parse_address(text)
        except InvalidInput:
            raise self._wrong(key, "an IP address") from None

    def prefix(self, key: str, family: IPFamily) -> Prefix | None:
        """`default`, an address or a prefix of this family, None when absent."""
        text = self.text(key)
        if text is None:
            return None
        if text in ("default", "all", "any"):
            return Prefix(family, 0, 0)
        try:
            found = parse_prefix(text)
        except InvalidInput:
            raise self._wrong(key, "a prefix") from None
        if found.family is not family:
            raise self._wrong(key, f"an IPv{family.value} prefix")
        return found.network

    def choice(self, key: str, known: dict[str, T], *, absent: T) -> T:
        """One of the known words."""
        text = self.text(key)
        if text is None:
            return absent
        if text not in known:
            raise self._wrong(key, f"one of {', '.join(known)}")
        return known[text]


def parse_nodes(text: str, what: str) -> list[Node]:
    """The objects of a list, without the empty ones; no text at all is what some versions print for an empty list."""
    if not text.strip():
        return []
    try:
        value = json.loads(text, object_pairs_hook=_first_of_each)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg}", line=error.lineno, remedy="give what `ip -j` prints") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON that can be read: {error}") from None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InvalidInput("a list of objects is wanted", remedy="give what `ip -j` prints")
    return [Node(f"{what} {number}", entry) for number, entry in enumerate(value, 1) if entry]


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tunnel: dict[str, Any] | None = None
    for key, value in pairs:
        if key == "encap":
            tunnel = {key: value}
        elif tunnel is not None and key not in tunnel and (key in _TUNNEL_WORDS or _is_segment_table(key, tunnel)):
            tunnel[key] = value
            continue
        found.setdefault(key, value)
    return found


def _is_segment_table(key: str, tunnel: dict[str, Any]) -> bool:
    """True for the table of a segment routing action; other actions have none, and `table` is the route's."""
    action = tunnel.get("action")
    return (
        key == "table" and isinstance(action, str) and action.startswith(("End.T", "End.DT")) and "vrftable" not in tunnel
    )
