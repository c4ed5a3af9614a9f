"""Does a packet's being in a set open a table or close it? An answer that is proven, or none.

Goal: change several sets one after the other with all rules in force, and never accept what both the old and the new
members would drop. That is safe when everything that closes comes before everything that opens. A rule that looks into a
set opens when a packet that matches it always fares at least as well as the same packet would without matching; which it
is depends on all that may happen afterwards, since rules mostly set bits of a mark that later rules read.

So two runs of one packet are followed through the table, equal but for that one test. While both stand at the same rule,
tests on the packet have one answer for both and only tests on the mark can tell them apart (`_never_worse`, in step). Once
they part, nothing is assumed of tests on the packet: every way on is taken for possible, and each end of the one run must
be no worse than each end of the other, up to the chain's end, where they are in step again (`_run`). Bits of the mark that
nobody has set or tested yet are unknown, but the same for both runs. DROP is worst, ACCEPT best, coming back from a chain
lies between and is compared by its mark. What cannot be proven counts as neither opening nor closing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from tortie.netfilter.hook import BUILTIN_CHAINS
from tortie.netfilter.match import CommentMatch, MarkMatch, SetMatch
from tortie.netfilter.rule import Rule, Table
from tortie.netfilter.target import (
    Accept,
    Drop,
    Goto,
    Jump,
    Log,
    MarkTarget,
    Nflog,
    Reject,
    Return,
    Target,
)
from tortie.reconcile.difference import changes_nothing, is_opaque, may_name, reached_chains, set_names


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a packet's mark: `value` in the bits `known`, nothing of the others, which are 0 in `value`."""

    value: int = 0
    known: int = 0

    def set_by(self, target: MarkTarget) -> Mark:
        """The mark after a MARK target; raises `CannotTell` when it turns a bit over that is not known."""
        if target.value & ~target.mask & ~self.known:
            raise CannotTell
        known = self.known | target.mask
        return Mark(((self.value & ~target.mask) ^ target.value) & known, known)

    def assume(self, match: MarkMatch, holds: bool) -> Mark | None:
        """The mark when the test is known to hold or not; None when that cannot be."""
        both = match.mask & self.known
        if (self.value ^ match.value) & both or match.value & ~match.mask:
            return self if holds is match.inverted else None
        if holds is not match.inverted:
            known = self.known | match.mask
            return Mark((self.value & ~match.mask) | match.value & match.mask, known)
        open_bits = match.mask & ~self.known
        if not open_bits:
            return None
        if open_bits & (open_bits - 1):
            return self  # not equal in some of several bits says nothing of any
        return Mark(self.value | (~match.value & open_bits), self.known | open_bits)


class EndKind(Enum):
    """How a run through a chain ends; `value` orders them from worst to best."""

    DROP = 0
    RETURN = 1
    ACCEPT = 2


@dataclass(frozen=True, slots=True)
class End:
    """One end of a run: how, and with which mark."""

    kind: EndKind
    mark: Mark = Mark()


class CannotTell(Exception):
    """Something whose effect is not followed here; the proof is given up."""


