"""Names of workload endpoints, interfaces and profiles (spec: model 2, 11)."""

from __future__ import annotations

import pytest

from tortie.model.workload_name import (
    WorkloadIdentifiers,
    format_workload_name,
    namespace_profile,
    parse_workload_name,
    pod_interface,
    service_account_profile,
    workload_name_problem,
)

NAMES = [
    (
        WorkloadIdentifiers(node="node-1", orchestrator="k8s", pod="pod-name", endpoint="eth0"),
        "node--1-k8s-pod--name-eth0",
    ),
    (
        WorkloadIdentifiers(node="node-1", orchestrator="cni", container_id="abcdefa0123456", endpoint="eth0"),
        "node--1-cni-abcdefa0123456-eth0",
    ),
    (WorkloadIdentifiers(node="n", orchestrator="libnetwork", endpoint="e"), "n-libnetwork-libnetwork-e"),
    (WorkloadIdentifiers(node="n", orchestrator="openstack", workload="vm", endpoint="e"), "n-openstack-vm-e"),
]


@pytest.mark.parametrize(("identifiers", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_name_is_made_of_its_segments_and_taken_apart_again(identifiers: WorkloadIdentifiers, name: str) -> None:
    assert format_workload_name(identifiers) == name
    assert parse_workload_name(name) == tuple(segment for _, segment in identifiers.segments)


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ("", "field should be assigned"),
        ("-a", "field must not begin with a '-'"),
        ("a-", "field must not end with a '-'"),
    ],
)
def test_a_segment_that_makes_no_name(pod: str, message: str) -> None:
    problem = workload_name_problem(WorkloadIdentifiers(node="n", orchestrator="k8s", pod=pod, endpoint="eth0"))
    assert problem is not None
    assert (problem.message, problem.path) == (message, ("pod",))


@pytest.mark.parametrize(
    ("namespace", "pod", "interface"),
    [
        ("namespace", "podname", "cali82111e10a96"),
        ("default", "nginx", "calic440f455693"),
        ("ns1", "web-0", "caliabc48332923"),
    ],
)
def test_the_interface_of_a_pod(namespace: str, pod: str, interface: str) -> None:
    assert pod_interface(namespace, pod) == interface


def test_profiles_of_kubernetes_objects() -> None:
    assert namespace_profile("a") == "kns.a"
    assert service_account_profile("a", "b") == "ksa.a.b"
    assert service_account_profile("", "b") == "ksa.default.b"
