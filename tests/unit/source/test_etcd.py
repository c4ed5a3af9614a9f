"""What a key of etcd says; the source itself is tested over real servers (tests/contract/test_etcd.py)."""

from __future__ import annotations

import pytest

from tortie.model.read import Key
from tortie.net.address import parse_prefix
from tortie.net.error import InvalidInput
from tortie.source.etcd import PREFIXES, read_entry
from tortie.source.etcd_client import Entry, prefix_end
from tortie.source.etcd_key import IPAM_HANDLES, RESOURCES, affinity_key, block_key
from tortie.source.reading import Definition

NODE = b'{"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"a"},"spec":{}}'


def entry(key: str, value: bytes = NODE) -> Entry:
    return Entry(key, value, 5, 9, 2)


def test_a_resource_with_its_revision() -> None:
    (found,) = read_entry(entry(f"{RESOURCES}nodes/a"))
    assert (found.key, found.where, found.revision) == (Key("Node", "", "a"), f"{RESOURCES}nodes/a", "9")
    assert not isinstance(found.content, InvalidInput)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (f"{RESOURCES}nodes/b", NODE, Key("Node", "", "b")),
        (f"{RESOURCES}nodes/a", b"{", Key("Node", "", "a")),
        (f"{RESOURCES}tiers/a", b"{}", None),
        (f"{RESOURCES}nodes/a\\xff", NODE, Key("Node", "", "a\\xff")),
    ],
    ids=["another name", "no JSON", "no kind of Calico 3.7", "no text"],
)
def test_what_is_wrong(key: str, value: bytes, expected: Key | None) -> None:
    (found,) = read_entry(entry(key, value))
    assert isinstance(found, Definition) and isinstance(found.content, InvalidInput)
    assert found.key == expected and found.content.source == key


POLICY = f"{RESOURCES}globalnetworkpolicies/default.a"
BAD = (
    b'{"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"default.a"},'
    b'"spec":{"selector":"has(x)","nope":1}}'
)


def test_a_bad_policy_is_told_as_users_know_it() -> None:
    (found,) = read_entry(entry(POLICY, BAD))
    assert found.data["metadata"]["name"] == "a" and found.data["spec"]["selector"] == "has(x)"


@pytest.mark.parametrize(
    ("key", "value", "data", "superfluous"),
    [
        (POLICY, b"{{", "{{", False),
        (POLICY, b'"x"', '"x"', False),
        (POLICY, BAD.replace(b"default.a", b"default.b"), None, False),
        (f"{RESOURCES}tiers/x", b'{"kind":"Tier"}', {"kind": "Tier"}, True),
        (f"{RESOURCES}globalnetworkpolicies/x.a", b'{"kind":"y"}', {"kind": "y"}, False),
        ("/calico/ipam/v2/config", b'{"x":1}', None, False),
    ],
    ids=["no JSON", "no object", "another policy's", "a kind of later versions", "another tier", "IPAM"],
)
def test_what_can_be_read_of_it_and_who_misses_it(key: str, value: bytes, data: object, superfluous: bool) -> None:
    (found,) = read_entry(entry(key, value))
    assert (found.data, found.superfluous) == (data, superfluous)


@pytest.mark.parametrize("key", ["/calico/ipam/v2/host/n", "/calico/ipam/v2/config2", "/calico/ipam/v2/assignment/x"])
def test_keys_that_are_nobodys(key: str) -> None:
    assert list(read_entry(entry(key))) == []


def test_what_is_watched() -> None:
    cidr = parse_prefix("10.0.0.0/26")
    for key in (f"{RESOURCES}nodes/a", block_key(cidr), affinity_key("n", cidr), "/calico/ipam/v2/config"):
        assert sum(prefix.encode() <= key.encode() < prefix_end(prefix) for prefix in PREFIXES) == 1, key
    for key in (f"{IPAM_HANDLES}a", "/calico/felix/v2/no-region/host/n/status", "/calico/resources/v2/x"):
        assert not any(prefix.encode() <= key.encode() < prefix_end(prefix) for prefix in PREFIXES), key