@dataclass(frozen=True, slots=True)
class SetUse:
    """What a table does with being in a set: `opens` and `closes` are proven or False, both for a set without effect."""

    opens: bool
    closes: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as far as it counts here: its tests of the mark, whether it has others, its target."""

    marks: tuple[MarkMatch, ...]
    others: bool
    target: Target | None

    @staticmethod
    def of(rule: Rule) -> _Rule:
        marks = tuple(match for match in rule.matches if isinstance(match, MarkMatch))
        others = any(not isinstance(match, MarkMatch | CommentMatch) for match in rule.matches)
        return _Rule(marks, others, rule.target)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What there is to know of the rules of one chain by themselves; places count from 0."""

    sets: tuple[tuple[str, int], ...]
    """Sets that rules look into, with the rule's place."""
    opaque: tuple[Rule, ...]
    written_bits: int
    """Bits of the mark that rules change; a target that is not followed may change all."""
    jumps: tuple[tuple[str, int], ...]
    gotos: tuple[str, ...]
    leads_to: frozenset[str]

    @staticmethod
    def of(rules: tuple[Rule, ...]) -> _Facts:
        sets: list[tuple[str, int]] = []
        jumps: list[tuple[str, int]] = []
        gotos: list[str] = []
        bits = 0
        for place, rule in enumerate(rules):
            sets += [(name, place) for name in dict.fromkeys(set_names(rule))]
            target = rule.target
            if isinstance(target, Jump):
                jumps.append((target.chain, place))
            elif isinstance(target, Goto):
                gotos.append(target.chain)
            elif isinstance(target, MarkTarget):
                bits |= target.mask | target.value
            elif not isinstance(target, _KEEPS_MARK):
                bits |= 0xFFFFFFFF
        opaque = tuple(rule for rule in rules if is_opaque(rule))
        leads_to = frozenset((*(chain for chain, _ in jumps), *gotos))
        return _Facts(tuple(sets), opaque, bits, tuple(jumps), tuple(gotos), leads_to)


_MOST_MARKS = 4000
"""Marks followed at one rule before a proof is given up; Calico's rules need a handful."""


