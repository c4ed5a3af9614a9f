"""Blocks become a host's and cease to be, also when somebody dies half way or two are at it at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.ipam_store import MemoryStore, Paused, make_node, make_pool
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.block import assign, block_host, new_block
from tortie.ipam.claim import (
    CONFIRMED,
    DEFAULT_CONFIG,
    PENDING,
    PENDING_DELETION,
    Released,
    claim_block,
    load_block,
    read_config,
    release_affinity,
    release_host,
    release_if_unselected,
    release_pool,
    set_config,
)
from tortie.ipam.command import AffinityKey, BlockKey, ConfigKey, Create, Delete, Update
from tortie.model.ipam import AllocationAttribute, BlockAffinitySpec, IPAMConfigSpec
from tortie.net.address import parse_address, parse_prefix
from tortie.net.error import InvalidInput

CIDR, OTHER = parse_prefix("10.0.0.0/30"), parse_prefix("10.0.0.4/30")
KEY = AffinityKey("a", CIDR)


def new_store() -> MemoryStore:
    pools = (make_pool("p", "10.0.0.0/29", 30),)
    return MemoryStore(pools, {host: make_node(host) for host in ("a", "b")})


def affinity(state: str, host: str = "a") -> BlockAffinitySpec:
    return BlockAffinitySpec(CIDR, host, state)


def used(host: str | None) -> Any:
    return assign(new_block(CIDR, host, strict=False), (0,), AllocationAttribute("h", {}))


# --- claiming ---


@pytest.mark.parametrize("state", [None, PENDING, PENDING_DELETION, CONFIRMED, ""])
def test_a_block_that_is_not_there_is_made_whatever_was_claimed(state: str | None) -> None:
    store = new_store()
    if state is not None:
        store.put(KEY, affinity(state))
    found = store.run(claim_block("a", CIDR, strict=True))
    assert found is not None and found.value == new_block(CIDR, "a", strict=True)
    assert store.affinities["a", CIDR].state == (state if state in (CONFIRMED, "") else CONFIRMED)


def test_the_claim_is_pending_until_the_block_is_there() -> None:
    store = new_store()
    paused = Paused(store, claim_block("a", CIDR, strict=False), Create, BlockKey)
    assert store.affinities["a", CIDR].state == PENDING
    paused.finish()
    assert store.affinities["a", CIDR].state == CONFIRMED


@pytest.mark.parametrize("owner", ["b", None])
def test_a_block_of_another_or_of_nobody_is_not_had(owner: str | None) -> None:
    store = new_store()
    store.put(BlockKey(CIDR), used(owner))
    assert store.run(claim_block("a", CIDR, strict=False)) is None
    assert store.affinities == {}
    assert block_host(store.blocks[CIDR]) == owner


def test_what_the_host_has_already_is_used() -> None:
    store = new_store()
    store.put(BlockKey(CIDR), used("a"))
    found = store.run(claim_block("a", CIDR, strict=False))
    assert found is not None and found.value == used("a")
    assert store.affinities["a", CIDR].state == CONFIRMED


def test_of_two_hosts_one_gets_the_block() -> None:
    store = new_store()
    slower = Paused(store, claim_block("a", CIDR, strict=False), Create, BlockKey)
    assert store.run(claim_block("b", CIDR, strict=False)) is not None
    assert slower.finish() is None
    assert set(store.affinities) == {("b", CIDR)}


def test_two_processes_of_a_host_share_the_block() -> None:
    store = new_store()
    slower = Paused(store, claim_block("a", CIDR, strict=False), Update, AffinityKey)
    assert store.run(claim_block("a", CIDR, strict=False)) is not None
    found = slower.finish()
    assert found is not None and found.revision == store.entries[BlockKey(CIDR)].revision
    assert store.affinities["a", CIDR].state == CONFIRMED


def test_a_block_is_not_confirmed_that_somebody_is_letting_go() -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    releaser = Paused(store, release_affinity("a", CIDR, must_be_empty=True), Delete, BlockKey)
    assert store.affinities["a", CIDR].state == PENDING_DELETION
    # The claim is renewed and an address taken between the releaser's look at the block and its removal.
    given = store.run(auto_assign(AssignRequest("a", handle="h"))).addresses
    assert releaser.finish() is Released.NOT_EMPTY
    assert set(store.taken()) == set(given)
    assert block_host(store.blocks[CIDR]) == "a"


def test_renewing_a_claim_refuses_a_releaser_who_has_looked() -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    releaser = Paused(store, release_affinity("a", CIDR, must_be_empty=True), Delete, BlockKey)
    before = store.entries[BlockKey(CIDR)].revision
    store.run(claim_block("a", CIDR, strict=False))
    assert store.entries[BlockKey(CIDR)].revision != before
    assert store.affinities["a", CIDR].state == CONFIRMED
    assert releaser.finish() is Released.DONE  # by looking again: it is empty still
    assert store.entries == {}


# --- loading ---


@pytest.mark.parametrize("state", [PENDING, PENDING_DELETION, CONFIRMED, ""])
def test_a_claim_without_its_block_makes_the_block(state: str) -> None:
    store = new_store()
    store.put(KEY, affinity(state))
    found = store.run(load_block(store.entries[KEY], strict=False))
    assert found is not None and block_host(found.value) == "a"
    assert store.affinities["a", CIDR].state == CONFIRMED


@pytest.mark.parametrize("owner", ["b", None])
@pytest.mark.parametrize("state", [PENDING, PENDING_DELETION, CONFIRMED])
def test_a_claim_to_what_is_not_the_hosts_goes(state: str, owner: str | None) -> None:
    store = new_store()
    store.put(KEY, affinity(state))
    store.put(BlockKey(CIDR), used(owner))
    assert store.run(load_block(store.entries[KEY], strict=False)) is None
    assert store.affinities == {}
    assert store.blocks == {CIDR: used(owner)}


def test_a_confirmed_block_is_only_read() -> None:
    store = new_store()
    store.put(KEY, affinity(CONFIRMED))
    store.put(BlockKey(CIDR), used("a"))
    revision = store.revision
    found = store.run(load_block(store.entries[KEY], strict=False))
    assert found is not None and found.value == used("a")
    assert store.revision == revision


# --- letting go ---


@pytest.mark.parametrize(
    ("state", "block", "must_be_empty", "result", "left"),
    [
        pytest.param(CONFIRMED, new_block(CIDR, "a", strict=False), True, Released.DONE, None, id="an empty block goes"),
        pytest.param(CONFIRMED, used("a"), False, Released.DONE, used(None), id="a used one becomes nobody's"),
        pytest.param(None, new_block(CIDR, "a", strict=False), False, Released.DONE, None, id="also without a claim"),
        pytest.param(PENDING, None, False, Released.DONE, None, id="a claim without a block goes"),
        pytest.param(CONFIRMED, used("b"), False, Released.NOT_OURS, used("b"), id="a stale claim goes, the block stays"),
        pytest.param(None, used("b"), False, Released.NOT_OURS, used("b"), id="another's block is left alone"),
        pytest.param(None, None, False, Released.NOT_OURS, None, id="nothing at all"),
    ],
)
def test_claims_are_ended(state: str | None, block: Any, must_be_empty: bool, result: Released, left: Any) -> None:
    store = new_store()
    if state is not None:
        store.put(KEY, affinity(state))
    if block is not None:
        store.put(BlockKey(CIDR), block)
    assert store.run(release_affinity("a", CIDR, must_be_empty=must_be_empty)) is result
    assert store.affinities == {}
    assert store.blocks == ({} if left is None else {CIDR: left})


def test_a_used_block_is_kept_when_it_must_be_empty() -> None:
    store = new_store()
    store.put(KEY, affinity(CONFIRMED))
    store.put(BlockKey(CIDR), used("a"))
    assert store.run(release_affinity("a", CIDR, must_be_empty=True)) is Released.NOT_EMPTY
    assert store.affinities["a", CIDR].state == CONFIRMED


def test_a_claim_that_was_to_end_stands_again_when_the_block_gets_used() -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    releaser = Paused(store, release_affinity("a", CIDR, must_be_empty=True), Delete, BlockKey)
    store.run(assign_address(parse_address("10.0.0.1"), AssignRequest("b", handle="h")))
    assert releaser.finish() is Released.NOT_EMPTY
    assert store.affinities["a", CIDR].state == CONFIRMED


def test_a_host_that_goes_leaves_no_claim() -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    store.run(claim_block("b", OTHER, strict=False))
    store.run(release_host("a"))
    assert set(store.affinities) == {("b", OTHER)}
    assert set(store.blocks) == {OTHER}
    assert store.forgotten == {"a"}


def test_a_pool_that_goes_takes_all_claims_in_it() -> None:
    store = new_store()
    for host, cidr in (("a", CIDR), ("b", OTHER), ("a", parse_prefix("10.9.0.0/30"))):
        store.run(claim_block(host, cidr, strict=False))
    store.run(auto_assign(AssignRequest("b", handle="h", count=1)))
    store.run(release_pool(parse_prefix("10.0.0.0/29")))
    assert set(store.affinities) == {("a", parse_prefix("10.9.0.0/30"))}
    assert [block_host(block) for cidr, block in store.blocks.items() if cidr != parse_prefix("10.9.0.0/30")] == [None]


@pytest.mark.parametrize(
    ("selector", "known", "kept"),
    [
        pytest.param("all()", True, True, id="the pool is for the node"),
        pytest.param("has(x)", True, False, id="the pool is not for the node"),
        pytest.param("has(x)", False, True, id="the node is not known"),
    ],
)
def test_a_block_whose_pool_is_no_longer_for_the_node_is_let_go(selector: str, known: bool, kept: bool) -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    store.pools = (make_pool("p", "10.0.0.0/29", 30, selector),)
    if not known:
        store.nodes = {}
    store.run(release_if_unselected(CIDR, "a"))
    assert (CIDR in store.blocks) is kept


# --- the configuration ---


def test_without_a_configuration_hosts_borrow_and_make_blocks() -> None:
    assert new_store().run(read_config()) == DEFAULT_CONFIG == IPAMConfigSpec(False, True)


def test_a_configuration_is_kept() -> None:
    store = new_store()
    store.run(set_config(IPAMConfigSpec(True, True)))
    assert store.run(read_config()) == IPAMConfigSpec(True, True)
    store.run(set_config(IPAMConfigSpec(True, False)))
    assert store.entries[ConfigKey()].value == IPAMConfigSpec(True, False)


def test_a_configuration_that_somebody_else_changes_meanwhile_is_written_again() -> None:
    store = new_store()
    paused = Paused(store, set_config(IPAMConfigSpec(True, True)), Create, ConfigKey)
    store.run(set_config(IPAMConfigSpec(True, False)))
    paused.finish()
    assert store.run(read_config()) == IPAMConfigSpec(True, True)


def test_no_configuration_makes_everything_impossible() -> None:
    with pytest.raises(InvalidInput, match="Cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time"):
        new_store().run(set_config(IPAMConfigSpec(False, False)))


def test_the_configuration_stays_while_there_are_blocks() -> None:
    store = new_store()
    store.run(claim_block("a", CIDR, strict=False))
    store.run(set_config(DEFAULT_CONFIG))
    with pytest.raises(InvalidInput, match="Cannot change IPAM config while allocations exist"):
        store.run(set_config(IPAMConfigSpec(True, True)))


def test_states_are_calicos_words() -> None:
    assert (PENDING, CONFIRMED, PENDING_DELETION) == ("pending", "confirmed", "pendingDeletion")
    assert replace(affinity(PENDING), state="") == affinity("")
