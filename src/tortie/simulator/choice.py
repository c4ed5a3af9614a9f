"""Forks of a walk: every doubt becomes a choice, and every combination of choices is walked.

A walk is a deterministic function of its input and of the choices it is given. `Chooser` follows a script; where the
script ends it takes the first option and notes that there were others. `explore` runs the walk again for each other
option, so what comes back is every outcome that the snapshot allows, each with the conditions that lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tortie.simulator.answer import DoubtKind

T = TypeVar("T")

MOST_OUTCOMES = 64
"""Beyond this many outcomes a walk is cut short and its result says so."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A point where a walk can go more than one way.

    `subject` names it for `--assume` (`filter:FORWARD:3`, `route`, …); `options` are short words for the same use
    (`match`, `miss`) and `conditions` say each option as a clause.
    """

    kind: DoubtKind
    subject: str
    options: tuple[str, ...]
    conditions: tuple[str, ...]
    probabilities: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One choice as an outcome took it."""

    kind: DoubtKind
    subject: str
    option: str
    text: str
    probability: float | None = None
    assumed: bool = False
    """True when the caller decided it beforehand (`--assume`)."""


class Chooser:
    """Hands out choices along a script of option numbers."""

    __slots__ = ("_assume", "_script", "open_points", "taken")

    def __init__(self, script: tuple[int, ...] = (), assume: Mapping[str, str] | None = None) -> None:
        self._script = script
        self._assume = assume or {}
        self.taken: list[Condition] = []
        self.open_points: list[tuple[int, int]] = []
        """For every choice that was not assumed: (option taken, number of options)."""

    def assumes(self, subject: str) -> bool:
        """True when the caller decided this beforehand."""
        return subject in self._assume

    def choose(self, choice: Choice) -> int:
        """The number of the option to follow; remembers it as a condition."""
        assumed = self._assume.get(choice.subject)
        if assumed is not None and assumed in choice.options:
            number = choice.options.index(assumed)
        else:
            position = len(self.open_points)
            number = self._script[position] if position < len(self._script) else 0
            self.open_points.append((number, len(choice.options)))
            assumed = None
        probability = choice.probabilities[number] if choice.probabilities else None
        self.taken.append(
            Condition(
                choice.kind,
                choice.subject,
                choice.options[number],
                choice.conditions[number],
                probability,
                assumed is not None,
            )
        )
        return number


def explore(
    run: Callable[[Chooser], T], assume: Mapping[str, str] | None = None, most: int = MOST_OUTCOMES
) -> tuple[tuple[T, ...], bool]:
    """Runs a walk for every combination of choices it meets; the flag says that `most` cut the list short."""
    chooser = Chooser((), assume)
    results = [run(chooser)]
    if not chooser.open_points:
        return tuple(results), False
    pending = _others(chooser, 0)
    while pending:
        if len(results) == most:
            return tuple(results), True
        script = pending.pop()
        chooser = Chooser(script, assume)
        results.append(run(chooser))
        pending += _others(chooser, len(script))
    return tuple(results), False


def _others(chooser: Chooser, known: int) -> list[tuple[int, ...]]:
    """Scripts for the options that a walk did not take, where it was not told to; the next one to follow comes last."""
    points = chooser.open_points
    found: list[tuple[int, ...]] = []
    for position in range(len(points) - 1, known - 1, -1):
        before = tuple(number for number, _ in points[:position])
        found.extend((*before, other) for other in range(points[position][1] - 1, 0, -1))
    return found
