"""What every store of addresses must do: the operations of `tortie.ipam`, also from several processes, some of them killed.

A subclass gives the fixture `world`. What is kept is looked at as the keys and values of Calico's layout (spec: model 8.6).
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pytest

from tests.fakes.ipam_store import inconsistencies, taken_addresses
from tests.ipam_claimant import HOSTS
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.block import new_block
from tortie.ipam.claim import DEFAULT_CONFIG, read_config, release_affinity, release_host, set_config
from tortie.ipam.command import (
    BlockKey,
    Command,
    Create,
    Delete,
    Entry,
    ListAffinities,
    ListBlocks,
    Read,
    ReadBlocks,
    Steps,
    Update,
)
from tortie.ipam.release import addresses_of_handle, assignment_of, release_addresses, release_handle
from tortie.ipam.usage import read_usage
from tortie.model.ipam import AllocationAttribute, BlockAffinitySpec, IPAMBlockSpec, IPAMConfigSpec, IPAMHandleSpec
from tortie.net.address import IPFamily, Prefix, parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import IPAM_HANDLES, parse_ipam_key

T = TypeVar("T")
CIDR = parse_prefix("10.0.0.8/29")


class Store(Protocol):
    """What runs operations."""

    async def run(self, operation: Steps[T]) -> T: ...


class World(Protocol):
    """A store with the pools and nodes of `tests/ipam_claimant.py`, and a way to look behind it."""

    kind: str

    @property
    def place(self) -> str: ...

    def open(self) -> Store: ...

    def kept(self) -> dict[str, Any]:
        """Every key of IPAM with its value, as JSON has it."""

    def clear(self) -> None: ...


@dataclass(frozen=True)
class Whole:
    """All that is kept, as values."""

    blocks: Mapping[Prefix, IPAMBlockSpec]
    handles: Mapping[str, IPAMHandleSpec]
    affinities: Mapping[tuple[str, Prefix], BlockAffinitySpec]

    def problems(self, *, quiet: bool) -> list[str]:
        return list(inconsistencies(self.blocks, self.handles, self.affinities, quiet=quiet))


def read_whole(world: World) -> Whole:
    """All that is kept, read by a reader of its own."""
    blocks: dict[Prefix, IPAMBlockSpec] = {}
    handles: dict[str, IPAMHandleSpec] = {}
    affinities: dict[tuple[str, Prefix], BlockAffinitySpec] = {}
    for key, data in world.kept().items():
        found = parse_ipam_key(key)
        if key.startswith(IPAM_HANDLES):
            handle = key.removeprefix(IPAM_HANDLES)
            handles[handle] = IPAMHandleSpec(handle, data["block"])
        elif found is not None and found[0] is not None:
            affinities[found[0], found[1]] = BlockAffinitySpec(found[1], found[0], data["state"])
        elif found is not None:
            blocks[found[1]] = IPAMBlockSpec(
                found[1],
                data["affinity"],
                data["strictAffinity"],
                tuple(data["allocations"]),
                tuple(data["unallocated"]),
                tuple(AllocationAttribute(one["handle_id"], one["secondary"]) for one in data["attributes"]),
            )
    return Whole(blocks, handles, affinities)


def ask(command: Command) -> Steps[Any]:
    """An operation of one command."""
    return (yield command)


class IpamContract:
    """The suite."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @staticmethod
    def run(world: World, *operations: Generator[Command, Any, Any]) -> Any:
        """Carries out operations one after the other with one store; what the last one returns."""

        async def all_of_them() -> Any:
            store = world.open()
            result = None
            for operation in operations:
                result = await store.run(operation)
            return result

        return asyncio.run(all_of_them())

    # --- commands ---

    def test_writes_are_conditional(self, world: World) -> None:
        block = new_block(CIDR, "a", strict=False)
        key = BlockKey(CIDR)
        first: Entry[Any] = self.run(world, ask(Create(key, block)))
        assert self.run(world, ask(Read(key))) == first
        assert self.run(world, ask(Create(key, block))) is None
        second = self.run(world, ask(Update(first, new_block(CIDR, "b", strict=False))))
        assert second.value.affinity == "host:b"
        assert self.run(world, ask(Read(key))) == second
        assert self.run(world, ask(Update(first, block))) is None
        assert self.run(world, ask(Delete(first))) is False
        assert self.run(world, ask(Delete(second))) is True
        assert self.run(world, ask(Delete(second))) is False
        assert self.run(world, ask(Update(second, block))) is None
        assert self.run(world, ask(Read(key))) is None

    def test_lists_are_in_the_order_of_addresses(self, world: World) -> None:
        cidrs = [parse_prefix(text) for text in ("10.0.0.16/29", "10.0.0.8/29", "10.0.0.0/29", "fd00::10/124")]
        operations = [ask(Create(BlockKey(cidr), new_block(cidr, None, strict=False))) for cidr in cidrs]
        assert self.run(world, *operations, ask(ListBlocks(IPFamily.V4))) == (cidrs[2], cidrs[1], cidrs[0])
        assert list(self.run(world, ask(ReadBlocks(IPFamily.V6)))) == [cidrs[3]]
        self.run(world, auto_assign(AssignRequest("a", count=20)), auto_assign(AssignRequest("b")))
        claims = self.run(world, ask(ListAffinities("a", IPFamily.V4)))
        assert [entry.value.node for entry in claims] == ["a"] * len(claims)
        assert [entry.value.cidr.address for entry in claims] == sorted(entry.value.cidr.address for entry in claims)

    # --- the layout ---

    def test_what_is_kept_is_calicos(self, world: World) -> None:
        request = AssignRequest("a", count=2, handle="net.c1", secondary={"node": "a", "pod": "web", "namespace": "prod"})
        given = self.run(world, auto_assign(request)).addresses
        kept = world.kept()
        (cidr,) = read_whole(world).blocks
        dashed = str(cidr).replace("/", "-")
        assert kept == {
            f"/calico/ipam/v2/assignment/ipv4/block/{dashed}": {
                "cidr": str(cidr),
                "affinity": "host:a",
                "strictAffinity": False,
                "allocations": [0, 0, None, None, None, None, None, None],
                "unallocated": [2, 3, 4, 5, 6, 7],
                "attributes": [
                    {"handle_id": "net.c1", "secondary": {"node": "a", "pod": "web", "namespace": "prod"}},
                ],
                "deleted": False,
            },
            f"/calico/ipam/v2/host/a/ipv4/block/{dashed}": {"state": "confirmed", "deleted": False},
            "/calico/ipam/v2/handle/net.c1": {"block": {str(cidr): 2}, "deleted": False},
        }
        assert [address.value - cidr.address for address in given] == [0, 1]

    def test_configuration_is_kept_where_calico_looks_for_it(self, world: World) -> None:
        assert self.run(world, read_config()) == DEFAULT_CONFIG
        strict = IPAMConfigSpec(strict_affinity=True, auto_allocate_blocks=True)
        assert self.run(world, set_config(strict), read_config()) == strict
        assert world.kept() == {"/calico/ipam/v2/config": {"strict_affinity": True, "auto_allocate_blocks": True}}

    # --- operations ---

    def test_addresses_are_given_and_taken_back(self, world: World) -> None:
        given = self.run(world, auto_assign(AssignRequest("a", count=3, handle="h"))).addresses
        assert self.run(world, addresses_of_handle("h")) == given
        assert self.run(world, assignment_of(given[0])) == AllocationAttribute("h", {})
        result = self.run(world, release_addresses((given[0], parse_address("10.0.0.31"))))
        assert result.released == given[:1]
        assert result.unallocated == (parse_address("10.0.0.31"),)
        assert self.run(world, release_handle("h")) == given[1:]
        assert self.run(world, release_handle("h")) is None
        assert read_whole(world).problems(quiet=True) == []
        assert taken_addresses(read_whole(world).blocks) == {}

    def test_an_address_that_is_named_is_given_once(self, world: World) -> None:
        address = parse_address("10.0.0.13")
        self.run(world, assign_address(address, AssignRequest("a", handle="h")))
        with pytest.raises(InvalidInput, match="Address already assigned in block"):
            self.run(world, assign_address(address, AssignRequest("b", handle="i")))
        assert taken_addresses(read_whole(world).blocks) == {address: "h"}

    def test_a_full_pool_says_so(self, world: World) -> None:
        result = self.run(world, auto_assign(AssignRequest("a", count=40)))
        assert len(result.addresses) == 32
        assert result.shortage == "no free address is left in 10.0.0.0/27"

    def test_ipv6_has_its_own_blocks(self, world: World) -> None:
        (address,) = self.run(world, auto_assign(AssignRequest("b", family=IPFamily.V6, handle="h"))).addresses
        assert str(address).startswith("fd00::")
        assert any(key.startswith("/calico/ipam/v2/assignment/ipv6/block/fd00::") for key in world.kept())

    def test_handles_may_be_called_anything(self, world: World) -> None:
        name = "Net_work-1.%2f../é \n.."
        given = self.run(world, auto_assign(AssignRequest("a", handle=name))).addresses
        assert self.run(world, release_handle(name)) == given
        assert not [key for key in world.kept() if "handle" in key]

    def test_a_host_that_goes_leaves_its_addresses_in_use(self, world: World) -> None:
        given = self.run(world, auto_assign(AssignRequest("a", count=9, handle="h"))).addresses
        self.run(world, release_addresses(given[8:]), release_host("a"))
        whole = read_whole(world)
        assert whole.affinities == {}
        assert [block.affinity for block in whole.blocks.values()] == [None]
        assert self.run(world, release_handle("h")) is not None
        assert world.kept() == {}

    def test_usage_counts_all(self, world: World) -> None:
        self.run(world, auto_assign(AssignRequest("a", count=9)))
        pool, six = self.run(world, read_usage())
        assert (pool.capacity, pool.used, [block.used for block in pool.blocks]) in (
            (32, 9, [8, 1]),
            (32, 9, [1, 8]),
        )
        assert six.used == 0
        self.run(world, release_affinity("b", CIDR, must_be_empty=False))

    # --- several processes ---

    @pytest.mark.parametrize(
        ("seed", "deaths"),
        [
            pytest.param(1, (), id="all come to their end"),
            pytest.param(2, (0.0,), id="one is killed at once"),
            pytest.param(3, (0.03, 0.1), id="two are killed at work"),
        ],
    )
    def test_several_processes_never_share_an_address(self, world: World, seed: int, deaths: tuple[float, ...]) -> None:
        processes = [launch_claimant(world, host, seed + index, steps=25) for index, host in enumerate((*HOSTS, HOSTS[0]))]
        try:
            for process, after_s in zip(processes, deaths, strict=False):
                wait_for_life(process)
                time.sleep(after_s)
                process.kill()
            outputs = [process.communicate(timeout=50)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert all('"ended"' in text for text in outputs[len(deaths) :]), outputs
        whole = read_whole(world)
        assert whole.problems(quiet=not deaths) == []
        told = read_told(outputs)
        assert_nothing_was_lost(told, whole)
        if not deaths:
            taken = taken_addresses(whole.blocks)
            assert {address for address, handle in taken.items() if handle in told.releasing} == set()
            assert len(taken) == sum(len(told.given[handle]) for handle in told.given.keys() - told.releasing)
        self.take_all_back(world, whole)

    def take_all_back(self, world: World, whole: Whole) -> None:
        """Whatever anybody left behind is found by its handle, and can be had again."""
        for handle in whole.handles:
            self.run(world, release_handle(handle))
        assert taken_addresses(read_whole(world).blocks) == {}
        again = self.run(world, auto_assign(AssignRequest("b", count=32, handle="again"))).addresses
        assert len(set(again)) == 32


@dataclass(frozen=True)
class Told:
    """What claimants said that they were given, and which of it they set about to give back."""

    given: Mapping[str, list[str]]
    releasing: frozenset[str]


def read_told(outputs: list[str]) -> Told:
    """What the lines of claimants say."""
    happened = [json.loads(line) for text in outputs for line in text.splitlines()]
    given = {one["handle"]: one["addresses"] for one in happened if one["did"] == "given"}
    return Told(given, frozenset(one["handle"] for one in happened if one["did"] == "releasing"))


def assert_nothing_was_lost(told: Told, whole: Whole) -> None:
    """Every address that somebody was given, and has not set about to give back, is his: so nobody else has it."""
    taken = {str(address): handle for address, handle in taken_addresses(whole.blocks).items()}
    for handle, addresses in told.given.items():
        if handle not in told.releasing:
            assert [taken.get(address) for address in addresses] == [handle] * len(addresses)


def launch_claimant(world: World, host: str, seed: int, steps: int) -> subprocess.Popen[str]:
    """A process of its own that asks for addresses."""
    argument = {"store": world.kind, "place": world.place, "host": host, "seed": seed, "steps": steps}
    command = [sys.executable, "-m", "tests.ipam_claimant", json.dumps(argument)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for_life(process: subprocess.Popen[str]) -> None:
    """Waits until a process has told something, or ended."""
    assert process.stdout is not None
    select.select([process.stdout], [], [], 20)
