"""Seeded choices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A source of choices that depends on its seed alone."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self._random.random() < probability

    def one(self, options: Sequence[T]) -> T:
        """One of the options."""
        return self._random.choice(options)

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """One of the options, by their weights."""
        return self._random.choices([option for option, _ in options], [weight for _, weight in options])[0]

    def some(self, options: Sequence[T], low: int, high: int) -> list[T]:
        """Between `low` and `high` of the options, each once, in random order."""
        count = min(len(options), self._random.randint(low, high))
        return self._random.sample(list(options), count)

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)

    def data(self, size: int) -> bytes:
        """Random bytes."""
        return self._random.randbytes(size)
