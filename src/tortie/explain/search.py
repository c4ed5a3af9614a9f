"""The smallest changes that let a dropped packet through, each rendered and the packet and its answer walked again.

Goals: nothing is told that does not work, smallest first, and an end in reasonable time on a large node. Candidates are
tried from the smallest on. Where one gets the packet past one place and it is dropped at the next, as between two pods with
policy of their own, what is missing there is added, so a solution may be a few changes together; no solution holds another.
Of every kind a few are told, so that twenty policies of one endpoint do not crowd out the label that does it too.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tortie.explain.basis import Basis
from tortie.explain.candidate import candidates
from tortie.explain.cause import POLICY_HELPS, find_answer_cause, find_cause
from tortie.explain.change import Change, ChangeKind, Situation
from tortie.explain.origin import Origins
from tortie.explain.party import Parties
from tortie.explain.verdict import PolicyVerdict, find_verdict
from tortie.explain.world import Answer, Question, World, ask
from tortie.model.read import Key, key_of
from tortie.model.resource import Resource

MOST_TOLD = 6
MOST_TRIED = 60
"""Renderings at most; on a node of 250 workloads and 20 policies one takes 20 ms, or 0.2 s where endpoints change."""
MOST_TOGETHER = 3
_MOST_OF_A_KIND = 2
_MOST_TRIED_OF_A_KIND = 6


@dataclass(frozen=True, slots=True)
class Solution:
    """Changes that together let the packet through; `answered` is None when the way of the answer is not known."""

    changes: tuple[Change, ...]
    answered: bool | None = True

    @property
    def size(self) -> int:
        """How many values are new."""
        return sum(change.size for change in self.changes)


@dataclass(frozen=True, slots=True)
class Found:
    """Solutions, smallest first; `exhausted` is false when there were more candidates than are tried."""

    solutions: tuple[Solution, ...] = ()
    exhausted: bool = True
    tried: int = 0
    beyond: PolicyVerdict | None = None
    """What no policy can take away and some change led to; the packet would be dropped there next."""


def find_solutions(world: World, question: Question, situation: Situation) -> Found:
    """The smallest changes that let the packet of a situation through."""
    search = _Search(world, question)
    search.add((), situation)
    return search.run()


_Rank = tuple[int, int, tuple[ChangeKind, ...], str, int]


class _Search:
    """Candidates by size, and what was found."""

    def __init__(self, world: World, question: Question) -> None:
        self._world = world
        self._question = question
        self._waiting: list[tuple[_Rank, tuple[Change, ...], Situation]] = []
        self._seen: set[tuple[tuple[Key, str], ...]] = set()
        self._found: list[Solution] = []
        self._kinds: Counter[tuple[ChangeKind, ...]] = Counter()
        self._tried: Counter[tuple[ChangeKind, ...]] = Counter()
        self._left_out = False
        self._beyond: PolicyVerdict | None = None

    def add(self, before: tuple[Change, ...], situation: Situation) -> None:
        """Takes in the candidates of a situation that came about by some changes."""
        for change in candidates(situation):
            changes = (*before, change)
            identity = tuple(sorted((key_of(one.resource), one.text) for one in changes))
            if identity in self._seen:
                continue
            self._seen.add(identity)
            kinds = tuple(one.kind for one in changes)
            text = "\n".join(one.text for one in changes)
            rank = len(changes), sum(one.size for one in changes), kinds, text, len(self._seen)
            heapq.heappush(self._waiting, (rank, changes, situation))

    def run(self) -> Found:
        """Tries the smallest first."""
        while self._waiting and len(self._found) < MOST_TOLD and self._tried.total() < MOST_TRIED:
            _, changes, situation = heapq.heappop(self._waiting)
            kinds = tuple(change.kind for change in changes)
            if self._holds_a_solution(changes):
                continue
            if self._kinds[kinds] >= _MOST_OF_A_KIND or self._tried[kinds] >= _MOST_TRIED_OF_A_KIND:
                self._left_out = True
                continue
            self._try(changes, kinds, situation)
        solutions = sorted(self._found, key=lambda one: (len(one.changes), one.size, [c.kind for c in one.changes]))
        return Found(tuple(solutions), not (self._waiting or self._left_out), self._tried.total(), self._beyond)

    def _try(self, changes: tuple[Change, ...], kinds: tuple[ChangeKind, ...], situation: Situation) -> None:
        self._tried[kinds] += 1
        basis = self._world.basis(final_resources(changes))
        answer = ask(self._question, self._world.node(basis))
        if answer.passes:
            changes, answer = self._without_needless(changes, answer)
            self._kinds[kinds] += 1
            if not self._holds_a_solution(changes):
                self._found.append(Solution(changes, True if answer.flow is None else answer.flow.works))
            return
        then = situation_of(answer, basis)
        if then is None or not _is_further(then.verdict, situation.verdict):
            return
        if then.verdict.kind not in POLICY_HELPS:
            self._beyond = self._beyond or then.verdict
        elif len(changes) < MOST_TOGETHER:
            self.add(changes, then)
        else:
            self._left_out = True

    def _without_needless(self, changes: tuple[Change, ...], answer: Answer) -> tuple[tuple[Change, ...], Answer]:
        """The changes without those that turn out not to be needed, and what then becomes of the packet."""
        for change in changes if len(changes) > 1 else ():
            rest = tuple(one for one in changes if one is not change)
            if key_of(change.resource) in {key_of(one.resource) for one in rest}:
                continue  # the later one holds the earlier
            less = ask(self._question, self._world.node(self._world.basis(final_resources(rest))))
            if less.passes:
                return self._without_needless(rest, less)
        return changes, answer

    def _holds_a_solution(self, changes: tuple[Change, ...]) -> bool:
        texts = {change.text for change in changes}
        return any({change.text for change in one.changes} <= texts for one in self._found)


def _is_further(now: PolicyVerdict, before: PolicyVerdict) -> bool:
    """True when the packet is dropped at another place than before, or by something else."""
    return _place(now) != _place(before)


def _place(verdict: PolicyVerdict) -> tuple[object, ...]:
    return verdict.kind, verdict.endpoint, verdict.packet, verdict.denied_by, [owner.title for owner in verdict.asked]


def situation_of(
    answer: Answer, basis: Basis, parties: Parties | None = None, origins: Origins | None = None
) -> Situation | None:
    """What policy says of the packet that does not get through; None when none is certainly dropped.

    `parties` and `origins` are the basis's, where they are at hand.
    """
    dropped = answer.dropped
    if dropped is None:
        return None
    parties = parties or Parties(basis.resources, felix_exact=basis.config.felix_exact)
    origins, first = origins or Origins(basis), answer.first.trace
    if answer.which == "first":
        cause = find_cause(dropped, origins)
    else:
        cause = find_answer_cause(dropped, first, origins, basis.naming)
    verdict = find_verdict(cause, dropped.packet, basis, parties)
    return Situation(basis, verdict, parties, answers=answer.which == "answer")


def final_resources(changes: tuple[Change, ...]) -> Iterator[Resource]:
    """Every changed resource as it is in the end: a later change of one holds the earlier."""
    yield from {key_of(change.resource): change.resource for change in changes}.values()
