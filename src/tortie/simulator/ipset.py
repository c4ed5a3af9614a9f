"""IP sets made ready for lookups: one dict for each combination of prefix lengths.

A hash set with networks is searched as the kernel does (mtype_test_cidrs in net/netfilter/ipset/ip_set_hash_gen.h): one
probe for each prefix length that occurs, longest first, so a set of a hundred thousand prefixes costs a few dict probes.
Sets without networks have one dict. What a packet is looked up by is `set_lookup`'s business.

A `SetIndex` never changes. `with_entry` and `without_entry` give a changed index that shares everything else, so that a
walk can be thrown away; small changes lie as an overlay upon the big dict until there are many of them. The dicts are
built when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tortie.net.address import IPFamily, Prefix, parse_address, prefix_mask
from tortie.net.error import InvalidInput
from tortie.netfilter.ipset import IfacePart, IPSet, MacPart, MarkPart, NamePart, PortPart, SetEntry

KeyPart: TypeAlias = int | bytes
Key: TypeAlias = KeyPart | tuple[KeyPart, ...]
"""One part a dimension; a single part stands alone."""
Lengths: TypeAlias = tuple[int, ...]
"""Prefix lengths of the network dimensions, in their order; empty for a set without networks."""

_FLATTEN_AT = 256
"""Changes beyond this many are written into a new dict."""
_DEFAULT_MAXELEM = 65536

NETWORK_DIMENSION = "net"
FAMILY_FREE: frozenset[str] = frozenset({"bitmap:port", "hash:mac", "list:set"})
"""Types that rules of either family may use; bitmap:ip and bitmap:ip,mac are IPv4 (ip_set_bitmap_*.c)."""


class Table(Protocol):
    """What lookups need of a dict."""

    def get(self, key: Key, /) -> tuple[SetEntry, ...] | None:
        """The entries under a key."""


class _Overlay:
    """A dict with a few changes upon it; None is a key taken away."""

    __slots__ = ("base", "changes")

    def __init__(self, base: dict[Key, tuple[SetEntry, ...]], changes: dict[Key, tuple[SetEntry, ...] | None]) -> None:
        self.base = base
        self.changes = changes

    def get(self, key: Key, /) -> tuple[SetEntry, ...] | None:
        return self.changes[key] if key in self.changes else self.base.get(key)

    def flat(self) -> dict[Key, tuple[SetEntry, ...]]:
        merged = dict(self.base)
        for key, entries in self.changes.items():
            if entries is None:
                merged.pop(key, None)
            else:
                merged[key] = entries
        return merged


@dataclass(frozen=True, slots=True)
class Group:
    """All elements whose networks have the same prefix lengths; `masks` belong to `lengths`, `size` counts elements."""

    lengths: Lengths
    masks: tuple[int, ...]
    table: Table
    size: int


class SetIndex:
    """A set ready for lookups; `definition` is the set as it was read, `groups` what it holds now, longest first."""

    __slots__ = ("definition", "groups", "networks", "size")

    definition: IPSet
    groups: tuple[Group, ...]
    networks: tuple[tuple[int, Table], ...]
    """For sets with one dimension of addresses or networks: mask and table of each group, the quickest way in."""
    size: int

    def __init__(self, definition: IPSet) -> None:
        self.definition = definition

    def __getattr__(self, name: str) -> object:
        """Builds the dicts when they are asked for the first time."""
        if name not in ("groups", "networks", "size"):
            raise AttributeError(name)
        self._fill(_build(self.definition))
        return getattr(self, name)

    def _fill(self, groups: tuple[Group, ...]) -> None:
        self.groups = groups
        self.networks = tuple((group.masks[0] if group.masks else -1, group.table) for group in groups)
        self.size = sum(group.size for group in groups)

    @property
    def entries(self) -> Iterator[SetEntry]:
        """Every element, in no order that means anything."""
        for group in self.groups:
            table = group.table.flat() if isinstance(group.table, _Overlay) else group.table
            assert isinstance(table, dict)
            for held in table.values():
                yield from held

    @property
    def is_full(self) -> bool:
        """True when the set takes no further element (`maxelem` of hash types)."""
        if not self.definition.type.startswith("hash:"):
            return False
        return self.size >= option_number(self.definition, "maxelem", _DEFAULT_MAXELEM)

    def longest(self, dimension: int) -> int | None:
        """The longest prefix length of the given network dimension (0 is the first), None in an empty set."""
        return max((group.lengths[dimension] for group in self.groups), default=None)

    def under_key_of(self, entry: SetEntry) -> tuple[SetEntry, ...]:
        """Elements with the same parts, whatever their extensions and interfaces."""
        lengths, key = entry_key(self.definition, entry)
        group = next((group for group in self.groups if group.lengths == lengths), None)
        return (group.table.get(key) if group is not None else None) or ()

    def held(self, entry: SetEntry) -> SetEntry | None:
        """The element with the same parts, whatever its extensions; interface names are compared as they are written."""
        return next((other for other in self.under_key_of(entry) if _same_element(other, entry)), None)

    def with_entry(self, entry: SetEntry) -> SetIndex:
        """The set with an element added, or changed where it was there already."""
        lengths, key = entry_key(self.definition, entry)
        group = next((group for group in self.groups if group.lengths == lengths), None)
        if group is None:
            family = self.family
            group = Group(lengths, tuple(prefix_mask(family, length) for length in lengths), {}, 0)
        before = group.table.get(key) or ()
        after = tuple(entry if _same_element(other, entry) else other for other in before)
        if entry not in after:
            after = (*after, entry)
        return self._changed(group, key, after, len(after) - len(before))

    def without_entry(self, entry: SetEntry) -> SetIndex:
        """The set with an element taken away; nothing happens when it is not there."""
        lengths, key = entry_key(self.definition, entry)
        for group in self.groups:
            before = group.table.get(key) if group.lengths == lengths else None
            if before is not None:
                after = tuple(other for other in before if not _same_element(other, entry))
                return self._changed(group, key, after, len(after) - len(before))
        return self

    @property
    def family(self) -> IPFamily:
        """The family of the set's addresses."""
        return self.definition.family or IPFamily.V4

    def _changed(self, group: Group, key: Key, entries: tuple[SetEntry, ...], grown: int) -> SetIndex:
        changed = Group(group.lengths, group.masks, _with_key(group.table, key, entries or None), group.size + grown)
        others = [other for other in self.groups if other.lengths != group.lengths]
        if changed.size:
            others.append(changed)
        twin = SetIndex(self.definition)
        twin._fill(tuple(sorted(others, key=_longest_first)))
        return twin