class Monotony:
    """Answers for one table; keep it as long as several sets are asked about, since proofs share parts."""

    def __init__(self, table: Table, *, last_say: bool, later_bits: int, like: Monotony | None = None) -> None:
        """`last_say`: after ACCEPT nothing here or later can drop; `later_bits`: mark bits that later rules read.

        `like` is about another version of the table: what is known of chains that are the same, with all that they lead to,
        is taken over.
        """
        self._about = last_say, later_bits
        self._chains = {name: table.chains[name].rules for name in sorted(reached_chains(table))}
        self._builtin = {hook.value for hook in BUILTIN_CHAINS[table.name]}
        same = set() if like is None else {name for name, held in self._chains.items() if like._chains.get(name) is held}
        self._facts: dict[str, _Facts] = {
            name: like._facts[name] if like is not None and name in same else _Facts.of(held)
            for name, held in self._chains.items()
        }
        written = 0
        self._uses: dict[str, list[tuple[str, int]]] = {}
        self._opaque: list[Rule] = []
        for chain, facts in self._facts.items():
            written |= facts.written_bits
            self._opaque += facts.opaque
            for name, place in facts.sets:
                self._uses.setdefault(name, []).append((chain, place))
        self._later_bits = later_bits & written
        self._last_say = last_say and not self._later_bits
        self._after = _return_points(self._facts)
        self._read: dict[str, list[_Rule]] = {}
        self._ends: dict[tuple[str, int, Mark], frozenset[End]] = {}
        self._found: dict[frozenset[End], frozenset[End]] = {}
        self._worse: dict[tuple[str, int, Mark, Mark], bool] = {}
        if like is not None:
            self._read |= {name: held for name, held in like._read.items() if name in same}
            alike = _closed(same, self._facts)
            self._ends |= {key: ends for key, ends in like._ends.items() if key[0] in alike}
            self._found |= {ends: ends for ends in self._ends.values()}

    def is_about(self, *, last_say: bool, later_bits: int) -> bool:
        """True when it was made with these."""
        return self._about == (last_say, later_bits)

    def names(self, name: str) -> bool:
        """True when a rule that packets reach looks into the set, or may."""
        return name in self._uses or any(may_name(rule, name) for rule in self._opaque)

    def use_of(self, name: str) -> SetUse:
        """Whether becoming a member of the set opens the table or closes it."""
        if any(may_name(rule, name) for rule in self._opaque):
            return SetUse(False, False)
        opens = closes = True
        for chain, place in self._uses.get(name, ()):
            use = self._use_in_rule(chain, place, name)
            opens, closes = opens and use.opens, closes and use.closes
        return SetUse(opens, closes)

    def _rules(self, chain: str) -> list[_Rule]:
        found = self._read.get(chain)
        if found is None:
            if chain not in self._chains:
                raise CannotTell
            found = self._read[chain] = [_Rule.of(rule) for rule in self._chains[chain]]
        return found

    def _use_in_rule(self, chain: str, place: int, name: str) -> SetUse:
        rule = self._chains[chain][place]
        tests = [match for match in rule.matches if isinstance(match, SetMatch) and match.name == name]
        if len({test.inverted for test in tests}) != 1 or any(not _plain(test) for test in tests):
            return SetUse(False, False)
        mark = _assume_all(Mark(), _Rule.of(rule).marks)
        if mark is None:
            return SetUse(True, True)
        better, worse = self._compare_taking(chain, place, mark)
        return SetUse(worse, better) if tests[0].inverted else SetUse(better, worse)

    def _compare_taking(self, chain: str, place: int, mark: Mark) -> tuple[bool, bool]:
        """Whether taking a rule is never worse, and never better, than passing it by."""
        target = self._chains[chain][place].target
        try:
            if changes_nothing(target):
                return True, True
            if isinstance(target, MarkTarget):
                after = mark.set_by(target)
                return (
                    self._never_worse(chain, place + 1, after, mark),
                    self._never_worse(chain, place + 1, mark, after),
                )
            taken, passed = self._taken(chain, place, mark), self._run(chain, place + 1, mark)
            return self._all_as_good(chain, taken, passed), self._all_as_good(chain, passed, taken)
        except (CannotTell, RecursionError):
            return False, False

    # --- ends of one run ---

    def _run(self, chain: str, place: int, mark: Mark) -> frozenset[End]:
        """Every end that a run from this rule on may have in this chain.

        Found for all rules behind as well, from the last one to the first: a chain that is asked about at each of its
        rules, as an endpoint's is for each of its policies, is then followed once.
        """
        rules = self._rules(chain)
        layers: list[dict[Mark, tuple[set[End], set[Mark]]]] = []
        marks = {mark}
        for number in range(place, len(rules)):
            layer = {one: self._pass(chain, number, one) for one in marks if (chain, number, one) not in self._ends}
            layers.append(layer)
            marks = {one for _, following in layer.values() for one in following}
            if not marks:
                break
            if len(marks) > _MOST_MARKS:
                raise CannotTell
        for number in range(place + len(layers) - 1, place - 1, -1):
            for one, (ends, following) in layers[number - place].items():
                for next_mark in following:
                    ends |= self._ends_from(chain, number + 1, next_mark)
                found = frozenset(ends)
                self._ends[chain, number, one] = self._found.setdefault(found, found)
        return self._ends_from(chain, place, mark)

    def _ends_from(self, chain: str, place: int, mark: Mark) -> frozenset[End]:
        """The ends of a run that was followed already."""
        if place >= len(self._rules(chain)):
            return frozenset((End(EndKind.RETURN, mark),))
        return self._ends[chain, place, mark]

    def _pass(self, chain: str, place: int, mark: Mark) -> tuple[set[End], set[Mark]]:
        """What becomes of a run at one rule: ends, and marks with which it goes on."""
        ends: set[End] = set()
        following: set[Mark] = set()
        for holds, assumed in _answers(self._rules(chain)[place], mark):
            if holds:
                self._take(chain, place, assumed, ends, following)
            else:
                following.add(assumed)
        return ends, following

    def _take(self, chain: str, place: int, mark: Mark, ends: set[End], following: set[Mark]) -> None:
        """Adds what becomes of a packet that matches a rule: ends of the chain, or marks with which it goes on."""
        target = self._rules(chain)[place].target
        match target:
            case None | Log() | Nflog():
                following.add(mark)
            case MarkTarget():
                following.add(mark.set_by(target))
            case Drop() | Reject():
                ends.add(End(EndKind.DROP))
            case Accept():
                ends.add(End(EndKind.ACCEPT, mark))
            case Return():
                ends.add(End(EndKind.RETURN, mark))
            case Jump(other):
                for end in self._run(other, 0, mark):
                    if end.kind is EndKind.RETURN:
                        following.add(end.mark)
                    else:
                        ends.add(end)
            case Goto(other):
                ends |= self._run(other, 0, mark)
            case _:
                raise CannotTell

    def _taken(self, chain: str, place: int, mark: Mark) -> frozenset[End]:
        """Every end, in this chain, of a run that matches this rule."""
        ends: set[End] = set()
        following: set[Mark] = set()
        self._take(chain, place, mark, ends, following)
        for one in following:
            ends |= self._run(chain, place + 1, one)
        return frozenset(ends)

    # --- two runs ---

    def _all_as_good(self, chain: str, good: frozenset[End], bad: frozenset[End]) -> bool:
        """Whether each of the first ends is at least as good as each of the others, ends of one chain both."""
        return all(self._as_good(chain, one, other) for one in good for other in bad)

    def _as_good(self, chain: str, good: End, bad: End) -> bool:
        if bad.kind is EndKind.DROP:
            return True
        if good.kind is EndKind.RETURN and bad.kind is EndKind.RETURN:
            return self._returned(chain, good.mark, bad.mark)
        if good.kind is bad.kind:
            return self._alike_later(good.mark, bad.mark)
        return good.kind is EndKind.ACCEPT and self._last_say

    def _alike_later(self, one: Mark, other: Mark) -> bool:
        """Whether nothing that reads marks behind this table can tell the two apart."""
        return not _unlike(one, other) & self._later_bits

    def _returned(self, chain: str, good: Mark, bad: Mark) -> bool:
        """Two runs that leave a chain by its end, in step again at every rule that may follow."""
        if good == bad:
            return True
        if chain in self._builtin:
            return self._alike_later(good, bad)
        return all(self._never_worse(other, place, good, bad) for other, place in self._after.get(chain, ()))

    def _never_worse(self, chain: str, place: int, good: Mark, bad: Mark) -> bool:
        """Two runs in step before one rule: whether the first never ends worse than the second."""
        if good == bad:
            return True
        key = (chain, place, good, bad)
        known = self._worse.get(key)
        if known is None:
            known = self._worse[key] = self._walk_in_step(chain, place, good, bad)
        return known

    def _walk_in_step(self, chain: str, place: int, good: Mark, bad: Mark) -> bool:
        rules = self._rules(chain)
        pairs = {(good, bad)}
        for number in range(place, len(rules)):
            following: set[tuple[Mark, Mark]] = set()
            for one, other in pairs:
                for first, second in _shared_answers(rules[number], one, other):
                    if not self._step(chain, number, first, second, following):
                        return False
            pairs = {pair for pair in following if pair[0] != pair[1]}
            if not pairs:
                return True
            if len(pairs) > _MOST_MARKS:
                raise CannotTell
        return all(self._returned(chain, one, other) for one, other in pairs)

    def _step(
        self,
        chain: str,
        place: int,
        first: tuple[bool, Mark],
        second: tuple[bool, Mark],
        following: set[tuple[Mark, Mark]],
    ) -> bool:
        """One rule for both runs, each with its answer; adds the pairs of marks with which both go on."""
        (takes, one), (other_takes, other) = first, second
        if takes and other_takes:
            return self._both_take(chain, place, one, other, following)
        if not takes and not other_takes:
            following.add((one, other))
            return True
        good = self._taken(chain, place, one) if takes else self._run(chain, place + 1, one)
        bad = self._taken(chain, place, other) if other_takes else self._run(chain, place + 1, other)
        return self._all_as_good(chain, good, bad)

    def _both_take(self, chain: str, place: int, one: Mark, other: Mark, following: set[tuple[Mark, Mark]]) -> bool:
        target = self._rules(chain)[place].target
        match target:
            case None | Log() | Nflog():
                following.add((one, other))
                return True
            case MarkTarget():
                following.add((one.set_by(target), other.set_by(target)))
                return True
            case Drop() | Reject():
                return True
            case Accept():
                return self._alike_later(one, other)
            case Return():
                return self._returned(chain, one, other)
            case Jump(name) | Goto(name):
                return self._never_worse(name, 0, one, other)  # its end leads on to every rule behind a jump to it
            case _:
                raise CannotTell


