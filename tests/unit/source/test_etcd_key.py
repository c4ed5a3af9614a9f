"""Keys of etcd and what they stand for."""

from __future__ import annotations

import pytest

from tortie.model.read import Key
from tortie.net.address import parse_prefix
from tortie.source.etcd_key import (
    affinity_key,
    affinity_name,
    block_key,
    block_name,
    felix_last_status_key,
    felix_status_key,
    handle_key,
    host_endpoint_status_key,
    kind_prefix,
    parse_ipam_key,
    parse_key,
    resource_key,
    workload_status_key,
)

BASE = "/calico/resources/v3/projectcalico.org/"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (Key("NetworkPolicy", "prod", "knp.default.allow-web"), "networkpolicies/prod/knp.default.allow-web"),
        (Key("NetworkPolicy", "prod", "x"), "networkpolicies/prod/default.x"),
        (Key("NetworkPolicy", "prod", "ossg.default.x"), "networkpolicies/prod/ossg.default.x"),
        (Key("GlobalNetworkPolicy", "", "x"), "globalnetworkpolicies/default.x"),
        (Key("WorkloadEndpoint", "prod", "node--1-k8s-web-eth0"), "workloadendpoints/prod/node--1-k8s-web-eth0"),
        (Key("FelixConfiguration", "", "node.node1"), "felixconfigurations/node.node1"),
        (Key("NetworkSet", "a", "b"), "networksets/a/b"),
        (Key("Node", "", "n"), "nodes/n"),
    ],
    ids=str,
)
def test_resources(key: Key, text: str) -> None:
    assert resource_key(key) == BASE + text
    assert parse_key(BASE + text) == key


def test_prefixes() -> None:
    assert kind_prefix("NetworkPolicy") == f"{BASE}networkpolicies/"
    assert kind_prefix("NetworkPolicy", "prod") == f"{BASE}networkpolicies/prod/"


@pytest.mark.parametrize(
    "text",
    [
        f"{BASE}tiers/x",
        f"{BASE}nodes",
        f"{BASE}nodes/",
        f"{BASE}nodes/a/b",
        f"{BASE}networkpolicies/x",
        f"{BASE}globalnetworkpolicies/x",
        f"{BASE}globalnetworkpolicies/security.x",
        "/calico/ipam/v2/host/n",
        "/calico/ipam/v2/host//ipv4/block/10.0.0.0-26",
        "/calico/ipam/v2/host/n/ipv6/block/10.0.0.0-26",
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0",
        "/calico/ipam/v2/assignment/ipv4/block/x-26",
        "/calico/ipam/v2/handle/",
        "/calico/ipam/v2/config/x",
        "/calico/felix/v2/no-region/host/n/status",
        "",
    ],
)
def test_keys_of_nothing_that_is_a_resource(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize(
    ("cidr", "block", "affinity", "name"),
    [
        ("10.0.0.0/26", "assignment/ipv4/block/10.0.0.0-26", "host/n-1/ipv4/block/10.0.0.0-26", "10-0-0-0-26"),
        ("fd00::1:0/122", "assignment/ipv6/block/fd00::1:0-122", "host/n-1/ipv6/block/fd00::1:0-122", "fd00--1-0-122"),
    ],
)
def test_blocks_and_affinities(cidr: str, block: str, affinity: str, name: str) -> None:
    prefix = parse_prefix(cidr)
    assert block_key(prefix) == f"/calico/ipam/v2/{block}"
    assert affinity_key("n-1", prefix) == f"/calico/ipam/v2/{affinity}"
    assert parse_ipam_key(block_key(prefix)) == (None, prefix)
    assert parse_ipam_key(affinity_key("n-1", prefix)) == ("n-1", prefix)
    assert block_name(prefix) == name
    assert parse_key(block_key(prefix)) == Key("IPAMBlock", "", name)
    assert parse_key(affinity_key("n-1", prefix)) == Key("BlockAffinity", "", f"n-1-{name}")


def test_a_long_name_of_an_affinity_ends_in_a_hash() -> None:
    prefix = parse_prefix("10.0.0.0/26")
    long = "n" * 250
    name = affinity_name(long, prefix)
    assert len(name) == 252 and name.startswith("nnn")
    assert affinity_name(long, parse_prefix("10.0.0.64/26")) != name


def test_handles_and_the_configuration() -> None:
    assert handle_key("k8s-pod-network.ABC") == "/calico/ipam/v2/handle/k8s-pod-network.ABC"
    assert parse_key(handle_key("k8s-pod-network.ABC")) == Key("IPAMHandle", "", "k8s-pod-network.abc")
    assert parse_key("/calico/ipam/v2/config") == Key("IPAMConfig", "", "default")


def test_status() -> None:
    assert felix_status_key("n") == "/calico/felix/v2/no-region/host/n/status"
    assert felix_last_status_key("n", "eu") == "/calico/felix/v2/region-eu/host/n/last_reported_status"
    assert workload_status_key("n", "k8s", "prod/web-0", "eth0") == (
        "/calico/felix/v2/no-region/host/n/workload/k8s/prod%2fweb-0/endpoint/eth0"
    )
    assert host_endpoint_status_key("n", "a%b") == "/calico/felix/v1/host/n/endpoint/a%25b"
