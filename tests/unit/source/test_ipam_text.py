"""Entries of addresses as keys and values of etcd: Calico's layout, byte for byte in what counts (spec: model 8.6)."""

from __future__ import annotations

import json

import pytest

from tortie.ipam.block import assign, new_block
from tortie.ipam.claim import DEFAULT_CONFIG, is_confirmed
from tortie.ipam.command import AffinityKey, BlockKey, ConfigKey, EntryKey, EntryValue, HandleKey
from tortie.model.ipam import AllocationAttribute, BlockAffinitySpec, IPAMConfigSpec, IPAMHandleSpec
from tortie.net.address import IPFamily, parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.ipam_text import (
    affinities_prefix,
    blocks_prefix,
    format_ipam_key,
    format_ipam_value,
    host_mark,
    parse_ipam_value,
)

V4, V6 = parse_prefix("10.65.0.64/30"), parse_prefix("fd00::40/126")
USED = assign(new_block(V4, "n1", strict=True), (1,), AllocationAttribute("net.c", {"node": "n1"}))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (BlockKey(V4), "/calico/ipam/v2/assignment/ipv4/block/10.65.0.64-30"),
        (BlockKey(V6), "/calico/ipam/v2/assignment/ipv6/block/fd00::40-126"),
        (AffinityKey("n1", V4), "/calico/ipam/v2/host/n1/ipv4/block/10.65.0.64-30"),
        (HandleKey("Net.c_1"), "/calico/ipam/v2/handle/Net.c_1"),
        (ConfigKey(), "/calico/ipam/v2/config"),
    ],
    ids=str,
)
def test_keys(key: EntryKey, text: str) -> None:
    assert format_ipam_key(key) == text


def test_prefixes_of_keys() -> None:
    assert format_ipam_key(BlockKey(V6)).startswith(blocks_prefix(IPFamily.V6))
    assert format_ipam_key(AffinityKey("n1", V4)).startswith(affinities_prefix("n1", IPFamily.V4))
    assert host_mark("n1") == "/calico/ipam/v2/host/n1"


VALUES: list[tuple[EntryKey, EntryValue, str]] = [
    (
        BlockKey(V4),
        USED,
        '{"cidr":"10.65.0.64/30","affinity":"host:n1","strictAffinity":true,"allocations":[null,0,null,null],'
        '"unallocated":[0,2,3],"attributes":[{"handle_id":"net.c","secondary":{"node":"n1"}}],"deleted":false}',
    ),
    (
        BlockKey(V6),
        new_block(V6, None, strict=False),
        '{"cidr":"fd00::40/126","affinity":null,"strictAffinity":false,"allocations":[null,null,null,null],'
        '"unallocated":[0,1,2,3],"attributes":[],"deleted":false}',
    ),
    (AffinityKey("n1", V4), BlockAffinitySpec(V4, "n1", "pending", "false"), '{"state":"pending","deleted":false}'),
    (HandleKey("H_1"), IPAMHandleSpec("H_1", {"10.65.0.64/30": 2}), '{"block":{"10.65.0.64/30":2},"deleted":false}'),
    (ConfigKey(), IPAMConfigSpec(True, False), '{"strict_affinity":true}'),
    (ConfigKey(), DEFAULT_CONFIG, '{"auto_allocate_blocks":true}'),
]


@pytest.mark.parametrize(("key", "value", "text"), VALUES)
def test_values_are_written_and_read(key: EntryKey, value: EntryValue, text: str) -> None:
    assert json.loads(format_ipam_value(value)) == json.loads(text)
    assert parse_ipam_value(key, text.encode()) == value


@pytest.mark.parametrize("text", ["", "{}", '{"state": ""}', '{"state": "confirmed", "deleted": false}'])
def test_a_claim_that_says_nothing_is_confirmed(text: str) -> None:
    found = parse_ipam_value(AffinityKey("n1", V4), text.encode())
    assert isinstance(found, BlockAffinitySpec)
    assert is_confirmed(found)
    assert (found.node, found.cidr) == ("n1", V4)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('[{"handle_id": null, "secondary": null}]', AllocationAttribute(None, {})),
        ('[{"handle_id": "h"}]', AllocationAttribute("h", {})),
    ],
)
def test_attributes_may_be_null(attributes: str, expected: AllocationAttribute) -> None:
    text = (
        '{"cidr":"10.65.0.64/30","affinity":null,"strictAffinity":false,"allocations":[0,null,null,null],'
        f'"unallocated":[1,2,3],"attributes":{attributes}}}'
    )
    block = parse_ipam_value(BlockKey(V4), text.encode())
    assert block.attributes == (expected,)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        pytest.param(BlockKey(V4), "{", "not JSON", id="not JSON"),
        pytest.param(BlockKey(V4), "\xff", "not JSON", id="not text"),
        pytest.param(BlockKey(V4), "[]", "expected an object", id="no object"),
        pytest.param(BlockKey(V4), '{"cidr":"10.65.0.0/30"}', "its key says 10.65.0.64/30, it says 10.65.0.0/30", id="key"),
        pytest.param(
            BlockKey(V4),
            '{"cidr":"10.65.0.64/30","allocations":[null]}',
            "there are 1 places for the 4 addresses of 10.65.0.64/30",
            id="places",
        ),
        pytest.param(BlockKey(V4), '{"cidr":"10.65.0.64/30","sequenceNumber":1}', "unknown field", id="later block"),
        pytest.param(AffinityKey("n1", V4), '{"state":"x","type":"host"}', "unknown field 'type'", id="later claim"),
        pytest.param(HandleKey("h"), '{"block":{"a":"b"}}', "expected a whole number", id="count"),
        pytest.param(HandleKey("h"), '{"blocks":{}}', "unknown field 'blocks'", id="later handle"),
        pytest.param(ConfigKey(), '{"strict_affinity":1}', "expected true or false", id="config"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_key(key: EntryKey, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refusal:
        parse_ipam_value(key, text.encode("latin-1"))
    assert refusal.value.source == format_ipam_key(key)
