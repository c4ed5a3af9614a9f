"""Network sets (spec: model 1.10)."""

from __future__ import annotations

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.network_set import GlobalNetworkSet, NetworkSet


def test_nets_lose_their_host_bits() -> None:
    found = read_spec(GlobalNetworkSet, {"nets": ["10.0.0.1/8", "10.0.0.1", "fd00::1/64"]})
    assert [str(net) for net in found.spec.nets] == ["10.0.0.0/8", "10.0.0.1/32", "fd00::/64"]


@pytest.mark.parametrize("kind", [NetworkSet, GlobalNetworkSet])
def test_no_set_can_pose_as_a_namespaces(kind: type[NetworkSet | GlobalNetworkSet]) -> None:
    refusal = refusal_of_spec(kind, {}, labels={"projectcalico.org/namespace": "ns"})
    assert refusal.endswith("projectcalico.org/namespace is not a valid label name")
