"""From one table to another in few edits: what is the same in both is not touched, so its counters survive.

Both tables have the same foreign rules in the same order (`table` makes them so). Rules are compared as they are printed,
without counters, so a rule whose comment looks right but whose body was changed differs. In a chain of ours the longest
common run of rules stays and edits go by place, from the back to the front, so that no edit shifts the places of another.
In other chains, where a foreign program may shift places between our reading and our writing, rules go by their text.

The order inside one edit: chains are made or emptied first, so that every rule finds the chain it names; chains are removed
last, when nothing names them any more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.netfilter.rule import Chain, Rule, Table
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.step import (
    AppendRule,
    DeleteChain,
    DeletePlace,
    DeleteRule,
    Edit,
    InsertRule,
    MakeChain,
    ReplaceRule,
)

T = TypeVar("T")
_Pairs: TypeAlias = list[tuple[int, int]]
"""Places (from 0) of rules that stay, old and new, both ascending."""


def edit_table(old: Table, new: Table, ownership: Ownership, family: IPFamily) -> tuple[Edit, ...]:
    """What turns the old table into the new one, in order; empty when nothing has to change."""
    if old is new:
        return ()
    builtin = {hook.value for hook in BUILTIN_CHAINS[old.name]}
    made: list[Edit] = []
    own: list[Edit] = []
    shared: list[Edit] = []
    for name, chain in new.chains.items():
        before = old.chains.get(name)
        if before is chain:
            continue
        if before is None and name not in builtin:
            made.append(MakeChain(name))
        held = before.rules if before is not None else ()
        if held == chain.rules:
            continue
        if not ownership.owns_chain(name):
            shared += _edit_shared_chain(old.name, before or Chain(name), chain, ownership, family)
            continue
        if not held:
            own += [AppendRule(name, rule) for rule in chain.rules]
            continue
        edits = tuple(edit_rules(name, held, chain.rules, family))
        if not _any_kept(edits, held):
            made.append(MakeChain(name))
            edits = tuple(AppendRule(name, rule) for rule in chain.rules)
        own += edits
    gone = [name for name in old.chains if name not in new.chains and name not in builtin]
    made += [MakeChain(name) for name in gone]
    return (*made, *own, *shared, *(DeleteChain(name) for name in gone))


def _any_kept(edits: Sequence[Edit], held: Sequence[Rule]) -> bool:
    """Whether some rule of a chain is neither replaced nor removed."""
    return sum(isinstance(edit, ReplaceRule | DeletePlace) for edit in edits) < len(held)


def edit_rules(chain: str, old: Sequence[Rule], new: Sequence[Rule], family: IPFamily) -> Iterator[Edit]:
    """Edits by place that turn the rules of a chain of ours into others, back to front."""
    ends = [*_kept(old, new, family), (len(old), len(new))]
    starts = [(0, 0), *((a + 1, b + 1) for a, b in ends[:-1])]
    for (old_start, new_start), (old_end, new_end) in zip(reversed(starts), reversed(ends), strict=True):
        replaced = min(old_end - old_start, new_end - new_start)
        for place in range(old_end, old_start + replaced, -1):
            yield DeletePlace(chain, place, old[place - 1])
        added = new[new_start + replaced : new_end]
        if old_end == len(old):
            yield from (AppendRule(chain, rule) for rule in added)
        else:
            yield from (InsertRule(chain, old_end + 1, rule) for rule in reversed(added))
        for offset in range(replaced - 1, -1, -1):
            yield ReplaceRule(chain, old_start + offset + 1, new[new_start + offset])


def _kept(old: Sequence[Rule], new: Sequence[Rule], family: IPFamily) -> _Pairs:
    """What stays of a chain.

    Equal beginnings and ends stay; between them the longest ascending run of rules that each side has once. Rules of ours
    carry the hash of all rules before them, so hardly any comes twice.
    """
    if not old or not new:
        return []  # before any rule is printed

    def texts(rules: Sequence[Rule]) -> list[str]:
        return [format_rule(rule, family) for rule in rules]

    def kept_texts(one: Sequence[Rule], other: Sequence[Rule]) -> _Pairs:
        return _between_ends(texts(one), texts(other), _longest_run)

    return _between_ends(old, new, kept_texts)


def _between_ends(old: Sequence[T], new: Sequence[T], between: Callable[[Sequence[T], Sequence[T]], _Pairs]) -> _Pairs:
    """Places of equal beginnings and ends, and of what `between` finds to stay between them."""
    head, tail = common_ends(old, new)
    kept = [(place, place) for place in range(head)]
    middle = between(old[head : len(old) - tail], new[head : len(new) - tail])
    kept += [(head + one, head + other) for one, other in middle]
    kept += [(len(old) - left, len(new) - left) for left in range(tail, 0, -1)]
    return kept


def common_ends(one: Sequence[object], other: Sequence[object]) -> tuple[int, int]:
    """How many items two sequences have in common at the beginning, and how many of the rest at the end."""
    head = _common_length(one, other)
    return head, _common_length(one[head:][::-1], other[head:][::-1])


def _common_length(one: Sequence[object], other: Sequence[object]) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _longest_run(old: Sequence[str], new: Sequence[str]) -> _Pairs:
    """The longest run of pairs of places that ascends in both, of texts that each side has exactly once."""
    counts, other = Counter(old), Counter(new)
    places = {text: place for place, text in enumerate(old) if counts[text] == 1}
    pairs = [(places[text], place) for place, text in enumerate(new) if text in places and other[text] == 1]
    heads: list[int] = []  # smallest old place that ends a run of each length
    ends: list[int] = []  # which pair that is
    before: list[int | None] = []
    for number, (place, _) in enumerate(pairs):
        length = bisect_left(heads, place)
        before.append(ends[length - 1] if length else None)
        heads[length : length + 1] = [place]
        ends[length : length + 1] = [number]
    run = []
    last: int | None = ends[-1] if ends else None
    while last is not None:
        run.append(pairs[last])
        last = before[last]
    return run[::-1]


def _edit_shared_chain(table: TableName, old: Chain, new: Chain, ownership: Ownership, family: IPFamily) -> list[Edit]:
    """Removes by text what should not be there, then adds what is missing at the front or the back."""
    after = [format_rule(rule, family) for rule in new.rules]
    kept, gone = _by_text(old.rules, after, family)
    added = _around(kept, after)
    if added is None or any(format_rule(rule, family) in kept for rule in gone):
        gone = [rule for rule in old.rules if ownership.owns_rule(table, old.name, rule, family)]
        kept = [format_rule(rule, family) for rule in old.rules if rule not in gone]
        added = _around(kept, after)
    if added is None:
        raise ValueError(f"foreign rules of chain {old.name} would have to move")
    front, back = added
    return [
        *(DeleteRule(old.name, rule) for rule in gone),
        *(InsertRule(old.name, 1, rule) for rule in reversed(new.rules[:front])),
        *(AppendRule(old.name, rule) for rule in new.rules[len(new.rules) - back :]),
    ]


def _by_text(rules: Sequence[Rule], wanted: Sequence[str], family: IPFamily) -> tuple[list[str], list[Rule]]:
    """Texts of the rules that are wanted, each as often as it is, and the rules that are not."""
    left = Counter(wanted)
    kept, gone = [], []
    for rule in rules:
        text = format_rule(rule, family)
        if left[text]:
            left[text] -= 1
            kept.append(text)
        else:
            gone.append(rule)
    return kept, gone


def _around(kept: Sequence[str], after: Sequence[str]) -> tuple[int, int] | None:
    """How many rules have to be added in front and behind; None when the kept ones do not follow each other."""
    added = len(after) - len(kept)
    if not kept:
        return added, 0
    for front in range(added + 1):
        if list(after[front : front + len(kept)]) == list(kept):
            return front, added - front
    return None
