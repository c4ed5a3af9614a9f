"""Handles: raised before, lowered after, and put right beside others who are at it."""

from __future__ import annotations

import pytest

from tests.fakes.ipam_store import MemoryStore, Paused, make_node, make_pool
from tortie.ipam.assign import AssignRequest, auto_assign
from tortie.ipam.block import assign, new_block
from tortie.ipam.command import MOST_TRIES, BlockKey, HandleKey, Read, TooManyClaimants, Update
from tortie.ipam.handle import count_in, raise_handle, settle_handle, with_count
from tortie.model.ipam import AllocationAttribute, IPAMHandleSpec
from tortie.net.address import parse_prefix

CIDR, OTHER = parse_prefix("10.0.0.0/30"), parse_prefix("10.0.0.4/30")
HELD = IPAMHandleSpec("h", {"10.0.0.0/30": 2})


def new_store() -> MemoryStore:
    return MemoryStore((make_pool("p", "10.0.0.0/30", 30),), {"a": make_node("a")})


@pytest.mark.parametrize(
    ("cidr", "count", "expected"),
    [
        (CIDR, 3, {"10.0.0.0/30": 3}),
        (CIDR, 0, {}),
        (OTHER, 1, {"10.0.0.0/30": 2, "10.0.0.4/30": 1}),
        (OTHER, 0, {"10.0.0.0/30": 2}),
    ],
)
def test_counts_are_by_block(cidr: object, count: int, expected: dict[str, int]) -> None:
    changed = with_count(HELD, cidr, count)  # type: ignore[arg-type]
    assert changed.block == expected
    assert count_in(changed, cidr) == count  # type: ignore[arg-type]


def test_raising_makes_the_handle_or_adds_to_it() -> None:
    store = new_store()
    store.run(raise_handle("h", CIDR, 2))
    assert store.handles == {"h": HELD}
    store.run(raise_handle("h", CIDR, 1))
    store.run(raise_handle("h", OTHER, 1))
    assert store.handles["h"].block == {"10.0.0.0/30": 3, "10.0.0.4/30": 1}


def test_raising_tries_again_when_somebody_was_faster() -> None:
    store = new_store()
    store.put(HandleKey("h"), HELD)
    paused = Paused(store, raise_handle("h", CIDR, 1), Update, HandleKey)
    store.run(raise_handle("h", OTHER, 5))
    paused.finish()
    assert store.handles["h"].block == {"10.0.0.0/30": 3, "10.0.0.4/30": 5}


def test_raising_gives_up_after_a_hundred_tries() -> None:
    store = new_store()
    store.put(HandleKey("h"), HELD)
    with pytest.raises(TooManyClaimants, match="Max retries hit - excessive concurrent IPAM requests"):
        store.run_overtaken(raise_handle("h", CIDR, 1), HandleKey)
    assert sum(isinstance(command, Read) for command in store.asked) == MOST_TRIES


@pytest.mark.parametrize(
    ("said", "held", "expected"),
    [
        pytest.param(3, 1, 1, id="too much is lowered"),
        pytest.param(2, 0, None, id="nothing held removes the handle"),
        pytest.param(2, 2, 2, id="right stays"),
        pytest.param(0, 2, 2, id="a block that is not listed is added"),
    ],
)
def test_settling_says_what_the_block_says(said: int, held: int, expected: int | None) -> None:
    store = new_store()
    store.put(HandleKey("h"), with_count(IPAMHandleSpec("h"), CIDR, said))
    block = new_block(CIDR, "a", strict=False)
    store.put(BlockKey(CIDR), assign(block, range(held), AllocationAttribute("h", {})) if held else block)
    store.run(settle_handle("h", CIDR))
    assert store.handles == ({} if expected is None else {"h": IPAMHandleSpec("h", {"10.0.0.0/30": expected})})


def test_settling_without_the_block_or_the_handle() -> None:
    store = new_store()
    store.run(settle_handle("h", CIDR))
    store.put(HandleKey("h"), HELD)
    store.run(settle_handle("h", CIDR))
    assert store.entries == {}


def test_an_asker_whose_raise_is_taken_away_is_refused_by_the_block() -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", handle="other")))
    asker = Paused(store, auto_assign(AssignRequest("a", handle="h")), Update, BlockKey)
    assert count_in(store.handles["h"], CIDR) == 1
    store.run(settle_handle("h", CIDR))
    assert "h" not in store.handles
    asker.finish()
    assert count_in(store.handles["h"], CIDR) == 1
    assert list(store.taken().values()).count("h") == 1


def test_one_who_raises_while_it_is_settled_keeps_what_he_raised() -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", handle="h")))
    store.run(raise_handle("h", CIDR, 1))
    settling = Paused(store, settle_handle("h", CIDR), Update, HandleKey)
    store.run(auto_assign(AssignRequest("a", handle="h")))
    settling.finish()
    assert count_in(store.handles["h"], CIDR) == 2


def test_right_by_chance_is_looked_at_again() -> None:
    store = new_store()
    store.run(auto_assign(AssignRequest("a", handle="h")))
    store.run(raise_handle("h", CIDR, 1))
    settling = Paused(store, settle_handle("h", CIDR), Read, BlockKey)
    # Two are held now and three are said; the reader still thinks of two.
    store.run(auto_assign(AssignRequest("a", handle="h")))
    settling.finish()
    assert count_in(store.handles["h"], CIDR) == 2
