"""Which objects are watched and what their places are called; the rest is in tests/contract/test_kubernetes.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes import kubernetes_store
from tortie.source.kubernetes import KINDS, place_of
from tortie.source.kubernetes_client import ObjectKind

PODS = ObjectKind("", "v1", "pods", "Pod")
POOLS = ObjectKind("crd.projectcalico.org", "v1", "ippools", "IPPool")


def test_all_kinds_of_calico_but_handles_and_kubernetes_own() -> None:
    served = {(kind.group, kind.version, kind.plural, kind.kind) for kind in kubernetes_store.KINDS}
    watched = {(kind.group, kind.version, kind.plural, kind.kind) for kind in KINDS}
    assert watched < served
    assert {words[3] for words in served - watched} == {"IPAMHandle"}


def test_where_objects_are() -> None:
    assert PODS.path == "/api/v1/pods" and PODS.name == "pods"
    assert POOLS.path == "/apis/crd.projectcalico.org/v1/ippools" and POOLS.name == "ippools.crd.projectcalico.org"
    assert POOLS.api_version == "crd.projectcalico.org/v1"


@pytest.mark.parametrize(
    ("kind", "data", "place"),
    [
        (PODS, {"metadata": {"name": "a", "namespace": "ns"}}, "pods/ns/a"),
        (POOLS, {"metadata": {"name": "a"}}, "ippools.crd.projectcalico.org/a"),
        (POOLS, {"metadata": {}}, "ippools.crd.projectcalico.org"),
        (POOLS, {"metadata": []}, "ippools.crd.projectcalico.org"),
        (POOLS, {}, "ippools.crd.projectcalico.org"),
    ],
)
def test_places(kind: ObjectKind, data: dict[str, Any], place: str) -> None:
    assert place_of(kind, data) == place
