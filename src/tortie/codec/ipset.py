"""The text of `ipset save` and `ipset list`, to and from `IPSet`.

Both forms are read, with or without members (`ipset list -t`), as versions 6 and 7 print them: words of a `create` line
that are not known are kept in their place. A member that Tortie cannot read because its set type, protocol name or
extension is unknown stays as text in `IPSet.unread`, and the set is not `complete`; a member that is no address, port or
number where one belongs is `InvalidInput`. Text is written as `ipset restore` reads it and as `ipset save` prints it.

Sources: spec netfilter 8.3; ipset(8); lib/print.c of ipset 7.17, and what that printed for every set type, extension,
ICMP type and protocol (tests/kernel/test_ipset.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tortie.codec.ipset_element import ElementReader, UnknownWord, element_reader, format_element
from tortie.net.address import IPFamily, Prefix, parse_address, prefix_mask
from tortie.net.error import InvalidInput
from tortie.netfilter.ipset import SET_DIMENSIONS, IfacePart, IPSet, Part, SetEntry

_FAMILIES = {"inet": IPFamily.V4, "inet6": IPFamily.V6}
_FAMILY_NAMES = {family: name for name, family in _FAMILIES.items()}
_WITHOUT_FAMILY = frozenset({"bitmap:ip", "bitmap:ip,mac", "bitmap:port", "hash:mac", "list:set"})
_MASKED_TYPES = frozenset({"bitmap:ip", "hash:ip", "hash:ip,port"})
"""Types whose first address is cut by `netmask` or `bitmask` before it is stored."""
_FLAG_OPTIONS = frozenset({"comment", "counters", "forceadd", "skbinfo"})
_REMEDY = "give what `ipset save` or `ipset list` prints"
_CREATE = re.compile(r"create (?P<name>.+?) (?P<type>(?:bitmap|hash|list|[a-z]+):\S+)(?P<options>(?: .*)?)")
_NO_EXTENSIONS = (None,) * 7
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")


def parse_ipsets(text: str, *, source: str | None = None) -> dict[str, IPSet]:
    """Every set of an `ipset save` or `ipset list` output by name, in its order; raises `InvalidInput`."""
    lines = text.split("\n")
    first = next((line for line in lines if line and not line.startswith("#")), "")
    drafts: dict[str, _Draft] = {}
    try:
        if first.startswith("Name:"):
            _read_list(lines, drafts)
        else:
            _read_save(lines, drafts)
    except InvalidInput as error:
        raise error.at(source=source) from None
    return {name: draft.finish() for name, draft in drafts.items()}


def format_ipset_save(sets: Mapping[str, IPSet]) -> str:
    """The sets as `ipset save` prints them, lists of sets after all that they can name; `ipset restore` reads it."""
    ordered = sorted(sets.values(), key=lambda one: one.type == "list:set")
    return "".join(line + "\n" for one in ordered for line in _save_lines(one))


def format_ipset_entry(entry: SetEntry) -> str:
    """What follows `add NAME `: `10.0.0.0/8 timeout 30 nomatch`."""
    element = format_element(entry.parts)
    extensions = (
        entry.timeout_s,
        entry.packets,
        entry.bytes,
        entry.comment,
        entry.skb_mark,
        entry.skb_prio,
        entry.skb_queue,
    )
    if extensions == _NO_EXTENSIONS and not entry.nomatch and type(entry.parts[-1]) is not IfacePart:
        return element
    words = [element]
    if entry.timeout_s is not None:
        words.append(f"timeout {entry.timeout_s}")
    if entry.nomatch:
        words.append("nomatch")
    if any(isinstance(part, IfacePart) and part.wildcard for part in entry.parts):
        words.append("wildcard")
    if entry.packets is not None or entry.bytes is not None:
        words.append(f"packets {entry.packets or 0} bytes {entry.bytes or 0}")
    if entry.comment is not None:
        words.append(f'comment "{entry.comment}"')
    if entry.skb_mark is not None:
        mark, mask = entry.skb_mark
        words.append(f"skbmark {mark:#x}" if mask == 0xFFFFFFFF else f"skbmark {mark:#x}/{mask:#x}")
    if entry.skb_prio is not None:
        words.append(f"skbprio {entry.skb_prio[0]:x}:{entry.skb_prio[1]:x}")
    if entry.skb_queue is not None:
        words.append(f"skbqueue {entry.skb_queue}")
    return " ".join(words)


def _save_lines(one: IPSet) -> list[str]:
    words = [word if value is None else f"{word} {value}" for word, value in one.options.items()]
    if one.family is not None and "family" not in one.options:
        words.insert(0, f"family {_FAMILY_NAMES[one.family]}")
    head = f"add {one.name} "
    return [
        " ".join(["create", one.name, one.type, *words]),
        *[head + format_ipset_entry(entry) for entry in one.entries],
        *[head + text for text in one.unread],
    ]


# --- a set while its lines are read ------------------------------------------------------------------------------


class _Draft:
    """One set in the making; `read` turns a member's text into elements and is None for an unknown type."""

    __slots__ = (
        "_entries",
        "_family",
        "_listed",
        "_name",
        "_options",
        "_read",
        "_type",
        "_unread",
        "references",
        "revision",
    )

    def __init__(self, name: str) -> None:
        self._name = name
        self._type: str | None = None
        self._family: IPFamily | None = None
        self._options: dict[str, str | None] = {}
        self._read: ElementReader | None = None
        self._entries: list[SetEntry] = []
        self._unread: list[str] = []
        self._listed = True
        self.revision: int | None = None
        self.references: int | None = None

    def define(self, set_type: str, words: list[str]) -> None:
        """Type and options, from the words of a `create` line or a `Header:`."""
        self._type = set_type
        self._options = _parse_options(words)
        family = self._options.get("family")
        if family is not None and family not in _FAMILIES:
            raise InvalidInput(f"set {self._name}: family is inet or inet6, not {family!r}")
        if set_type not in _WITHOUT_FAMILY:
            self._family = _FAMILIES[family or "inet"]
        dimensions = SET_DIMENSIONS.get(set_type)
        if dimensions is not None:
            reader = element_reader(dimensions, self._family, any_protocol=set_type == "bitmap:port")
            mask = self._mask() if set_type in _MASKED_TYPES else None
            self._read = reader if mask is None else _masked(reader, mask)

    def _mask(self) -> int | None:
        family = self._family or IPFamily.V4
        netmask, bitmask = self._options.get("netmask"), self._options.get("bitmask")
        if netmask is not None:
            length = _number("netmask", netmask)
            if length > family.bits:
                raise InvalidInput(f"set {self._name}: netmask {netmask} does not fit its family")
            return prefix_mask(family, length)
        if bitmask is not None:
            address = parse_address(bitmask)
            if address.family is not family:
                raise InvalidInput(f"set {self._name}: bitmask {bitmask} does not fit its family")
            return address.value
        return None

    def add(self, text: str) -> None:
        """One member with its extensions."""
        if self._type is None:
            raise InvalidInput(f"set {self._name}: a member comes before the set's type", remedy=_REMEDY)
        if self._read is None:
            self._unread.append(text)
            return
        element, _, extensions = text.partition(" ")
        try:
            found = self._read(element)
            if not extensions:
                for parts in found:
                    self._entries.append(SetEntry(parts))
                return
            values = _parse_extensions(extensions)
        except UnknownWord:
            self._unread.append(text)
            return
        if values.pop("wildcard", False):
            found = [(*parts[:-1], _make_wildcard(parts[-1])) for parts in found]
        self._entries.extend([SetEntry(parts, **values) for parts in found])

    @property
    def defined(self) -> bool:
        """True once type and options are known."""
        return self._type is not None

    def leave_out_members(self) -> None:
        """The listing does not show this set's members."""
        self._listed = False

    def finish(self) -> IPSet:
        """The set as a value."""
        assert self._type is not None
        return IPSet(
            name=self._name,
            type=self._type,
            family=self._family,
            entries=tuple(self._entries),
            options=self._options,
            revision=self.revision,
            references=self.references,
            complete=self._listed and not self._unread,
            unread=tuple(self._unread),
        )


