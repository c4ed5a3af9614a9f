"""How a block becomes a host's, and ceases to be (spec: model 8.7).

Two entries say that a block is a host's: the block, whose word counts, and the host's affinity, by which the host finds its
blocks. They cannot be written at once, so the affinity goes through states: `pending` until the block says the same, then
`confirmed`; `pendingDeletion` from before the block is let go until after. An affinity that is not confirmed promises
nothing: whoever finds one asks the block, and writes the block once more before confirming, so that a releaser who has read
it before is refused.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from tortie.ipam.block import affinity_of, block_host, is_empty, new_block
from tortie.ipam.choice import pool_of, selects_node
from tortie.ipam.command import (
    MOST_TRIES,
    AffinityKey,
    BlockKey,
    ConfigKey,
    Entry,
    ForgetHost,
    Read,
    Steps,
    TooManyClaimants,
    create,
    delete,
    list_affinities,
    list_blocks,
    read_affinity,
    read_block,
    read_node,
    read_pools,
    update,
)
from tortie.model.ipam import BlockAffinitySpec, IPAMBlockSpec, IPAMConfigSpec
from tortie.model.pool import IPPool
from tortie.net.address import IPFamily, Prefix
from tortie.net.error import InvalidInput

PENDING, CONFIRMED, PENDING_DELETION = "pending", "confirmed", "pendingDeletion"
"""States of an affinity; an empty one is confirmed (spec: model 8.6)."""
DEFAULT_CONFIG = IPAMConfigSpec(strict_affinity=False, auto_allocate_blocks=True)
"""What holds while nothing is configured (spec: model 8.6)."""

Block = Entry[IPAMBlockSpec]
Affinity = Entry[BlockAffinitySpec]


class Released(Enum):
    """What became of a host's claim that was to be released."""

    DONE = "done"
    NOT_EMPTY = "not empty"
    NOT_OURS = "not ours"


def read_config() -> Steps[IPAMConfigSpec]:
    """The cluster's rules of allocation."""
    found: Entry[IPAMConfigSpec] | None = yield Read(ConfigKey())
    return DEFAULT_CONFIG if found is None else found.value


def set_config(config: IPAMConfigSpec) -> Steps[None]:
    """Changes the cluster's rules of allocation; raises `InvalidInput`, in Calico's words, where that cannot be."""
    if not config.strict_affinity and not config.auto_allocate_blocks:
        raise InvalidInput("Cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time")
    for _ in range(MOST_TRIES):
        found: Entry[IPAMConfigSpec] | None = yield Read(ConfigKey())
        if (DEFAULT_CONFIG if found is None else found.value) == config:
            return
        for family in IPFamily:
            if (yield from list_blocks(family)):
                raise InvalidInput("Cannot change IPAM config while allocations exist")
        done = yield from (create(ConfigKey(), config) if found is None else update(found, config))
        if done is not None:
            return
    raise TooManyClaimants


# --- claiming ----------------------------------------------------------------------------------------------------


def claim_block(host: str, cidr: Prefix, *, strict: bool) -> Steps[Block | None]:
    """Makes a block the host's, or finds that it is; None when it is another's, or nobody's with addresses in use."""
    for _ in range(MOST_TRIES):
        affinity = yield from _pending_affinity(host, cidr)
        if affinity is None:
            continue
        block = yield from create(BlockKey(cidr), new_block(cidr, host, strict=strict))
        if block is None:
            block = yield from read_block(cidr)
            if block is None:
                continue  # deleted since
            if block_host(block.value) != host:
                yield from delete(affinity)
                return None
            if not is_confirmed(affinity.value):
                # Somebody may be letting it go: he is refused after this write.
                block = yield from update(block, block.value)
                if block is None:
                    continue
        if (yield from _confirm(affinity)):
            return block
    raise TooManyClaimants


def _pending_affinity(host: str, cidr: Prefix) -> Steps[Affinity | None]:
    """The claim, made or set back to pending; one that is confirmed stays. None when somebody was faster."""
    found = yield from read_affinity(host, cidr)
    if found is None:
        return (yield from create(AffinityKey(host, cidr), BlockAffinitySpec(cidr, host, PENDING)))
    if is_confirmed(found.value):
        return found
    return (yield from update(found, replace(found.value, state=PENDING)))


