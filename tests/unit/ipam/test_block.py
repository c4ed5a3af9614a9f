"""One block: what is taken, in which order addresses are given out, and who has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.ipam.block import (
    address_at,
    assign,
    attribute_at,
    block_host,
    block_size,
    count_free,
    free_ordinals,
    handle_counts,
    is_empty,
    new_block,
    ordinal_of,
    ordinals_of_handle,
    refusal_of_host,
    release,
)
from tortie.model.ipam import AllocationAttribute, IPAMBlockSpec
from tortie.net.address import parse_address, parse_prefix

CIDR = parse_prefix("10.0.0.8/29")
ONE, OTHER = AllocationAttribute("h1", {"node": "a"}), AllocationAttribute("h2", {})
EMPTY = new_block(CIDR, "a", strict=False)


def test_a_new_block_gives_out_all_its_addresses_in_order() -> None:
    assert IPAMBlockSpec(CIDR, "host:a", False, (None,) * 8, tuple(range(8)), ()) == EMPTY
    assert is_empty(EMPTY)
    assert count_free(EMPTY) == block_size(CIDR) == 8
    assert free_ordinals(EMPTY, 3) == (0, 1, 2)
    assert new_block(CIDR, None, strict=True).affinity is None


def test_assigned_places_are_no_longer_free() -> None:
    block = assign(EMPTY, (0, 2), ONE)
    assert block.allocations == (0, None, 0, None, None, None, None, None)
    assert block.unallocated == (1, 3, 4, 5, 6, 7)
    assert block.attributes == (ONE,)
    assert count_free(block) == 6
    assert not is_empty(block)


def test_equal_attributes_are_kept_once() -> None:
    block = assign(assign(assign(EMPTY, (0,), ONE), (1,), OTHER), (2,), AllocationAttribute("h1", {"node": "a"}))
    assert block.attributes == (ONE, OTHER)
    assert block.allocations[:3] == (0, 1, 0)


def test_a_released_place_comes_last() -> None:
    block = release(assign(EMPTY, range(3), ONE), (1, 0))
    assert block.unallocated == (3, 4, 5, 6, 7, 1, 0)
    assert block.allocations[:3] == (None, None, 0)


def test_attributes_that_nobody_uses_go_and_the_rest_is_renumbered() -> None:
    block = release(assign(assign(EMPTY, (0,), ONE), (1,), OTHER), (0,))
    assert block.attributes == (OTHER,)
    assert block.allocations[:2] == (None, 0)
    assert release(block, (1,)) == replace(EMPTY, unallocated=(2, 3, 4, 5, 6, 7, 0, 1))


def test_releasing_what_is_free_changes_nothing() -> None:
    assert release(EMPTY, (0, 0, 5)) is EMPTY
    block = assign(EMPTY, (4,), ONE)
    assert release(block, (4, 4, 5)) == replace(EMPTY, unallocated=(0, 1, 2, 3, 5, 6, 7, 4))


@pytest.mark.parametrize(
    ("unallocated", "expected"),
    [
        pytest.param((0, 3, 4), (3, 4), id="a place that has an allocation"),
        pytest.param((3, 3, 4), (3, 4), id="a place listed twice"),
        pytest.param((-1, 8, 99, 4), (4,), id="a place that is not there"),
    ],
)
def test_what_others_list_wrongly_is_not_given_out(unallocated: tuple[int, ...], expected: tuple[int, ...]) -> None:
    block = replace(assign(EMPTY, (0,), ONE), unallocated=unallocated)
    assert free_ordinals(block, 8) == expected


def test_who_has_what_is_known() -> None:
    block = assign(assign(assign(EMPTY, (0, 3), ONE), (1,), OTHER), (2,), AllocationAttribute(None, {}))
    assert ordinals_of_handle(block, "h1") == (0, 3)
    assert ordinals_of_handle(block, "h3") == ()
    assert handle_counts(block) == {"h1": 2, "h2": 1}
    assert attribute_at(block, 1) == OTHER
    assert attribute_at(block, 7) is None
    assert attribute_at(block, 99) is None


def test_places_are_addresses() -> None:
    assert address_at(EMPTY, 5) == parse_address("10.0.0.13")
    assert ordinal_of(EMPTY, parse_address("10.0.0.15")) == 7
    six = new_block(parse_prefix("fd00::40/122"), "a", strict=False)
    assert str(address_at(six, 1)) == "fd00::41"


@pytest.mark.parametrize(
    ("affinity", "host"),
    [(None, None), ("host:a", "a"), ("host:storage-1", "storage-1"), ("host:host:x", "host:x")],
)
def test_only_the_prefix_is_taken_off_a_hosts_name(affinity: str | None, host: str | None) -> None:
    assert block_host(replace(EMPTY, affinity=affinity)) == host


@pytest.mark.parametrize(
    ("affinity", "strict", "refusal"),
    [
        pytest.param("host:a", True, None, id="its own"),
        pytest.param("host:b", False, None, id="not strict"),
        pytest.param(None, False, None, id="nobody's, not strict"),
        pytest.param("host:b", True, "Block host affinity does not match", id="another's"),
        pytest.param(None, True, "Attempt to assign from block 10.0.0.8/29 with no affinity", id="nobody's"),
    ],
)
def test_a_strict_block_is_its_hosts_alone(affinity: str | None, strict: bool, refusal: str | None) -> None:
    assert refusal_of_host(replace(EMPTY, affinity=affinity, strict_affinity=strict), "a") == refusal
