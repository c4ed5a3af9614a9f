"""The resources that a laboratory makes of its topology, beside what is given."""

from __future__ import annotations

import json

import pytest

from tests.unit.lab import laboratory
from tortie.lab.cluster import check_given, lab_resources, manifests
from tortie.lab.topology import parse_topology
from tortie.model.bgp import BGPConfiguration, BGPPeer
from tortie.model.cluster import ClusterInformation
from tortie.model.endpoint import WorkloadEndpoint
from tortie.model.node import Node
from tortie.model.pool import IPPool
from tortie.model.read import Resources, parse_resources
from tortie.net.address import parse_address
from tortie.net.error import InvalidInput


def made(text: str = laboratory.TOPOLOGY, given: Resources | None = None) -> Resources:
    found = parse_topology(text, "lab.yaml")
    items = (*lab_resources(found, given or Resources()), *manifests(found))
    return parse_resources([("made", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))])


def test_nodes_have_their_addresses_and_as_numbers() -> None:
    text = laboratory.TOPOLOGY.replace("{name: n2}", "{name: n2, asNumber: 65001, labels: {rack: two}}")
    first, second = made(text).of(Node)
    assert first.spec.bgp is not None and second.spec.bgp is not None
    assert [str(node.spec.bgp.ipv4_address) for node in (first, second) if node.spec.bgp] == [
        "10.10.0.1/24",
        "10.10.0.2/24",
    ]
    assert [first.spec.bgp.as_number, second.spec.bgp.as_number] == [None, 65001]
    assert second.metadata.labels == {"rack": "two"}


def test_what_is_not_given_is_made() -> None:
    found = made()
    assert [str(pool.spec.cidr) for pool in found.of(IPPool)] == ["10.65.0.0/16"]
    (information,) = found.of(ClusterInformation)
    assert information.spec.datastore_ready is True
    assert found.of(BGPConfiguration) == ()


def test_what_is_given_is_left_alone() -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: own}\nspec: {cidr: 10.1.0.0/16}\n"
    head = "apiVersion: projectcalico.org/v3\nkind: ClusterInformation\n"
    ready = f"{head}metadata: {{name: default}}\nspec: {{datastoreReady: true}}\n"
    found = made(given=parse_resources([("given", f"{pool}---\n{ready}")]))
    assert (found.of(IPPool), found.of(ClusterInformation)) == ((), ())


def test_a_mesh_is_switched_off() -> None:
    (found,) = made(laboratory.TOPOLOGY + "mesh: false\n").of(BGPConfiguration)
    assert found.spec.node_to_node_mesh_enabled is False


def test_every_node_has_a_session_with_a_router_that_speaks_bgp() -> None:
    peers = made().of(BGPPeer)
    assert {(peer.spec.node, str(peer.spec.peer_ip), peer.spec.as_number) for peer in peers} == {
        ("n1", "10.10.0.254", 65000),
        ("n2", "10.10.0.254", 65000),
    }
    assert made(laboratory.TOPOLOGY.replace("{asNumber: 65000}", "{}")).of(BGPPeer) == ()


def test_pods_are_manifests_that_ask_for_their_addresses() -> None:
    text = laboratory.TOPOLOGY.replace("node: n2}", "node: n2, address: 10.65.9.9, serviceAccount: clerk}")
    found = {
        item["metadata"]["name"]: item for item in manifests(parse_topology(text, "lab.yaml")) if item["kind"] == "Pod"
    }
    assert json.loads(found["far"]["metadata"]["annotations"]["cni.projectcalico.org/ipAddrs"]) == ["10.65.9.9"]
    assert json.loads(found["web"]["metadata"]["annotations"]["cni.projectcalico.org/floatingIPs"]) == ["10.67.0.10"]
    assert found["far"]["spec"]["serviceAccountName"] == "clerk"
    assert found["web"]["spec"]["containers"][0]["ports"] == [{"name": "tcp-80", "containerPort": 80, "protocol": "TCP"}]


def test_pods_do_not_run_yet() -> None:
    assert made().of(WorkloadEndpoint) == ()


def test_namespaces_are_those_of_pods_and_those_described() -> None:
    text = laboratory.TOPOLOGY + "namespaces: [{name: watch, labels: {role: monitor}}]\n"
    items = list(manifests(parse_topology(text, "lab.yaml")))
    spaces = {one["metadata"]["name"]: one["metadata"]["labels"] for one in items if one["kind"] == "Namespace"}
    assert spaces == {"default": {}, "shop": {}, "watch": {"role": "monitor"}}


OWN = {
    "a node": ("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n2}\n", "Node(n2)"),
    "a namespace": ("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", "Profile(kns.shop)"),
    "a session with the router": (
        "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: router-n1}\nspec: {peerIP: 10.10.0.254}\n",
        "BGPPeer(router-n1)",
    ),
}


@pytest.mark.parametrize(("text", "name"), OWN.values(), ids=OWN)
def test_what_the_laboratory_makes_itself_must_not_be_given(text: str, name: str) -> None:
    given = parse_resources([("policy.yaml", f"# a comment\n{text}")])
    with pytest.raises(InvalidInput) as caught:
        check_given(parse_topology(laboratory.TOPOLOGY, "lab.yaml"), given)
    assert str(caught.value) == f"policy.yaml:2: {name} is the laboratory's own (leave it out, and say it in the topology)"


def test_anything_else_may_be_given() -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pods}\nspec: {cidr: 10.67.0.0/16}\n"
    check_given(parse_topology(laboratory.TOPOLOGY, "lab.yaml"), parse_resources([("policy.yaml", pool)]))


def test_a_floating_address_needs_a_pool_by_which_nodes_announce_it() -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pods}\nspec: {cidr: 10.1.0.0/16}\n"
    for given in (Resources(), parse_resources([("policy.yaml", pool)])):
        with pytest.raises(InvalidInput) as caught:
            check_given(parse_topology(laboratory.TOPOLOGY, "lab.yaml"), given)
        assert str(caught.value) == (
            "pod shop/web: floatingAddress 10.67.0.10 is in no IPPool, so no node announces it "
            "(give a pool that holds it, with disabled: true)"
        )


def test_the_endpoints_of_the_tests_are_those_of_the_pods() -> None:
    """What the tests of policy stand on."""
    found = laboratory.resources(laboratory.topology()).of(WorkloadEndpoint)
    assert {one.spec.pod: one.spec.ip_networks[0].address for one in found} == {
        name: parse_address(text).value for name, text in laboratory.ADDRESSES.items()
    }
