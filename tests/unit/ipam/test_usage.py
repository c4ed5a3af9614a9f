"""How much is in use, and what is borrowed."""

from __future__ import annotations

from tests.fakes.ipam_store import MemoryStore, make_node, make_pool
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.block import assign, new_block
from tortie.ipam.command import BlockKey
from tortie.ipam.usage import BlockUsage, borrowed, pool_usage, read_borrowed, read_usage
from tortie.model.ipam import AllocationAttribute
from tortie.net.address import parse_address, parse_prefix

CIDR, STRAY = parse_prefix("10.0.0.0/29"), parse_prefix("10.9.0.0/30")


def new_store() -> MemoryStore:
    pools = (make_pool("p", "10.0.0.0/28", 29), make_pool("empty", "fd00::/64", 122, disabled=True))
    return MemoryStore(pools, {host: make_node(host) for host in ("a", "b")})


def test_pools_come_by_name_with_their_blocks() -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", count=10)))
    empty, pool = store.run(read_usage())
    assert (empty.capacity, empty.used, empty.blocks) == (2**64, 0, ())
    assert (pool.capacity, pool.used) == (16, 10)
    assert sorted(block.used for block in pool.blocks) == [2, 8]


def test_blocks_in_no_pool_come_last() -> None:
    block = assign(new_block(STRAY, None, strict=False), (1,), AllocationAttribute(None, {}))
    *_, stray = pool_usage(new_store().pools, {STRAY: block})
    assert stray.pool is None
    assert stray.blocks == (BlockUsage(STRAY, 4, 1),)
    assert (stray.capacity, stray.used) == (4, 1)


def test_what_other_nodes_have_is_borrowed() -> None:
    store = new_store()
    store.run(assign_address(parse_address("10.0.0.1"), AssignRequest("a", secondary={"node": "a"})))
    store.run(assign_address(parse_address("10.0.0.2"), AssignRequest("b", secondary={"node": "b", "pod": "x"})))
    store.run(assign_address(parse_address("10.0.0.3"), AssignRequest("b", secondary={})))
    (one,) = store.run(read_borrowed())
    assert (str(one.address), one.node, one.block, one.owner) == ("10.0.0.2", "b", CIDR, "a")
    assert one.attribute.secondary["pod"] == "x"


def test_a_block_of_nobody_lends_all_that_it_has() -> None:
    block = assign(new_block(STRAY, None, strict=False), (1,), AllocationAttribute(None, {"node": "a"}))
    assert [(one.node, one.owner) for one in borrowed(block)] == [("a", None)]
    assert BlockKey(STRAY) == BlockKey(parse_prefix("10.9.0.0/30"))
