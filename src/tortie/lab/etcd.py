"""Writes to a laboratory's etcd as Calico's controllers do, and reads what its nodes wrote: `python -m tortie.lab.etcd`.

A program of its own, since it must run where etcd can be reached, in a namespace of the laboratory, with all its threads.
`write` puts the resources on stdin, whatever they are: policies of Kubernetes and profiles of its namespaces too, which
users may not write. `endpoints` prints all workload endpoints as a List.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tortie.model.read import key_of, parse_resources
from tortie.model.resource import Resource
from tortie.model.writer import plain_resource
from tortie.source.client_config import config_from_environment
from tortie.source.etcd_client import EtcdClient
from tortie.source.etcd_key import resource_key
from tortie.source.etcd_store import EtcdStore
from tortie.source.etcd_value import format_value
from tortie.source.failure import DatastoreFailed


def plain_list(resources: Iterable[Resource]) -> dict[str, Any]:
    """Resources as one document."""
    return {"apiVersion": "v1", "kind": "List", "items": [plain_resource(resource) for resource in resources]}


async def _write(text: str) -> None:
    client = EtcdClient(config_from_environment(os.environ))
    try:
        for resource in parse_resources([("stdin", text)]):
            kept = replace(resource, metadata=replace(resource.metadata, resource_version=""))
            await client.put(resource_key(key_of(kept)), format_value(kept))
    finally:
        await client.close()


async def _endpoints() -> str:
    client = EtcdClient(config_from_environment(os.environ))
    try:
        found = await EtcdStore(client).list("WorkloadEndpoint")
    finally:
        await client.close()
    return json.dumps(plain_list(found.resources))


def main(words: list[str]) -> int:
    """Carries out one command; 1 and a line on stderr when etcd does not."""
    try:
        match words:
            case ["write"]:
                asyncio.run(_write(sys.stdin.read()))
            case ["endpoints"]:
                sys.stdout.write(asyncio.run(_endpoints()))
            case _:
                raise ValueError(f"not a command: {words}")
    except DatastoreFailed as failure:
        sys.stderr.write(f"{failure.reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
