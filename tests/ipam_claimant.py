"""A process that asks for addresses and gives them back, and writes down what it was told: `python -m tests.ipam_claimant`.

Its one argument is JSON: which store and where, the host, a seed and how many steps. Every line that it prints is what
happened, told only after the store has answered, so that a reader knows what a killed process had for certain.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

from tests.fakes.ipam_store import make_node, make_pool
from tortie.ipam.assign import AssignRequest, assign_address, auto_assign
from tortie.ipam.claim import release_affinity
from tortie.ipam.release import release_addresses, release_handle
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.model.read import Resources
from tortie.net.address import Address, parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.failure import DatastoreFailed

HOSTS = ("a", "b", "c")
POOLS = (make_pool("one", "10.0.0.0/27", 29), make_pool("six", "fd00::/121", 124))
NODES = tuple(make_node(host) for host in HOSTS)
BLOCKS = tuple(parse_prefix(f"10.0.0.{start}/29") for start in (0, 8, 16, 24))
RESOURCES = Resources(
    {
        IPPool: {("", pool.metadata.name): pool for pool in POOLS},
        Node: {("", node.metadata.name): node for node in NODES},
    }
)


def open_store(kind: str, place: str) -> Any:
    """The store that the argument names."""
    if kind == "file":
        from tortie.source.file_ipam import FileIpam

        return FileIpam(Path(place), RESOURCES)
    from tortie.source.client_config import ClientConfig
    from tortie.source.etcd_client import EtcdClient
    from tortie.source.etcd_ipam import EtcdIpam

    return EtcdIpam(EtcdClient(ClientConfig(etcd_endpoints=place)))


def say(did: str, handle: str, addresses: tuple[Address, ...]) -> None:
    print(json.dumps({"did": did, "handle": handle, "addresses": [str(address) for address in addresses]}), flush=True)


async def step(store: Any, rng: random.Random, host: str, index: int, held: dict[str, tuple[Address, ...]]) -> None:
    """One thing drawn: more often asking than giving back."""
    handle = f"net.{host}-{rng.getrandbits(32):08x}-{index}"
    match rng.choice(("auto", "auto", "auto", "named", "handle", "address", "affinity")):
        case "auto":
            request = AssignRequest(host, count=rng.randint(1, 3), handle=handle, secondary={"node": host})
            held[handle] = (await store.run(auto_assign(request))).addresses
            say("given", handle, held[handle])
        case "named":
            address = parse_address(f"10.0.0.{rng.randint(0, 31)}")
            try:
                await store.run(assign_address(address, AssignRequest(host, handle=handle)))
            except InvalidInput:
                return
            held[handle] = (address,)
            say("given", handle, held[handle])
        case "handle" if held:
            handle = rng.choice(sorted(held))
            say("releasing", handle, held.pop(handle))
            await store.run(release_handle(handle))
        case "address" if held:
            handle = rng.choice(sorted(held))
            addresses = held.pop(handle)
            say("releasing", handle, addresses)
            await store.run(release_addresses(addresses))
        case "affinity":
            await store.run(release_affinity(host, rng.choice(BLOCKS), must_be_empty=rng.random() < 0.5))
        case _:
            pass  # there is nothing to give back


async def main(argument: dict[str, Any]) -> None:
    store = open_store(argument["store"], argument["place"])
    rng = random.Random(argument["seed"])
    held: dict[str, tuple[Address, ...]] = {}
    for index in range(argument["steps"]):
        await step(store, rng, argument["host"], index, held)
    say("ended", "", ())


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except DatastoreFailed:
        sys.exit(1)