def _plain(test: SetMatch) -> bool:
    """True for a lookup that only asks for membership."""
    return not (test.return_nomatch or test.packets is not None or test.bytes is not None)


def _unlike(one: Mark, other: Mark) -> int:
    """Bits that two marks of one packet do not surely have in common."""
    return (one.known ^ other.known) | (one.value ^ other.value)


def _assume_all(mark: Mark, tests: tuple[MarkMatch, ...]) -> Mark | None:
    """The mark when all tests hold; None when they cannot."""
    for test in tests:
        assumed = mark.assume(test, True)
        if assumed is None:
            return None
        mark = assumed
    return mark


def _mark_answers(rule: _Rule, mark: Mark) -> Iterator[tuple[bool, Mark]]:
    """Whether the tests of the mark may hold, and whether they may not, each with what is then known."""
    taken = _assume_all(mark, rule.marks)
    if taken is not None:
        yield True, taken
    if len(rule.marks) > 1:
        yield False, mark
    elif rule.marks:
        passed = mark.assume(rule.marks[0], False)
        if passed is not None:
            yield False, passed


def _answers(rule: _Rule, mark: Mark) -> Iterator[tuple[bool, Mark]]:
    """Whether a rule may match, and whether it may not, each with what is then known of the mark."""
    yield from _mark_answers(rule, mark)
    if rule.others:
        yield False, mark