def is_confirmed(affinity: BlockAffinitySpec) -> bool:
    """True when the block is the host's for certain."""
    return affinity.state in (CONFIRMED, "")


def _confirm(affinity: Affinity) -> Steps[bool]:
    """Makes the claim certain; False when it is not what was read."""
    if is_confirmed(affinity.value):
        return True
    return (yield from update(affinity, replace(affinity.value, state=CONFIRMED))) is not None


def load_block(affinity: Affinity, *, strict: bool) -> Steps[Block | None]:
    """The block that a host claims, made if it is not there; None when it is not the host's, and then the claim is gone."""
    host, cidr = affinity.value.node, affinity.value.cidr
    if is_confirmed(affinity.value):
        block = yield from read_block(cidr)
        if block is not None and block_host(block.value) == host:
            return block
        if block is not None:
            yield from delete(affinity)
            return None
        # Without a block, the claim is none: whoever makes the block must find it unconfirmed.
        if (yield from update(affinity, replace(affinity.value, state=PENDING))) is None:
            return None
    return (yield from claim_block(host, cidr, strict=strict))


# --- letting go --------------------------------------------------------------------------------------------------


def release_affinity(host: str, cidr: Prefix, *, must_be_empty: bool) -> Steps[Released]:
    """Ends a host's claim to a block: an empty block goes too, one with addresses in use becomes nobody's."""
    for _ in range(MOST_TRIES):
        affinity = yield from read_affinity(host, cidr)
        block = yield from read_block(cidr)
        if block is None or block.value.affinity != affinity_of(host):
            if affinity is None:
                return Released.NOT_OURS
            if (yield from delete(affinity)):
                return Released.DONE if block is None else Released.NOT_OURS
            continue
        if must_be_empty and not is_empty(block.value):
            if affinity is None or affinity.value.state != PENDING_DELETION or (yield from _renew(affinity, block)):
                return Released.NOT_EMPTY
            continue
        if (yield from _let_go(host, cidr, affinity, block)):
            return Released.DONE
    raise TooManyClaimants


def _renew(affinity: Affinity, block: Block) -> Steps[bool]:
    """Makes a claim that was to end certain again, as the block has been used meanwhile; False when somebody wrote."""
    return (yield from update(block, block.value)) is not None and (yield from _confirm(affinity))


def _let_go(host: str, cidr: Prefix, affinity: Affinity | None, block: Block) -> Steps[bool]:
    """Marks the claim, frees the block, removes the claim; False when somebody wrote meanwhile."""
    if affinity is not None:
        affinity = yield from update(affinity, replace(affinity.value, state=PENDING_DELETION))
        if affinity is None:
            return False
    if is_empty(block.value):
        freed = yield from delete(block)
    else:
        freed = (yield from update(block, replace(block.value, affinity=None))) is not None
    if not freed:
        return False
    if affinity is not None:
        # Refused when somebody of this host has claimed the block anew: then the claim is theirs.
        yield from delete(affinity)
    return True


def release_host(host: str) -> Steps[None]:
    """Ends all claims of a host, used or not, and forgets it: for a node that is deleted (spec: model 1.5)."""
    for family in IPFamily:
        for affinity in (yield from list_affinities(host, family)):
            yield from release_affinity(host, affinity.value.cidr, must_be_empty=False)
    yield ForgetHost(host)


def release_pool(pool: Prefix) -> Steps[None]:
    """Ends all claims to blocks of a pool, used or not: for a pool that is deleted (spec: model 1.12)."""
    for cidr in (yield from list_blocks(pool.family)):
        if cidr.length < pool.length or not pool.contains(cidr.address):
            continue
        block = yield from read_block(cidr)
        host = None if block is None else block_host(block.value)
        if host is not None:
            yield from release_affinity(host, cidr, must_be_empty=False)


def release_if_unselected(cidr: Prefix, host: str) -> Steps[None]:
    """Ends a host's claim to an empty block when the block's pool is no longer meant for that node (spec: model 8.7)."""
    node = yield from read_node(host)
    if node is None:
        return
    pool: IPPool | None = pool_of((yield from read_pools()), cidr)
    if pool is not None and not selects_node(pool, node):
        yield from release_affinity(host, cidr, must_be_empty=True)
