"""Topologies: what a file says, and what is wrong with it, by line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tortie.lab.topology import Probe, Topology, parse_topology, resource_paths
from tortie.net.address import parse_address
from tortie.net.error import InvalidInput
from tortie.net.protocol import ICMP, TCP, UDP

GOOD = """name: shop
networks:
  fabric: {subnet: 10.10.0.0/24}
  outside: {subnet: 192.0.2.0/24}
router: {asNumber: 65000}
nodes:
  - {name: n1}
  - {name: n2, address: 10.10.0.1}
hosts:
  - {name: office, address: 192.0.2.7, network: outside}
pods:
  - {name: web, namespace: shop, node: n1, count: 2}
  - {name: one, node: n2}
services:
  - {name: web, namespace: shop, nodePort: 30080, pod: web-1, port: 80}
probes: [tcp/80, udp/53, icmp]
"""


def test_a_topology_is_read() -> None:
    found = parse_topology(GOOD, "lab.yaml")
    assert (found.name, found.datastore, found.mesh) == ("shop", "directory", True)
    assert [f"{pod.namespace}/{pod.name}" for pod in found.all_pods] == ["shop/web-1", "shop/web-2", "default/one"]
    assert found.probes == (Probe(TCP, 80), Probe(UDP, 53), Probe(ICMP))
    assert [str(probe) for probe in found.probes] == ["tcp/80", "udp/53", "icmp"]


def test_nodes_without_a_wish_get_what_is_free() -> None:
    addresses = parse_topology(GOOD, "lab.yaml").node_addresses()
    assert {name: str(address) for name, address in addresses.items()} == {"n1": "10.10.0.2", "n2": "10.10.0.1"}


def test_the_router_and_the_datastore_have_the_last_addresses() -> None:
    found = parse_topology(GOOD, "lab.yaml")
    assert [str(network.router) for network in found.networks.values()] == ["10.10.0.254", "192.0.2.254"]
    assert found.etcd_address == parse_address("10.10.0.253")


def test_a_small_network_is_filled_to_its_end() -> None:
    text = "name: x\nnetworks: {f: {subnet: 10.0.0.0/29}}\nnodes:\n"
    nodes = "".join(f"  - {{name: n{number}, network: f}}\n" for number in range(4))
    addresses = parse_topology(text + nodes, "lab.yaml").node_addresses()
    assert sorted(map(str, addresses.values())) == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]


BAD: dict[str, tuple[str, str]] = {
    "an unknown field": (GOOD + "color: red\n", "17: color: unknown field 'color'"),
    "a field that is nearly one": (GOOD.replace("hosts:", "host:"), "9: host: unknown field 'host' (did you mean hosts?)"),
    "no name": (GOOD.replace("name: shop\n", "mesh: true\n"), "1: name is missing"),
    "a name with capitals": (GOOD.replace("name: shop\n", "name: Shop\n"), "1: name: 'Shop' cannot be a laboratory's name"),
    "a long name": (GOOD.replace("name: shop\n", f"name: {'x' * 17}\n"), "(at most 16 of a-z, 0-9 and -)"),
    "no nodes": ("name: x\nnodes: []\n", "2: nodes: a laboratory without nodes"),
    "two documents": (GOOD + "---\n" + GOOD, " expected one laboratory, not 2"),
    "nothing": ("", " expected one laboratory, not 0"),
    "a list": ("- 1\n", "1: "),
    "text that is no YAML": ("nodes: [\n", "lab.yaml:"),
    "no such network": (
        GOOD.replace("network: outside", "network: inside"),
        "10: hosts[0].network: there is no network 'inside' (one of fabric, outside)",
    ),
    "a node without a network": (
        GOOD.replace("  fabric: {subnet: 10.10.0.0/24}\n", ""),
        "6: nodes[0].network: there is no network 'fabric' (one of outside)",
    ),
    "a network without a subnet": (GOOD.replace("{subnet: 10.10.0.0/24}", "{}"), "3: networks.fabric: subnet is missing"),
    "a network of IPv6": (GOOD.replace("10.10.0.0/24", "'fd00::/64'"), "3: networks.fabric.subnet: an IPv4 network"),
    "a network that is too small": (
        GOOD.replace("10.10.0.0/24", "10.10.0.0/30"),
        "networks.fabric.subnet: an IPv4 network",
    ),
    "networks that overlap": (
        GOOD.replace("192.0.2.0/24", "10.10.0.128/25"),
        "4: networks.outside.subnet: overlaps with fabric, 10.10.0.0/24",
    ),
    "a network that is called like a path": (
        GOOD.replace("  fabric:", "  ../fabric:"),
        "'../fabric' cannot be a network's name",
    ),
    "several networks without a router": (
        GOOD.replace("router: {asNumber: 65000}\n", ""),
        "2: networks: several networks need a router (say 'router: {}')",
    ),
    "two nodes of one name": (GOOD.replace("name: n2", "name: n1"), "8: nodes[1].name: n1 is already the name of nodes[0]"),
    "a host with a node's name": (GOOD.replace("name: office", "name: n1"), "10: hosts[0].name: n1 is already the name of"),
    "a node called router": (
        GOOD.replace("name: n2", "name: router"),
        "8: nodes[1].name: router is already the name of the router",
    ),
    "two pods of one name": (
        GOOD.replace("{name: one, node: n2}", "{name: web, namespace: shop, node: n2}"),
        "13: pods[1].name: shop/web is already the name of pods[0]",
    ),
    "a pod like one of several": (
        GOOD.replace("{name: one, node: n2}", "{name: web-2, namespace: shop, node: n2}"),
        "13: pods[1].name: there are two pods shop/web-2",
    ),
    "a node's name that is too long": (GOOD.replace("name: n2", f"name: {'n' * 41}"), "is 41 long (at most 40 here)"),
    "a pod's name that is too long": (GOOD.replace("name: one", f"name: {'n' * 64}"), "is 64 long (at most 63 here)"),
    "a pod on no node": (GOOD.replace("node: n2}", "node: n3}"), "13: pods[1].node: there is no node 'n3' (one of n1, n2)"),
    "no pods at all": (GOOD.replace("count: 2", "count: 0"), "12: pods[0].count: at least one"),
    "more pods than can be": (GOOD.replace("count: 2", "count: 1000000000"), "12: pods[0].count: at most 1000"),
    "several pods with one address": (
        GOOD.replace("count: 2", "count: 2, address: 10.65.0.1"),
        "12: pods[0].count: several pods cannot have one address",
    ),
    "an address twice": (
        GOOD.replace("{name: one, node: n2}", "{name: one, node: n2, address: 10.10.0.1}"),
        "13: pods[1].address: 10.10.0.1 is already that of n2",
    ),
    "the router's address": (
        GOOD.replace("address: 10.10.0.1", "address: 10.10.0.254"),
        "8: nodes[1].address: 10.10.0.254 is already that of the router in fabric",
    ),
    "the datastore's address": (
        GOOD.replace("address: 10.10.0.1", "address: 10.10.0.253") + "datastore: etcd\n",
        "8: nodes[1].address: 10.10.0.253 is already that of the datastore",
    ),
    "an address of another network": (
        GOOD.replace("address: 10.10.0.1", "address: 192.0.2.1"),
        "8: nodes[1].address: 192.0.2.1 is no host's address in 10.10.0.0/24",
    ),
    "the address of a whole network": (
        GOOD.replace("address: 192.0.2.7", "address: 192.0.2.255"),
        "10: hosts[0].address: 192.0.2.255 is no host's address in 192.0.2.0/24",
    ),
    "a pod's address in a network": (
        GOOD.replace("{name: one, node: n2}", "{name: one, node: n2, address: 10.10.0.9}"),
        "13: pods[1].address: 10.10.0.9 is in network fabric, and pods are in none",
    ),
    "an address that is none": (GOOD.replace("address: 10.10.0.1", "address: 10.10.0"), "8: nodes[1].address: "),
    "a host without an address": (GOOD.replace("address: 192.0.2.7, ", ""), "10: hosts[0]: address is missing"),
    "no room": (
        "name: x\nnetworks:\n  f: {subnet: 10.0.0.0/29}\nnodes:\n"
        + "".join(f"  - {{name: n{number}, network: f}}\n" for number in range(5)),
        "3: networks.f.subnet: has no room for 5 nodes and hosts",
    ),
    "a service without its pod": (
        GOOD.replace("pod: web-1", "pod: web"),
        "15: services[0].pod: there is no pod shop/web",
    ),
    "a service on no port": (
        GOOD.replace("nodePort: 30080", "nodePort: 0"),
        "15: services[0].nodePort: port 0 is not between",
    ),
    "a service on a port that is tried": (
        GOOD.replace("nodePort: 30080", "nodePort: 80"),
        "15: services[0].nodePort: port 80 is a probe's already",
    ),
    "two services on one port": (
        GOOD.replace("probes:", "  - {name: more, namespace: shop, nodePort: 30080, pod: web-2, port: 80}\nprobes:"),
        "16: services[1].nodePort: port 30080 is service web's already",
    ),
    "nothing to try with": (GOOD.replace("tcp/80", "sctp/80"), "16: probes[0]: 'sctp/80' is nothing to probe"),
    "a port that is none": (GOOD.replace("tcp/80", "tcp/65536"), "16: probes[0]: 'tcp/65536' is nothing to probe"),
    "the same try twice": (GOOD.replace("udp/53", "tcp/80"), "16: probes[1]: tcp/80 is there twice"),
    "no tries": ("name: x\nnodes: [{name: n1}]\nprobes: []\n", "3: probes: there is nothing to try"),
    "no such datastore": (GOOD + "datastore: consul\n", "17: datastore: 'consul' is not one of directory, etcd"),
    "an AS number of nobody": (GOOD.replace("65000", "-1"), "5: router.asNumber: "),
    "a label that is none": (GOOD.replace("{name: n1}", "{name: n1, labels: 7}"), "7: nodes[0].labels: "),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_told_with_line_and_field(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_topology(text, "lab.yaml")
    assert str(caught.value).startswith("lab.yaml:")
    assert message in str(caught.value)


WORDS = st.sampled_from(
    [
        *("n1", "web", "fabric", "../x", "", "tcp/80", "icmp", "10.10.0.1", "10.10.0.0/24", "fd00::1", "router", "etcd"),
        *(0, 1, -1, 80, 2**40, True, None, 1.5),
    ]
)
FIELDS = st.sampled_from(
    [
        *("name", "nodes", "networks", "router", "namespaces", "pods", "hosts", "services", "resources", "datastore"),
        *("probes", "mesh", "subnet", "network", "address", "asNumber", "labels", "node", "namespace", "count", "port"),
        *("nodePort", "pod", "floatingAddress", "annotations", "fabric"),
    ]
)
ANYTHING = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5), max_leaves=12
)


@examples(150)
@given(st.dictionaries(FIELDS, ANYTHING, max_size=6))
def test_whatever_a_file_says_it_is_a_topology_or_bad_input(changed: dict[str, object]) -> None:
    data = {**yaml.safe_load(GOOD), **changed}
    try:
        found = parse_topology(yaml.safe_dump(data), "lab.yaml")
    except InvalidInput:
        return
    assert isinstance(found, Topology)
    assert len(set(found.node_addresses().values())) == len(found.nodes)


@examples(100)
@given(st.text(max_size=60))
def test_text_that_is_anything(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_topology(text, "lab.yaml")


def test_resources_stand_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    (tmp_path / "policy.yaml").write_text("")
    found = parse_topology("name: x\nnodes: [{name: n1}]\nresources: [policy.yaml]\n", str(file))
    assert resource_paths(found, file) == (tmp_path / "policy.yaml",)
    (tmp_path / "policy.yaml").unlink()
    with pytest.raises(InvalidInput, match=r"resources: there is no policy.yaml \(looked for "):
        resource_paths(found, file)