def _masked(reader: ElementReader, mask: int) -> ElementReader:
    def read(text: str) -> list[tuple[Part, ...]]:
        cut = []
        for first, *rest in reader(text):
            assert isinstance(first, Prefix)
            cut.append((replace(first, address=first.address & mask), *rest))
        return list(dict.fromkeys(cut))

    return read


def _make_wildcard(part: Part) -> Part:
    if not isinstance(part, IfacePart):
        raise InvalidInput("only an interface can be a wildcard")
    return replace(part, wildcard=True)


def _number(word: str, text: str) -> int:
    if text.isdigit() and text.isascii() and len(text) <= 20:
        return int(text)
    if _HEXADECIMAL.fullmatch(text) is None:
        raise InvalidInput(f"{word} wants a number, not {text!r}")
    return int(text, 16)


def _parse_options(words: list[str]) -> dict[str, str | None]:
    """Options in their order; a word that is not known has a value when a number follows it."""
    options: dict[str, str | None] = {}
    place = 0
    while place < len(words):
        word = words[place]
        following = words[place + 1] if place + 1 < len(words) else None
        valued = word in ("bitmask", "family", "range") or (following is not None and following[0].isdigit())
        if word in _FLAG_OPTIONS or not valued:
            options[word] = None
            place += 1
            continue
        if following is None:
            raise InvalidInput(f"{word} wants a value")
        options[word] = following
        place += 2
    return options


