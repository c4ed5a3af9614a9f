"""Operations on addresses as Calico 3.7 carries them out, plainly from the specification (spec: model 8.7, Q2 to Q4).

Written apart from `tortie.ipam`, to be at work beside it on the same data: handles go up and down by what was asked for,
and nothing is written that need not be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tortie.ipam.command import (
    AffinityKey,
    BlockKey,
    Create,
    Delete,
    Entry,
    HandleKey,
    ListAffinities,
    ListBlocks,
    Read,
    Steps,
    Update,
)
from tortie.model.ipam import AllocationAttribute, BlockAffinitySpec, IPAMBlockSpec, IPAMHandleSpec
from tortie.net.address import Address, IPFamily, Prefix, parse_prefix

_TRIES = 100


def calico_assign(host: str, handle: str, blocks: tuple[Prefix, ...]) -> Steps[tuple[Address, ...]]:
    """One address for a host, from its blocks, else from a new one of `blocks`; no borrowing."""
    for affinity in (yield ListAffinities(host, IPFamily.V4)):
        block = yield from _load(affinity)
        while block is not None and block.value.affinity == f"host:{host}" and block.value.unallocated:
            given = yield from _take(block, handle)
            if given:
                return given
            block = yield Read(BlockKey(block.value.cidr))
    for _ in range(_TRIES):
        existing = yield ListBlocks(IPFamily.V4)
        free = [cidr for cidr in blocks if cidr not in existing]
        if not free:
            return ()
        block = yield from _claim(host, free[0])
        while block is not None and block.value.affinity == f"host:{host}" and block.value.unallocated:
            given = yield from _take(block, handle)
            if given:
                return given
            block = yield Read(BlockKey(free[0]))
    return ()


def _load(affinity: Entry[BlockAffinitySpec]) -> Steps[Entry[IPAMBlockSpec] | None]:
    cidr, host = affinity.value.cidr, affinity.value.node
    block = yield Read(BlockKey(cidr))
    if block is None:
        pending = yield Update(affinity, replace(affinity.value, state="pending"))
        return None if pending is None else (yield from _claim(host, cidr))
    if block.value.affinity != f"host:{host}":
        yield Delete(affinity)
        return None
    if affinity.value.state == "confirmed":
        found: Entry[IPAMBlockSpec] = block
        return found
    pending = yield Update(affinity, replace(affinity.value, state="pending"))
    block = None if pending is None else (yield Update(block, block.value))
    if block is None or (yield Update(pending, replace(pending.value, state="confirmed"))) is None:
        return None
    renewed: Entry[IPAMBlockSpec] = block
    return renewed


def _claim(host: str, cidr: Prefix) -> Steps[Entry[IPAMBlockSpec] | None]:
    affinity = yield Read(AffinityKey(host, cidr))
    if affinity is None:
        affinity = yield Create(AffinityKey(host, cidr), BlockAffinitySpec(cidr, host, "pending"))
    elif affinity.value.state != "confirmed":
        affinity = yield Update(affinity, replace(affinity.value, state="pending"))
    if affinity is None:
        return None
    size = 1 << (32 - cidr.length)
    new = IPAMBlockSpec(cidr, f"host:{host}", False, (None,) * size, tuple(range(size)), ())
    block = yield Create(BlockKey(cidr), new)
    if block is None:
        block = yield Read(BlockKey(cidr))
        if block is not None and block.value.affinity != f"host:{host}":
            yield Delete(affinity)
            return None
    if affinity.value.state != "confirmed":
        yield Update(affinity, replace(affinity.value, state="confirmed"))
    found: Entry[IPAMBlockSpec] | None = block
    return found


def _take(block: Entry[IPAMBlockSpec], handle: str) -> Steps[tuple[Address, ...]]:
    value, place = block.value, block.value.unallocated[0]
    attribute = AllocationAttribute(handle, {})
    attributes = value.attributes if attribute in value.attributes else (*value.attributes, attribute)
    slots = list(value.allocations)
    slots[place] = attributes.index(attribute)
    changed = replace(value, allocations=tuple(slots), unallocated=value.unallocated[1:], attributes=attributes)
    yield from _add(handle, value.cidr, 1)
    if (yield Update(block, changed)) is None:
        yield from _add(handle, value.cidr, -1)
        return ()
    return (Address(IPFamily.V4, value.cidr.address + place),)


def _add(handle: str, cidr: Prefix, change: int) -> Steps[None]:
    for _ in range(_TRIES):
        entry = yield Read(HandleKey(handle))
        held = {} if entry is None else dict(entry.value.block)
        count = held.pop(str(cidr), 0) + change
        if count > 0:
            held[str(cidr)] = count
        value = IPAMHandleSpec(handle, held)
        done: Any
        if entry is None:
            done = True if not held else (yield Create(HandleKey(handle), value))
        elif held:
            done = yield Update(entry, value)
        else:
            done = yield Delete(entry)
        if done:
            return


def calico_release(handle: str) -> Steps[None]:
    """Gives back what a handle holds."""
    entry = yield Read(HandleKey(handle))
    if entry is None:
        return
    for text in entry.value.block:
        yield from _release(handle, parse_prefix(text))


def _release(handle: str, cidr: Prefix) -> Steps[None]:
    for _ in range(_TRIES):
        block = yield Read(BlockKey(cidr))
        if block is None:
            return
        value: IPAMBlockSpec = block.value
        own = [index for index, attribute in enumerate(value.attributes) if attribute.handle_id == handle]
        places = [place for place, slot in enumerate(value.allocations) if slot in own]
        if not places:
            return
        kept = [index for index in range(len(value.attributes)) if index not in own]
        slots = (None if slot is None or slot in own else kept.index(slot) for slot in value.allocations)
        changed = replace(
            value,
            allocations=tuple(slots),
            unallocated=(*value.unallocated, *places),
            attributes=tuple(value.attributes[index] for index in kept),
        )
        empty = value.affinity is None and len(changed.unallocated) == len(changed.allocations)
        if (yield Delete(block) if empty else Update(block, changed)):
            yield from _add(handle, cidr, -len(places))
            return
