"""How many examples a property is tried with: as many as it says in `make test`, and in `make check` a part of them.

A property says with `@examples(150)` that a hundred are too few or too many for it; the hundred are those of the profile.
"""

from __future__ import annotations

from hypothesis import settings

FULL = 100
"""`max_examples` of the profile in which a property gets as many examples as it says."""


def examples(count: int) -> settings:
    """Settings for `count` examples, fewer in proportion where the profile has fewer than `FULL`."""
    return settings(max_examples=max(1, count * min(settings().max_examples, FULL) // FULL))
