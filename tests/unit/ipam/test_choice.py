"""Which pools count for a host, and in which order their blocks are tried."""

from __future__ import annotations

import pytest

from tests.fakes.ipam_store import make_node, make_pool
from tortie.ipam.choice import (
    block_candidates,
    block_of,
    choose_pools,
    existing_blocks,
    free_candidate,
    host_seed,
    number_of_blocks,
    pool_of,
    selects_node,
)
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput

POOLS = (
    make_pool("z", "10.0.0.0/28", 30),
    make_pool("a", "10.1.0.0/28", 30, "rack == '1'"),
    make_pool("off", "10.2.0.0/28", 30, disabled=True),
    make_pool("six", "fd00::/120", 124),
)
NODE = make_node("n", rack="1")


def prefixes(*texts: str) -> list[Prefix]:
    return [parse_prefix(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "value"),
    # FNV-1, 32 bits: the offset itself, and vectors of the specification (draft-eastlake-fnv, appendix C).
    [("", 0x811C9DC5), ("a", 0x050C5D7E), ("foobar", 0x31F0B262)],
)
def test_a_hosts_seed_is_the_hash_of_its_name(text: str, value: int) -> None:
    assert host_seed(text) == value


@pytest.mark.parametrize(
    ("family", "requested", "names"),
    [
        pytest.param(IPFamily.V4, (), ["a", "z"], id="by name, of the family, enabled, for the node"),
        pytest.param(IPFamily.V6, (), ["six"], id="IPv6"),
        pytest.param(IPFamily.V4, ("10.0.0.0/28",), ["z"], id="the one asked for"),
        pytest.param(IPFamily.V4, ("10.0.0.0/28", "10.1.0.0/28"), ["z", "a"], id="in the order asked for"),
    ],
)
def test_pools_are_chosen(family: IPFamily, requested: tuple[str, ...], names: list[str]) -> None:
    chosen = choose_pools(POOLS, NODE, family, prefixes(*requested))
    assert [pool.metadata.name for pool in chosen] == names


def test_a_pool_that_is_asked_for_need_not_select_the_node() -> None:
    (pool,) = choose_pools(POOLS, make_node("n"), IPFamily.V4, prefixes("10.1.0.0/28"))
    assert not selects_node(pool, make_node("n"))


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        pytest.param("10.9.0.0/28", "the given pool (10.9.0.0/28) does not exist, or is not enabled", id="unknown"),
        pytest.param("10.2.0.0/28", "the given pool (10.2.0.0/28) does not exist, or is not enabled", id="disabled"),
        pytest.param("fd00::/120", "the given pool (fd00::/120) does not exist, or is not enabled", id="other family"),
    ],
)
def test_a_pool_that_cannot_be_had_is_refused(requested: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        choose_pools(POOLS, NODE, IPFamily.V4, prefixes(requested))
    assert refusal.value.message == message
    assert "z (10.0.0.0/28)" in (refusal.value.remedy or "")


@pytest.mark.parametrize(
    ("pools", "remedy"),
    [
        pytest.param(POOLS[1:2], "make an IPv4 pool whose nodeSelector selects it; there are a (10.1.0.0/28)", id="others"),
        pytest.param(POOLS[2:3], "there is no enabled IPv4 pool", id="none"),
    ],
)
def test_a_node_without_a_pool_is_told(pools: tuple[object, ...], remedy: str) -> None:
    with pytest.raises(InvalidInput, match="no configured Calico pools for node n") as refusal:
        choose_pools(pools, make_node("n"), IPFamily.V4)  # type: ignore[arg-type]
    assert refusal.value.remedy == remedy


def test_blocks_are_walked_from_the_seed_on_and_round() -> None:
    found = list(block_candidates(POOLS[0], 6))
    assert found == prefixes("10.0.0.8/30", "10.0.0.12/30", "10.0.0.0/30", "10.0.0.4/30")
    assert number_of_blocks(POOLS[0]) == 4
    assert next(block_candidates(make_pool("wide", "fd00::/48"), 2**40)).length == 122


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        pytest.param((), "10.0.0.4/30", id="none yet"),
        pytest.param(("10.0.0.4/30",), "10.0.0.8/30", id="the first is there"),
        pytest.param(("10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/30", "10.0.0.12/30"), "10.1.0.4/30", id="the pool is full"),
        pytest.param(("10.0.0.6/31",), "10.0.0.8/30", id="a smaller one is in the way"),
        pytest.param(("10.0.0.0/29",), "10.0.0.8/30", id="a larger one is in the way"),
    ],
)
def test_the_next_block_shares_no_address_with_any(existing: tuple[str, ...], expected: str) -> None:
    assert str(free_candidate(POOLS[:2], 1, prefixes(*existing))) == expected


def test_there_may_be_no_block_left() -> None:
    assert free_candidate(POOLS[:1], 1, prefixes("10.0.0.0/28")) is None


def test_existing_blocks_of_the_pools_come_in_the_order_of_the_walk() -> None:
    existing = prefixes("10.1.0.0/30", "10.0.0.0/30", "10.0.0.8/31", "10.0.0.12/30", "10.9.0.0/30", "fd00::/124")
    found = existing_blocks(POOLS[:2], 2, existing)
    assert found == prefixes("10.0.0.8/31", "10.0.0.12/30", "10.0.0.0/30", "10.1.0.0/30")


@pytest.mark.parametrize(
    ("place", "enabled_only", "name"),
    [
        ("10.1.0.5", True, "a"),
        ("10.2.0.5", True, None),
        ("10.2.0.5", False, "off"),
        ("10.3.0.5", False, None),
        ("fd00::5", True, "six"),
    ],
)
def test_the_pool_of_an_address_is_found(place: str, enabled_only: bool, name: str | None) -> None:
    found = pool_of(POOLS, parse_address(place), enabled_only=enabled_only)
    assert (None if found is None else found.metadata.name) == name


def test_the_block_of_an_address_has_the_pools_size() -> None:
    assert str(block_of(POOLS[0], parse_address("10.0.0.14"))) == "10.0.0.12/30"
