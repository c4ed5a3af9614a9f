"""One block of addresses: which are taken, and by whom (spec: model 8.6).

`allocations` has one place per address, in order, the first and last included: None, or an index into `attributes`. Free
places stand in `unallocated` in the order in which they will be given out: from the front, and what is released goes to the
end, so that an address rests as long as it can. Equal attributes are kept once, unused ones not at all. All functions are
from block to block. Blocks come from other programs too: a place that has an allocation is taken, also if `unallocated`
lists it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tortie.model.ipam import AllocationAttribute, IPAMBlockSpec
from tortie.net.address import Address, Prefix

_HOST = "host:"


def affinity_of(host: str) -> str:
    """How a block says that it is a host's."""
    return _HOST + host


def block_host(block: IPAMBlockSpec) -> str | None:
    """The host whose block it is, or None; only the prefix is taken off (spec: model Q1)."""
    return None if block.affinity is None else block.affinity.removeprefix(_HOST)


def new_block(cidr: Prefix, host: str | None, *, strict: bool) -> IPAMBlockSpec:
    """A block without an allocation, of a host or of nobody."""
    size = block_size(cidr)
    affinity = None if host is None else affinity_of(host)
    return IPAMBlockSpec(cidr, affinity, strict, (None,) * size, tuple(range(size)), ())


def block_size(cidr: Prefix) -> int:
    """How many addresses a block of this CIDR has."""
    return 1 << (cidr.family.bits - cidr.length)


def is_empty(block: IPAMBlockSpec) -> bool:
    """True when nobody has an address of the block."""
    return all(slot is None for slot in block.allocations)


def free_ordinals(block: IPAMBlockSpec, count: int) -> tuple[int, ...]:
    """The places of the next free addresses in the order of giving out, at most `count`."""
    found: list[int] = []
    for ordinal in dict.fromkeys(block.unallocated):
        if len(found) >= count:
            break
        if 0 <= ordinal < len(block.allocations) and block.allocations[ordinal] is None:
            found.append(ordinal)
    return tuple(found)


def count_free(block: IPAMBlockSpec) -> int:
    """How many addresses nobody has."""
    return sum(slot is None for slot in block.allocations)


def assign(block: IPAMBlockSpec, ordinals: Iterable[int], attribute: AllocationAttribute) -> IPAMBlockSpec:
    """The block with free places given to one asker."""
    taken = set(ordinals)
    assert all(block.allocations[ordinal] is None for ordinal in taken)
    attributes = block.attributes if attribute in block.attributes else (*block.attributes, attribute)
    index = attributes.index(attribute)
    return replace(
        block,
        allocations=tuple(index if place in taken else slot for place, slot in enumerate(block.allocations)),
        unallocated=tuple(ordinal for ordinal in block.unallocated if ordinal not in taken),
        attributes=attributes,
    )


def release(block: IPAMBlockSpec, ordinals: Iterable[int]) -> IPAMBlockSpec:
    """The block without these allocations; places that are free stay so."""
    freed = [ordinal for ordinal in dict.fromkeys(ordinals) if block.allocations[ordinal] is not None]
    if not freed:
        return block
    gone = set(freed)
    slots = [None if place in gone else slot for place, slot in enumerate(block.allocations)]
    used = sorted({slot for slot in slots if slot is not None})
    renumbered = {old: new for new, old in enumerate(used)}
    return replace(
        block,
        allocations=tuple(None if slot is None else renumbered[slot] for slot in slots),
        unallocated=(*(ordinal for ordinal in block.unallocated if ordinal not in gone), *freed),
        attributes=tuple(block.attributes[index] for index in used),
    )


def attribute_at(block: IPAMBlockSpec, ordinal: int) -> AllocationAttribute | None:
    """Who has an address, or None."""
    slot = block.allocations[ordinal] if 0 <= ordinal < len(block.allocations) else None
    return None if slot is None else block.attributes[slot]


def ordinals_of_handle(block: IPAMBlockSpec, handle: str) -> tuple[int, ...]:
    """The places that an asker holds."""
    own = {index for index, attribute in enumerate(block.attributes) if attribute.handle_id == handle}
    return tuple(place for place, slot in enumerate(block.allocations) if slot in own)


def handle_counts(block: IPAMBlockSpec) -> Mapping[str, int]:
    """How many addresses each asker holds, of those who gave a handle."""
    slots = (block.attributes[slot].handle_id for slot in block.allocations if slot is not None)
    return Counter(handle for handle in slots if handle is not None)


def ordinal_of(block: IPAMBlockSpec, address: Address) -> int:
    """The place of an address, which must lie in the block."""
    assert address.family is block.cidr.family and block.cidr.contains(address.value)
    return address.value - block.cidr.address


def address_at(block: IPAMBlockSpec, ordinal: int) -> Address:
    """The address of a place."""
    return Address(block.cidr.family, block.cidr.address + ordinal)


def refusal_of_host(block: IPAMBlockSpec, host: str) -> str | None:
    """Why a strict block has no address for a host; None when it may have (spec: model 8.7)."""
    if not block.strict_affinity or block.affinity == affinity_of(host):
        return None
    if block.affinity is None:
        return f"Attempt to assign from block {block.cidr} with no affinity"
    return "Block host affinity does not match"