def index_sets(sets: Mapping[str, IPSet] | None) -> dict[str, SetIndex] | None:
    """All sets of a snapshot, ready for lookups; None when the snapshot holds none."""
    return None if sets is None else {name: SetIndex(definition) for name, definition in sets.items()}


def address_mask(definition: IPSet) -> int:
    """The mask that the set lays over every address before it looks it up (options `netmask` and `bitmask`).

    Raises `InvalidInput` when the option cannot be read.
    """
    family = definition.family or IPFamily.V4
    given = definition.options.get("netmask") or definition.options.get("bitmask")
    if not given:
        return family.all_ones
    if given.isascii() and given.isdigit() and int(given) <= family.bits:
        return prefix_mask(family, int(given))
    return parse_address(given).value


def mark_mask(definition: IPSet) -> int:
    """The mask that hash:ip,mark lays over the mark (option `markmask`)."""
    return option_number(definition, "markmask", 0xFFFFFFFF)


def option_number(definition: IPSet, option: str, default: int) -> int:
    """A number among the set's options; raises `InvalidInput` when it is none."""
    text = definition.options.get(option)
    try:
        return int(text, 0) if text else default
    except ValueError:
        raise InvalidInput(f"option {option} of set {definition.name} is no number: {text!r}") from None


def entry_key(definition: IPSet, entry: SetEntry) -> tuple[Lengths, Key]:
    """Where an element belongs: the prefix lengths of its networks, and its key among those."""
    return _entry_key(_key_dimensions(definition), address_mask(definition), entry)


