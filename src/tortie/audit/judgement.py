"""Whether each rule of a chain is what its hash says, and stands where it should.

A hash covers the rule and, through the digest before it, every rule in front (spec: rules 1.5), but a comment shows only 12
of its 28 bytes. So from the chain's name on, rule by rule, the digest can be followed as long as each rule fits; behind a
rule that does not, nothing can be computed, unless the rule that belongs there stands further back: then the chain goes on
from that one, and those passed over are out of place. A rule without a hash, or a second one with a hash that was met
already, is no part of the sequence, and neither is a fence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tortie.audit.words import felix_words, foreign_parts, is_cut, tracking_hash
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Rule
from tortie.render.hash import first_digest, next_digest, shown_hash
from tortie.render.names import FENCE_COMMENT, TRACKING_COMMENT

_FENCE = FENCE_COMMENT.removeprefix(TRACKING_COMMENT)
MOST_SEARCHED = 200
"""How many rules further back are tried for the place of one that does not fit."""


class Judgement(Enum):
    """What was found out about one rule; `value` says it."""

    FITS = "fits its hash"
    MOVED = "fits its hash, but stands in the wrong place"
    TWICE = "stands in the chain a second time"
    UNTRACKED = "carries no hash"
    FENCE = "closes the chain while it changes; an interrupted write left it"
    STRAY = "has a hash that belongs to no place in this chain"
    BROKEN = "does not fit its hash: it was edited, or a rule in front of it is missing"
    UNREADABLE = "does not fit its hash, and holds what Felix never writes"
    CUT = "cannot be judged, since the kernel cut its log prefix off"
    UNJUDGED = "cannot be judged, since its hash depends on a rule in front that does not fit"


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule of a chain, numbered from 1, and what was found out."""

    number: int
    rule: Rule
    judgement: Judgement
    detail: str = ""


def judge_chain(chain: str, rules: Iterable[Rule], family: IPFamily) -> list[Judged]:
    """Judges every rule of a chain, in order."""
    return _Judge(chain, tuple(rules), family).judge()


class _Judge:
    """One pass over a chain."""

    def __init__(self, chain: str, rules: Sequence[Rule], family: IPFamily) -> None:
        self._chain = chain
        self._rules = rules
        self._family = family
        self._found: dict[int, Judged] = {}
        self._digest = first_digest(chain)
        self._met: set[str] = set()
        self._displaced: list[int] = []

    def judge(self) -> list[Judged]:
        left = []
        for place, rule in enumerate(self._rules):
            if tracking_hash(rule) is None:
                self._say(place, Judgement.UNTRACKED)
            elif self._hash(place) == _FENCE:
                self._say(place, Judgement.FENCE)
            else:
                left.append(place)
        while left:
            place = left.pop(0)
            if self._hash(place) in self._met:
                self._say(place, Judgement.TWICE)
            elif self._advance(place, Judgement.FITS):
                self._take_displaced()
            elif (further := self._further_on(left)) is not None:
                self._displaced.append(place)
                passed = left[: left.index(further)]
                left = [*passed, *left[left.index(further) + 1 :]]
                self._advance(further, Judgement.MOVED if passed else Judgement.FITS)
                self._take_displaced()
            else:
                self._break(place, left)
                left = []
        for place in self._displaced:
            self._say(place, Judgement.STRAY)
        return [self._found[place] for place in sorted(self._found)]

    def _hash(self, place: int) -> str:
        return tracking_hash(self._rules[place]) or ""

    def _say(self, place: int, judgement: Judgement, detail: str = "") -> None:
        self._found[place] = Judged(place + 1, self._rules[place], judgement, detail)

    def _fitting(self, place: int) -> bytes | None:
        """The digest after a rule if it fits here."""
        wanted = self._hash(place)
        for words in felix_words(self._rules[place], self._family):
            digest = next_digest(self._digest, self._chain, words)
            if shown_hash(digest) == wanted:
                return digest
        return None

    def _advance(self, place: int, judgement: Judgement) -> bool:
        digest = self._fitting(place)
        if digest is None:
            return False
        self._digest = digest
        self._met.add(self._hash(place))
        self._say(place, judgement)
        return True

    def _take_displaced(self) -> None:
        """Rules that were passed over and belong here."""
        place = next((place for place in self._displaced if self._fitting(place) is not None), None)
        while place is not None:
            self._displaced.remove(place)
            self._advance(place, Judgement.MOVED)
            place = next((place for place in self._displaced if self._fitting(place) is not None), None)

    def _further_on(self, left: Sequence[int]) -> int | None:
        return next((place for place in left[:MOST_SEARCHED] if self._fitting(place) is not None), None)

    def _break(self, place: int, left: Sequence[int]) -> None:
        foreign = foreign_parts(self._rules[place], self._family)
        if is_cut(self._rules[place]) and not foreign:
            self._say(place, Judgement.CUT)
        elif foreign:
            self._say(place, Judgement.UNREADABLE, ", ".join(foreign))
        else:
            self._say(place, Judgement.BROKEN)
        for other in left:
            known = self._hash(other) in self._met
            self._say(other, Judgement.TWICE if known else Judgement.UNJUDGED)
