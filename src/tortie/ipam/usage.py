"""How much of the pools is taken, and who has what (spec: model 8.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tortie.ipam.block import address_at, block_host, count_free
from tortie.ipam.choice import pool_of
from tortie.ipam.command import Steps, read_blocks, read_pools
from tortie.model.ipam import AllocationAttribute, IPAMBlockSpec
from tortie.model.pool import IPPool
from tortie.net.address import Address, IPFamily, Prefix


@dataclass(frozen=True, slots=True)
class BlockUsage:
    """A block: of how many addresses, and how many of them somebody has."""

    cidr: Prefix
    capacity: int
    used: int


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """A pool with its blocks; None stands for blocks that are in no pool."""

    pool: IPPool | None
    blocks: tuple[BlockUsage, ...]

    @property
    def capacity(self) -> int:
        """How many addresses there are: the pool's, also where there is no block yet."""
        if self.pool is None:
            return sum(block.capacity for block in self.blocks)
        return 1 << (self.pool.spec.cidr.family.bits - self.pool.spec.cidr.length)

    @property
    def used(self) -> int:
        """How many addresses somebody has."""
        return sum(block.used for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Borrowed:
    """An address that a node has from a block of another node, or of none (`owner`)."""

    address: Address
    node: str
    block: Prefix
    owner: str | None
    attribute: AllocationAttribute


def read_usage() -> Steps[tuple[PoolUsage, ...]]:
    """All pools, also disabled ones, by name, with their blocks; blocks in no pool at the end."""
    pools = yield from read_pools()
    blocks: dict[Prefix, IPAMBlockSpec] = {}
    for family in IPFamily:
        blocks |= yield from read_blocks(family)
    return pool_usage(pools, blocks)


def pool_usage(pools: Iterable[IPPool], blocks: Mapping[Prefix, IPAMBlockSpec]) -> tuple[PoolUsage, ...]:
    """The blocks by the pools that they are in."""
    by_pool: dict[str | None, tuple[IPPool | None, list[BlockUsage]]] = {
        pool.metadata.name: (pool, []) for pool in sorted(pools, key=lambda pool: pool.metadata.name)
    }
    listed = [pool for pool, _ in by_pool.values() if pool is not None]
    for cidr, block in blocks.items():
        pool = pool_of(listed, cidr, enabled_only=False)
        _, found = by_pool.setdefault(None if pool is None else pool.metadata.name, (pool, []))
        found.append(BlockUsage(cidr, len(block.allocations), len(block.allocations) - count_free(block)))
    return tuple(PoolUsage(pool, tuple(found)) for pool, found in by_pool.values())


def read_borrowed() -> Steps[tuple[Borrowed, ...]]:
    """All addresses that nodes have from blocks which are not theirs, as far as who has them noted his node."""
    found: list[Borrowed] = []
    for family in IPFamily:
        for block in (yield from read_blocks(family)).values():
            found += borrowed(block)
    return tuple(found)


def borrowed(block: IPAMBlockSpec) -> Iterable[Borrowed]:
    """The addresses of a block that other nodes have."""
    owner = block_host(block)
    for place, slot in enumerate(block.allocations):
        if slot is not None:
            attribute = block.attributes[slot]
            node = attribute.secondary.get("node", "")
            if node and node != owner:
                yield Borrowed(address_at(block, place), node, block.cidr, owner, attribute)
