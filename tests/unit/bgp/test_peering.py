"""Whom a node talks to, as tables of peers (spec: model 9.3)."""

from __future__ import annotations

import pytest

from tests.unit.bgp.cluster import NODES, cluster, peer
from tortie.bgp.peering import cluster_as_number, mesh_enabled, peerings_of

# nodes: a 10.0.0.1 rack one, b 10.0.0.2 rack two, c 10.0.0.3 AS 65001, r 10.0.0.9 reflector 1.1.1.1; a also fd00::1
PEERINGS = {
    "all nodes have a peer without node": (
        [peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000")],
        "a",
        ["10.0.0.254 65000"],
        [],
    ),
    "a node's own": (
        [peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000", "node: a")],
        "a",
        [],
        ["10.0.0.254 65000"],
    ),
    "not another node's": ([peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000", "node: b")], "a", [], []),
    "nodes by labels": (
        [peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000", "nodeSelector: rack == 'one'")],
        "a",
        [],
        ["10.0.0.254 65000"],
    ),
    "labels that do not match": (
        [peer("tor", "peerIP: 10.0.0.254", "asNumber: 65000", "nodeSelector: rack == 'one'")],
        "b",
        [],
        [],
    ),
    "nodes as the remote side, with their AS and cluster id, once a family": (
        [peer("rr", "nodeSelector: rack == 'two'", "peerSelector: has(reflector) || rack == 'one'")],
        "b",
        [],
        ["10.0.0.1 64512", "10.0.0.9 64512 1.1.1.1", "fd00::1 64512"],
    ),
    "a remote node has the peering in reverse": (
        [peer("rr", "nodeSelector: rack == 'two'", "peerSelector: has(reflector)")],
        "r",
        [],
        ["10.0.0.2 64512"],
    ),
    "a remote node of all nodes has all nodes, besides what all have": (
        [peer("rr", "peerSelector: has(reflector)")],
        "r",
        ["10.0.0.9 64512 1.1.1.1"],
        ["10.0.0.1 64512", "10.0.0.2 64512", "10.0.0.3 65001", "fd00::1 64512"],
    ),
    "a node that is named by its address and AS has it in reverse": (
        [peer("c", "peerIP: 10.0.0.3", "asNumber: 65001", "node: a")],
        "c",
        [],
        ["10.0.0.1 64512", "fd00::1 64512"],
    ),
    "but not under another AS": ([peer("c", "peerIP: 10.0.0.3", "asNumber: 65002", "node: a")], "c", [], []),
    "a peer of all nodes wins over one node's": (
        [peer("z", "peerIP: 10.0.0.254", "asNumber: 1"), peer("a", "peerIP: 10.0.0.254", "asNumber: 2", "node: a")],
        "a",
        ["10.0.0.254 1"],
        [],
    ),
    "of two for one address the first by name wins": (
        [
            peer("z", "peerIP: 10.0.0.254", "asNumber: 1", "node: a"),
            peer("y", "peerIP: 10.0.0.254", "asNumber: 2", "node: a"),
        ],
        "a",
        [],
        ["10.0.0.254 2"],
    ),
    "no AS is the cluster's": ([peer("p", "peerIP: 10.0.0.254")], "a", ["10.0.0.254 64512"], []),
    "a selector that cannot be read selects nothing": (
        [peer("tor", "peerIP: 10.0.0.254", "asNumber: 1", "nodeSelector: rack =")],
        "a",
        [],
        [],
    ),
}


@pytest.mark.parametrize(("peers", "node", "common", "own"), PEERINGS.values(), ids=PEERINGS)
def test_peers(peers: list[str], node: str, common: list[str], own: list[str]) -> None:
    found = peerings_of(cluster(NODES, *peers), node)
    as_text = [
        [f"{one.address} {one.as_number} {one.cluster_id}".strip() for one in side] for side in (found.common, found.own)
    ]
    assert as_text == [common, own]


def test_both_ends_of_every_peering_between_nodes_have_it() -> None:
    resources = cluster(NODES, peer("rr", "nodeSelector: has(rack)", "peerSelector: has(reflector)"))
    towards = {
        (name, str(one.address))
        for name in "abcr"
        for one in (*peerings_of(resources, name).common, *peerings_of(resources, name).own)
    }
    assert {("a", "10.0.0.9"), ("r", "10.0.0.1"), ("b", "10.0.0.9"), ("r", "10.0.0.2")} <= towards
    assert not any(name == "c" for name, _ in towards)


CONFIGURATIONS = {
    "none": ("", 64512, True),
    "both set": ("asNumber: 65100, nodeToNodeMeshEnabled: false", 65100, False),
    "neither set": ("logSeverityScreen: Debug", 64512, True),
}


@pytest.mark.parametrize(("spec", "as_number", "mesh"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_cluster_settings(spec: str, as_number: int, mesh: bool) -> None:
    text = f"apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {{name: default}}\nspec: {{{spec}}}\n"
    resources = cluster(text) if spec else cluster()
    assert (cluster_as_number(resources), mesh_enabled(resources)) == (as_number, mesh)
