"""Giving out addresses: own blocks first, then new ones, then those of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.ipam_store import MemoryStore, Paused, inconsistencies, make_node, make_pool
from tortie.ipam.assign import Assigned, AssignRequest, assign_address, auto_assign
from tortie.ipam.block import assign, block_host, new_block
from tortie.ipam.choice import host_seed
from tortie.ipam.claim import claim_block, release_affinity, set_config
from tortie.ipam.command import AffinityKey, BlockKey, ListAffinities, TooManyClaimants, Update
from tortie.ipam.release import release_addresses
from tortie.model.ipam import AllocationAttribute, BlockAffinitySpec, IPAMConfigSpec
from tortie.net.address import Address, IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput

CIDRS = tuple(parse_prefix(f"10.0.0.{start}/30") for start in (0, 4, 8, 12))
FIRST = CIDRS[host_seed("a") % 4]
"""Where host a starts."""


def new_store(*, strict: bool = False, auto: bool = True) -> MemoryStore:
    pools = (make_pool("p", "10.0.0.0/28", 30), make_pool("six", "fd00::/120", 124))
    store = MemoryStore(pools, {host: make_node(host) for host in ("a", "b")})
    store.run(set_config(IPAMConfigSpec(strict, auto)))
    return store


def given(store: MemoryStore, host: str = "a", count: int = 1, **more: object) -> tuple[Address, ...]:
    request = AssignRequest(host, count=count, handle="h", secondary={"node": host})
    return store.run(auto_assign(replace(request, **more))).addresses  # type: ignore[arg-type]


def in_block(addresses: tuple[Address, ...]) -> list[Prefix]:
    return [next(cidr for cidr in CIDRS if cidr.contains(address.value)) for address in addresses]


def fill(store: MemoryStore, cidr: Prefix, host: str | None) -> None:
    block = assign(new_block(cidr, host, strict=False), range(4), AllocationAttribute("x", {}))
    store.put(BlockKey(cidr), block)
    if host is not None:
        store.put(AffinityKey(host, cidr), BlockAffinitySpec(cidr, host, "confirmed"))


# --- own and new blocks ---


def test_the_first_address_is_the_first_of_the_hosts_own_first_block() -> None:
    store = new_store()
    assert given(store) == (Address(IPFamily.V4, FIRST.address),)
    assert store.handles["h"].block == {str(FIRST): 1}
    assert store.blocks[FIRST].attributes == (AllocationAttribute("h", {"node": "a"}),)


def test_own_blocks_are_used_up_before_new_ones_are_made() -> None:
    store = new_store()
    assert in_block(given(store, count=6)) == [FIRST] * 4 + [CIDRS[(CIDRS.index(FIRST) + 1) % 4]] * 2
    assert len(given(store, count=2)) == 2
    assert len(store.blocks) == 2


def test_never_more_than_asked_for() -> None:
    store = new_store()
    store.run(claim_block("a", CIDRS[0], strict=False))
    store.run(claim_block("a", CIDRS[1], strict=False))
    assert len(given(store, count=5)) == 5
    assert len(store.taken()) == 5


def test_released_addresses_rest() -> None:
    store = new_store()
    (one,) = given(store)
    store.run(release_addresses((one,)))
    assert one not in given(store, count=3)


def test_each_host_has_blocks_of_its_own() -> None:
    store = new_store()
    assert {block_host(store.blocks[cidr]) for cidr in in_block(given(store, "a"))} == {"a"}
    assert {block_host(store.blocks[cidr]) for cidr in in_block(given(store, "b"))} == {"b"}


def test_the_seed_moves_the_start() -> None:
    assert in_block(given(new_store(), seed=2)) == [CIDRS[2]]


def test_families_are_apart() -> None:
    store = new_store()
    (address,) = given(store, family=IPFamily.V6)
    assert address.family is IPFamily.V6
    assert [cidr.length for cidr in store.blocks] == [124]


def test_pools_that_are_asked_for_are_used() -> None:
    store = new_store()
    store.pools = (*store.pools, make_pool("other", "10.9.0.0/30", 30, "has(nothing)"))
    assert str(given(store, pools=(parse_prefix("10.9.0.0/30"),))[0]) == "10.9.0.0"
    assert in_block(given(store)) == [FIRST]


def test_an_address_without_a_handle_is_noted_nowhere_else() -> None:
    store = new_store()
    given(store, handle=None)
    assert store.handles == {}
    assert store.blocks[FIRST].attributes == (AllocationAttribute(None, {"node": "a"}),)


# --- limits ---


@pytest.mark.parametrize(
    ("max_blocks", "count", "expected", "shortage"),
    [
        pytest.param(1, 4, 4, "", id="within"),
        pytest.param(1, 5, 4, "cannot allocate new block due to per host block limit", id="beyond"),
        pytest.param(2, 8, 8, "", id="two"),
        pytest.param(0, 17, 16, "no free address is left in 10.0.0.0/28", id="no limit but the pool"),
    ],
)
def test_a_host_has_at_most_so_many_blocks(max_blocks: int, count: int, expected: int, shortage: str) -> None:
    store = new_store()
    found = store.run(auto_assign(AssignRequest("a", count=count, max_blocks=max_blocks)))
    assert (len(found.addresses), found.shortage) == (expected, shortage)


def test_blocks_that_the_host_has_count_for_the_limit() -> None:
    store = new_store()
    fill(store, CIDRS[0], "a")
    found = store.run(auto_assign(AssignRequest("a", max_blocks=1)))
    assert found == Assigned((), "cannot allocate new block due to per host block limit")


# --- borrowing ---


def test_when_no_block_is_left_addresses_are_borrowed() -> None:
    store = new_store()
    for cidr in CIDRS[1:]:
        fill(store, cidr, "b")
    store.run(claim_block("b", CIDRS[0], strict=False))
    assert in_block(given(store, "a", 2)) == [CIDRS[0]] * 2
    assert block_host(store.blocks[CIDRS[0]]) == "b"
    assert not [key for key in store.affinities if key[0] == "a"]


def test_blocks_of_nobody_are_borrowed_from_too() -> None:
    store = new_store()
    for cidr in CIDRS[1:]:
        fill(store, cidr, "b")
    store.put(BlockKey(CIDRS[0]), new_block(CIDRS[0], None, strict=False))
    assert in_block(given(store, "a")) == [CIDRS[0]]


def test_nothing_is_borrowed_under_strict_affinity() -> None:
    store = new_store(strict=True)
    for cidr in CIDRS[1:]:
        fill(store, cidr, "b")
    store.run(claim_block("b", CIDRS[0], strict=True))
    found = store.run(auto_assign(AssignRequest("a")))
    assert found == Assigned((), "no free block is left in 10.0.0.0/28")


def test_a_block_that_was_made_strict_lends_nothing() -> None:
    store = new_store()
    for cidr in CIDRS[1:]:
        fill(store, cidr, "b")
    store.put(BlockKey(CIDRS[0]), new_block(CIDRS[0], "b", strict=True))
    assert given(store, "a") == ()


def test_without_new_blocks_own_ones_and_strictness_are_all_there_is() -> None:
    store = new_store(strict=True, auto=False)
    assert store.run(auto_assign(AssignRequest("a"))).shortage == "the configuration allows no new blocks"
    store.run(claim_block("a", CIDRS[2], strict=True))
    assert in_block(given(store)) == [CIDRS[2]]


# --- who may ask ---


def test_a_host_without_a_node_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"resource does not exist: Node\(z\)"):
        new_store().run(auto_assign(AssignRequest("z")))


def test_a_host_without_a_pool_is_refused() -> None:
    store = new_store()
    store.pools = ()
    with pytest.raises(InvalidInput, match="no configured Calico pools for node a"):
        store.run(auto_assign(AssignRequest("a")))


# --- beside others ---


def test_blocks_in_pools_that_are_no_longer_for_the_node_are_let_go_when_empty() -> None:
    store = new_store()
    old = parse_prefix("10.9.0.0/30")
    store.pools = (*store.pools, make_pool("old", "10.9.0.0/28", 30, "has(old)"))
    store.run(claim_block("a", old, strict=False))
    given(store)
    assert old not in store.blocks
    store.run(claim_block("a", old, strict=False))
    store.put(BlockKey(old), assign(store.blocks[old], (0,), AllocationAttribute("x", {})))
    given(store)
    assert ("a", old) in store.affinities


def test_a_claim_that_is_stale_is_passed_over() -> None:
    store = new_store()
    fill(store, CIDRS[0], "b")
    store.put(AffinityKey("a", CIDRS[0]), BlockAffinitySpec(CIDRS[0], "a", "confirmed"))
    assert CIDRS[0] not in in_block(given(store))
    assert ("a", CIDRS[0]) not in store.affinities


def test_an_own_block_that_becomes_anothers_meanwhile_is_not_taken_from() -> None:
    store = new_store()
    store.run(claim_block("a", FIRST, strict=False))
    asker = Paused(store, auto_assign(AssignRequest("a", handle="h")), Update, BlockKey)
    store.run(release_affinity("a", FIRST, must_be_empty=True))
    store.run(claim_block("b", FIRST, strict=False))
    found = asker.finish()
    assert in_block(found.addresses) != [FIRST]
    assert store.handles["h"].block == {str(cidr): 1 for cidr in in_block(found.addresses)}


def test_the_same_address_is_never_given_to_two_who_saw_it_free() -> None:
    store = new_store()
    store.run(claim_block("a", FIRST, strict=False))
    slower = Paused(store, auto_assign(AssignRequest("a", handle="slow")), Update, BlockKey)
    (first,) = given(store)
    (second,) = slower.finish().addresses
    assert first != second
    assert not list(inconsistencies(store.blocks, store.handles, store.affinities, quiet=True))


def test_who_is_always_overtaken_gives_up() -> None:
    store = new_store()
    store.run(claim_block("a", FIRST, strict=False))
    with pytest.raises(TooManyClaimants):
        store.run_overtaken(auto_assign(AssignRequest("a")), BlockKey)


def test_own_blocks_are_looked_for_once() -> None:
    store = new_store()
    given(store, count=7)
    assert sum(isinstance(command, ListAffinities) for command in store.asked) == 1


# --- named addresses ---


def test_a_named_address_is_given_and_its_block_claimed() -> None:
    store = new_store()
    address = parse_address("10.0.0.6")
    store.run(assign_address(address, AssignRequest("a", handle="h", secondary={"node": "a"})))
    assert store.taken() == {address: "h"}
    assert block_host(store.blocks[CIDRS[1]]) == "a"
    assert store.handles["h"].block == {str(CIDRS[1]): 1}


def test_a_named_address_may_be_anothers_blocks() -> None:
    store = new_store()
    store.run(claim_block("b", CIDRS[1], strict=False))
    store.run(assign_address(parse_address("10.0.0.6"), AssignRequest("a", handle="h")))
    assert block_host(store.blocks[CIDRS[1]]) == "b"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        pytest.param("10.7.0.1", "The provided IP address is not in a configured pool", id="in no pool"),
        pytest.param("10.8.0.1", "The provided IP address is not in a configured pool", id="in a disabled pool"),
        pytest.param("10.0.0.0", "Address already assigned in block", id="taken"),
        pytest.param("10.0.0.4", "Block host affinity does not match", id="strict, another's"),
        pytest.param("10.0.0.8", "Attempt to assign from block 10.0.0.8/30 with no affinity", id="strict, nobody's"),
    ],
)
def test_a_named_address_that_cannot_be_had_is_refused(address: str, message: str) -> None:
    store = new_store()
    store.pools = (*store.pools, make_pool("off", "10.8.0.0/28", 30, disabled=True))
    fill(store, CIDRS[0], "a")
    store.put(BlockKey(CIDRS[1]), new_block(CIDRS[1], "b", strict=True))
    store.put(BlockKey(CIDRS[2]), new_block(CIDRS[2], None, strict=True))
    before = dict(store.entries)
    with pytest.raises(InvalidInput) as refusal:
        store.run(assign_address(parse_address(address), AssignRequest("a", handle="h")))
    assert refusal.value.message == message
    assert store.entries == before


def test_a_named_address_in_a_block_of_another_size_is_found_there() -> None:
    store = new_store()
    store.put(BlockKey(parse_prefix("10.0.0.0/29")), new_block(parse_prefix("10.0.0.0/29"), "b", strict=False))
    store.run(assign_address(parse_address("10.0.0.6"), AssignRequest("a", handle="h")))
    assert set(store.blocks) == {parse_prefix("10.0.0.0/29")}


def test_of_two_who_name_one_address_one_gets_it() -> None:
    store = new_store()
    store.run(claim_block("a", CIDRS[1], strict=False))
    address = parse_address("10.0.0.6")
    slower = Paused(store, assign_address(address, AssignRequest("a", handle="slow")), Update, BlockKey)
    store.run(assign_address(address, AssignRequest("b", handle="fast")))
    with pytest.raises(InvalidInput, match="Address already assigned in block"):
        slower.finish()
    assert store.taken() == {address: "fast"}
    assert set(store.handles) == {"fast"}
