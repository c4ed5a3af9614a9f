"""BGP's resources (spec: model 1.14, 1.15)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPeer, BGPPeerSpec
from tortie.net.address import parse_address


def test_the_clusters_settings() -> None:
    spec = {"logSeverityScreen": "Info", "nodeToNodeMeshEnabled": False, "asNumber": 64513}
    assert read_spec(BGPConfiguration, spec, name="default").spec == BGPConfigurationSpec("Info", False, 64513)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"nodeToNodeMeshEnabled": True},
            "spec.nodeToNodeMeshEnabled: Cannot set nodeToNodeMeshEnabled on a non default BGP Configuration.",
        ),
        ({"asNumber": 1}, "spec.asNumber: Cannot set ASNumber on a non default BGP Configuration."),
        ({"logSeverityScreen": "info"}, "spec.logSeverityScreen: 'info' is not one of Debug, Info"),
    ],
)
def test_refused_settings_of_one_node(spec: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(BGPConfiguration, spec, name="node.n")


def test_a_peer() -> None:
    spec = read_spec(BGPPeer, {"node": "n", "peerIP": "10.0.0.1", "asNumber": 1}).spec
    assert spec == BGPPeerSpec(node="n", peer_ip=parse_address("10.0.0.1"), as_number=1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"node": "n", "nodeSelector": "all()"}, "Node field must be empty when NodeSelector is specified"),
        ({"peerIP": "10.0.0.1", "peerSelector": "all()"}, "PeerIP field must be empty when PeerSelector is specified"),
        ({"asNumber": 1, "peerSelector": "all()"}, "ASNumber field must be empty when PeerSelector is specified"),
    ],
)
def test_refused_peers(spec: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(BGPPeer, spec)


def test_selectors_of_peers_are_not_checked() -> None:
    assert read_spec(BGPPeer, {"nodeSelector": "=="}).spec.node_selector == "=="
