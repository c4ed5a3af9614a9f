"""Which kinds there are, in which versions, and what becomes of objects that are none of them (spec: model 1.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.cluster import ClusterInformation
from tortie.model.network_set import NetworkSet
from tortie.model.node import Node
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.pool import IPIPMode, IPPool
from tortie.model.problem import FieldProblem, format_path
from tortie.model.profile import Profile
from tortie.model.resource import (
    CALICO_VERSION,
    KINDS,
    STORED_VERSION,
    PassedOver,
    ReadOptions,
    Resource,
    describe,
    is_namespaced,
    read_resource,
    remark_about,
)

DEFAULTS = ReadOptions()


def made(version: str, kind: str, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    """An object; without a spec it says nothing but its name."""
    head = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", **metadata}}
    return head if spec is None else head | {"spec": spec}


def refused(data: Any, options: ReadOptions = DEFAULTS) -> tuple[str, str | None]:
    with pytest.raises(FieldProblem) as refusal:
        read_resource(data, options)
    return f"{format_path(refusal.value.path)}: {refusal.value.message}", refusal.value.remedy


def read(data: Any, options: ReadOptions = DEFAULTS) -> Resource:
    found = read_resource(data, options)
    assert not isinstance(found, PassedOver)
    return found


def test_the_kinds_of_calico() -> None:
    assert len(KINDS) == 17
    assert {name for name, cls in KINDS.items() if is_namespaced(cls)} == {
        "NetworkPolicy",
        "NetworkSet",
        "WorkloadEndpoint",
    }


READ: dict[str, tuple[dict[str, Any], type[Any]]] = {
    "Calico's": (made(CALICO_VERSION, "GlobalNetworkPolicy", {}), GlobalNetworkPolicy),
    "stored": (made(STORED_VERSION, "GlobalNetworkPolicy", {}, name="default.a"), GlobalNetworkPolicy),
    "a Namespace": (made("v1", "Namespace"), Profile),
    "a ServiceAccount": (made("v1", "ServiceAccount"), Profile),
    "a Node of Kubernetes": (made("v1", "Node"), Node),
    "a policy of Kubernetes": (made("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}}), NetworkPolicy),
    "of an old version": (made("extensions/v1beta1", "NetworkPolicy", {"podSelector": {}}), NetworkPolicy),
}


@pytest.mark.parametrize(("data", "kind"), READ.values(), ids=READ)
def test_read(data: dict[str, Any], kind: type[Any]) -> None:
    assert type(read(data)) is kind


PASSED_OVER: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing of Calico's": (made("apps/v1", "Deployment", {}), "apps/v1 Deployment is nothing that Calico reads"),
    "another core kind": (made("v1", "Service", {}), "v1 Service is nothing that Calico reads"),
    "a pod of the node's own network": (made("v1", "Pod", {"hostNetwork": True, "nodeName": "n"}), None),
    "a pod without a node": (made("v1", "Pod", {}), None),
    "another's kind of the same name": (
        made("cilium.io/v2", "NetworkPolicy", {}),
        "cilium.io/v2 NetworkPolicy is nothing that Calico reads",
    ),
}


@pytest.mark.parametrize(("data", "reason"), PASSED_OVER.values(), ids=PASSED_OVER)
def test_passed_over(data: dict[str, Any], reason: str | None) -> None:
    assert read_resource(data, DEFAULTS) == PassedOver(reason)


REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "no object": (["a"], ": expected an object with apiVersion and kind", "is this a file of resources?"),
    "no version": ({"kind": "Node"}, ": the object has no apiVersion", f"Calico's resources say {CALICO_VERSION}"),
    "a misspelt version": (
        {"apiversion": "v1", "kind": "Node"},
        ": the object has no apiVersion",
        "did you mean apiversion?",
    ),
    "no kind": ({"apiVersion": CALICO_VERSION}, ": the object has no kind", None),
    "a kind that is not there": (
        made(CALICO_VERSION, "NetworkPolice", {}),
        "kind: unknown kind 'NetworkPolice'",
        "did you mean NetworkPolicy?",
    ),
    "a kind of a later version": (made(CALICO_VERSION, "Tier", {}), "kind: unknown kind 'Tier'", None),
    "another version of Calico's": (
        made("projectcalico.org/v1", "IPPool", {}),
        "apiVersion: Calico 3.7 knows no IPPool of version 'projectcalico.org/v1'",
        f"use {CALICO_VERSION}",
    ),
    "another version of Kubernetes'": (
        made("networking.k8s.io/v2", "NetworkPolicy", {}),
        "apiVersion: Calico 3.7 knows no NetworkPolicy of version 'networking.k8s.io/v2'",
        "use networking.k8s.io/v1",
    ),
    "a misspelt kind of Kubernetes'": (
        made("v1", "Namespaces"),
        "kind: unknown kind 'Namespaces'",
        "did you mean Namespace?",
    ),
    "Calico before version 3": (
        made("v1", "policy", {}),
        "kind: 'policy' is a resource of Calico before version 3",
        "convert it with `calicoctl convert`",
    ),
    "a kind that only storage has": (
        made(CALICO_VERSION, "IPAMBlock", {}),
        f"apiVersion: there is no IPAMBlock in {CALICO_VERSION}",
        f"use {STORED_VERSION}",
    ),
    "no metadata": ({"apiVersion": CALICO_VERSION, "kind": "Node"}, "metadata: metadata is missing", None),
    "metadata without fields": (
        {"apiVersion": CALICO_VERSION, "kind": "Node", "metadata": "a"},
        "metadata: metadata must have fields",
        None,
    ),
    "a namespace where there is none": (
        made(CALICO_VERSION, "Node", {}, namespace="ns"),
        "metadata.namespace: no Node has a namespace",
        "leave it out",
    ),
    "an unknown field at the top": (
        made(CALICO_VERSION, "Node", {}) | {"specs": {}},
        "specs: unknown field 'specs'",
        "did you mean spec?",
    ),
}


@pytest.mark.parametrize(("data", "message", "remedy"), REFUSED.values(), ids=REFUSED)
def test_refused(data: Any, message: str, remedy: str | None) -> None:
    assert refused(data) == (message, remedy)


def test_the_namespace_of_an_object_that_names_none_is_the_given_one() -> None:
    data = made(CALICO_VERSION, "NetworkSet", {})
    assert read(data).metadata.namespace == "default"
    assert read(data, ReadOptions(namespace="ns")).metadata.namespace == "ns"
    assert (
        read(made(CALICO_VERSION, "NetworkSet", {}, namespace="own"), ReadOptions(namespace="ns")).metadata.namespace
        == "own"
    )
    assert isinstance(read(data), NetworkSet)


def test_switches_of_the_conversions() -> None:
    pod = made("v1", "Pod", {"nodeName": "n"}, name="nginx") | {"status": {"podIP": "10.0.0.1"}}
    workload = read(pod, ReadOptions(interface_prefix="tap"))
    assert workload.spec.interface_name == "tapc440f455693"  # type: ignore[union-attr]
    node = read(made("v1", "Node", {"podCIDR": "10.65.1.0/24"}), ReadOptions(use_pod_cidr=True))
    assert str(node.spec.bgp.ipv4_ipip_tunnel_addr) == "10.65.1.1"  # type: ignore[union-attr]


def test_a_stored_policy_is_seen_under_its_users_name() -> None:
    assert read(made(STORED_VERSION, "NetworkPolicy", {}, name="default.web")).metadata.name == "web"
    assert read(made(STORED_VERSION, "NetworkPolicy", {}, name="knp.default.web")).metadata.name == "knp.default.web"


def test_calicos_own_bookkeeping_is_taken_off_what_is_stored() -> None:
    annotations = {"projectcalico.org/metadata": '{"uid":"x"}', "mine": "yes"}
    found = read(made(STORED_VERSION, "ClusterInformation", {}, name="default", annotations=annotations))
    assert isinstance(found, ClusterInformation)
    assert found.metadata.annotations == {"mine": "yes"}


POOLS: dict[str, tuple[dict[str, Any], IPIPMode, bool]] = {
    "today's": ({"ipipMode": "CrossSubnet", "natOutgoing": True}, IPIPMode.CROSS_SUBNET, True),
    "the first": ({"ipip": {"enabled": True}, "nat-outgoing": True}, IPIPMode.ALWAYS, True),
    "the first, across subnets": ({"ipip": {"enabled": True, "mode": "cross-subnet"}}, IPIPMode.CROSS_SUBNET, False),
    "the first, off": ({"ipip": {"enabled": False}, "nat-outgoing": False}, IPIPMode.NEVER, False),
    "both: today's wins": ({"ipip": {"enabled": True}, "ipipMode": "Never"}, IPIPMode.NEVER, False),
}


@pytest.mark.parametrize(("spec", "mode", "masquerade"), POOLS.values(), ids=POOLS)
def test_fields_of_the_first_api_count_in_storage(spec: dict[str, Any], mode: IPIPMode, masquerade: bool) -> None:
    found = read(made(STORED_VERSION, "IPPool", {"cidr": "10.65.0.0/16", **spec}))
    assert isinstance(found, IPPool)
    assert (found.spec.ipip_mode, found.spec.nat_outgoing) == (mode, masquerade)


@pytest.mark.parametrize("field", ["ipip", "nat-outgoing"])
def test_fields_of_the_first_api_are_refused_from_users(field: str) -> None:
    message, _ = refused(made(CALICO_VERSION, "IPPool", {"cidr": "10.65.0.0/16", field: None}))
    assert message == f"spec.{field}: unknown field {field!r}"


@pytest.mark.parametrize("kind", ["FelixConfiguration", "BGPConfiguration"])
@pytest.mark.parametrize(("name", "is_read"), [("default", True), ("node.a", True), ("defaults", False), ("a", False)])
def test_configuration_of_another_name_is_remarked_on(kind: str, name: str, is_read: bool) -> None:
    remark = f"{kind}({name}): nobody reads it; the names that count are default and node.NAME"
    assert remark_about(read(made(CALICO_VERSION, kind, {}, name=name))) == (None if is_read else remark)


DESCRIBED: dict[str, tuple[Any, str]] = {
    "in a namespace": (made(CALICO_VERSION, "NetworkSet", namespace="ns"), "NetworkSet(ns/a)"),
    "of the cluster": (made(CALICO_VERSION, "Node"), "Node(a)"),
    "without a name": ({"kind": "Node"}, "Node"),
    "nothing": ("text", ""),
    "with a name that is none": ({"kind": "Node", "metadata": {"name": ["a"]}}, "Node"),
}


@pytest.mark.parametrize(("data", "text"), DESCRIBED.values(), ids=DESCRIBED)
def test_what_an_object_says_it_is(data: Any, text: str) -> None:
    assert describe(data) == text
