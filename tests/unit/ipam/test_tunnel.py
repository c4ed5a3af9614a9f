"""Addresses of tunnels: there is one as long as a pool asks for it, and it stays the same."""

from __future__ import annotations

import pytest

from tests.fakes.ipam_store import MemoryStore, make_node
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.tunnel import Tunnel, keep_tunnel_address, tunnel_handle, tunnel_pools
from tortie.model.ipam import AllocationAttribute
from tortie.model.metadata import Metadata
from tortie.model.pool import IPIPMode, IPPool, IPPoolSpec, VXLANMode
from tortie.net.address import Address, parse_address, parse_prefix
from tortie.net.error import InvalidInput


def pool(name: str, cidr: str, mode: IPIPMode | VXLANMode, selector: str = "", *, disabled: bool = False) -> IPPool:
    spec = IPPoolSpec(
        parse_prefix(cidr),
        ipip_mode=mode if isinstance(mode, IPIPMode) else IPIPMode.NEVER,
        vxlan_mode=mode if isinstance(mode, VXLANMode) else VXLANMode.NEVER,
        block_size=30,
        node_selector=selector,
        disabled=disabled,
    )
    return IPPool(Metadata(name), spec).with_defaults()


ALWAYS = pool("a", "10.1.0.0/28", IPIPMode.ALWAYS)
CROSS = pool("b", "10.2.0.0/28", IPIPMode.CROSS_SUBNET, "has(rack)")
VXLAN = pool("c", "10.3.0.0/28", VXLANMode.ALWAYS)
PLAIN = pool("d", "10.4.0.0/28", IPIPMode.NEVER)
OFF = pool("e", "10.5.0.0/28", IPIPMode.ALWAYS, disabled=True)
POOLS = (ALWAYS, CROSS, VXLAN, PLAIN, OFF)
HANDLE = "ipip-tunnel-addr-n"


def keep(store: MemoryStore, current: str | None = None, tunnel: Tunnel = Tunnel.IPIP) -> Address | None:
    address = None if current is None else parse_address(current)
    return store.run(keep_tunnel_address("n", tunnel, address))


def new_store(*pools: IPPool) -> MemoryStore:
    return MemoryStore(pools, {host: make_node(host) for host in ("n", "m")})


@pytest.mark.parametrize(
    ("tunnel", "labels", "names"),
    [
        (Tunnel.IPIP, {}, ["a"]),
        (Tunnel.IPIP, {"rack": "1"}, ["a", "b"]),
        (Tunnel.VXLAN, {}, ["c"]),
    ],
)
def test_pools_that_use_the_tunnel_and_select_the_node(tunnel: Tunnel, labels: dict[str, str], names: list[str]) -> None:
    assert [one.metadata.name for one in tunnel_pools(POOLS, make_node("n", **labels), tunnel)] == names


@pytest.mark.parametrize(
    ("tunnel", "handle", "inside"),
    [
        (Tunnel.IPIP, HANDLE, ALWAYS),
        (Tunnel.VXLAN, "vxlan-tunnel-addr-n", VXLAN),
    ],
)
def test_a_first_address_is_noted_as_calico_notes_it(tunnel: Tunnel, handle: str, inside: IPPool) -> None:
    store = new_store(*POOLS)
    found = keep(store, tunnel=tunnel)
    assert found is not None and inside.spec.cidr.contains(found.value)
    assert store.taken() == {found: handle}
    assert tunnel_handle(tunnel, "n") == handle
    (block,) = store.blocks.values()
    assert block.attributes == (AllocationAttribute(handle, {"node": "n", "type": tunnel.value}),)


def test_what_is_right_stays() -> None:
    store = new_store(*POOLS)
    first = keep(store)
    revision = store.revision
    assert keep(store, str(first)) == first
    assert store.revision == revision


def test_an_address_that_was_never_written_down_is_found_again() -> None:
    store = new_store(*POOLS)
    first = keep(store)
    assert keep(store, None) == first
    assert len(store.taken()) == 1


def test_without_a_pool_there_is_none_and_it_is_given_back() -> None:
    store = new_store(ALWAYS)
    first = keep(store)
    store.pools = (PLAIN, VXLAN)
    assert keep(store, str(first)) is None
    assert store.taken() == {}
    assert keep(store, None) is None


def test_an_address_outside_the_pools_is_replaced() -> None:
    store = new_store(ALWAYS)
    first = keep(store)
    store.pools = (pool("new", "10.9.0.0/28", IPIPMode.ALWAYS), PLAIN)
    second = keep(store, str(first))
    assert second is not None and str(second).startswith("10.9.0.")
    assert set(store.taken()) == {second}


def test_what_the_node_says_it_has_is_taken_if_it_is_free() -> None:
    store = new_store(ALWAYS)
    assert keep(store, "10.1.0.7") == parse_address("10.1.0.7")
    assert store.taken() == {parse_address("10.1.0.7"): HANDLE}


def test_what_another_has_is_left_to_him() -> None:
    store = new_store(ALWAYS)
    store.run(assign_address(parse_address("10.1.0.7"), AssignRequest("m", handle="pod")))
    found = keep(store, "10.1.0.7")
    assert found != parse_address("10.1.0.7")
    assert store.taken()[parse_address("10.1.0.7")] == "pod"


def test_only_one_is_kept() -> None:
    store = new_store(ALWAYS)
    given = store.run(auto_assign(AssignRequest("n", count=3, handle=HANDLE))).addresses
    assert keep(store, str(given[1])) == given[1]
    assert set(store.taken()) == {given[1]}


def test_a_full_pool_and_a_node_that_is_not_there_are_told() -> None:
    store = new_store(ALWAYS)
    store.run(auto_assign(AssignRequest("m", count=16)))
    with pytest.raises(InvalidInput, match=r"no address for n's tunnel: no free address is left in 10\.1\.0\.0/28"):
        keep(store)
    store.nodes = {}
    with pytest.raises(InvalidInput, match=r"resource does not exist: Node\(n\)"):
        keep(store)
