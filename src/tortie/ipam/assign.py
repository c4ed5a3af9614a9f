"""Giving out addresses: the next free ones for a host, or one that is named (spec: model 8.7).

A host takes from its own blocks first, then makes new ones, then, unless affinity is strict, borrows from the blocks of
others. What was given is returned even if it is less than was asked for, with the reason. Unlike Calico, a request is never
given more than it asked for (Q2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tortie.ipam.block import address_at, assign, attribute_at, block_host, free_ordinals, ordinal_of, refusal_of_host
from tortie.ipam.choice import (
    block_of,
    choose_pools,
    existing_blocks,
    free_candidate,
    host_seed,
    pool_of,
)
from tortie.ipam.claim import Affinity, Block, claim_block, load_block, read_config, release_if_unselected
from tortie.ipam.command import (
    MOST_TRIES,
    Steps,
    TooManyClaimants,
    list_affinities,
    list_blocks,
    read_block,
    read_node,
    read_pools,
    update,
)
from tortie.ipam.handle import raise_handle, settle_handle
from tortie.model.ipam import AllocationAttribute
from tortie.model.pool import IPPool
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.error import InvalidInput


@dataclass(frozen=True, slots=True)
class AssignRequest:
    """Who wants addresses.

    `handle` is what they can be released by; without one only their own values do that. `secondary` is noted beside them.
    `pools` are the CIDRs of the pools to take from, none for all that are meant for the node. `max_blocks` is how many
    blocks of the pools the host may have, 0 for any number. `seed` decides where the walk through a pool starts: None for
    the host's own place, something that changes, such as the time, where a block is a single address.
    """

    host: str
    family: IPFamily = IPFamily.V4
    count: int = 1
    handle: str | None = None
    secondary: Mapping[str, str] = field(default_factory=dict)
    pools: tuple[Prefix, ...] = ()
    max_blocks: int = 0
    seed: int | None = None

    @property
    def attribute(self) -> AllocationAttribute:
        """What a block notes of the asker."""
        return AllocationAttribute(self.handle, self.secondary)

    @property
    def start(self) -> int:
        """Where the walk through a pool starts."""
        return host_seed(self.host) if self.seed is None else self.seed


@dataclass(frozen=True, slots=True)
class Assigned:
    """The addresses that were given; when they are fewer than asked for, `shortage` says why."""

    addresses: tuple[Address, ...] = ()
    shortage: str = ""


_PER_HOST_LIMIT = "cannot allocate new block due to per host block limit"
_NO_BLOCK = "no free block is left in {pools}"
_NO_ADDRESS = "no free address is left in {pools}"
_NO_NEW_BLOCKS = "the configuration allows no new blocks"


def auto_assign(request: AssignRequest) -> Steps[Assigned]:
    """Gives a host the next free addresses, as many of those asked for as there are.

    Raises `InvalidInput` when there is no such node, or no pool for it.
    """
    node = yield from read_node(request.host)
    if node is None:
        raise InvalidInput(f"resource does not exist: Node({request.host})", remedy="make a Node of this name")
    pools = choose_pools((yield from read_pools()), node, request.family, request.pools)
    config = yield from read_config()
    own = yield from _own_affinities(request, pools)
    given: list[Address] = []
    for affinity in own:
        if len(given) >= request.count:
            break
        given += yield from _take_own(affinity, request, request.count - len(given), strict=config.strict_affinity)
    shortage = ""
    if len(given) < request.count:
        if config.auto_allocate_blocks:
            shortage = yield from _take_new(request, pools, given, len(own), strict=config.strict_affinity)
        else:
            shortage = _NO_NEW_BLOCKS
    if len(given) < request.count and not config.strict_affinity and shortage != _PER_HOST_LIMIT:
        shortage = yield from _borrow(request, pools, given)
    if len(given) >= request.count:
        return Assigned(tuple(given))
    return Assigned(tuple(given), shortage.format(pools=", ".join(str(pool.spec.cidr) for pool in pools)))


def _own_affinities(request: AssignRequest, pools: tuple[IPPool, ...]) -> Steps[list[Affinity]]:
    """The host's claims in the pools; those elsewhere, in pools that are no longer meant for it, are ended if empty."""
    own = []
    for affinity in (yield from list_affinities(request.host, request.family)):
        if pool_of(pools, affinity.value.cidr) is not None:
            own.append(affinity)
        else:
            yield from release_if_unselected(affinity.value.cidr, request.host)
    return own


