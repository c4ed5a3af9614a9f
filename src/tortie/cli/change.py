"""What programming would change, told by what people know: policies, profiles, pods, host endpoints, sets; then chains.

Both sides are values: what the kernel holds, and the tables as they should become (`reconcile.table`). The comments that
carry hashes are left out of the comparison of rules that is shown, because one rule more changes the hash of every rule
behind it; such rules are counted as *renumbered*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from enum import Enum

from tortie.cli.chain_owner import ChainUse, Owner, OwnerKind, Owners
from tortie.cli.programming import CALICO, wanted_families
from tortie.codec.ipset import format_ipset_entry
from tortie.codec.rule import RuleWriter
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.reconcile.table import complete_table, held_table
from tortie.reconcile.wanted import Held
from tortie.render.names import TRACKING_COMMENT
from tortie.render.ruleset import Rendering


class Kind(Enum):
    """What happens to a chain, a set or their owner; `value` is the sign it is shown with."""

    NEW = "+"
    GONE = "-"
    CHANGED = "~"


@dataclass(frozen=True, slots=True)
class ChainChange:
    """A chain that will not be as it is. `lines` are rules with a sign and a blank in front, as in a diff."""

    family: IPFamily
    table: TableName
    chain: str
    use: ChainUse
    kind: Kind
    lines: tuple[str, ...]
    renumbered: int = 0
    """Rules that stay but for the hash in their comment."""


@dataclass(frozen=True, slots=True)
class SetChange:
    """A set that will not be as it is, with members as text; `remade` when type or options change."""

    family: IPFamily
    name: str
    owner: Owner
    kind: Kind
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    remade: bool = False


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """What becomes of a policy, an endpoint and so on: `details` in words, each once however many chains show it."""

    owner: Owner
    kind: Kind
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """All that will change, and the rules and sets of afterwards."""

    owners: tuple[OwnerChange, ...]
    chains: tuple[ChainChange, ...]
    sets: tuple[SetChange, ...]
    after: Held
    remarks: tuple[str, ...] = field(default=())

    @property
    def any(self) -> bool:
        """True when something changes."""
        return bool(self.chains or self.sets)


def find_changes(rendering: Rendering, held: Held, owners: Owners) -> Changes:
    """What programming would change in what is held; raises `InvalidInput` for a table that cannot be read."""
    chains: list[ChainChange] = []
    sets: list[SetChange] = []
    remarks: list[str] = []
    rulesets: dict[IPFamily, Ruleset] = dict(held.rulesets)
    ip_sets: dict[str, IPSet] = dict(held.ip_sets)
    for wanted in wanted_families(rendering):
        ruleset = held.rulesets[wanted.family]
        tables = dict(ruleset.tables)
        for name in wanted.tables:
            before = held_table(ruleset, name)
            tables[name], told = complete_table(before, wanted, CALICO)
            remarks += told
            chains += _chain_changes(before, tables[name], wanted.family, owners)
        rulesets[wanted.family] = replace(ruleset, tables=tables)
        sets += _set_changes(held.ip_sets, wanted.ip_sets, wanted.family, owners)
        for one in sets:
            if one.kind is Kind.GONE:
                ip_sets.pop(one.name, None)
        ip_sets |= wanted.ip_sets
    found = tuple(_owner_changes(chains, sets, held, owners))
    return Changes(found, tuple(chains), tuple(sets), Held(rulesets, ip_sets), tuple(remarks))


# --- chains ------------------------------------------------------------------------------------------------------


def _chain_changes(before: Table, after: Table, family: IPFamily, owners: Owners) -> Iterator[ChainChange]:
    writer = RuleWriter(family)
    for name in dict.fromkeys((*after.chains, *before.chains)):
        old, new = before.chains.get(name), after.chains.get(name)
        if old is new or (old is not None and new is not None and old.rules == new.rules):
            continue
        kind = Kind.NEW if old is None else Kind.GONE if new is None else Kind.CHANGED
        lines, renumbered = _rule_lines(_texts(old, writer), _texts(new, writer))
        yield ChainChange(family, before.name, name, owners.of_chain(name), kind, lines, renumbered)


def _texts(chain: Chain | None, writer: RuleWriter) -> list[tuple[str, str]]:
    """Each rule's text without the comment that carries the hash, and that comment."""
    if chain is None:
        return []
    return [(writer.write(bare), tracking) for bare, tracking in map(_split, chain.rules)]


