"""Taking addresses back: by value and by handle, also what the dead have left."""

from __future__ import annotations

import pytest

from tests.fakes.ipam_store import MemoryStore, Paused, inconsistencies, make_node, make_pool
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.block import assign, new_block
from tortie.ipam.claim import release_affinity
from tortie.ipam.command import BlockKey, Delete, HandleKey, Read, Update
from tortie.ipam.handle import raise_handle
from tortie.ipam.release import (
    ReleaseResult,
    addresses_of_handle,
    assignment_of,
    find_block,
    release_addresses,
    release_handle,
)
from tortie.model.ipam import AllocationAttribute, IPAMHandleSpec
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.error import InvalidInput

CIDR = parse_prefix("10.0.0.0/29")


def new_store() -> MemoryStore:
    return MemoryStore((make_pool("p", "10.0.0.0/29", 29),), {host: make_node(host) for host in ("a", "b")})


def whole(store: MemoryStore) -> bool:
    return not list(inconsistencies(store.blocks, store.handles, store.affinities, quiet=True))


def test_addresses_are_taken_back_whoever_has_them() -> None:
    store = new_store()
    one = store.run(auto_assign(AssignRequest("a", count=2, handle="h1"))).addresses
    two = store.run(auto_assign(AssignRequest("b", count=2, handle="h2"))).addresses
    free = parse_address("10.0.0.7")
    found = store.run(release_addresses((one[0], two[1], free, one[0], parse_address("10.9.9.9"))))
    assert found == ReleaseResult((one[0], two[1]), (parse_address("10.9.9.9"), free))
    assert {name: handle.block for name, handle in store.handles.items()} == {"h1": {str(CIDR): 1}, "h2": {str(CIDR): 1}}
    assert whole(store)


def test_a_handle_that_holds_nothing_more_goes() -> None:
    store = new_store()
    store.run(release_addresses(store.run(auto_assign(AssignRequest("a", count=3, handle="h"))).addresses))
    assert store.handles == {}
    assert store.taken() == {}


def test_what_has_no_handle_is_taken_back_as_well() -> None:
    store = new_store()
    held = assign(new_block(CIDR, "a", strict=False), (0, 1), AllocationAttribute(None, {}))
    store.put(BlockKey(CIDR), held)
    first = parse_address("10.0.0.0")
    assert store.run(release_addresses((first,))) == ReleaseResult((first,), ())


def test_a_handle_gives_back_all_that_it_holds() -> None:
    store = new_store()
    store.pools = (make_pool("p", "10.0.0.0/28", 29), make_pool("six", "fd00::/120", 124))
    given = store.run(auto_assign(AssignRequest("a", count=10, handle="h"))).addresses
    given += store.run(auto_assign(AssignRequest("a", handle="h", family=IPFamily.V6))).addresses
    store.run(auto_assign(AssignRequest("a", handle="other")))
    assert store.run(addresses_of_handle("h")) == given
    assert store.run(release_handle("h")) == given
    assert set(store.taken().values()) == {"other"}
    assert set(store.handles) == {"other"}


def test_an_unknown_handle_is_told_from_an_empty_one() -> None:
    store = new_store()
    assert store.run(release_handle("h")) is None
    assert store.run(addresses_of_handle("h")) is None
    store.put(HandleKey("h"), IPAMHandleSpec("h", {}))
    assert store.run(addresses_of_handle("h")) == ()
    assert store.run(release_handle("h")) == ()


def test_what_somebody_left_who_died_before_the_block_is_cleared_away() -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", handle="other")))
    store.run(raise_handle("h", CIDR, 3))
    store.run(raise_handle("h", parse_prefix("10.8.0.0/29"), 1))
    assert store.run(release_handle("h")) == ()
    assert set(store.handles) == {"other"}


def test_a_handle_that_names_no_block_is_refused() -> None:
    store = new_store()
    store.put(HandleKey("h"), IPAMHandleSpec("h", {"10.0.0.0-29": 1}))
    with pytest.raises(InvalidInput, match="handle 'h' names a block that is none"):
        store.run(release_handle("h"))


def test_an_empty_block_of_nobody_goes() -> None:
    store = new_store()
    given = store.run(auto_assign(AssignRequest("a", count=2, handle="h"))).addresses
    store.run(release_affinity("a", CIDR, must_be_empty=False))
    store.run(release_addresses(given[:1]))
    assert CIDR in store.blocks
    store.run(release_addresses(given[1:]))
    assert store.entries == {}


