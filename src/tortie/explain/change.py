"""Changes of resources that may let a dropped packet through: the values.

A change is a whole resource as it would be: a port, a net or a label more, a member more of a network set, a rule more in a
policy or profile, a policy or profile more. Each is only a candidate: whether it does what it should is found out by
rendering and walking (`search`). What Calico would refuse is never a candidate. Nothing is made wider than the packet at
hand asks for, and nothing is ever taken away but a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tortie.explain.basis import Basis
from tortie.explain.party import Parties
from tortie.explain.verdict import PolicyVerdict
from tortie.model.resource import ReadOptions, Resource, read_resource
from tortie.model.writer import plain_resource
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet


class ChangeKind(IntEnum):
    """What is changed; of changes of one size the kinds that reach less far come first."""

    MEMBER = 1
    """A network set gets a net."""
    PORT = 2
    """A rule gets a port."""
    NET = 3
    """A rule gets a net."""
    LABEL = 4
    """An endpoint gets or loses labels."""
    RULE = 5
    """A policy or profile gets a rule."""
    PROFILE = 6
    """A profile that is missing is made."""
    POLICY = 7
    """A new policy is made."""

    @property
    def word(self) -> str:
        """The word in documents."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Change:
    """One resource as it would be: `size` counts the values that are new, `created` is true where all of it is."""

    kind: ChangeKind
    resource: Resource
    text: str
    size: int = 1
    created: bool = False
    remark: str = ""
    """What else it would do, where that is more than it seems."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A packet that policy drops, and the resources that it is dropped by; `answers` when it is the answer to another."""

    basis: Basis
    verdict: PolicyVerdict
    parties: Parties
    answers: bool = False

    @property
    def packet(self) -> Packet:
        """The packet as it was where it was dropped."""
        return self.verdict.packet


def as_calico_reads(resource: Resource) -> Resource | None:
    """The resource as it is once written and read; None when Calico would refuse it."""
    try:
        read = read_resource(plain_resource(resource), ReadOptions())
    except InvalidInput:
        return None
    return read if isinstance(read, type(resource)) else None
