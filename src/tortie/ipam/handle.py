"""How many addresses an asker holds in which block, kept beside the blocks so that all can be found again.

The promise: a handle never says less than the blocks do. It is raised before the block is written, and lowered after, so
whoever dies in between leaves it too high, which `settle_handle` puts right when somebody next releases by the handle.
Calico adds and subtracts (spec: model Q3, Q4); lowering here counts what the block holds.

Why that is safe beside an asker who has raised the handle and not yet written the block: `settle_handle` reads the handle,
then the block, and before it lowers the handle it writes the block, unchanged if need be. An asker whose write came
earlier is counted; one whose write comes later is refused, because the block is not what he read; and one who raised after
the handle was read makes the handle's own condition fail.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.ipam.block import ordinals_of_handle
from tortie.ipam.command import (
    MOST_TRIES,
    Entry,
    HandleKey,
    Steps,
    TooManyClaimants,
    create,
    delete,
    read_block,
    read_handle,
    update,
)
from tortie.model.ipam import IPAMHandleSpec
from tortie.net.address import Prefix


def count_in(handle: IPAMHandleSpec, cidr: Prefix) -> int:
    """How many addresses of a block the handle says that it holds."""
    return handle.block.get(str(cidr), 0)


def with_count(handle: IPAMHandleSpec, cidr: Prefix, count: int) -> IPAMHandleSpec:
    """The handle with this count for a block; blocks of which it holds nothing are left out."""
    rest = {block: held for block, held in handle.block.items() if block != str(cidr)}
    return replace(handle, block=rest | {str(cidr): count} if count else rest)


def raise_handle(handle: str, cidr: Prefix, count: int) -> Steps[None]:
    """Makes the handle hold `count` more addresses of a block."""
    for _ in range(MOST_TRIES):
        entry = yield from read_handle(handle)
        if entry is None:
            done = yield from create(HandleKey(handle), with_count(IPAMHandleSpec(handle), cidr, count))
        else:
            done = yield from update(entry, with_count(entry.value, cidr, count_in(entry.value, cidr) + count))
        if done is not None:
            return
    raise TooManyClaimants


def settle_handle(handle: str, cidr: Prefix) -> Steps[None]:
    """Lowers what the handle says of a block to what the block says; a handle that holds nothing is removed."""
    for _ in range(MOST_TRIES):
        entry = yield from read_handle(handle)
        if entry is None:
            return
        block = yield from read_block(cidr)
        held = 0 if block is None else len(ordinals_of_handle(block.value, handle))
        if entry.value.block and min(1, held) <= count_in(entry.value, cidr) <= held:
            if (yield from read_handle(handle)) == entry:
                return
            continue  # raised since, and the block that was read may have been the raiser's
        if block is not None and (yield from update(block, block.value)) is None:
            continue
        if (yield from lower_handle(entry, cidr, held)):
            return
    raise TooManyClaimants


def lower_handle(entry: Entry[IPAMHandleSpec], cidr: Prefix, count: int) -> Steps[bool]:
    """Makes a handle hold `count` addresses of a block; False if it is not what was read."""
    lowered = with_count(entry.value, cidr, count)
    if lowered.block:
        return (yield from update(entry, lowered)) is not None
    return (yield from delete(entry))
