"""What a test can answer: yes, no, *drop at once*, or a doubt.

`True` and `False` are definite. `HOTDROP` is the answer of a match that drops a packet too short for it (spec:
netfilter 7.1). A `Doubt` says that the snapshot does not hold what decides; the walk then forks, and the doubt's words
become the condition of each branch. Doubts are never rounded to yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias


class DoubtKind(Enum):
    """Why an answer is not known."""

    UNKNOWN = "unknown"
    """Tortie cannot read the rule, or the snapshot lacks the part that decides."""
    CHANCE = "chance"
    """Decided by a random number or by history that no snapshot holds."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """An answer that cannot be given: `why` is a short clause such as `limit 3/hour has tokens left`."""

    kind: DoubtKind
    why: str
    probability: float | None = None
    """Chance of yes, where it is known."""
    drop: str | None = None
    """When the test may also drop the packet itself: the clause that says when."""
    otherwise: bool | None = None
    """What it answers if it does not drop, where no more than that is in doubt."""


class _HotDrop(Enum):
    HOTDROP = "hotdrop"


HOTDROP: Final = _HotDrop.HOTDROP
Answer: TypeAlias = bool | Doubt | Literal[_HotDrop.HOTDROP]
Hindrance: TypeAlias = Doubt | Literal[_HotDrop.HOTDROP]
"""Why a target could not do its work: nobody knows what it does, or the packet is too short for it and dropped."""
