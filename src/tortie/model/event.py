"""What a source of resources tells of them: changes, one at a time, and how far it can be trusted.

A source first tells everything there is, then `InSync`, then changes as they come. It never tells the same state of a
resource twice: after a lost connection, or when history is no longer to be had, it compares and tells the difference. A
resource that cannot be read is `Refused`: what was known of it before counts no more, and it is for the hearer to close
what depends on it. `Lost` and `Regained` are about the source itself; what it told before stands meanwhile.

A key is `Changed` or `Refused`, the later word counts. A place may be refused for several keys, and once without a key: for
what names none, and for a second definition of a resource that stands as another place has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from tortie.model.read import Key
from tortie.model.resource import Resource
from tortie.net.error import InvalidInput


@dataclass(frozen=True, slots=True)
class Changed:
    """A resource is new, or not as it was; `revision` is the datastore's, or empty."""

    key: Key
    resource: Resource
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A resource that was told, or refused, is no more."""

    key: Key


@dataclass(frozen=True, slots=True)
class Refused:
    """There is something that cannot be read as a resource: `key` as far as it is known, and what is wrong with it.

    `place` is the file or datastore key, the same each time; a later `Changed`, or `Removed`, of the key, or a `Mended` of
    the place, ends it.
    """

    place: str
    problem: InvalidInput
    key: Key | None = None
    data: Any = None
    """The object itself, where it is data at all, or the text that is none: what it is about may be readable still."""
    superfluous: bool = False
    """True when nothing is missing for it, such as for a second definition of a resource that counts as first told."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A place that was refused holds nothing wrong any more."""

    place: str


@dataclass(frozen=True, slots=True)
class InSync:
    """Everything that there was when the source began has been told."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The source cannot be reached, and why; it keeps trying."""

    reason: str


@dataclass(frozen=True, slots=True)
class Regained:
    """The source is reached again and has told what changed meanwhile."""


SourceEvent: TypeAlias = Changed | Removed | Refused | Mended | InSync | Lost | Regained
"""Readers end in `assert_never`."""
