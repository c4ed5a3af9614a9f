"""Who has which addresses: the kinds that Calico keeps in Kubernetes and no user writes (spec: model 1.16).

What they say is read and kept; whether blocks, affinities and handles agree with each other is not this module's question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads, read_int
from tortie.model.scalar import LooseNet


def _read_slot(data: object) -> int | None:
    return None if data is None else read_int(data)


Slot: TypeAlias = Annotated[int | None, Reads(_read_slot)]


@dataclass(frozen=True, slots=True)
class AllocationAttribute:
    """Who asked for addresses: a handle, and whatever the asker noted."""

    handle_id: Annotated[str | None, Named("handle_id")] = None
    secondary: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IPAMBlockSpec:
    """The addresses of a block: `allocations` has an index into `attributes` for each that is taken, else None."""

    cidr: LooseNet
    affinity: str | None = None
    strict_affinity: bool = False
    allocations: tuple[Slot, ...] = ()
    unallocated: tuple[int, ...] = ()
    attributes: tuple[AllocationAttribute, ...] = ()
    deleted: Annotated[bool, Named("Deleted")] = False

    def problems(self) -> Iterator[FieldProblem]:
        """An allocation belongs to an address and to an attribute."""
        if len(self.allocations) > 1 << (self.cidr.family.bits - self.cidr.length):
            yield FieldProblem(f"there are more allocations than addresses in {self.cidr}", path=("allocations",))
        for index, slot in enumerate(self.allocations):
            if slot is not None and not 0 <= slot < len(self.attributes):
                yield FieldProblem(f"there is no attribute {slot}", path=("allocations", index))


@dataclass(frozen=True, slots=True)
class IPAMBlock:
    """A block of addresses, usually one node's (`affinity` is `host:<node>`)."""

    metadata: Metadata
    spec: IPAMBlockSpec


@dataclass(frozen=True, slots=True)
class BlockAffinitySpec:
    """A node's claim to a block; `deleted` is text, as stored."""

    cidr: LooseNet
    node: str = ""
    state: str = ""
    deleted: str = ""


@dataclass(frozen=True, slots=True)
class BlockAffinity:
    """A node's claim to a block of addresses."""

    metadata: Metadata
    spec: BlockAffinitySpec


@dataclass(frozen=True, slots=True)
class IPAMHandleSpec:
    """How many addresses a handle holds in which block."""

    handle_id: Annotated[str, Named("handleID")] = ""
    block: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IPAMHandle:
    """What one asker holds."""

    metadata: Metadata
    spec: IPAMHandleSpec = field(default_factory=IPAMHandleSpec)


@dataclass(frozen=True, slots=True)
class IPAMConfigSpec:
    """Whether nodes may use each other's blocks, and may take new ones."""

    strict_affinity: bool = False
    auto_allocate_blocks: bool = False


@dataclass(frozen=True, slots=True)
class IPAMConfig:
    """The cluster's rules of allocation, called `default`."""

    metadata: Metadata
    spec: IPAMConfigSpec = IPAMConfigSpec()
