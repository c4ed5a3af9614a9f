"""`-m set`: is the packet a member of an ip set (spec: netfilter 8.2).

The common cases, a set of addresses or of networks without counters, are one closure with a dict probe for each prefix
length. Everything else goes through `set_lookup`. A set that the snapshot does not hold, or does not hold in full, gives
a doubt where that decides.

Sources: set_match_v4 in net/netfilter/xt_set.c, ip_set_test in net/netfilter/ipset/ip_set_core.c, list_set_ktest in
ip_set_list_set.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tortie.net.address import IPFamily, Prefix, format_address
from tortie.net.protocol import ICMP, ICMPV6, protocol_name
from tortie.netfilter.ipset import IfacePart, IPSet, MacPart, MarkPart, NamePart, Part, PortPart, SetEntry
from tortie.netfilter.match import SetMatch, Side
from tortie.simulator.answer import Answer, Doubt, DoubtKind
from tortie.simulator.context import Context
from tortie.simulator.match_header import Holds, always, doubtful, never
from tortie.simulator.set_lookup import (
    CounterRule,
    Query,
    compile_query,
    count,
    decide,
    find,
    fits_family,
    set_index,
)
from tortie.simulator.skb import Skb

LIST = "list:set"
_KEEPS_NOMATCH = "net"
"""Types with a network dimension can hold `nomatch` elements (IPSET_TYPE_NOMATCH)."""


def compile_set(match: SetMatch, context: Context) -> Holds:
    """`-m set --match-set`."""
    problem = set_problem(match.name, context, inverted=match.inverted)
    if problem is not None:
        return doubtful(problem)
    inverted = match.inverted
    definition = _definition(match.name, context)
    if not fits(definition, match.sides, context):
        return always if inverted else never
    quick = _quick(match, definition, context)
    if quick is not None:
        return quick
    member = _member_test(match, definition, context)

    def test(skb: Skb) -> Answer:
        answer = member(skb)
        if isinstance(answer, Doubt):
            return answer if not inverted else replace(answer, why=f"not: {answer.why}")
        return answer is not inverted

    return test


def asks_headers_only(match: SetMatch, context: Context) -> bool:
    """True when the answer follows from addresses, ports and mark of the packet, and asking changes nothing."""
    if set_problem(match.name, context) is not None:
        return False
    definition = _definition(match.name, context)
    return not fits(definition, match.sides, context) or _quick(match, definition, context) is not None


def set_problem(name: str, context: Context, *, inverted: bool = False) -> str | None:
    """What holds where the match does, and why nothing is known about the set; None when it can be looked up."""
    sets = context.snapshot.ip_sets
    claim = f"the packet is {'not ' if inverted else ''}in set {name}"
    if sets is None:
        return f"{claim}, but the snapshot holds no ip sets"
    if name not in sets:
        return f"{claim}, which is not in the snapshot"
    if not sets[name].dimensions:
        return f"{claim}, whose type {sets[name].type} Tortie does not know"
    return None


def _definition(name: str, context: Context) -> IPSet:
    sets = context.snapshot.ip_sets
    assert sets is not None
    return sets[name]


def fits(definition: IPSet, sides: tuple[Side, ...], context: Context) -> bool:
    """False when the set answers no to every packet: too few flags, or the other family."""
    return len(sides) >= len(definition.dimensions) and fits_family(definition, context.family)


# --- the quick cases ---------------------------------------------------------------------------------------------


def _quick(match: SetMatch, definition: IPSet, context: Context) -> Holds | None:
    """A closure for sets that are known in full and do not change by being looked up; None for all others."""
    if not definition.complete or definition.type == LIST or "counters" in definition.options:
        return None
    query = compile_query(match.name, definition, match.sides, context)
    assert query is not None
    if query.narrow is not None or "mac" in definition.dimensions:
        return None
    if len(query.parts) > 1:
        return _quick_keyed(match, query)
    if definition.dimensions in (("ip",), ("net",)) and not {"netmask", "bitmask"} & definition.options.keys():
        return _quick_address(match, definition)
    return None


def _wanted(match: SetMatch, networks: bool) -> bool:
    """What `nomatch` of the deciding element has to be for the test to hold."""
    return (match.return_nomatch and networks) is not match.inverted


def _quick_address(match: SetMatch, definition: IPSet) -> Holds:
    name, inverted = match.name, match.inverted
    wanted = _wanted(match, definition.dimensions == ("net",))
    if match.sides[0] is Side.SRC:

        def source_test(skb: Skb) -> Answer:
            sets = skb.session.sets
            assert sets is not None
            address = skb.packet.src
            for mask, table in sets[name].networks:
                held = table.get(address & mask)
                if held is not None:
                    return held[0].nomatch is wanted
            return inverted

        return source_test

    def destination_test(skb: Skb) -> Answer:
        sets = skb.session.sets
        assert sets is not None
        address = skb.packet.dst
        for mask, table in sets[name].networks:
            held = table.get(address & mask)
            if held is not None:
                return held[0].nomatch is wanted
        return inverted

    return destination_test


def _quick_keyed(match: SetMatch, query: Query) -> Holds:
    """Sets with several parts: the first network, where there is one, is masked anew for each prefix length."""
    name, inverted, parts = match.name, match.inverted, query.parts
    if any(query.network):
        return _quick_networks(match, query)

    def test(skb: Skb) -> Answer:
        sets = skb.session.sets
        assert sets is not None
        key = tuple([read(skb) for read in parts])
        for group in sets[name].groups:
            return (group.table.get(key) is not None) is not inverted  # type: ignore[arg-type]
        return inverted

    return test


def _quick_networks(match: SetMatch, query: Query) -> Holds:
    name, inverted, wanted = match.name, match.inverted, _wanted(match, True)

    def test(skb: Skb) -> Answer:
        sets = skb.session.sets
        assert sets is not None
        values = query.values(skb)
        if values is None:
            return inverted
        assert not isinstance(values, Doubt)
        for group in sets[name].groups:
            held = group.table.get(query.key(values, group.masks))
            if held is not None:
                return held[0].nomatch is wanted
        return inverted

    return test


# --- everything else ---------------------------------------------------------------------------------------------


def _member_test(match: SetMatch, definition: IPSet, context: Context) -> Callable[[Skb], bool | Doubt]:
    if definition.type == LIST:
        return _list_test(match, definition, context)
    query = compile_query(match.name, definition, match.sides, context)
    assert query is not None
    counters = CounterRule(match.update_counters, match.packets, match.bytes)
    nomatch_wanted = match.return_nomatch and _KEEPS_NOMATCH in definition.dimensions

    def test(skb: Skb) -> bool | Doubt:
        found = decide(query, skb, counters)
        if isinstance(found, Doubt):
            return found
        if not definition.complete and not _is_certain(found, definition):
            return Doubt(DoubtKind.UNKNOWN, f"the packet is in set {match.name}, of which some members are not known")
        return found is not None and found.nomatch is nomatch_wanted

    return test


def _is_certain(found: SetEntry | None, definition: IPSet) -> bool:
    """True when members that are not known could not change a hit: no longer prefix can stand before it."""
    if found is None:
        return False
    full = (definition.family or IPFamily.V4).bits
    return all(part.length == full for part in found.parts if isinstance(part, Prefix))


def _list_test(match: SetMatch, definition: IPSet, context: Context) -> Callable[[Skb], bool | Doubt]:
    """A list:set: its members in order, with the same flags; tests of counters are for the list's own (not theirs)."""
    members: list[tuple[SetEntry, Callable[[Skb], bool | Doubt]]] = []
    inner = replace(match, packets=None, bytes=None, update_counters=match.update_counters and match.update_subcounters)
    for entry in definition.entries:
        part = entry.parts[0]
        assert isinstance(part, NamePart)
        members.append((entry, _list_member(replace(inner, name=part.name), context)))
    counting = "counters" in definition.options
    counters = CounterRule(match.update_counters, match.packets, match.bytes)
    rest = None if definition.complete else f"the packet is in set {match.name}, of which some members are not known"

    def test(skb: Skb) -> bool | Doubt:
        doubt = Doubt(DoubtKind.UNKNOWN, rest) if rest is not None else None
        for entry, member in members:
            answer = member(skb)
            if isinstance(answer, Doubt):
                doubt = answer
            elif answer:
                now = set_index(skb, match.name).held(entry) or entry
                if not counting or count(match.name, skb, now, counters):
                    return True
        return doubt if doubt is not None else False

    return test


