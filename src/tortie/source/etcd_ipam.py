"""Carries out operations on addresses over etcd v3, beside Calico's own programs (spec: model 8.6, 8.7).

Each write is one transaction on the key's last revision. A write whose fate is not known ends the operation with
`DatastoreFailed`, as if the asker had died: what it got, if anything, is released by its handle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, assert_never

from tortie.ipam.command import (
    AffinityKey,
    BlockKey,
    Command,
    Create,
    Delete,
    Entry,
    EntryKey,
    EntryValue,
    ForgetHost,
    ListAffinities,
    ListBlocks,
    Read,
    ReadBlocks,
    ReadNode,
    ReadPools,
    Steps,
    Update,
)
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.model.read import Key
from tortie.net.address import IPFamily, Prefix
from tortie.net.error import InvalidInput
from tortie.source import etcd_client as etcd
from tortie.source.etcd_key import kind_prefix, parse_ipam_key, resource_key
from tortie.source.etcd_value import parse_value
from tortie.source.ipam_text import (
    affinities_prefix,
    blocks_prefix,
    format_ipam_key,
    format_ipam_value,
    host_mark,
    parse_ipam_value,
)

T = TypeVar("T")


class EtcdIpam:
    """Addresses kept in etcd; `refused` says which pools could not be read and are taken for none."""

    def __init__(self, client: etcd.EtcdClient) -> None:
        self._client = client
        self.refused: list[InvalidInput] = []

    async def run(self, operation: Steps[T]) -> T:
        """Carries out an operation of `tortie.ipam`; raises what it raises, and `DatastoreFailed`."""
        answer: Any = None
        while True:
            try:
                command = operation.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._answer(command)

    async def _answer(self, command: Command) -> Any:
        match command:
            case Read(key):
                return await self._read(key)
            case Create(key, value):
                return await self._write(key, value, 0)
            case Update(entry, value):
                return await self._write(entry.key, value, int(entry.revision))
            case Delete(entry):
                text = format_ipam_key(entry.key)
                condition = etcd.Condition(text, int(entry.revision))
                return (await self._client.transact((condition,), (etcd.Delete(text),))).succeeded
            case ListBlocks(family):
                return await self._blocks(family)
            case ReadBlocks(family):
                return await self._read_blocks(family)
            case ListAffinities(host, family):
                return await self._affinities(host, family)
            case ReadPools():
                return await self._pools()
            case ReadNode(host):
                return await self._node(host)
            case ForgetHost(host):
                await self._client.delete(host_mark(host))
                return None
            case _:
                assert_never(command)

    async def _read(self, key: EntryKey) -> Entry[Any] | None:
        for found in (await self._client.get(format_ipam_key(key))).entries:
            return Entry(key, parse_ipam_value(key, found.value), str(found.mod_revision))
        return None

    async def _write(self, key: EntryKey, value: EntryValue, revision: int) -> Entry[Any] | None:
        text = format_ipam_key(key)
        put = etcd.Put(text, format_ipam_value(value))
        outcome = await self._client.transact((etcd.Condition(text, revision),), (put,))
        return Entry(key, value, str(outcome.revision)) if outcome.succeeded else None

    async def _blocks(self, family: IPFamily) -> tuple[Prefix, ...]:
        found = await self._client.list(blocks_prefix(family), keys_only=True)
        return _in_order([parsed[1] for entry in found.entries if (parsed := parse_ipam_key(entry.key)) is not None])

    async def _read_blocks(self, family: IPFamily) -> dict[Prefix, EntryValue]:
        found: dict[Prefix, EntryValue] = {}
        for entry in (await self._client.list(blocks_prefix(family))).entries:
            parsed = parse_ipam_key(entry.key)
            if parsed is not None:
                found[parsed[1]] = parse_ipam_value(BlockKey(parsed[1]), entry.value)
        return {cidr: found[cidr] for cidr in _in_order(list(found))}

    async def _affinities(self, host: str, family: IPFamily) -> tuple[Entry[Any], ...]:
        found: dict[Prefix, Entry[Any]] = {}
        for entry in (await self._client.list(affinities_prefix(host, family))).entries:
            parsed = parse_ipam_key(entry.key)
            if parsed is not None and parsed[0] == host:
                key = AffinityKey(host, parsed[1])
                found[key.cidr] = Entry(key, parse_ipam_value(key, entry.value), str(entry.mod_revision))
        return tuple(found[cidr] for cidr in _in_order(list(found)))

    async def _pools(self) -> tuple[IPPool, ...]:
        pools: list[IPPool] = []
        refused: list[InvalidInput] = []
        for entry in (await self._client.list(kind_prefix("IPPool"))).entries:
            try:
                pool = parse_value(entry.key, entry.value)
            except InvalidInput as error:
                refused.append(error)
            else:
                assert isinstance(pool, IPPool)
                pools.append(pool)
        self.refused = refused
        return tuple(pools)

    async def _node(self, host: str) -> Node | None:
        for entry in (await self._client.get(resource_key(Key("Node", "", host)))).entries:
            node = parse_value(entry.key, entry.value)
            assert isinstance(node, Node)
            return node
        return None


def _in_order(cidrs: Sequence[Prefix]) -> tuple[Prefix, ...]:
    return tuple(sorted(cidrs, key=lambda cidr: (cidr.address, cidr.length)))