def _shared_answers(rule: _Rule, one: Mark, other: Mark) -> Iterator[tuple[tuple[bool, Mark], tuple[bool, Mark]]]:
    """Answers of a rule to two runs of one packet: tests of the packet, and of equal bits, have one answer for both."""
    if rule.others:
        yield (False, one), (False, other)
    asked = 0
    for test in rule.marks:
        asked |= test.mask
    alike = not _unlike(one, other) & asked
    for first in _mark_answers(rule, one):
        for second in _mark_answers(rule, other):
            if first[0] == second[0] or not alike:
                yield first, second


_KEEPS_MARK = (type(None), Accept, Drop, Reject, Return, Jump, Goto, Log, Nflog)


def _closed(names: set[str], facts: Mapping[str, _Facts]) -> set[str]:
    """Those of the chains that lead to nothing but such chains."""
    closed = names & facts.keys()
    leaving = {name for name in closed if not closed.issuperset(facts[name].leads_to)}
    while leaving:
        closed -= leaving
        leaving = {name for name in closed if not leaving.isdisjoint(facts[name].leads_to)}
    return closed


def _return_points(facts: Mapping[str, _Facts]) -> dict[str, set[tuple[str, int]]]:
    """Where a packet may go on after the end of each chain: behind jumps to it; after a goto where that chain returns."""
    points: dict[str, set[tuple[str, int]]] = {name: set() for name in facts}
    gotos: list[tuple[str, str]] = []
    for name, found in facts.items():
        for chain, place in found.jumps:
            if chain in points:
                points[chain].add((name, place + 1))
        gotos += [(name, chain) for chain in found.gotos if chain in points]
    changed = True
    while changed:
        changed = False
        for source, chain in gotos:
            before = len(points[chain])
            points[chain] |= points[source]
            changed = changed or len(points[chain]) != before
    return points


def reads_marks(table: Table, starts: tuple[str, ...] | None = None) -> int:
    """Bits of the mark that rules reached from these kernel chains, or from all, test."""
    bits = 0
    for name in reached_chains(table, starts):
        for rule in table.chains[name].rules:
            for match in rule.matches:
                if isinstance(match, MarkMatch):
                    bits |= match.mask
    return bits