def _list_member(match: SetMatch, context: Context) -> Callable[[Skb], bool | Doubt]:
    problem = set_problem(match.name, context)
    if problem is not None:
        doubt = Doubt(DoubtKind.UNKNOWN, problem)
        return lambda _: doubt
    definition = _definition(match.name, context)
    if definition.type == LIST or not fits(definition, match.sides, context):
        return lambda _: False
    return _member_test(match, definition, context)


# --- telling -----------------------------------------------------------------------------------------------------


def explain_set(match: SetMatch, skb: Skb, context: Context, *, holds: bool) -> str:
    """Why the packet is, or is not, in the set; empty for a hit of `!`, which says it all."""
    problem = set_problem(match.name, context, inverted=match.inverted)
    if problem is not None:
        return problem
    definition = _definition(match.name, context)
    if holds and match.inverted:
        return ""
    if len(match.sides) < len(definition.dimensions):
        return f"set {match.name} has {len(definition.dimensions)} dimensions and the rule names fewer"
    if not fits_family(definition, context.family):
        return f"set {match.name} is of the other family"
    names = [match.name]
    if definition.type == LIST:
        parts = (entry.parts[0] for entry in definition.entries)
        names = [part.name for part in parts if isinstance(part, NamePart)]
    for name in names:
        member = replace(match, name=name)
        if set_problem(name, context) is None and fits(_definition(name, context), match.sides, context):
            text = _explain_member(member, skb, context)
            if text:
                return text if name == match.name else f"{text}, which {match.name} lists"
    what = values_text(match, skb, context)
    return f"{what} is not in set {match.name}" if what is not None else f"the packet lacks what set {match.name} looks at"


