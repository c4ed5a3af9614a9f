"""Whose interface is whose, and which addresses are known (spec: model 6.6, 7.1, 7.4)."""

from __future__ import annotations

import pytest

from tests.reference_builder import INTERFACES, WORLD, configuration, flow, global_policy, host, read, resource, workload
from tortie.net.address import parse_address
from tortie.reference.configuration import read_configuration
from tortie.reference.site import NotKnown, Site, site_of


def site(*texts: str, known: bool = True) -> Site:
    resources = read(WORLD, *texts)
    return site_of(resources, "node-1", read_configuration(resources, "node-1"), INTERFACES if known else None)


def host_at(made: Site, interface: str) -> str | None:
    found = made.host_endpoint_at(interface)
    return None if found is None else found.metadata.name


def test_workloads() -> None:
    found = site().workload_at("cali1")
    assert found is not None and found.spec.pod == "web"
    assert site().workload_at("cali3") is None, "that is on another node"


def test_of_two_workloads_on_one_interface_the_lowest_counts() -> None:
    made = site(workload("aaa", "a", "cali1", "10.65.0.9", more="ipNATs: [{internalIP: 10.65.0.9, externalIP: 10.7.0.9}]"))
    found = made.workload_at("cali1")
    assert found is not None and found.spec.pod == "aaa"


@pytest.mark.parametrize(
    ("texts", "interface", "expected"),
    [
        (host("h", "interfaceName: eth0"), "eth0", "h"),
        (host("h", "interfaceName: eth0"), "eth1", None),
        (host("h", "expectedIPs: [10.30.0.1, 10.9.9.9]"), "eth1", "h"),
        (host("h", "expectedIPs: [10.30.0.1, 10.20.0.1]"), "eth0", "h"),
        (host("b", "interfaceName: eth0") + host("a", "expectedIPs: [10.20.0.1]"), "eth0", "a"),
        (host("a", "interfaceName: '*'") + host("b", "interfaceName: eth0"), "eth0", "b"),
        (host("h", "interfaceName: cali1"), "cali1", None),
        (host("h", "interfaceName: eth0") + configuration("{interfaceExclude: eth0}"), "eth0", None),
        (resource("HostEndpoint", "h", "{node: node-2, interfaceName: eth0}"), "eth0", None),
    ],
)
def test_host_endpoints(texts: str, interface: str, expected: str | None) -> None:
    assert host_at(site(texts), interface) == expected


def test_an_endpoint_by_name_that_comes_first_needs_no_addresses() -> None:
    both = host("a", "interfaceName: eth0") + host("b", "expectedIPs: [10.20.0.1]")
    assert host_at(site(both, known=False), "eth0") == "a"
    with pytest.raises(NotKnown, match="addresses of eth1 are not known"):
        host_at(site(both, known=False), "eth1")


PRE_DNAT = "preDNAT: true, applyOnForward: true"


@pytest.mark.parametrize(
    ("spec", "interface", "expected"),
    [
        (f"{{{PRE_DNAT}}}", "eth0", "own"),
        (f"{{selector: every == 'one', {PRE_DNAT}}}", "eth0", "every1"),
        (f"{{selector: every == 'one', {PRE_DNAT}}}", "cali1", "every1"),
        (f"{{selector: every == 'two', {PRE_DNAT}}}", "eth0", None),
        ("{selector: every == 'one'}", "eth0", None),
    ],
)
def test_pre_dnat_policy(spec: str, interface: str, expected: str | None) -> None:
    hosts = host("own", "interfaceName: eth0", "{host: eth}")
    hosts += host("every2", "interfaceName: '*'", "{every: two}") + host("every1", "interfaceName: '*'", "{every: one}")
    found = site(hosts, global_policy("p", spec)).pre_dnat_endpoint_at(interface)
    assert (None if found is None else found.metadata.name) == expected


FLOATING = workload(
    "nat", "a", "cali5", "10.65.0.5", "fd00:65::5", more="ipNATs: [{internalIP: 10.65.0.5, externalIP: 10.7.0.1}]"
)


@pytest.mark.parametrize(
    ("source", "own"),
    [("10.65.0.5", True), ("10.7.0.1", True), ("fe80::1", True), ("fd00:65::5", True), ("10.65.0.2", False)],
)
def test_sources_of_a_workload(source: str, own: bool) -> None:
    made = site(FLOATING)
    assert made.is_own_source(made.workload_at("cali5"), parse_address(source)) is own


def test_floating_addresses() -> None:
    rival = workload("zzz", "a", "cali7", "10.65.0.10", more="ipNATs: [{internalIP: 10.65.0.10, externalIP: 10.7.0.1}]")
    packet = flow("tcp 10.0.0.1:1 > 10.7.0.1:80", "eth0", "cali5")
    assert str(site(FLOATING).translated(packet).destination) == "10.65.0.5"
    assert str(site(FLOATING, rival).translated(packet).destination) == "10.65.0.10", "the lowest as text"
    assert site().translated(packet) == packet


def test_what_the_asker_says_of_translation_counts() -> None:
    told = flow("tcp 10.0.0.1:1 > 10.7.0.1:80", "eth0", "cali1", translated=parse_address("10.65.0.2"), translated_port=8)
    behind = site(FLOATING).translated(told)
    assert (str(behind.destination), behind.destination_port) == ("10.65.0.2", 8)


NODES = (
    resource("Node", "node-1", "{bgp: {ipv4Address: 10.20.0.1/24}, ipv4VXLANTunnelAddr: 10.65.0.1}")
    + resource("Node", "node-2", "{bgp: {ipv4Address: 10.20.0.2/24}, ipv4VXLANTunnelAddr: 10.65.1.1}")
    + resource("Node", "node-3", "{bgp: {ipv4Address: 10.20.0.3/24}}")
    + configuration("{externalNodesList: [10.8.0.0/24]}")
)


@pytest.mark.parametrize(
    ("peer", "ipip", "vxlan"),
    [
        ("10.20.0.1", True, False),
        ("10.20.0.2", True, True),
        ("10.20.0.3", True, False),
        ("10.8.0.7", True, True),
        ("10.0.0.1", False, False),
    ],
)
def test_who_speaks_through_tunnels(peer: str, ipip: bool, vxlan: bool) -> None:
    made = site(NODES)
    assert made.speaks_ipip(parse_address(peer)) is ipip
    assert made.speaks_vxlan(parse_address(peer)) is vxlan
