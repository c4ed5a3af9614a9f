"""Closing what is about to change: the table that drops each packet on whose way something will be different.

A fence is a DROP in front of each rule that changes and of each rule that looks into a set that changes. It has the tests
of the rule it guards, but for those that may answer otherwise a moment later: a packet that none of the fences drops meets
no changed rule and asks no changed set, so old rules, new rules and every mixture of them treat it alike. Rules that stand
in front of the fence keep working; where Calico accepts established connections before it asks policy, they stay accepted.

The kernel's own chains get no fence, since a DROP there would cut off the node: where our rules in them come or go, tables
follow each other in order (`plan`). Nat tables cannot drop; what would be sent elsewhere is dropped in mangle just before.

A rule that names a set which must be removed in between is not guarded but replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, TableName
from tortie.netfilter.match import (
    CommentMatch,
    ConntrackMatch,
    CtState,
    DestinationMatch,
    Icmp6Match,
    IcmpMatch,
    InInterfaceMatch,
    MarkMatch,
    Match,
    MultiportMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
    TcpMatch,
    Test,
    UdpMatch,
)
from tortie.netfilter.rule import Chain, Rule, Table, canonical_rule
from tortie.netfilter.target import Drop
from tortie.reconcile.difference import Difference, changes_nothing, may_name, reached_chains, set_names
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.way import way_rule

_LASTING = (
    SourceMatch,
    DestinationMatch,
    InInterfaceMatch,
    OutInterfaceMatch,
    ProtocolMatch,
    TcpMatch,
    UdpMatch,
    MultiportMatch,
    IcmpMatch,
    Icmp6Match,
    MarkMatch,
)
"""Tests that give one packet one answer at one place, whatever sets hold and whichever packets came before."""
_NOT_YET_SENT = ConntrackMatch(states=Test(frozenset({CtState.NEW, CtState.RELATED})))
"""Packets whose destination is not settled by their connection."""


def fenced_table(
    held: Table,
    changes: Iterable[Difference],
    ownership: Ownership,
    family: IPFamily,
    *,
    sets: frozenset[str] = frozenset(),
    leaving: frozenset[str] = frozenset(),
) -> Table:
    """The table with a fence at every change in our chains and at rules that use `sets`.

    Rules that use a set of `leaving` are gone from it, behind a fence where packets reach them.
    """
    reached = reached_chains(held) if held.name is not TableName.NAT else set()
    by_chain = {change.chain: change for change in changes}
    chains = {}
    for name, chain in held.chains.items():
        if not ownership.owns_chain(name):
            chains[name] = _without_leaving(held, chain, leaving, ownership, family)
            continue
        fence = _Fence(name in reached, by_chain.get(name), sets, leaving, ownership.fence_comment)
        rules = tuple(fence.guard(chain.rules))
        chains[name] = chain if rules == chain.rules else replace(chain, rules=rules)
    return replace(held, chains=chains)


def _without_leaving(table: Table, chain: Chain, leaving: frozenset[str], ownership: Ownership, family: IPFamily) -> Chain:
    """A foreign or kernel chain without rules of ours that name a set which must go."""
    kept = tuple(
        rule
        for rule in chain.rules
        if leaving.isdisjoint(set_names(rule)) or not ownership.owns_rule(table.name, chain.name, rule, family)
    )
    return chain if len(kept) == len(chain.rules) else replace(chain, rules=kept)


class _Fence:
    """What is put between the rules of one chain of ours."""

    def __init__(
        self, reached: bool, change: Difference | None, sets: frozenset[str], leaving: frozenset[str], comment: str
    ) -> None:
        self._reached = reached
        self._change = change
        self._sets = sets
        self._leaving = leaving
        self._comment = comment
        self._closed = False

    def guard(self, rules: tuple[Rule, ...]) -> Iterator[Rule]:
        """The rules with the fences between them."""
        change = self._change
        standing: set[tuple[Match, ...]] = set()
        for place, rule in enumerate(rules):
            if change is not None and place == change.place:
                yield from self._fences_of(change)
            leaves = self._names(rule, self._leaving)
            if self._reached and (leaves or self._names(rule, self._sets)):
                yield from self._fences([rule], standing)
            if not leaves:
                yield rule
            standing = (standing if self._is_fence(rule) else set()) | self._dropped([rule])
        if change is not None and change.place == len(rules):
            yield from self._fences_of(change)

    def _fences_of(self, change: Difference) -> Iterator[Rule]:
        if self._closed:
            return
        standing = list(takewhile(self._is_fence, change.old))
        yield from (way for way in (way_rule(way, self._comment) for way in change.ways) if way not in standing)
        sent_on = {way.matches for way in change.ways}
        yield from self._fences((*change.old, *change.new), sent_on | self._dropped(standing))

    def _is_fence(self, rule: Rule) -> bool:
        """True for a rule of a fence that stands already: a crash left it."""
        return CommentMatch(self._comment) in rule.matches

    def _dropped(self, rules: Iterable[Rule]) -> set[tuple[Match, ...]]:
        """What standing fences drop."""
        return {_lasting(rule.matches) for rule in rules if self._is_fence(rule) and isinstance(rule.target, Drop)}

    @staticmethod
    def _names(rule: Rule, names: frozenset[str]) -> bool:
        return not names.isdisjoint(set_names(rule)) or any(may_name(rule, name) for name in names)

    def _fences(self, rules: Iterable[Rule], but: Collection[tuple[Match, ...]] = ()) -> Iterator[Rule]:
        """Drops what the rules would match, but for what has been sent on; behind a DROP of everything none is needed."""
        guards = dict.fromkeys(_lasting(rule.matches) for rule in rules if not changes_nothing(rule.target))
        if self._closed:
            return
        self._closed = () in guards
        for matches in [()] if self._closed else guards:
            if matches not in but:
                yield _drop(matches, self._comment)


def translation_fences(found: Mapping[str, tuple[Rule, ...]], ownership: Ownership) -> dict[str, tuple[Rule, ...]]:
    """By kernel chain of mangle, the rules that drop what a changed nat table could send elsewhere."""
    return {
        chain: tuple(
            _drop((*matches, _NOT_YET_SENT), ownership.fence_comment)
            for matches in dict.fromkeys(_lasting(rule.matches, ConntrackMatch) for rule in rules)
        )
        for chain, rules in found.items()
    }


def with_front_rules(table: Table, rules: Mapping[str, tuple[Rule, ...]]) -> Table:
    """The table with rules in front of all others in kernel chains."""
    chains = {
        name: replace(chain, rules=(*rules[name], *chain.rules)) if name in rules else chain
        for name, chain in table.chains.items()
    }
    return replace(table, chains=chains)


def in_own_chains(changes: Iterable[Difference], table: TableName) -> list[Difference]:
    """The changes that a fence can guard: those outside the kernel's own chains."""
    builtin = {hook.value for hook in BUILTIN_CHAINS[table]}
    return [change for change in changes if change.chain not in builtin]


def _lasting(matches: Iterable[Match], *without: type[Match]) -> tuple[Match, ...]:
    """The tests that a fence takes over from the rule that it guards."""
    return tuple(match for match in matches if _lasts(match) and not isinstance(match, without))


def _lasts(match: Match) -> bool:
    if isinstance(match, ConntrackMatch):
        return match == ConntrackMatch(states=match.states)
    return isinstance(match, _LASTING)


def _drop(matches: tuple[Match, ...], comment: str) -> Rule:
    return canonical_rule(Rule((CommentMatch(comment), *matches), Drop()))
