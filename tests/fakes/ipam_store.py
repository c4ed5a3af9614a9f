"""A datastore of addresses in memory, that answers one command at a time: operations can be interleaved, and killed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar, assert_never

from tortie.ipam.block import block_host, handle_counts
from tortie.ipam.command import (
    AffinityKey,
    BlockKey,
    Command,
    Create,
    Delete,
    Entry,
    EntryKey,
    EntryValue,
    ForgetHost,
    HandleKey,
    ListAffinities,
    ListBlocks,
    Read,
    ReadBlocks,
    ReadNode,
    ReadPools,
    Update,
)
from tortie.model.ipam import BlockAffinitySpec, IPAMBlockSpec, IPAMHandleSpec
from tortie.model.metadata import Metadata
from tortie.model.node import Node
from tortie.model.pool import IPPool, IPPoolSpec
from tortie.net.address import Address, Prefix, parse_prefix

T = TypeVar("T")


def make_pool(name: str, cidr: str, block_size: int = 0, selector: str = "", *, disabled: bool = False) -> IPPool:
    """A pool with Calico's defaults."""
    spec = IPPoolSpec(parse_prefix(cidr), block_size=block_size, node_selector=selector, disabled=disabled)
    return IPPool(Metadata(name), spec).with_defaults()


def make_node(name: str, **labels: str) -> Node:
    """A node with labels."""
    return Node(Metadata(name, labels=labels))


@dataclass
class MemoryStore:
    """What there is; every write gives its entry a revision that no other state has."""

    pools: tuple[IPPool, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    entries: dict[EntryKey, Entry[Any]] = field(default_factory=dict)
    revision: int = 0
    asked: list[Command] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)

    def answer(self, command: Command) -> Any:
        self.asked.append(command)
        match command:
            case Read(key):
                return self.entries.get(key)
            case Create(key, value):
                return None if key in self.entries else self._write(key, value)
            case Update(entry, value):
                return self._write(entry.key, value) if self._is_current(entry) else None
            case Delete(entry):
                return self._is_current(entry) and self.entries.pop(entry.key) is not None
            case ListBlocks(family):
                return tuple(sorted((cidr for cidr in self.blocks if cidr.family is family), key=_address))
            case ReadBlocks(family):
                return {cidr: self.blocks[cidr] for cidr in self.answer(ListBlocks(family))}
            case ListAffinities(host, family):
                return tuple(
                    entry
                    for key, entry in self.entries.items()
                    if isinstance(key, AffinityKey) and key.host == host and key.cidr.family is family
                )
            case ReadPools():
                return self.pools
            case ReadNode(host):
                return self.nodes.get(host)
            case ForgetHost(host):
                self.forgotten.add(host)
                return None
            case _:
                assert_never(command)

    def _is_current(self, entry: Entry[Any]) -> bool:
        found = self.entries.get(entry.key)
        return found is not None and found.revision == entry.revision

    def _write(self, key: EntryKey, value: EntryValue) -> Entry[Any]:
        self.revision += 1
        self.entries[key] = Entry(key, value, str(self.revision))
        return self.entries[key]

    def put(self, key: EntryKey, value: EntryValue) -> None:
        """Somebody else's write."""
        self._write(key, value)

    def run(self, operation: Generator[Command, Any, T]) -> T:
        """An operation with nobody else about."""
        answer = None
        while True:
            try:
                command = operation.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = self.answer(command)

    def run_overtaken(self, operation: Generator[Command, Any, T], key: type[Any]) -> T:
        """An operation whose every update of this kind comes too late."""
        answer = None
        while True:
            try:
                command = operation.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            late = isinstance(command, Update) and isinstance(command.entry.key, key)
            answer = None if late else self.answer(command)

    # --- what there is ---

    @property
    def blocks(self) -> dict[Prefix, IPAMBlockSpec]:
        return {key.cidr: entry.value for key, entry in self.entries.items() if isinstance(key, BlockKey)}

    @property
    def affinities(self) -> dict[tuple[str, Prefix], BlockAffinitySpec]:
        return {(key.host, key.cidr): entry.value for key, entry in self.entries.items() if isinstance(key, AffinityKey)}

    @property
    def handles(self) -> dict[str, IPAMHandleSpec]:
        return {key.handle: entry.value for key, entry in self.entries.items() if isinstance(key, HandleKey)}

    def taken(self) -> dict[Address, str | None]:
        """Every address that somebody has, with the handle."""
        return taken_addresses(self.blocks)


def taken_addresses(blocks: Mapping[Prefix, IPAMBlockSpec]) -> dict[Address, str | None]:
    """Every address that somebody has, with the handle."""
    return {
        Address(cidr.family, cidr.address + place): block.attributes[slot].handle_id
        for cidr, block in blocks.items()
        for place, slot in enumerate(block.allocations)
        if slot is not None
    }


def _address(cidr: Prefix) -> tuple[int, int]:
    return cidr.address, cidr.length


def inconsistencies(
    blocks: Mapping[Prefix, IPAMBlockSpec],
    handles: Mapping[str, IPAMHandleSpec],
    affinities: Mapping[tuple[str, Prefix], BlockAffinitySpec],
    *,
    quiet: bool,
) -> Iterable[str]:
    """What the layout forbids; `quiet` when every operation has ended by itself, so that nothing may be half done."""
    cidrs = sorted(blocks, key=_address)
    for one, other in pairwise(cidrs):
        if one.family is other.family and one.contains(other.address):
            yield f"{one} and {other} share addresses"
    held: dict[tuple[str, str], int] = {}
    for cidr, block in blocks.items():
        free = [place for place, slot in enumerate(block.allocations) if slot is None]
        if sorted(block.unallocated) != free:
            yield f"{cidr}: free are {free}, listed {block.unallocated}"
        if {slot for slot in block.allocations if slot is not None} != set(range(len(block.attributes))):
            yield f"{cidr}: attributes that nobody uses"
        for handle, count in handle_counts(block).items():
            held[handle, str(cidr)] = count
        host = block_host(block)
        if quiet and host is not None and (host, cidr) not in affinities:
            yield f"{cidr} is {host}'s, who does not know"
    said = {(handle, cidr): count for handle, spec in handles.items() for cidr, count in spec.block.items()}
    for key, count in held.items():
        if said.get(key, 0) < count or (quiet and said[key] != count):
            yield f"handle {key} says {said.get(key, 0)}, holds {count}"
    if quiet:
        yield from (f"handle {key} says {said[key]}, holds nothing" for key in said.keys() - held.keys())
        yield from (f"handle {name} is empty" for name, spec in handles.items() if not spec.block)
    for (host, cidr), affinity in affinities.items():
        owner = blocks.get(cidr)
        if quiet and (affinity.state != "confirmed" or owner is None or block_host(owner) != host):
            yield f"{host} claims {cidr} ({affinity.state}) of {None if owner is None else owner.affinity}"


class Paused:
    """An operation that others overtake: it stands before the first command of a kind until it goes on."""

    def __init__(
        self, store: MemoryStore, operation: Generator[Command, Any, Any], before: type[Any], key: type[Any]
    ) -> None:
        self.store = store
        self.operation = operation
        self.command: Command = next(operation)
        while not (isinstance(self.command, before) and isinstance(_key(self.command), key)):
            self.command = operation.send(store.answer(self.command))

    def finish(self) -> Any:
        """Goes on to the end; what the operation returns."""
        while True:
            try:
                self.command = self.operation.send(self.store.answer(self.command))
            except StopIteration as end:
                return end.value


def _key(command: Command) -> object:
    return command.entry.key if isinstance(command, (Update, Delete)) else getattr(command, "key", None)
