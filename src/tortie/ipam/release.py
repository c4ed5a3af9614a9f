"""Taking addresses back: by their values or by the handle of who has them (spec: model 8.7).

Handles are read before the block is written and lowered after, to what the block then says (`tortie.ipam.handle`). A block
that is nobody's and becomes empty goes; one whose pool is no longer meant for its host does too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tortie.ipam.block import (
    address_at,
    attribute_at,
    block_host,
    handle_counts,
    is_empty,
    ordinal_of,
    ordinals_of_handle,
    release,
)
from tortie.ipam.choice import block_of, pool_of
from tortie.ipam.claim import Block, release_if_unselected
from tortie.ipam.command import (
    MOST_TRIES,
    Entry,
    Steps,
    TooManyClaimants,
    delete,
    list_blocks,
    read_block,
    read_handle,
    read_pools,
    update,
)
from tortie.ipam.handle import lower_handle, settle_handle
from tortie.model.ipam import AllocationAttribute, IPAMBlockSpec, IPAMHandleSpec
from tortie.net.address import Address, Prefix, parse_prefix
from tortie.net.error import InvalidInput


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What became of addresses that were to be released: those that were, and those that nobody had."""

    released: tuple[Address, ...] = ()
    unallocated: tuple[Address, ...] = ()


def release_addresses(addresses: Iterable[Address]) -> Steps[ReleaseResult]:
    """Takes addresses back, whoever has them."""
    by_block: dict[Prefix, list[Address]] = {}
    unknown: list[Address] = []
    for address in dict.fromkeys(addresses):
        block = yield from find_block(address)
        if block is None:
            unknown.append(address)
        else:
            by_block.setdefault(block.value.cidr, []).append(address)
    released: list[Address] = []
    for cidr, wanted in by_block.items():
        done = yield from _release_from(cidr, wanted=wanted)
        released += done
        unknown += [address for address in wanted if address not in done]
    return ReleaseResult(tuple(released), tuple(unknown))


def release_handle(handle: str) -> Steps[tuple[Address, ...] | None]:
    """Takes back all that an asker has; None when nobody knows the handle."""
    entry = yield from read_handle(handle)
    if entry is None:
        return None
    released: list[Address] = []
    for text in entry.value.block:
        released += yield from _release_from(_block_in_handle(handle, text), handle=handle)
        # What is left over of an asker who died between handle and block, or was written by others.
        yield from settle_handle(handle, _block_in_handle(handle, text))
    return tuple(released)


def addresses_of_handle(handle: str) -> Steps[tuple[Address, ...] | None]:
    """What an asker has; None when nobody knows the handle."""
    entry = yield from read_handle(handle)
    if entry is None:
        return None
    found: list[Address] = []
    for text in entry.value.block:
        block = yield from read_block(_block_in_handle(handle, text))
        if block is not None:
            found += [address_at(block.value, place) for place in ordinals_of_handle(block.value, handle)]
    return tuple(found)


def _block_in_handle(handle: str, text: str) -> Prefix:
    try:
        return parse_prefix(text)
    except InvalidInput as error:
        raise InvalidInput(f"handle {handle!r} names a block that is none: {error.message}") from None


def assignment_of(address: Address) -> Steps[AllocationAttribute | None]:
    """Who has an address, or None."""
    block = yield from find_block(address)
    return None if block is None else attribute_at(block.value, ordinal_of(block.value, address))


def find_block(address: Address) -> Steps[Block | None]:
    """The block that an address lies in: by its pool, else by looking at all that there are."""
    pool = pool_of((yield from read_pools()), address, enabled_only=False)
    if pool is not None:
        block = yield from read_block(block_of(pool, address))
        if block is not None:
            return block
    for cidr in (yield from list_blocks(address.family)):
        if cidr.contains(address.value):
            return (yield from read_block(cidr))
    return None


def _release_from(cidr: Prefix, *, wanted: Iterable[Address] = (), handle: str | None = None) -> Steps[list[Address]]:
    """Takes back addresses of one block, those wanted and all of a handle; returns those that somebody had."""
    for _ in range(MOST_TRIES):
        block = yield from read_block(cidr)
        if block is None:
            return []
        ordinals = [ordinal_of(block.value, address) for address in wanted]
        ordinals += () if handle is None else ordinals_of_handle(block.value, handle)
        taken = [place for place in dict.fromkeys(ordinals) if attribute_at(block.value, place) is not None]
        if not taken:
            return []
        if (yield from _write(block, taken)):
            host = block_host(block.value)
            if host is not None:
                yield from release_if_unselected(cidr, host)
            return [address_at(block.value, place) for place in taken]
    raise TooManyClaimants


def _write(block: Block, ordinals: list[int]) -> Steps[bool]:
    """Frees places, and lowers the handles that held them; False when the block is not what was read."""
    value, cidr = release(block.value, ordinals), block.value.cidr
    handles = {attribute.handle_id for place in ordinals if (attribute := attribute_at(block.value, place))}
    entries: dict[str, Entry[IPAMHandleSpec]] = {}
    for handle in sorted(name for name in handles if name is not None):
        entry = yield from read_handle(handle)
        if entry is not None:
            entries[handle] = entry
    if not (yield from _replace(block, value)):
        return False
    left = handle_counts(value)
    for handle, entry in entries.items():
        if not (yield from lower_handle(entry, cidr, left.get(handle, 0))):
            yield from settle_handle(handle, cidr)
    return True


def _replace(block: Block, value: IPAMBlockSpec) -> Steps[bool]:
    if value.affinity is None and is_empty(value):
        return (yield from delete(block))
    return (yield from update(block, value)) is not None
