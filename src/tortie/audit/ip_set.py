"""The sets of a node: against the rules that look into them, what their names promise, and what was rendered.

A set that was rendered is held against that alone. Where nothing was, the name of a set of ours promises its type (spec:
rules 9.3), and a set that no rule looks into is left over; sets of others are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from tortie.audit.finding import Finding, FindingKind, Place, Severity
from tortie.codec.ipset import format_ipset_entry
from tortie.net.address import IPFamily
from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.netfilter.match import SetMatch
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.ipset import members, same_kind, swappable
from tortie.render import names
from tortie.render.ruleset import Rendering

NEARLY_FULL = 0.9
"""Part of its size from which a set is told to be nearly full."""
MOST_NAMED = 3
"""How many members that a set lacks, or has too many, are named."""
_WELL_KNOWN = {
    names.ALL_POOLS_SET: "hash:net",
    names.MASQUERADE_POOLS_SET: "hash:net",
    names.THIS_HOST_SET: "hash:ip",
    names.ALL_HOSTS_SET: "hash:net",
    names.ALL_VXLAN_SET: "hash:net",
}
_WELL_KNOWN_TYPES = {names.ip_set_name(family, set_id): kind for family in IPFamily for set_id, kind in _WELL_KNOWN.items()}
_TYPES_BY_ID = {
    names.ip_set_name(family, prefix): kind
    for family in IPFamily
    for prefix, kind in (("s:", "hash:net"), ("n:", "hash:ip,port"))
}
"""What a set is, by how its name starts (spec: rules 9.3)."""
_OUR_SETS = {family: re.compile(pattern) for family, pattern in names.OUR_SET_PATTERNS.items()}
_TEMPORARY = {family: names.temporary_set_name(family, 0)[:-1] for family in IPFamily}


def audit_sets(rulesets: Iterable[Ruleset], ip_sets: Mapping[str, IPSet], rendering: Rendering | None) -> Iterator[Finding]:
    """Every finding about sets of ours."""
    wanted = {name: one for made in rendering.families.values() for name, one in made.ip_sets.items()} if rendering else {}
    used = _used_sets(rulesets)
    for name, place in used.items():
        if name not in ip_sets and name not in wanted:
            yield Finding(FindingKind.SET, place, f"the set {name}, which the rule names, is missing")
    for name, should in wanted.items():
        if name not in ip_sets:
            yield Finding(FindingKind.DIFFERENCE, Place(should.family, ip_set=name), "is missing")
    for name, one in ip_sets.items():
        family = next((family for family, pattern in _OUR_SETS.items() if pattern.match(name)), None)
        if family is None:
            continue
        if name in wanted:
            yield from _differences(one, wanted[name])
        else:
            yield from _left_over(one, family, used, rendering)
        yield from _fullness(one)


def _used_sets(rulesets: Iterable[Ruleset]) -> dict[str, Place]:
    """Every set that a rule looks into, and the first such rule."""
    used: dict[str, Place] = {}
    for ruleset in rulesets:
        for table in ruleset.tables.values():
            for chain in table.chains.values():
                for number, rule in enumerate(chain.rules, 1):
                    for match in rule.matches:
                        if isinstance(match, SetMatch):
                            place = Place(ruleset.family, ruleset.backend, table.name, chain.name, number)
                            used.setdefault(match.name, place)
    return used


def _left_over(one: IPSet, family: IPFamily, used: Mapping[str, Place], rendering: Rendering | None) -> Iterator[Finding]:
    """What is to be said of a set that was not rendered, or when nothing was."""
    place = Place(one.family, ip_set=one.name)
    promised = _WELL_KNOWN_TYPES.get(one.name) or next(
        (kind for start, kind in _TYPES_BY_ID.items() if one.name.startswith(start)), None
    )
    if one.name.startswith(_TEMPORARY[family]):
        text = "is a temporary one that an interrupted write left"
        yield Finding(FindingKind.SET, place, text, Severity.WARNING)
    elif rendering is not None and family in rendering.families:
        yield Finding(FindingKind.DIFFERENCE, place, "should not be there", Severity.WARNING)
    elif one.name.startswith("felix-"):
        yield Finding(FindingKind.OLD_VERSION, place, "is a set of Felix 1", Severity.WARNING)
    elif promised is not None and one.type != promised:
        yield Finding(FindingKind.SET, place, f"is a {one.type}, where Felix makes a {promised}")
    elif one.name not in used and one.name not in _WELL_KNOWN_TYPES:
        yield Finding(FindingKind.SET, place, "no rule looks into it", Severity.WARNING)


def _fullness(one: IPSet) -> Iterator[Finding]:
    size = one.options.get("maxelem")
    if size is None or not size.isdigit() or len(one.entries) < int(size) * NEARLY_FULL:
        return
    full = len(one.entries) >= int(size)
    text = f"is {'full' if full else 'nearly full'}: {len(one.entries)} members of {size}"
    place = Place(one.family, ip_set=one.name)
    yield Finding(FindingKind.SET, place, text, Severity.ERROR if full else Severity.WARNING)


def _differences(held: IPSet, wanted: IPSet) -> Iterator[Finding]:
    place = Place(wanted.family, ip_set=wanted.name)
    if not swappable(held, wanted):
        kinds = (f"{one.type} of IPv{one.family.value if one.family else '?'}" for one in (held, wanted))
        yield Finding(FindingKind.DIFFERENCE, place, "is a {}, and should be a {}".format(*kinds))
        return
    if not held.complete:
        what = f"holds what cannot be read: {held.unread[0]}" if held.unread else "its members were not listed"
        yield Finding(FindingKind.UNJUDGED, place, what, Severity.NOTE)
        return
    is_, should = members(held), members(wanted)
    if is_ != should:
        parts = (_listed("has what it should not have", is_ - should), _listed("lacks", should - is_))
        yield Finding(FindingKind.DIFFERENCE, place, "; ".join(part for part in parts if part))
    if not same_kind(held, wanted):
        options = (
            " ".join(f"{name} {value or ''}".strip() for name, value in one.options.items()) for one in (held, wanted)
        )
        text = "was made with `{}`, and should be with `{}`".format(*options)
        yield Finding(FindingKind.DIFFERENCE, place, text, Severity.WARNING)


def _listed(what: str, found: Iterable[SetEntry]) -> str:
    """Some members by name, and how many there are besides."""
    texts = sorted(map(format_ipset_entry, found))
    if not texts:
        return ""
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return f"{what} {', '.join(texts[:MOST_NAMED])}{more}"
