"""Values of etcd, read and written."""

from __future__ import annotations

import json

import pytest

from tortie.model.read import key_of, parse_resources
from tortie.net.error import InvalidInput
from tortie.source.etcd_key import RESOURCES, resource_key
from tortie.source.etcd_value import format_object, format_value, parse_value

POLICY_KEY = f"{RESOURCES}networkpolicies/prod/default.allow"
POLICY = {
    "kind": "NetworkPolicy",
    "apiVersion": "projectcalico.org/v3",
    "metadata": {
        "name": "default.allow",
        "namespace": "prod",
        "uid": "0a1b",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "spec": {
        "order": 10,
        "selector": "role == 'web'",
        "types": ["Ingress"],
        "ingress": [{"action": "Allow", "protocol": "TCP", "source": {}, "destination": {"ports": [80, "90:99", "web"]}}],
    },
}
"""As calicoctl 3.7 stores it."""

BLOCK_KEY = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-30"
BLOCK = (
    '{"cidr":"10.0.0.0/30","affinity":"host:n","strictAffinity":false,"allocations":[0,null,null,null],'
    '"unallocated":[1,2,3],"attributes":[{"handle_id":"h","secondary":{"node":"n"}}],"deleted":false}'
)


def test_a_policy_is_told_under_its_own_name() -> None:
    found = parse_value(POLICY_KEY, json.dumps(POLICY).encode())
    assert str(key_of(found)) == "NetworkPolicy(prod/allow)"
    assert found.metadata.uid == "0a1b"


def test_what_is_written_is_what_was_read() -> None:
    found = parse_value(POLICY_KEY, json.dumps(POLICY).encode())
    written = json.loads(format_value(found))
    rule = written["spec"]["ingress"][0]
    assert rule.pop("source", {}) == {}
    expected = json.loads(json.dumps(POLICY))
    del expected["spec"]["ingress"][0]["source"]
    assert written == expected
    assert list(written) == ["kind", "apiVersion", "metadata", "spec"]


def test_times_are_there_when_they_are_not_known_and_revisions_never() -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: node, resourceVersion: '5', selfLink: /x}\n"
    (node,) = parse_resources([("f", text)])
    assert format_value(node) == (
        b'{"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":"node","creationTimestamp":null},"spec":{}}'
    )
    assert parse_value(resource_key(key_of(node)), format_value(node)).metadata.resource_version == ""


ENDPOINT_KEY = f"{RESOURCES}workloadendpoints/prod/n1-k8s-web-eth0"
ENDPOINT = (
    '{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"n1-k8s-web-eth0",'
    '"generateName":"web-","namespace":"prod","uid":"0a1b","creationTimestamp":"2019-05-21T09:11:22Z",'
    '"labels":{"projectcalico.org/namespace":"prod","projectcalico.org/orchestrator":"k8s"},"annotations":{"a":"b"}},'
    '"spec":{"node":"n1","orchestrator":"k8s","pod":"web","endpoint":"eth0","ipNetworks":["192.168.1.5/32"],'
    '"profiles":["kns.prod"],"interfaceName":"cali8f3"}}'
)
"""Byte by byte as Calico's CNI plugin leaves it."""


def test_fields_stay_in_the_order_in_which_go_writes_them() -> None:
    assert format_value(parse_value(ENDPOINT_KEY, ENDPOINT.encode())).decode() == ENDPOINT


def test_half_of_a_pair_of_surrogates_stops_nobody() -> None:
    """Go reads it as U+FFFD; Python would hand on what no text can hold."""
    metadata = {**POLICY["metadata"], "annotations": {"note": "\ud800"}}  # type: ignore[dict-item]
    found = parse_value(POLICY_KEY, json.dumps(POLICY | {"metadata": metadata}).encode())
    assert found.metadata.annotations == {"note": "\ufffd"}
    assert "\ufffd".encode() in format_value(found)


def test_letters_that_go_escapes() -> None:
    assert format_object({"a": "<&>\u2028é"}) == b'{"a":"\\u003c\\u0026\\u003e\\u2028\xc3\xa9"}'


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (BLOCK_KEY, BLOCK),
        ("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-30", '{"state":"pending","deleted":true}'),
        ("/calico/ipam/v2/config", '{"strict_affinity":true}'),
        ("/calico/ipam/v2/config", "{}"),
        ("/calico/ipam/v2/handle/net.abc", '{"block":{"10.0.0.0/30":1},"deleted":false}'),
    ],
)
def test_ipam_there_and_back(key: str, value: str) -> None:
    assert json.loads(format_value(parse_value(key, value.encode()))) == json.loads(value)


@pytest.mark.parametrize("value", ["", "{}", '{"state":"","deleted":false}'])
def test_an_affinity_that_says_no_state_is_confirmed(value: str) -> None:
    found = parse_value("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-30", value.encode())
    assert json.loads(format_value(found)) == {"state": "confirmed", "deleted": False}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (POLICY_KEY, b"", "not JSON"),
        (POLICY_KEY, b"\xff", "not JSON"),
        (POLICY_KEY, b"[]", "expected an object"),
        (POLICY_KEY, b"{}", "its key is that of a NetworkPolicy of projectcalico.org/v3, it says None of None"),
        (POLICY_KEY, json.dumps(POLICY | {"kind": "NetworkSet"}).encode(), "it says 'NetworkSet'"),
        (POLICY_KEY, json.dumps(POLICY | {"metadata": {"name": "allow", "namespace": "prod"}}).encode(), "metadata.name"),
        (POLICY_KEY, json.dumps(POLICY | {"metadata": {"name": "default.allow"}}).encode(), "metadata.namespace"),
        (POLICY_KEY, json.dumps(POLICY | {"metadata": None}).encode(), "metadata is missing"),
        (POLICY_KEY, json.dumps(POLICY | {"spec": {"order": "x"}}).encode(), "spec.order"),
        (POLICY_KEY, json.dumps(POLICY | {"spec": {"nope": 1}}).encode(), "unknown field 'nope'"),
        (BLOCK_KEY, BLOCK.replace("10.0.0.0/30", "10.0.0.4/30").encode(), "its key says 10.0.0.0/30"),
        (BLOCK_KEY, BLOCK.replace("allocations", "allocated").encode(), "unknown field"),
        ("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-30", b'{"x":1}', "unknown field 'x'"),
        ("/calico/ipam/v2/config", b'{"strict":true}', "unknown field"),
    ],
)
def test_what_is_bad_is_named_by_its_key(key: str, value: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_value(key, value)
    assert refusal.value.source == key
    assert words in str(refusal.value)
