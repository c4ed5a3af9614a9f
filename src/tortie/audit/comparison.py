"""One chain of the kernel against what was rendered for it: every rule that differs, and what that looks like.

Rules are compared without their hashes first, since one other rule changes the hashes of all that follow it. A hash that
does not fit its rule tells that somebody edited the kernel; where all fit, the chain is as it was written, and is of other
resources than these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from tortie.audit.finding import Finding, FindingKind, Place
from tortie.audit.judgement import Judged, Judgement
from tortie.audit.words import tracking_hash, without_hash
from tortie.codec.rule import format_rule
from tortie.netfilter.rule import Chain
from tortie.reconcile.edit import common_ends

MOST_COMPARED = 4_000_000
"""Pairs of rules that are looked at to find out which belong together; beyond it they are paired as they stand."""


_ORIGINS = {Judgement.FITS: "stale", Judgement.UNJUDGED: "not as rendered"}
"""What is said of a rule otherwise than its judgement has it: one that fits its hash was made for other resources."""


def compare_chain(held: Chain, wanted: Chain, judged: Sequence[Judged], place: Place) -> Iterator[Finding]:
    """A finding for each rule, or place of one, in which a chain differs from what was rendered."""
    assert place.family is not None
    old = [format_rule(without_hash(rule), place.family) for rule in held.rules]
    new = [format_rule(without_hash(rule), place.family) for rule in wanted.rules]
    said = False
    for is_, should in _changes(old, new):
        said = True
        yield from _tell(is_, should, (old, new), judged, wanted, place)
    if not said:
        yield from _hash_differences(held, wanted, place)


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[range, range]]:
    """Runs of rules, as places from 0, that stand where others should."""
    head, tail = common_ends(old, new)
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(before) * len(after) > MOST_COMPARED:
        yield range(head, len(old) - tail), range(head, len(new) - tail)
        return
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield range(head + a, head + b), range(head + c, head + d)


def _tell(
    is_: range,
    should: range,
    texts: tuple[Sequence[str], Sequence[str]],
    judged: Sequence[Judged],
    wanted: Chain,
    place: Place,
) -> Iterator[Finding]:
    """Rules that stand for others in pairs, then what is left of the longer side."""
    old, new = texts
    both = min(len(is_), len(should))
    for a, b in zip(is_[:both], should[:both], strict=True):
        same = tracking_hash(judged[a].rule) == tracking_hash(wanted.rules[b])
        text = f"{'edited' if same else _origin(judged[a])}: is `{old[a]}` and should be `{new[b]}`"
        yield Finding(FindingKind.DIFFERENCE, replace(place, rule=a + 1), text)
    for a in is_[both:]:
        text = f"{_origin(judged[a])}: should not be there: `{old[a]}`"
        yield Finding(FindingKind.DIFFERENCE, replace(place, rule=a + 1), text)
    for b in should[both:]:
        text = f"a rule is missing here: `{new[b]}`"
        yield Finding(FindingKind.DIFFERENCE, replace(place, rule=is_.stop + 1 + b - should[both]), text)


def _origin(judged: Judged) -> str:
    """What the rule's own hash says of it."""
    return _ORIGINS.get(judged.judgement, judged.judgement.value)


def _hash_differences(held: Chain, wanted: Chain, place: Place) -> Iterator[Finding]:
    """Chains whose rules are right but for the hashes in their comments."""
    for number, (is_, should) in enumerate(zip(held.rules, wanted.rules, strict=True), 1):
        if tracking_hash(is_) != tracking_hash(should):
            text = f"does what it should, but its comment shows the hash {tracking_hash(is_)}, not {tracking_hash(should)}"
            yield Finding(FindingKind.DIFFERENCE, replace(place, rule=number), text)
            return