def _key_dimensions(definition: IPSet) -> tuple[tuple[int, bool], ...]:
    """Which parts of an element make its key, and which of them are networks; interfaces and learnt MACs do not."""
    learns = definition.type == "bitmap:ip,mac"
    return tuple(
        (position, dimension == NETWORK_DIMENSION)
        for position, dimension in enumerate(definition.dimensions)
        if dimension != "iface" and not (learns and dimension == "mac")
    )


def _entry_key(dimensions: tuple[tuple[int, bool], ...], mask: int, entry: SetEntry) -> tuple[Lengths, Key]:
    key: list[KeyPart] = []
    lengths: list[int] = []
    for position, network in dimensions:
        part = entry.parts[position]
        if isinstance(part, Prefix):
            if network:
                lengths.append(part.length)
                key.append(part.address & part.mask)
            else:
                key.append(part.address & mask)
        elif isinstance(part, PortPart):
            key.append(part.port if part.proto is None else part.proto << 16 | part.port)
        else:
            key.append(_other_key_part(part))
    return tuple(lengths), key[0] if len(key) == 1 else tuple(key)


def _other_key_part(part: IfacePart | MacPart | MarkPart | NamePart) -> KeyPart:
    match part:
        case MacPart(address):
            return address or b""
        case MarkPart(value):
            return value
        case NamePart(name):
            return name.encode()
        case IfacePart():
            raise ValueError("an interface is no part of a key")


def _same_element(one: SetEntry, other: SetEntry) -> bool:
    """Elements that share a key differ only by their interface."""
    ifaces = [part for part in one.parts if isinstance(part, IfacePart)]
    return ifaces == [part for part in other.parts if isinstance(part, IfacePart)]


def _build(definition: IPSet) -> tuple[Group, ...]:
    tables: dict[Lengths, dict[Key, tuple[SetEntry, ...]]] = {}
    sizes: dict[Lengths, int] = {}
    if definition.dimensions == ("net",):
        _fill_networks(definition.entries, tables)
        sizes = {lengths: len(table) for lengths, table in tables.items()}
    else:
        dimensions, mask = _key_dimensions(definition), address_mask(definition)
        shares = len(dimensions) < len(definition.dimensions)
        for entry in definition.entries:
            lengths, key = _entry_key(dimensions, mask, entry)
            table = tables.setdefault(lengths, {})
            before = table.get(key, ()) if shares else ()
            table[key] = (*(other for other in before if not _same_element(other, entry)), entry) if before else (entry,)
        sizes = {lengths: sum(map(len, table.values())) for lengths, table in tables.items()}
    family = definition.family or IPFamily.V4
    groups = (
        Group(lengths, tuple(prefix_mask(family, length) for length in lengths), table, sizes[lengths])
        for lengths, table in tables.items()
    )
    return tuple(sorted(groups, key=_longest_first))


def _fill_networks(entries: Iterable[SetEntry], tables: dict[Lengths, dict[Key, tuple[SetEntry, ...]]]) -> None:
    """The common case, hash:net, without a function call for each of many members."""
    by_length: dict[int, tuple[int, dict[Key, tuple[SetEntry, ...]]]] = {}
    for entry in entries:
        prefix = entry.parts[0]
        assert isinstance(prefix, Prefix)
        known = by_length.get(prefix.length)
        if known is None:
            table = tables.setdefault((prefix.length,), {})
            known = by_length[prefix.length] = (prefix.mask, table)
        known[1][prefix.address & known[0]] = (entry,)


def _longest_first(group: Group) -> tuple[int, ...]:
    return tuple(-length for length in group.lengths)


def _with_key(table: Table, key: Key, entries: tuple[SetEntry, ...] | None) -> Table:
    if isinstance(table, _Overlay):
        changed = _Overlay(table.base, {**table.changes, key: entries})
    else:
        assert isinstance(table, dict)
        changed = _Overlay(table, {key: entries})
    small = len(changed.base) <= _FLATTEN_AT // 4
    return changed.flat() if small or len(changed.changes) > _FLATTEN_AT else changed