def _take_own(affinity: Affinity, request: AssignRequest, count: int, *, strict: bool) -> Steps[list[Address]]:
    """Addresses from a block that the host claims."""
    block = yield from load_block(affinity, strict=strict)
    return [] if block is None else (yield from _take(block, request, count, only_own=True))


def _take_new(
    request: AssignRequest, pools: tuple[IPPool, ...], given: list[Address], owned: int, *, strict: bool
) -> Steps[str]:
    """Adds addresses from new blocks to those that are given; returns why there are no more."""
    tries = 0
    while len(given) < request.count:
        if 0 < request.max_blocks <= owned:
            return _PER_HOST_LIMIT
        cidr = free_candidate(pools, request.start, (yield from list_blocks(request.family)))
        if cidr is None:
            return _NO_BLOCK
        block = yield from claim_block(request.host, cidr, strict=strict)
        if block is not None:
            owned += 1
            taken = yield from _take(block, request, request.count - len(given), only_own=True)
            given += taken
            tries = 0 if taken else tries
        tries += 1
        if tries > MOST_TRIES:
            raise TooManyClaimants
    return ""


def _borrow(request: AssignRequest, pools: tuple[IPPool, ...], given: list[Address]) -> Steps[str]:
    """Adds addresses from blocks of other hosts, or of none, to those that are given; returns why there are no more."""
    for cidr in existing_blocks(pools, request.start, (yield from list_blocks(request.family))):
        if len(given) >= request.count:
            return ""
        block = yield from read_block(cidr)
        if block is not None:
            given += yield from _take(block, request, request.count - len(given), only_own=False)
    return _NO_ADDRESS


def _take(block: Block, request: AssignRequest, count: int, *, only_own: bool) -> Steps[list[Address]]:
    """Free addresses of a block, at most `count`; none if the host may not have them or the block goes away."""
    current: Block | None = block
    for _ in range(MOST_TRIES):
        if current is None or refusal_of_host(current.value, request.host):
            return []
        if only_own and block_host(current.value) != request.host:
            return []
        ordinals = free_ordinals(current.value, count)
        if not ordinals:
            return []
        if (yield from _write(current, ordinals, request)):
            return [address_at(current.value, ordinal) for ordinal in ordinals]
        current = yield from read_block(block.value.cidr)
    raise TooManyClaimants


def _write(block: Block, ordinals: tuple[int, ...], request: AssignRequest) -> Steps[bool]:
    """Notes an allocation in the handle and then in the block; False when the block is not what was read."""
    if request.handle is not None:
        yield from raise_handle(request.handle, block.value.cidr, len(ordinals))
    if (yield from update(block, assign(block.value, ordinals, request.attribute))) is not None:
        return True
    if request.handle is not None:
        yield from settle_handle(request.handle, block.value.cidr)
    return False


def assign_address(address: Address, request: AssignRequest) -> Steps[None]:
    """Gives a host an address that is named; of the request only the host, handle and notes count.

    Raises `InvalidInput`, in Calico's words, when the address is in no enabled pool, is taken, or may not be the host's.
    """
    pools = yield from read_pools()
    pool = pool_of(pools, address)
    if pool is None:
        raise InvalidInput("The provided IP address is not in a configured pool", remedy=f"{address} is in no enabled pool")
    config = yield from read_config()
    cidr = (yield from _existing_block(address)) or block_of(pool, address)
    for _ in range(MOST_TRIES):
        block = yield from read_block(cidr)
        if block is None:
            block = yield from claim_block(request.host, cidr, strict=config.strict_affinity)
            if block is None:
                continue  # somebody else's by now
        refusal = refusal_of_host(block.value, request.host)
        if refusal is not None:
            raise InvalidInput(refusal)
        ordinal = ordinal_of(block.value, address)
        if attribute_at(block.value, ordinal) is not None:
            raise InvalidInput("Address already assigned in block", remedy=f"{address} is taken")
        if (yield from _write(block, (ordinal,), request)):
            return
    raise TooManyClaimants


def _existing_block(address: Address) -> Steps[Prefix | None]:
    """The block that an address lies in, whatever its size."""
    for cidr in (yield from list_blocks(address.family)):
        if cidr.contains(address.value):
            return cidr
    return None
