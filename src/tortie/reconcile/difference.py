"""Where two versions of a table treat packets differently: the rules between which a change happens.

Comments and counters do nothing to a packet, chains that no hook leads to see none, and rules that stand in front of and
behind a change are the same in both versions. What is left of a chain is a `Difference`: from `place` on, `old` rules stand
where `new` ones will. A packet that matches none of them is treated alike by both versions of the chain. Chains that only
changed rules lead to are left out: a packet gets there by one of those rules.

Translation is compared apart (`translations`): a nat table cannot drop, and what POSTROUTING and INPUT do to a source comes
after every decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tortie.netfilter.hook import BUILTIN_CHAINS
from tortie.netfilter.match import CommentMatch, Match, OpaqueMatch, SetMatch
from tortie.netfilter.rule import Rule, Table
from tortie.netfilter.target import Goto, Jump, Log, Nflog, OpaqueTarget, SetTarget, Target
from tortie.reconcile.edit import common_ends
from tortie.reconcile.way import lasting_ways

DESTINATION_CHAINS = ("PREROUTING", "OUTPUT")
"""Kernel chains of nat that change where a packet goes, which later tables see."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The part of a chain that changes; `place` counts from 0."""

    chain: str
    place: int
    old: tuple[Rule, ...]
    new: tuple[Rule, ...]
    ways: tuple[Rule, ...] = ()
    """Packets that both versions send to one chain all the same."""


def bare(rule: Rule) -> Rule:
    """The rule without what does nothing to a packet: comments, counters."""
    return replace(rule, matches=tuple(m for m in rule.matches if not isinstance(m, CommentMatch)), counters=None)


def differences(old: Table, new: Table) -> list[Difference]:
    """Every place, reached from a hook by rules that stay, at which the two versions part."""
    if old is new:
        return []
    found = []
    seen = {hook.value for hook in BUILTIN_CHAINS[old.name]}
    todo = list(seen)
    while todo:
        name = todo.pop()
        if name not in old.chains or name not in new.chains:
            continue
        before, after = old.chains[name].rules, new.chains[name].rules
        staying: Sequence[Rule] = before
        if before is not after and before != after:
            a, b = [bare(rule) for rule in before], [bare(rule) for rule in after]
            head, tail = common_ends(a, b)
            gone, come = before[head : len(a) - tail], after[head : len(b) - tail]
            ways = lasting_ways(old, before[head:], new, after[head:]) if gone and come else ()
            if not all(changes_nothing(rule.target) for rule in (*gone, *come)):
                found.append(Difference(name, head, gone, come, ways))
            staying = (*before[:head], *before[len(a) - tail :], *ways)
        for rule in staying:
            target = rule.target
            if (type(target) is Jump or type(target) is Goto) and target.chain not in seen:
                seen.add(target.chain)
                todo.append(target.chain)
    return sorted(found, key=lambda difference: difference.chain)


def reached_chains(table: Table, starts: Sequence[str] | None = None) -> set[str]:
    """The kernel's chains, or those given, and every chain that rules lead to from there."""
    seen = {hook.value for hook in BUILTIN_CHAINS[table.name]} if starts is None else set(starts)
    todo = list(seen)
    while todo:
        chain = table.chains.get(todo.pop())
        for rule in chain.rules if chain is not None else ():
            target = rule.target
            if isinstance(target, Jump | Goto) and target.chain not in seen:
                seen.add(target.chain)
                todo.append(target.chain)
    return seen & table.chains.keys()


# --- translation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Translation:
    """A rule that decides where a packet goes, and the tests on the way to it from a chain of the kernel."""

    way: tuple[Match, ...]
    rule: Rule


def translation_differences(old: Table, new: Table) -> dict[str, tuple[Rule, ...]]:
    """By kernel chain of nat, the rules by which packets could go elsewhere in one version than in the other."""
    if old is new:
        return {}
    names = old.chains.keys() | new.chains.keys()
    changed = {
        name
        for name in names
        if old.chains.get(name) is not new.chains.get(name) and _bare_rules(old, name) != _bare_rules(new, name)
    }
    found = {}
    for chain in DESTINATION_CHAINS if changed else ():
        a = list(_translations(old, new, chain, changed))
        b = list(_translations(new, old, chain, changed))
        head, tail = common_ends(a, b)
        apart = [*a[head : len(a) - tail], *b[head : len(b) - tail]]
        if apart:
            found[chain] = tuple(dict.fromkeys(one.rule for one in apart))
    return found


def _bare_rules(table: Table, name: str) -> list[Rule]:
    chain = table.chains.get(name)
    return [] if chain is None else [bare(rule) for rule in chain.rules]


def _translations(
    table: Table, other: Table, name: str, changed: set[str], way: tuple[Match, ...] = ()
) -> Iterator[Translation]:
    """Rules with an effect in the order in which a packet meets them.

    A jump that both versions have, to chains in which nothing changed, stays folded: nodes have thousands of foreign rules.
    """
    rules = _bare_rules(table, name)
    both = set(_bare_rules(other, name)) if rules else set()
    for rule in rules:
        target = rule.target
        if not isinstance(target, Jump | Goto):
            if not changes_nothing(target):
                yield Translation(way, rule)
        elif rule in both and reached_chains(table, (target.chain,)).isdisjoint(changed):
            yield Translation(way, rule)
        else:
            yield from _translations(table, other, target.chain, changed, (*way, *rule.matches))


# --- sets --------------------------------------------------------------------------------------------------------


def set_names(rule: Rule) -> Iterator[str]:
    """Names of the sets that a rule looks into or changes, as far as it can be read."""
    for match in rule.matches:
        if isinstance(match, SetMatch):
            yield match.name
    if isinstance(rule.target, SetTarget):
        yield rule.target.name


def is_opaque(rule: Rule) -> bool:
    """True when a part of the rule cannot be read."""
    return isinstance(rule.target, OpaqueTarget) or any(isinstance(match, OpaqueMatch) for match in rule.matches)


def may_name(rule: Rule, name: str) -> bool:
    """True when a part of the rule that cannot be read holds the name."""
    texts = [match.text for match in rule.matches if isinstance(match, OpaqueMatch)]
    if isinstance(rule.target, OpaqueTarget):
        texts.append(rule.target.text)
    return any(name in text for text in texts)


def changes_nothing(target: Target | None) -> bool:
    """True for targets after which the packet goes on unchanged to the next rule."""
    return target is None or isinstance(target, Log | Nflog)
