"""What an operation on addresses asks of a datastore, one thing at a time, and how the datastore is asked.

An operation is a generator: it yields a command, is sent the answer, and returns its result. Whoever drives it owns the
clock, the sockets and the retries of a lost connection; the operation owns the order of reads and writes, which is what
makes it safe beside others. Every write is conditional on the revision that was read (spec: model 8.7), and a refused
condition is an answer, not an error. An operation that is driven no further has been killed at that step: what it leaves
behind is described in `docs/design/ipam.md` and mended by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from tortie.model.ipam import BlockAffinitySpec, IPAMBlockSpec, IPAMConfigSpec, IPAMHandleSpec
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.net.address import IPFamily, Prefix

# --- entries -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlockKey:
    """A block of addresses."""

    cidr: Prefix


@dataclass(frozen=True, slots=True)
class AffinityKey:
    """A host's claim to a block."""

    host: str
    cidr: Prefix


@dataclass(frozen=True, slots=True)
class HandleKey:
    """What one asker holds."""

    handle: str


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """The cluster's rules of allocation."""


EntryKey: TypeAlias = BlockKey | AffinityKey | HandleKey | ConfigKey
"""What is kept; readers end in `assert_never`."""
EntryValue: TypeAlias = IPAMBlockSpec | BlockAffinitySpec | IPAMHandleSpec | IPAMConfigSpec
"""What is kept under each of them, in this order."""

V = TypeVar("V", IPAMBlockSpec, BlockAffinitySpec, IPAMHandleSpec, IPAMConfigSpec)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[V]):
    """Something that is kept, as it was at `revision`: any text that no other state of this entry ever has."""

    key: EntryKey
    value: V
    revision: str


# --- commands ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """Answered with the `Entry`, or None."""

    key: EntryKey


@dataclass(frozen=True, slots=True)
class Create:
    """Answered with the new `Entry`; None when there is one already, and then nothing has changed."""

    key: EntryKey
    value: EntryValue


@dataclass(frozen=True, slots=True)
class Update:
    """Answered with the new `Entry`; None when it is no more, or not what was read, and then nothing has changed.

    An update that changes nothing gives a new revision all the same.
    """

    entry: Entry[Any]
    value: EntryValue


@dataclass(frozen=True, slots=True)
class Delete:
    """Answered with True; False when it is no more, or not what was read, and then nothing has changed."""

    entry: Entry[Any]


@dataclass(frozen=True, slots=True)
class ListBlocks:
    """Answered with the CIDRs of all blocks of a family, in the order of their addresses."""

    family: IPFamily


@dataclass(frozen=True, slots=True)
class ReadBlocks:
    """Answered with all blocks of a family, by their CIDRs, in the order of their addresses."""

    family: IPFamily


@dataclass(frozen=True, slots=True)
class ListAffinities:
    """Answered with the entries of a host's claims in a family, in the order of their addresses."""

    host: str
    family: IPFamily


@dataclass(frozen=True, slots=True)
class ReadPools:
    """Answered with all pools, in the order of their names."""


@dataclass(frozen=True, slots=True)
class ReadNode:
    """Answered with the `Node`, or None."""

    host: str


@dataclass(frozen=True, slots=True)
class ForgetHost:
    """Removes the mark that a host has addresses (spec: model 8.6); answered with None, whether there was one or not."""

    host: str


Command: TypeAlias = (
    Read | Create | Update | Delete | ListBlocks | ReadBlocks | ListAffinities | ReadPools | ReadNode | ForgetHost
)
"""Drivers end in `assert_never`."""

Steps: TypeAlias = Generator[Command, Any, T]
"""An operation that returns a T."""


# --- asking ------------------------------------------------------------------------------------------------------


def read_block(cidr: Prefix) -> Steps[Entry[IPAMBlockSpec] | None]:
    """The block, if there is one."""
    found: Entry[IPAMBlockSpec] | None = yield Read(BlockKey(cidr))
    return found


def read_affinity(host: str, cidr: Prefix) -> Steps[Entry[BlockAffinitySpec] | None]:
    """A host's claim to a block, if there is one."""
    found: Entry[BlockAffinitySpec] | None = yield Read(AffinityKey(host, cidr))
    return found


def read_handle(handle: str) -> Steps[Entry[IPAMHandleSpec] | None]:
    """What an asker holds, if anything."""
    found: Entry[IPAMHandleSpec] | None = yield Read(HandleKey(handle))
    return found


def list_blocks(family: IPFamily) -> Steps[tuple[Prefix, ...]]:
    """The CIDRs of all blocks of a family."""
    found: tuple[Prefix, ...] = yield ListBlocks(family)
    return found


def read_blocks(family: IPFamily) -> Steps[Mapping[Prefix, IPAMBlockSpec]]:
    """All blocks of a family."""
    found: Mapping[Prefix, IPAMBlockSpec] = yield ReadBlocks(family)
    return found


def list_affinities(host: str, family: IPFamily) -> Steps[tuple[Entry[BlockAffinitySpec], ...]]:
    """A host's claims in a family."""
    found: tuple[Entry[BlockAffinitySpec], ...] = yield ListAffinities(host, family)
    return found


def read_pools() -> Steps[tuple[IPPool, ...]]:
    """All pools, by name."""
    found: tuple[IPPool, ...] = yield ReadPools()
    return found


def read_node(host: str) -> Steps[Node | None]:
    """The node, if there is one."""
    found: Node | None = yield ReadNode(host)
    return found


def create(key: EntryKey, value: V) -> Steps[Entry[V] | None]:
    """The new entry, or None if there is one already."""
    found: Entry[V] | None = yield Create(key, value)
    return found


def update(entry: Entry[V], value: V) -> Steps[Entry[V] | None]:
    """The changed entry, or None if it is not what was read."""
    found: Entry[V] | None = yield Update(entry, value)
    return found


def delete(entry: Entry[V]) -> Steps[bool]:
    """True when the entry was what was read, and is no more."""
    done: bool = yield Delete(entry)
    return done


# --- trying again ------------------------------------------------------------------------------------------------

MOST_TRIES = 100
"""How often a step is repeated because somebody else wrote first (spec: model 8.7)."""


class TooManyClaimants(Exception):
    """A step met another writer at each of `MOST_TRIES` tries; what was not done may be asked for again."""

    def __init__(self) -> None:
        super().__init__("Max retries hit - excessive concurrent IPAM requests")
