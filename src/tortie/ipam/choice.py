"""Which pools a host's addresses come from, and in which order their blocks are tried (spec: model 8.7).

Each host starts its walk through a pool at a place that its name decides, so that hosts which ask at the same time rarely
meet. Calico draws the place from Go's generator, seeded with the same hash; any start is interoperable (Q14), so here the
hash itself is the place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from tortie.model.node import Node
from tortie.model.pool import IPPool, overlaps
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.error import InvalidInput
from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector
from tortie.selector.tree import Selector

_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619
"""FNV-1 of 32 bits (draft-eastlake-fnv, 5)."""


def host_seed(host: str) -> int:
    """The number that a host's name stands for: FNV-1 of 32 bits."""
    value = _FNV_OFFSET
    for byte in host.encode():
        value = value * _FNV_PRIME & 0xFFFFFFFF ^ byte
    return value


def selects_node(pool: IPPool, node: Node) -> bool:
    """True when a pool is meant for a node."""
    return selects(_selector(pool.spec.node_selector or "all()"), node.metadata.labels)


@lru_cache(maxsize=1024)
def _selector(text: str) -> Selector:
    return parse_selector(text)


def choose_pools(
    pools: Iterable[IPPool], node: Node, family: IPFamily, requested: Sequence[Prefix] = ()
) -> tuple[IPPool, ...]:
    """The pools to take addresses from: those asked for, whatever they select, or all that are meant for the node.

    Raises `InvalidInput`, in Calico's words, when one that was asked for cannot be had or when there is none.
    """
    enabled = [pool for pool in pools if not pool.spec.disabled and pool.spec.cidr.family is family]
    if requested:
        by_cidr = {pool.spec.cidr: pool for pool in enabled}
        for cidr in requested:
            if cidr not in by_cidr:
                message = f"the given pool ({cidr}) does not exist, or is not enabled"
                raise InvalidInput(message, remedy=_known(enabled, family))
        return tuple(by_cidr[cidr] for cidr in dict.fromkeys(requested))
    found = tuple(pool for pool in sorted(enabled, key=_name) if selects_node(pool, node))
    if not found:
        message = f"no configured Calico pools for node {node.metadata.name}"
        raise InvalidInput(message, remedy=_known(enabled, family, "whose nodeSelector selects it"))
    return found


def _name(pool: IPPool) -> str:
    return pool.metadata.name


def _known(enabled: Sequence[IPPool], family: IPFamily, condition: str = "") -> str:
    if not enabled:
        return f"there is no enabled IPv{family.value} pool"
    listed = ", ".join(f"{pool.metadata.name} ({pool.spec.cidr})" for pool in enabled[:5])
    return f"make an IPv{family.value} pool {condition}; there are {listed}" if condition else f"there are {listed}"


def pool_of(pools: Iterable[IPPool], place: Address | Prefix, *, enabled_only: bool = True) -> IPPool | None:
    """The pool that an address or block lies in."""
    value = place.value if isinstance(place, Address) else place.address
    for pool in pools:
        if pool.spec.cidr.family is place.family and pool.spec.cidr.contains(value):
            if not (enabled_only and pool.spec.disabled):
                return pool
    return None


def block_of(pool: IPPool, address: Address) -> Prefix:
    """The CIDR of the block of a pool that an address lies in."""
    return Prefix(address.family, address.value, pool.spec.block_size).network


def block_candidates(pool: IPPool, seed: int) -> Iterator[Prefix]:
    """All blocks of a pool, once each, from the one that `seed` stands for on and round to the one before it."""
    family, length = pool.spec.cidr.family, pool.spec.block_size
    step = 1 << (family.bits - length)
    count = number_of_blocks(pool)
    start = seed % count
    for index in range(count):
        yield Prefix(family, pool.spec.cidr.address + (start + index) % count * step, length)


def number_of_blocks(pool: IPPool) -> int:
    """How many blocks a pool has room for."""
    return 1 << max(0, pool.spec.block_size - pool.spec.cidr.length)


def free_candidate(pools: Iterable[IPPool], seed: int, existing: Sequence[Prefix]) -> Prefix | None:
    """The first block of the pools, in the order of the walk, that shares no address with one that there is."""
    taken = set(existing)
    for pool in pools:
        odd = [cidr for cidr in existing if cidr.length != pool.spec.block_size and overlaps(cidr, pool.spec.cidr)]
        for cidr in block_candidates(pool, seed):
            if cidr not in taken and not any(overlaps(cidr, other) for other in odd):
                return cidr
    return None


def existing_blocks(pools: Iterable[IPPool], seed: int, existing: Iterable[Prefix]) -> list[Prefix]:
    """The blocks of the pools that there are, in the order of the walk, also those of a size that no pool has now."""
    blocks = list(existing)
    found: dict[Prefix, None] = {}
    for pool in pools:
        inside = [cidr for cidr in blocks if pool_of((pool,), cidr) is pool]
        found |= dict.fromkeys(sorted(inside, key=lambda cidr: _distance(pool, cidr, seed)))
    return list(found)


def _distance(pool: IPPool, cidr: Prefix, seed: int) -> tuple[int, int]:
    count = number_of_blocks(pool)
    index = (cidr.address - pool.spec.cidr.address) >> (cidr.family.bits - pool.spec.block_size)
    return (index - seed) % count, cidr.address