def test_an_empty_block_of_a_host_stays_the_hosts() -> None:
    store = new_store()
    store.run(release_addresses(store.run(auto_assign(AssignRequest("a", handle="h"))).addresses))
    assert store.blocks.keys() == {CIDR}


def test_an_empty_block_whose_pool_is_no_longer_for_the_host_goes() -> None:
    store = new_store()
    given = store.run(auto_assign(AssignRequest("a", count=2, handle="h"))).addresses
    store.pools = (make_pool("p", "10.0.0.0/29", 29, "has(x)"),)
    store.run(release_addresses(given[:1]))
    assert store.blocks.keys() == {CIDR}
    store.run(release_addresses(given[1:]))
    assert store.entries == {}


@pytest.mark.parametrize(
    ("address", "cidr"),
    [
        pytest.param("10.0.0.5", "10.0.0.0/29", id="by its pool"),
        pytest.param("10.5.0.1", "10.5.0.0/30", id="in no pool"),
        pytest.param("10.6.0.1", "10.6.0.0/31", id="of a size that the pool no longer has"),
        pytest.param("10.0.0.9", None, id="nowhere"),
    ],
)
def test_the_block_of_an_address_is_found(address: str, cidr: str | None) -> None:
    store = new_store()
    store.pools = (*store.pools, make_pool("off", "10.6.0.0/28", 29, disabled=True))
    for text in ("10.0.0.0/29", "10.5.0.0/30", "10.6.0.0/31"):
        store.put(BlockKey(parse_prefix(text)), new_block(parse_prefix(text), None, strict=False))
    found = store.run(find_block(parse_address(address)))
    assert (None if found is None else str(found.value.cidr)) == cidr


def test_who_has_an_address_is_told() -> None:
    store = new_store()
    address = parse_address("10.0.0.3")
    store.run(assign_address(address, AssignRequest("a", handle="h", secondary={"node": "a"})))
    assert store.run(assignment_of(address)) == AllocationAttribute("h", {"node": "a"})
    assert store.run(assignment_of(parse_address("10.0.0.4"))) is None
    assert store.run(assignment_of(parse_address("10.9.0.4"))) is None


# --- beside others ---


def test_an_address_that_is_given_meanwhile_stays_given() -> None:
    store = new_store()
    given = store.run(auto_assign(AssignRequest("a", count=2, handle="h"))).addresses
    releaser = Paused(store, release_addresses(given[:1]), Update, BlockKey)
    later = store.run(auto_assign(AssignRequest("a", handle="h"))).addresses
    releaser.finish()
    assert set(store.taken()) == {given[1], *later}
    assert store.handles["h"].block == {str(CIDR): 2}
    assert whole(store)


def test_a_handle_that_is_raised_while_it_is_lowered_is_right_afterwards() -> None:
    store = new_store()
    given = store.run(auto_assign(AssignRequest("a", count=2, handle="h"))).addresses
    releaser = Paused(store, release_addresses(given[:1]), Update, HandleKey)
    store.run(auto_assign(AssignRequest("a", handle="h")))
    releaser.finish()
    assert whole(store)


def test_a_block_that_gets_used_while_it_is_removed_stays() -> None:
    store = new_store()
    store.put(BlockKey(CIDR), assign(new_block(CIDR, None, strict=False), (0,), AllocationAttribute("h", {})))
    store.put(HandleKey("h"), IPAMHandleSpec("h", {str(CIDR): 1}))
    releaser = Paused(store, release_handle("h"), Delete, BlockKey)
    store.run(assign_address(parse_address("10.0.0.5"), AssignRequest("a", handle="new")))
    releaser.finish()
    assert store.taken() == {parse_address("10.0.0.5"): "new"}


def test_two_who_release_one_address_do_it_once() -> None:
    store = new_store()
    (address,) = store.run(auto_assign(AssignRequest("a", handle="h"))).addresses
    slower = Paused(store, release_addresses((address,)), Read, HandleKey)
    assert store.run(release_addresses((address,))).released == (address,)
    assert slower.finish() == ReleaseResult((), (address,))
    assert store.blocks[CIDR].unallocated.count(0) == 1
