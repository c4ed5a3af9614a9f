"""Who is behind addresses and interfaces, and with which labels."""

from __future__ import annotations

import pytest

from tests.reference_builder import WORLD, host, read, resource, workload
from tortie.explain.party import Parties
from tortie.net.address import parse_address

RESOURCES = read(
    WORLD,
    host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]"),
    resource("GlobalNetworkSet", "partners", "{nets: [10.0.0.0/24]}", labels="{kind: net}"),
    resource("NetworkSet", "inner", "{nets: [10.0.0.0/16]}", namespace="a"),
    resource("Node", "node-2", "{bgp: {ipv4Address: 10.20.0.2/24}}"),
    workload("fip", "a", "cali12", "10.65.0.9", more="ipNATs: [{internalIP: 10.65.0.9, externalIP: 10.77.0.1}]"),
)
PARTIES = Parties(RESOURCES)


@pytest.mark.parametrize(
    ("address", "titles"),
    [
        ("10.65.0.2", ["pod a/web"]),
        ("fd00:65::2", ["pod a/web"]),
        ("10.65.1.2", ["pod a/far"]),
        ("10.20.0.1", ["HostEndpoint eth of node-1"]),
        ("10.0.0.7", ["NetworkSet a/inner", "GlobalNetworkSet partners"]),
        ("10.0.1.7", ["NetworkSet a/inner"]),
        ("::10.0.1.7", []),
        ("192.0.2.1", []),
    ],
)
def test_everybody_who_has_an_address_is_found(address: str, titles: list[str]) -> None:
    assert [party.title for party in PARTIES.at(parse_address(address))] == titles


def test_own_labels_go_before_those_that_profiles_hand_on() -> None:
    (web,) = PARTIES.at(parse_address("10.65.0.2"))
    assert web.own["role"] == "front" and "pcns.team" not in web.own
    assert web.inherited == {"pcns.team": "red"}
    assert web.labels["pcns.team"] == "red" and web.labels["role"] == "front"


def test_a_set_of_a_namespace_is_in_it() -> None:
    (inner,) = PARTIES.at(parse_address("10.0.1.7"))
    assert inner.labels["projectcalico.org/namespace"] == "a" and not inner.is_endpoint and inner.ports == ()


def test_an_interface_is_its_nodes() -> None:
    web = PARTIES.workload_at("node-1", "cali1")
    assert web is not None and web.title == "pod a/web"
    assert PARTIES.workload_at("node-2", "cali1") is None


def test_of_two_workloads_on_one_interface_the_one_with_rules_is_meant() -> None:
    twice = Parties(read(workload("z", "a", "cali1", "10.0.0.1"), workload("b", "a", "cali1", "10.0.0.2")))
    found = twice.workload_at("node-1", "cali1")
    assert found is not None and found.title == "pod a/b"


def test_host_endpoints_nodes_and_floating_addresses_are_found() -> None:
    eth = PARTIES.host_endpoint("node-1", "eth")
    assert eth is not None and eth.own == {"host": "eth"}
    assert PARTIES.host_endpoint("node-2", "eth") is None
    assert PARTIES.node_at(parse_address("10.20.0.2")) == "node-2"
    assert PARTIES.node_at(parse_address("10.20.0.3")) is None
    floating = PARTIES.floating(parse_address("10.77.0.1"))
    assert floating is not None and floating.title == "pod a/fip"
    assert PARTIES.floating(parse_address("10.65.0.9")) is None