def _parse_extensions(text: str) -> dict[str, Any]:
    """What follows a member, as fields of `SetEntry` and `wildcard`."""
    values: dict[str, Any] = {}
    if '"' in text:
        head, quote, tail = f" {text}".partition(' comment "')
        # A comment holds no double quote and nothing is escaped (ipset 7.17 refuses it).
        values["comment"], end, tail = tail.partition('"')
        if not (quote and end):
            raise InvalidInput(f"a comment stands between two double quotes: {text[:60]!r}")
        text = f"{head} {tail}"
    words = iter(text.split())
    for word in words:
        if word in ("nomatch", "wildcard"):
            values[word] = True
            continue
        name = _EXTENSIONS.get(word)
        if name is None:
            raise UnknownWord(word)
        value = next(words, None)
        if value is None:
            raise InvalidInput(f"{word} wants a value")
        values[name] = _extension_value(word, value)
    return values


_EXTENSIONS = {
    "timeout": "timeout_s",
    "packets": "packets",
    "bytes": "bytes",
    "comment": "comment",
    "skbmark": "skb_mark",
    "skbprio": "skb_prio",
    "skbqueue": "skb_queue",
}


def _extension_value(word: str, text: str) -> int | str | tuple[int, int]:
    if word == "comment":
        return text
    if word == "skbmark":
        mark, slash, mask = text.partition("/")
        return _number(word, mark), _number(word, mask) if slash else 0xFFFFFFFF
    if word == "skbprio":
        major, colon, minor = text.partition(":")
        if not colon:
            raise InvalidInput(f"skbprio is major:minor, not {text!r}")
        return _number(word, f"0x{major}"), _number(word, f"0x{minor}")
    return _number(word, text)


# --- ipset save --------------------------------------------------------------------------------------------------


def _read_save(lines: list[str], drafts: dict[str, _Draft]) -> None:
    for number, line in enumerate(lines, 1):
        try:
            if line.startswith("add "):
                name, _, member = line[4:].partition(" ")
                draft = drafts.get(name)
                if draft is None:
                    draft, member = _find_by_long_name(line[4:], drafts)
                draft.add(member)
            elif line.startswith("create "):
                _create(line, drafts)
            elif line.strip() and not line.startswith("#") and line != "COMMIT":
                raise InvalidInput(f"neither `create` nor `add`: {line[:60]!r}", remedy=_REMEDY)
        except InvalidInput as error:
            raise error.at(line=number) from None


def _find_by_long_name(rest: str, drafts: dict[str, _Draft]) -> tuple[_Draft, str]:
    """A set whose name holds blanks, which ipset prints as they are."""
    for name in sorted(drafts, key=len, reverse=True):
        if rest.startswith(f"{name} "):
            return drafts[name], rest[len(name) + 1 :]
    raise InvalidInput(f"a member of a set that was not created: {rest[:60]!r}", remedy=_REMEDY)


def _create(line: str, drafts: dict[str, _Draft]) -> None:
    found = _CREATE.fullmatch(line)
    if found is None:
        raise InvalidInput(f"`create NAME TYPE …` is wanted, not {line[:60]!r}", remedy=_REMEDY)
    draft = _new_draft(found["name"], drafts)
    draft.define(found["type"], found["options"].split())


def _new_draft(name: str, drafts: dict[str, _Draft]) -> _Draft:
    if name in drafts:
        raise InvalidInput(f"set {name} is there twice")
    draft = _Draft(name)
    drafts[name] = draft
    return draft


# --- ipset list --------------------------------------------------------------------------------------------------


def _read_list(lines: list[str], drafts: dict[str, _Draft]) -> None:
    draft: _Draft | None = None
    set_type = ""
    members = False
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            if line.startswith("Name: "):
                _end_of_block(draft, members)
                draft, set_type, members = _new_draft(line[6:], drafts), "", False
            elif not line.strip() or line.startswith("#"):
                continue
            elif draft is None:
                raise InvalidInput(f"a set begins with `Name:`, not {line[:60]!r}", remedy=_REMEDY)
            elif members:
                draft.add(line)
            elif line.startswith("Type: "):
                set_type = line[6:]
            elif line.startswith("Header: ") or line == "Header:":
                draft.define(set_type, line[8:].split())
            elif line == "Members:":
                members = True
            else:
                _read_detail(draft, line)
        except InvalidInput as error:
            raise error.at(line=number) from None
    try:
        _end_of_block(draft, members)
    except InvalidInput as error:
        raise error.at(line=number) from None


def _end_of_block(draft: _Draft | None, members: bool) -> None:
    if draft is None:
        return
    if not draft.defined:
        raise InvalidInput("a set without its `Header:`", remedy=_REMEDY)
    if not members:
        draft.leave_out_members()


def _read_detail(draft: _Draft, line: str) -> None:
    name, colon, value = line.partition(": ")
    if not colon:
        raise InvalidInput(f"`name: value` is wanted, not {line[:60]!r}", remedy=_REMEDY)
    if name == "Revision":
        draft.revision = _number(name, value)
    elif name == "References":
        draft.references = _number(name, value)
