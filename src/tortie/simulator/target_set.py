"""The SET target: puts packets' parts into ip sets, takes them out, and takes marks from them (spec: netfilter 6, 8.2).

What is added is what a lookup would ask for, a network with the longest prefix that the set holds already. Later rules
see the change at once; it lives in the session, never in the snapshot.

Sources: set_target_v3 in net/netfilter/xt_set.c; ip_set_add and ip_set_del in net/netfilter/ipset/ip_set_core.c, mtype_add
and mtype_del in ip_set_hash_gen.h, list_set_kadd in ip_set_list_set.c, the kadt functions of each type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix, prefix_mask
from tortie.net.error import InvalidInput
from tortie.netfilter.ipset import IfacePart, IPSet, MacPart, MarkPart, NamePart, Part, PortPart, SetEntry
from tortie.netfilter.match import Side
from tortie.netfilter.target import SetTarget
from tortie.simulator.answer import Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.ipset import SetIndex, option_number
from tortie.simulator.match_set import LIST, fits, set_problem
from tortie.simulator.set_lookup import CounterRule, Query, compile_query, count, decide, mac_part, set_index
from tortie.simulator.skb import Skb

Effect = Callable[[Skb], Doubt | None]
Change = Callable[[Skb], bool | Doubt]
"""A change of a set: whether it was made, where that is known."""


def compile_set_target(target: SetTarget, context: Context) -> Effect:
    """`SET`."""
    problem = set_problem(target.name, context)
    if problem is not None:
        doubt = Doubt(DoubtKind.UNKNOWN, f"SET changes something in a set of which nothing is known: {problem}")
        return lambda _: doubt
    if target.operation == "map":
        return _map(target, context)
    change = _change(target, target.name, context)

    def run(skb: Skb) -> Doubt | None:
        done = change(skb)
        return done if isinstance(done, Doubt) else None

    return run


def _change(target: SetTarget, name: str, context: Context) -> Change:
    definition = _definition(name, context)
    if not fits(definition, target.sides, context):
        return lambda _: False
    if definition.type == LIST:
        return _change_list(target, definition, context)
    query = compile_query(name, definition, target.sides, context)
    assert query is not None
    change = _add if target.operation == "add" else _delete

    def run(skb: Skb) -> bool | Doubt:
        index = set_index(skb, name)
        entry = new_entry(query, index, target.sides, skb)
        if entry is None or isinstance(entry, Doubt):
            return entry or False
        return change(target, index, entry, skb)

    return run


def _definition(name: str, context: Context) -> IPSet:
    sets = context.snapshot.ip_sets
    assert sets is not None
    return sets[name]


def _change_list(target: SetTarget, definition: IPSet, context: Context) -> Change:
    """A list:set hands the change to its members in order, until one of them makes it."""
    changes: list[Change] = []
    for entry in definition.entries:
        part = entry.parts[0]
        assert isinstance(part, NamePart)
        problem = set_problem(part.name, context)
        if problem is not None:
            changes.append(_unknown_change(problem))
        elif _definition(part.name, context).type != LIST:
            changes.append(_change(target, part.name, context))

    def run(skb: Skb) -> bool | Doubt:
        for change in changes:
            done = change(skb)
            if done is not False:
                return done
        return False

    return run


def _unknown_change(problem: str) -> Change:
    doubt = Doubt(DoubtKind.UNKNOWN, problem)
    return lambda _: doubt


# --- elements ----------------------------------------------------------------------------------------------------


def new_entry(query: Query, index: SetIndex, sides: tuple[Side, ...], skb: Skb) -> SetEntry | Doubt | None:
    """The element that stands for a packet in a set; None when the packet has no such part, or the set no such place."""
    definition = index.definition
    values = query.values(skb)
    if values is None or isinstance(values, Doubt):
        return values
    family = index.family
    remaining = iter(values)
    networks = 0
    parts: list[Part] = []
    for dimension, side in zip(definition.dimensions, sides, strict=False):
        if dimension == "iface":
            name = skb.in_iface if side is Side.SRC else skb.out_iface
            if name is None:
                return Doubt(DoubtKind.UNKNOWN, f"the interface put into set {query.name} is not known")
            if not name:
                return None
            parts.append(IfacePart(name))
        elif dimension == "mac" and definition.type == "bitmap:ip,mac":
            mac = query.mac(skb) if query.mac is not None else None
            if mac is None:
                return None
            parts.append(mac_part(mac))
        elif dimension == "net":
            length = index.longest(networks)
            networks += 1
            parts.append(_network(family, next(remaining), family.bits if length is None else length))
        else:
            parts.append(_part(dimension, definition, next(remaining)))
    return SetEntry(tuple(parts)) if _has_place(definition, parts) else None


def _network(family: IPFamily, value: int | bytes, length: int) -> Prefix:
    assert isinstance(value, int)
    return Prefix(family, value & prefix_mask(family, length), length)


def _part(dimension: str, definition: IPSet, value: int | bytes) -> Part:
    if isinstance(value, bytes):
        return MacPart(value)
    if dimension == "port":
        return PortPart(None, value) if definition.type == "bitmap:port" else PortPart(value >> 16, value & 0xFFFF)
    if dimension == "mark":
        return MarkPart(value)
    family = definition.family or IPFamily.V4
    return Prefix(family, value, family.bits)


def _has_place(definition: IPSet, parts: list[Part]) -> bool:
    """False for what the set cannot hold: an address or port outside a bitmap, address 0 in hash:ip, a network of /0."""
    first = parts[0]
    if definition.type.startswith("bitmap:"):
        low, high = _bitmap_range(definition)
        value = first.address if isinstance(first, Prefix) else first.port if isinstance(first, PortPart) else low
        return low <= value <= high
    if definition.type == "hash:ip":
        return isinstance(first, Prefix) and first.address != 0
    return all(not isinstance(part, Prefix) or part.length > 0 for part in parts)


def _bitmap_range(definition: IPSet) -> tuple[int, int]:
    """First and last address or port of a bitmap; raises `InvalidInput` when its range cannot be read."""
    text = definition.options.get("range") or ""
    low, joint, high = text.partition("-")
    if definition.type == "bitmap:port":
        try:
            return int(low), int(high) if joint else int(low)
        except ValueError:
            raise InvalidInput(f"range of set {definition.name} is none: {text!r}") from None
    if joint:
        return parse_address(low).value, parse_address(high).value
    prefix = parse_prefix(low).network
    return prefix.address, prefix.address | prefix.mask ^ prefix.family.all_ones


# --- adding and deleting -----------------------------------------------------------------------------------------


def _add(target: SetTarget, index: SetIndex, entry: SetEntry, skb: Skb) -> bool | Doubt:
    """Adds an element; one that is there already is left alone, or with `--exist` gets new extensions."""
    name, options = index.definition.name, index.definition.options
    held = _held(index, entry)
    if held is not None and not target.exist and not _lacks_mac(held):
        return False
    if held is None and index.is_full:
        if "forceadd" in options:
            return Doubt(DoubtKind.CHANCE, f"set {name} is full and gives up a random element")
        return False
    if held is not None:
        # What is equal stays; a MAC does not take part in that and is taken over (bitmap_ipmac_do_add).
        entry = replace(entry, parts=entry.parts if isinstance(held.parts[-1], MacPart) else held.parts)
    if "timeout" in options:
        default = option_number(index.definition, "timeout", 0)
        entry = replace(entry, timeout_s=default if target.timeout_s is None else target.timeout_s)
    if "counters" in options:
        entry = replace(entry, packets=1, bytes=skb.packet.length)
    skb.session.replace_set(name, index.with_entry(entry))
    return True


def _lacks_mac(entry: SetEntry) -> bool:
    return any(isinstance(part, MacPart) and part.address is None for part in entry.parts)


def _delete(_: SetTarget, index: SetIndex, entry: SetEntry, skb: Skb) -> bool:
    held = _held(index, entry)
    if held is None:
        return False
    skb.session.replace_set(index.definition.name, index.without_entry(held))
    return True


def _held(index: SetIndex, entry: SetEntry) -> SetEntry | None:
    """The element in the set that this one is equal to; an interface with wildcard is equal to every name it covers."""
    for held in index.under_key_of(entry):
        if all(_covers(one, other) for one, other in zip(held.parts, entry.parts, strict=True)):
            return held
    return None


def _covers(one: Part, other: Part) -> bool:
    if isinstance(one, IfacePart) and isinstance(other, IfacePart):
        return one.physdev == other.physdev and (
            other.name.startswith(one.name) if one.wildcard else one.name == other.name
        )
    return True


# --- map ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One set to look the packet up in; `listed` is the list's own element for it."""

    query: Query
    listed: SetEntry | None = None


