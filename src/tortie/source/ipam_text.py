"""What operations on addresses keep, as keys and values of Calico 3.7's layout in etcd (spec: model 8.6).

Only the specifications of IPAM's kinds are read here, without the names that Calico makes of them in Kubernetes: a handle
is whatever its asker called it. Unknown fields are refused, and that stops the operation: writing the entry back without
them would lose what a later Calico knows.
"""

from __future__ import annotations

from typing import Any, assert_never

from tortie.ipam.command import AffinityKey, BlockKey, ConfigKey, EntryKey, EntryValue, HandleKey
from tortie.model.ipam import (
    BlockAffinity,
    BlockAffinitySpec,
    IPAMBlock,
    IPAMBlockSpec,
    IPAMConfig,
    IPAMConfigSpec,
    IPAMHandle,
    IPAMHandleSpec,
)
from tortie.model.json_text import parse_json
from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.reader import read_value
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import IPAM_BLOCKS, IPAM_CONFIG, IPAM_HOSTS, affinity_key, block_key, handle_key
from tortie.source.etcd_value import format_value


def format_ipam_key(key: EntryKey) -> str:
    """The key of etcd that an entry is kept under."""
    match key:
        case BlockKey(cidr):
            return block_key(cidr)
        case AffinityKey(host, cidr):
            return affinity_key(host, cidr)
        case HandleKey(handle):
            return handle_key(handle)
        case ConfigKey():
            return IPAM_CONFIG
        case _:
            assert_never(key)


def blocks_prefix(family: IPFamily) -> str:
    """What the keys of a family's blocks begin with."""
    return f"{IPAM_BLOCKS}ipv{family.value}/block/"


def affinities_prefix(host: str, family: IPFamily) -> str:
    """What the keys of a host's claims in a family begin with."""
    return f"{IPAM_HOSTS}{host}/ipv{family.value}/block/"


def host_mark(host: str) -> str:
    """The key that says that a host has addresses."""
    return f"{IPAM_HOSTS}{host}"


def format_ipam_value(value: EntryValue) -> bytes:
    """What Calico 3.7 keeps of an entry."""
    nameless = Metadata()
    match value:
        case IPAMBlockSpec():
            return format_value(IPAMBlock(nameless, value))
        case BlockAffinitySpec():
            return format_value(BlockAffinity(nameless, value))
        case IPAMHandleSpec():
            return format_value(IPAMHandle(nameless, value))
        case IPAMConfigSpec():
            return format_value(IPAMConfig(nameless, value))
        case _:
            assert_never(value)


def parse_ipam_value(key: EntryKey, value: bytes) -> EntryValue:
    """The entry that is kept under a key; raises `InvalidInput` that names the key."""
    try:
        data = _decoded(key, value)
        match key:
            case BlockKey():
                return _block(key, data)
            case AffinityKey():
                return _affinity(key, data)
            case HandleKey(handle):
                _refuse_others(data, "block", "deleted")
                return read_value(IPAMHandleSpec, {"handleID": handle, "block": data.get("block")})
            case ConfigKey():
                return read_value(IPAMConfigSpec, {_CONFIG_FIELDS.get(name, name): word for name, word in data.items()})
            case _:
                assert_never(key)
    except InvalidInput as error:
        raise field_problem(error).resolved(source=format_ipam_key(key), line=None) from None


_CONFIG_FIELDS = {"strict_affinity": "strictAffinity", "auto_allocate_blocks": "autoAllocateBlocks"}


def _decoded(key: EntryKey, value: bytes) -> dict[str, Any]:
    if not value and isinstance(key, AffinityKey):
        return {}  # as Calico before states wrote it: confirmed (spec: model 8.6)
    try:
        data = parse_json(value.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not JSON: {error}") from None
    if type(data) is not dict:
        raise FieldProblem("expected an object")
    return data


def _block(key: BlockKey, data: dict[str, Any]) -> IPAMBlockSpec:
    block = read_value(IPAMBlockSpec, {"Deleted" if name == "deleted" else name: word for name, word in data.items()})
    size = 1 << (key.cidr.family.bits - key.cidr.length)
    if block.cidr != key.cidr:
        raise FieldProblem(f"its key says {key.cidr}, it says {block.cidr}", path=("cidr",))
    if len(block.allocations) != size:
        message = f"there are {len(block.allocations)} places for the {size} addresses of {key.cidr}"
        raise FieldProblem(message, path=("allocations",))
    return block


def _affinity(key: AffinityKey, data: dict[str, Any]) -> BlockAffinitySpec:
    _refuse_others(data, "state", "deleted")
    plain = {"cidr": str(key.cidr), "node": key.host, "state": data.get("state")}
    return read_value(BlockAffinitySpec, plain | {"deleted": "true" if data.get("deleted") else "false"})


def _refuse_others(data: dict[str, Any], *known: str) -> None:
    for name in data:
        if name not in known:
            raise FieldProblem(f"unknown field {name!r}", path=(name,))
