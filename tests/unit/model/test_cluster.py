"""The cluster's own resource (spec: model 1.17)."""

from __future__ import annotations

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.cluster import ClusterInformation, ClusterInformationSpec


def test_the_cluster() -> None:
    spec = {"clusterGUID": "f" * 32, "clusterType": "k8s,kdd", "calicoVersion": "v3.7.5", "datastoreReady": True}
    found = read_spec(ClusterInformation, spec, name="default")
    assert found.spec == ClusterInformationSpec("f" * 32, "k8s,kdd", "v3.7.5", True)


def test_there_is_one() -> None:
    assert 'with a name other than "default"' in refusal_of_spec(ClusterInformation, {})
