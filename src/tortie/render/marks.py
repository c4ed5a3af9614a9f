"""Mark bits: how a mask is shared out, and which endpoint has which mark.

Felix owns the bits of one mask and takes them from the lowest upwards: accept, pass, two scratch bits; what is left
holds an endpoint's number while a packet goes through IPVS. An endpoint's mark is found by hashing its name and probing
for a free place, so after a collision it depends on who came first: the original allocates in the order of events, Tortie
in an order fixed by the names, and marks that are already in the kernel can be held. All values; sources: spec rules 2
(Felix 3.7 markbits/mark_bits.go, rules/epmark.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tortie.net.error import InvalidInput

FIXED_BITS = 4


@dataclass(frozen=True, slots=True)
class MarkBits:
    """Who uses which bits of the packet mark; no two overlap and none is zero."""

    accept: int
    passed: int
    scratch0: int
    scratch1: int
    endpoint: int

    @property
    def scratch(self) -> int:
        """Both scratch bits."""
        return self.scratch0 | self.scratch1

    @property
    def fixed(self) -> int:
        """All bits but those of the endpoint."""
        return self.accept | self.passed | self.scratch

    @property
    def forwarded(self) -> int:
        """What is cleared when a packet enters FORWARD: all fixed bits but accept."""
        return self.passed | self.scratch

    @property
    def non_calico(self) -> int:
        """The endpoint mark of everything that is no Calico endpoint."""
        return self.endpoint & -self.endpoint


def allocate_bits(mask: int) -> MarkBits:
    """Shares out the set bits of a mask; raises `InvalidInput` when there are fewer than five."""
    bits = [1 << position for position in range(32) if mask >> position & 1]
    if mask >> 32 or len(bits) <= FIXED_BITS:
        raise InvalidInput(
            f"mark mask {mask:#x} has {len(bits)} usable bits, {FIXED_BITS + 1} are needed",
            remedy="give IptablesMarkMask a 32-bit mask with more bits set",
        )
    accept, passed, scratch0, scratch1 = bits[:FIXED_BITS]
    return MarkBits(accept, passed, scratch0, scratch1, sum(bits[FIXED_BITS:]))


def mark_of_number(mask: int, number: int) -> int:
    """Lays the bits of a number, lowest first, over the set bits of a mask; `ValueError` when they do not fit."""
    mark, left = 0, number
    for position in range(mask.bit_length()):
        if mask >> position & 1:
            mark |= (left & 1) << position
            left >>= 1
    if left or number < 0:
        raise ValueError(f"number {number:#x} does not fit mark mask {mask:#x}")
    return mark


def number_of_mark(mask: int, mark: int) -> int:
    """Gathers the bits of a mark under a mask into a number; `ValueError` when the mark has bits outside."""
    if mark & ~mask:
        raise ValueError(f"mark {mark:#x} has bits outside mask {mask:#x}")
    number, width = 0, 0
    for position in range(mask.bit_length()):
        if mask >> position & 1:
            number |= (mark >> position & 1) << width
            width += 1
    return number


@lru_cache(maxsize=65536)
def fnv1_32(name: str) -> int:
    """The 32-bit FNV-1 hash (multiply, then xor; not FNV-1a) of a name's bytes."""
    digest = 2166136261
    for byte in name.encode("utf-8", "surrogateescape"):
        digest = digest * 16777619 & 0xFFFFFFFF ^ byte
    return digest


def allocate_endpoint_marks(mask: int, names: Iterable[str], held: Mapping[str, int] | None = None) -> dict[str, int]:
    """The mark of every endpoint, taken in the order of `names`; an endpoint for which none is free is left out.

    Position 0 means *no mark*, position 1 belongs to everything that is no Calico endpoint. Names with a mark in `held`
    keep it; `ValueError` when a held mark is outside the mask, reserved, or held twice, or when a name is empty.
    """
    size = 1 << mask.bit_count()
    taken = {0, 1}
    marks: dict[str, int] = {}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if not name:
            raise ValueError("an endpoint without a name has no mark")
        if held is not None and name in held:
            position = number_of_mark(mask, held[name])
            if position in taken:
                raise ValueError(f"mark {held[name]:#x} of {name} belongs to another endpoint")
            taken.add(position)
            marks[name] = held[name]
    for name in wanted:
        if name in marks or len(taken) >= size:
            continue
        position = fnv1_32(name) % size
        while position in taken:
            position = (position + 1) % size
        taken.add(position)
        marks[name] = mark_of_number(mask, position)
    return marks