def _map(target: SetTarget, context: Context) -> Effect:
    """`--map-set`: takes the mark that the packet's element holds; priority and queue do not change its path.

    A list counts in its own element for the member that has the packet, and a list with skbinfo gives its own mark.
    """
    lookups = _lookups(target, context)
    options = _definition(target.name, context).options

    def run(skb: Skb) -> Doubt | None:
        for lookup in lookups:
            found = lookup if isinstance(lookup, Doubt) else decide(lookup.query, skb, CounterRule())
            if isinstance(found, Doubt):
                return found
            if found is None or found.nomatch:
                continue
            assert isinstance(lookup, _Lookup)
            if lookup.listed is not None:
                found = _of_list(target.name, lookup.listed, found, skb)
            if target.map_mark:
                value, mask = found.skb_mark or (0, 0)
                skb.mark = skb.mark & ~mask & 0xFFFFFFFF ^ value
            return None
        return None

    def _of_list(name: str, listed: SetEntry, found: SetEntry, skb: Skb) -> SetEntry:
        now = set_index(skb, name).held(listed) or listed
        if "counters" in options:
            count(name, skb, now, CounterRule())
        return now if "skbinfo" in options else found

    return run


def _lookups(target: SetTarget, context: Context) -> list[_Lookup | Doubt]:
    definition = _definition(target.name, context)
    if definition.type != LIST:
        query = compile_query(target.name, definition, target.sides, context)
        return [_Lookup(query)] if query is not None else []
    found: list[_Lookup | Doubt] = []
    for entry in definition.entries:
        part = entry.parts[0]
        assert isinstance(part, NamePart)
        problem = set_problem(part.name, context)
        if problem is not None:
            found.append(Doubt(DoubtKind.UNKNOWN, problem))
            continue
        query = compile_query(part.name, _definition(part.name, context), target.sides, context)
        if query is not None:
            found.append(_Lookup(query, entry))
    return found