def _explain_member(match: SetMatch, skb: Skb, context: Context) -> str:
    definition = _definition(match.name, context)
    query = compile_query(match.name, definition, match.sides, context)
    assert query is not None
    found = next(find(query, set_index(skb, match.name), skb), None)
    if isinstance(found, Doubt):
        return f"it is not known whether {found.why}"
    if found is None:
        return ""
    element = entry_text(found)
    what = values_text(match, skb, context)
    text = f"set {match.name} holds {element}" if what == element else f"{what} is in {element} of set {match.name}"
    if found.nomatch:
        text += ", which is marked nomatch"
    if match.packets is not None or match.bytes is not None:
        text += f" (packets {found.packets or 0}, bytes {found.bytes or 0})"
    return text


def values_text(match: SetMatch, skb: Skb, context: Context) -> str | None:
    """What the packet is looked up by, written as ipset writes elements; None when the packet lacks a part."""
    definition = _definition(match.name, context)
    if definition.type == LIST:
        return "the packet"
    words: list[str] = []
    query = compile_query(match.name, definition, match.sides, context)
    values = query.values(skb) if query is not None else None
    if values is None:
        return None
    if isinstance(values, Doubt):
        return "the packet"
    remaining = iter(values)
    for dimension, side in zip(definition.dimensions, match.sides, strict=False):
        if dimension == "iface":
            words.append((skb.in_iface if side is Side.SRC else skb.out_iface) or "no interface")
            continue
        if definition.type == "bitmap:ip,mac" and dimension == "mac":
            continue
        words.append(_value_text(dimension, next(remaining), definition, context))
    return ",".join(words)


def _value_text(dimension: str, value: int | bytes, definition: IPSet, context: Context) -> str:
    if isinstance(value, bytes):
        return value.hex(":")
    if dimension == "mark":
        return f"{value:#x}"
    if dimension != "port":
        return format_address(context.family, value)
    if definition.type == "bitmap:port":
        return str(value)
    return port_text(value >> 16, value & 0xFFFF)


def port_text(proto: int, port: int) -> str:
    """A port dimension as people read it: `tcp:80`, `icmp:8/0`, `ospf:0`."""
    if proto in (ICMP, ICMPV6):
        return f"{protocol_name(proto)}:{port >> 8}/{port & 255}"
    return f"{protocol_name(proto)}:{port}"


def entry_text(entry: SetEntry) -> str:
    """An element as people read it."""
    return ",".join(_part_text(part) for part in entry.parts)


def _part_text(part: Part) -> str:
    match part:
        case Prefix(family, address, length):
            return format_address(family, address) if length == family.bits else str(part)
        case PortPart(None, port):
            return str(port)
        case PortPart(proto, port):
            return port_text(proto or 0, port)
        case IfacePart(name, physdev, wildcard):
            return f"{'physdev:' if physdev else ''}{name}{'*' if wildcard else ''}"
        case MacPart(address):
            return address.hex(":") if address is not None else "any MAC"
        case MarkPart(value):
            return f"{value:#x}"
        case NamePart(name):
            return name