def _split(rule: Rule) -> tuple[Rule, str]:
    for place, match in enumerate(rule.matches):
        if isinstance(match, CommentMatch):
            if not match.text.startswith(TRACKING_COMMENT):
                break
            return replace(rule, matches=(*rule.matches[:place], *rule.matches[place + 1 :])), match.text
    return rule, ""


def _rule_lines(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> tuple[tuple[str, ...], int]:
    """The rules that go and come, with a sign; and how many stay under another hash."""
    before, after = [text for text, _ in old], [text for text, _ in new]
    lines: list[str] = []
    renumbered = 0
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            renumbered += sum(one[1] != other[1] for one, other in zip(old[low:high], new[start:end], strict=True))
            continue
        lines += [f"- {text}" for text in before[low:high]]
        lines += [f"+ {text}" for text in after[start:end]]
    return tuple(lines), renumbered


# --- sets --------------------------------------------------------------------------------------------------------


def _set_changes(
    held: Mapping[str, IPSet], wanted: Mapping[str, IPSet], family: IPFamily, owners: Owners
) -> Iterator[SetChange]:
    for name, new in wanted.items():
        old = held.get(name)
        if old is None:
            yield SetChange(family, name, owners.of_set(name), Kind.NEW, added=_members(new, new.entries))
            continue
        before, after = set(old.entries), set(new.entries)
        remade = not _same_form(old, new)
        if before != after or remade:
            added, removed = _members(new, after - before), _members(old, before - after)
            yield SetChange(family, name, owners.of_set(name), Kind.CHANGED, added, removed, remade)
    for name, old in held.items():
        if CALICO.owns_set(family, name) and name not in wanted:
            yield SetChange(family, name, owners.of_set(name), Kind.GONE, removed=_members(old, old.entries))


def _same_form(old: IPSet, new: IPSet) -> bool:
    return old.type == new.type and all(old.options.get(word) == value for word, value in new.options.items())


def _members(one: IPSet, entries: Iterable[object]) -> tuple[str, ...]:
    chosen = set(entries)
    return tuple(format_ipset_entry(entry) for entry in one.entries if entry in chosen)


# --- owners ------------------------------------------------------------------------------------------------------

_SHOWN_ORDER = list(OwnerKind)


def _owner_changes(
    chains: Iterable[ChainChange], sets: Iterable[SetChange], held: Held, owners: Owners
) -> Iterator[OwnerChange]:
    """Each owner once, sorted by kind and name."""
    by_owner: dict[Owner, list[ChainChange]] = {}
    for chain in chains:
        by_owner.setdefault(chain.use.owner, []).append(chain)
    found = [_owner_change(owner, some, held, owners) for owner, some in by_owner.items()]
    by_set: dict[Owner, list[SetChange]] = {}
    for one in sets:
        by_set.setdefault(one.owner, []).append(one)
    found += [OwnerChange(owner, _sum([one.kind for one in some]), _set_details(some)) for owner, some in by_set.items()]
    yield from sorted(found, key=lambda one: (_SHOWN_ORDER.index(one.owner.kind), one.owner.name))


def _sum(kinds: list[Kind]) -> Kind:
    return kinds[0] if len(set(kinds)) == 1 else Kind.CHANGED


def _owner_change(owner: Owner, chains: list[ChainChange], held: Held, owners: Owners) -> OwnerChange:
    if owner.kind is OwnerKind.NODE:
        return OwnerChange(owner, _sum([chain.kind for chain in chains]), tuple(_shared_details(chains)))
    details: dict[str, set[IPFamily]] = {}
    for chain in chains:
        for text in _chain_details(chain, held, owners):
            details.setdefault(text, set()).add(chain.family)
    every = {chain.family for chain in chains}
    told = (
        text if families == every else f"IPv{min(one.value for one in families)} {text}"
        for text, families in details.items()
    )
    return OwnerChange(owner, _sum([chain.kind for chain in chains]), tuple(told))


def _chain_details(change: ChainChange, held: Held, owners: Owners) -> Iterator[str]:
    """What a change of a chain means for its owner."""
    part = f"{change.use.part}: " if change.use.part else ""
    if change.use.owner.kind in (OwnerKind.WORKLOAD, OwnerKind.HOST_ENDPOINT):
        before, after = _asked(change, "-", held, owners), _asked(change, "+", held, owners)
        if change.kind is Kind.NEW:
            if after:
                yield f"{part}asks {', '.join(after)}"
            return
        if change.kind is Kind.CHANGED and (before or after):
            if before:
                yield f"{part}no longer asks {', '.join(before)}"
            if after:
                yield f"{part}asks {', '.join(after)}"
            return
    if change.kind is not Kind.GONE:
        yield f"{part}{_count(change)}"


def _shared_details(chains: Iterable[ChainChange]) -> Iterator[str]:
    """What becomes of chains that are no policy's or endpoint's; once where both families change alike."""
    found: dict[str, list[IPFamily]] = {}
    for change in chains:
        found.setdefault(f"{change.table.value} {change.chain}: {_count(change)}", []).append(change.family)
    for text, families in found.items():
        yield text if len(families) == len(IPFamily) else f"IPv{families[0].value} {text}"


def _asked(change: ChainChange, sign: str, held: Held, owners: Owners) -> list[str]:
    """The policies and profiles that the rules with this sign lead to."""
    found: dict[str, None] = {}
    for line in change.lines:
        words = line.split()
        if line.startswith(sign) and len(words) > 1 and words[-2] in ("-j", "-g"):
            owner = owners.of_chain(words[-1]).owner
            if words[-1].startswith("cali-p") and owner.kind in (OwnerKind.POLICY, OwnerKind.PROFILE):
                found[owner.name] = None
    return list(found)


def _count(change: ChainChange) -> str:
    """How many rules come, go and stay under another hash."""
    added = sum(line.startswith("+") for line in change.lines)
    removed = len(change.lines) - added
    if change.kind is Kind.GONE:
        return "goes"
    parts = [f"{added} {_rules(added)}" if change.kind is Kind.NEW else f"{added} more" if added else ""]
    parts += [f"{removed} fewer" if removed else "", f"{change.renumbered} renumbered" if change.renumbered else ""]
    return ", ".join(part for part in parts if part)


def _rules(count: int) -> str:
    return "rule" if count == 1 else "rules"


_SHOWN_MEMBERS = 6


def _set_details(changes: list[SetChange]) -> tuple[str, ...]:
    details = []
    for one in changes:
        words = [f"IPv{one.family.value}"]
        if one.remade:
            words.append("made anew with another type or size")
        if one.kind is Kind.NEW:
            words.append(f"{len(one.added)} member{'' if len(one.added) == 1 else 's'}")
        elif one.kind is Kind.CHANGED:
            words += [f"+ {_some(one.added)}"] if one.added else []
            words += [f"- {_some(one.removed)}"] if one.removed else []
        else:
            continue
        details.append(": ".join((words[0], ", ".join(words[1:]))))
    return tuple(details)


def _some(members: tuple[str, ...]) -> str:
    shown = " ".join(members[:_SHOWN_MEMBERS])
    return f"{shown} and {len(members) - _SHOWN_MEMBERS} more" if len(members) > _SHOWN_MEMBERS else shown
