"""What one node's BGP has to be (spec: model 9.2, 9.4, 9.6, 9.7)."""

from __future__ import annotations

import pytest

from tests.unit.bgp.cluster import NODES, affinity, cluster, configuration, node, peer, pool
from tortie.bgp.speaker import LogLevel, OwnBlock, PeerKind, PoolNetwork, Tunnel
from tortie.bgp.view import speaker_of
from tortie.net.address import parse_prefix
from tortie.net.error import InvalidInput


def _sessions(text: list[str], name: str) -> list[str]:
    return [
        f"{one.name} {one.as_number}{' passive' if one.passive else ''}{' client' if one.reflect_to else ''}"
        for one in speaker_of(cluster(*text), name).peers
    ]


SESSIONS = {
    "the mesh is all other nodes by name; who has the greater address calls": (
        [NODES],
        "b",
        ["Mesh_10_0_0_1 64512", "Mesh_10_0_0_3 65001 passive", "Mesh_10_0_0_9 64512 passive"],
    ),
    "a reflector takes no part in the mesh": ([NODES], "r", []),
    "no mesh where it is switched off": ([NODES, configuration("default", "nodeToNodeMeshEnabled: false")], "b", []),
    "the mesh has a session a family": (
        [node("a", "ipv4Address: 10.0.0.1/24, ipv6Address: 'fd00::1/64'"), node("b", "ipv6Address: 'fd00::2/64'")],
        "a",
        ["Mesh_fd00__2 64512 passive"],
    ),
    "the node itself is no peer": ([node("a", "ipv4Address: 10.0.0.1/24"), peer("p", "peerIP: 10.0.0.1")], "a", []),
    "peers of the same AS are a reflector's clients": (
        [NODES, peer("rr", "nodeSelector: has(reflector)", "peerSelector: has(rack)")],
        "r",
        ["Node_10_0_0_1 64512 client", "Node_10_0_0_2 64512 client", "Node_fd00__1 64512 client"],
    ),
    "reflectors of one cluster are not each other's clients": (
        [
            NODES,
            node("s", "ipv4Address: 10.0.0.8/24, routeReflectorClusterID: 1.1.1.1"),
            peer("x", "node: r", "peerIP: 10.0.0.8"),
        ],
        "s",
        ["Node_10_0_0_9 64512"],
    ),
    "a peer of another AS is nobody's client": (
        [NODES, peer("tor", "node: r", "peerIP: 10.0.0.254", "asNumber: 65000")],
        "r",
        ["Node_10_0_0_254 65000"],
    ),
}


@pytest.mark.parametrize(("texts", "name", "sessions"), SESSIONS.values(), ids=SESSIONS)
def test_sessions(texts: list[str], name: str, sessions: list[str]) -> None:
    assert _sessions(texts, name) == sessions


ROUTER_IDS = {
    "the node's address": ("ipv4Address: 10.0.0.1/24", "", "10.0.0.1"),
    "as given": ("ipv4Address: 10.0.0.1/24", "9.9.9.9", "9.9.9.9"),
    # the first four bytes of sha256("a")
    "made of the name": ("ipv4Address: 10.0.0.1/24", "hash", "202.151.129.18"),
    "made of the name where there is no IPv4 address": ("ipv6Address: 'fd00::1/64'", "", "202.151.129.18"),
}


@pytest.mark.parametrize(("bgp", "given", "router_id"), ROUTER_IDS.values(), ids=ROUTER_IDS)
def test_router_id(bgp: str, given: str, router_id: str) -> None:
    assert speaker_of(cluster(node("a", bgp)), "a", router_id=given).router_id == router_id


LEVELS = {
    "default": ([], LogLevel.INFO),
    "the cluster's": ([configuration("default", "logSeverityScreen: Debug")], LogLevel.DEBUG),
    "the node's own wins": (
        [configuration("default", "logSeverityScreen: Debug"), configuration("node.a", "logSeverityScreen: Fatal")],
        LogLevel.NONE,
    ),
    "another node's does not": ([configuration("node.b", "logSeverityScreen: Debug")], LogLevel.INFO),
}


@pytest.mark.parametrize(("texts", "level"), LEVELS.values(), ids=LEVELS)
def test_log_level(texts: list[str], level: LogLevel) -> None:
    assert speaker_of(cluster(NODES, *texts), "a").log_level is level


POOLS = {
    "no tunnel": ("", Tunnel.NONE),
    "disabled all the same": (", disabled: true", Tunnel.NONE),
    "always": (", ipipMode: Always", Tunnel.IPIP),
    "between subnets": (", ipipMode: CrossSubnet", Tunnel.IPIP_CROSS_SUBNET),
    "vxlan": (", vxlanMode: Always", Tunnel.VXLAN),
}


@pytest.mark.parametrize(("mode", "tunnel"), POOLS.values(), ids=POOLS)
def test_pools(mode: str, tunnel: Tunnel) -> None:
    assert speaker_of(cluster(NODES, pool("p", "10.65.0.0/16", mode)), "a").pools == (
        PoolNetwork(parse_prefix("10.65.0.0/16"), tunnel),
    )


def test_blocks_are_the_nodes_own_claims_with_their_state() -> None:
    claims = (
        affinity("a", "10.65.1.0/26", "pending"),
        affinity("a", "10.65.0.0/26"),
        affinity("a", "10.65.2.0/26", deleted="true"),
        affinity("b", "10.65.3.0/26"),
        affinity("a", "10.65.4.0/26", ""),
    )
    assert speaker_of(cluster(NODES, *claims), "a").blocks == (
        OwnBlock(parse_prefix("10.65.0.0/26")),
        OwnBlock(parse_prefix("10.65.1.0/26"), confirmed=False),
        OwnBlock(parse_prefix("10.65.4.0/26")),
    )


def test_kinds_of_sessions_have_calicos_names() -> None:
    assert [kind.value for kind in PeerKind] == ["Mesh", "Global", "Node"]


def test_a_node_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"there is no Node\(x\) \(nodes that there are: a, b, c, r\)"):
        speaker_of(cluster(NODES), "x")
