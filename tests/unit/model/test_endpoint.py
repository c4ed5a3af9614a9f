"""Workload and host endpoints: what is refused, and the names and labels that are filled in (spec: model 1.6, 1.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.endpoint import EndpointPort, HostEndpoint, WorkloadEndpoint
from tortie.model.problem import FieldProblem
from tortie.net.address import parse_address

SPEC: dict[str, Any] = {
    "orchestrator": "k8s",
    "node": "n",
    "pod": "p-1",
    "endpoint": "eth0",
    "interfaceName": "cali1",
    "ipNetworks": ["10.0.0.1/32", "fd00::1"],
}
NAME = "n-k8s-p--1-eth0"


def test_a_workload_endpoint_gets_two_labels() -> None:
    endpoint = read_spec(WorkloadEndpoint, SPEC, name=NAME, namespace="ns", labels={"a": "b"}).with_defaults()
    assert endpoint.metadata.labels == {
        "a": "b",
        "projectcalico.org/namespace": "ns",
        "projectcalico.org/orchestrator": "k8s",
    }
    assert [str(net) for net in endpoint.spec.ip_networks] == ["10.0.0.1/32", "fd00::1/128"]


def test_the_name_of_a_workload_endpoint_is_worked_out_where_there_is_none() -> None:
    assert WorkloadEndpoint.prepare({"metadata": {}, "spec": SPEC})["metadata"] == {"name": NAME}
    with pytest.raises(FieldProblem, match="field should be assigned"):
        WorkloadEndpoint.prepare({"metadata": {}, "spec": SPEC | {"pod": ""}})


WORKLOAD: list[tuple[dict[str, Any], str]] = [
    ({"interfaceName": ""}, "spec: the endpoint has no interfaceName"),
    ({"interfaceName": "a/b"}, "spec.interfaceName: 'a/b' is not an interface"),
    ({"ipNetworks": ["10.0.0.0/24"]}, "spec.ipNetworks[0]: IP network contains multiple addresses"),
    ({"ipNATs": [{"internalIP": "10.0.0.9", "externalIP": "1.1.1.1"}]}, "spec.ipNATs[0]: NAT is not in the endpoint"),
    ({"ipNATs": [{"internalIP": "10.0.0.1", "externalIP": "fd00::2"}]}, "spec.ipNATs[0].externalIP: mismatched IP"),
    ({"ports": [{"name": "a", "protocol": "SCTP", "port": 1}]}, "EndpointPort protocol must be 'TCP' or 'UDP'."),
    ({"ports": [{"name": "a", "protocol": "TCP", "port": 0}]}, "spec.ports[0].port: port 0 is not between"),
    ({"ports": [{"name": "A", "protocol": "TCP", "port": 1}]}, "spec.ports[0].name: 'A' is not a port's name"),
    ({"ipv4Gateway": "fd00::1"}, "spec.ipv4Gateway: 'fd00::1' is not an IPv4 address"),
    ({"profiles": ["A"]}, "spec.profiles[0]: 'A' is not a name"),
    ({"mac": "ee"}, "spec.mac: 'ee' is not a MAC address"),
    ({"pod": "q"}, "metadata.name: the WorkloadEndpoint name does not match the primary identifiers"),
]


@pytest.mark.parametrize(("change", "message"), WORKLOAD, ids=[message[:40] for _, message in WORKLOAD])
def test_refused_workload_endpoints(change: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(WorkloadEndpoint, SPEC | change, name=NAME)


def test_a_host_endpoint() -> None:
    endpoint = read_spec(
        HostEndpoint,
        {
            "node": "n",
            "interfaceName": "*",
            "expectedIPs": ["10.0.0.1"],
            "ports": [{"name": "a", "protocol": "UDP", "port": 53}],
        },
    )
    assert endpoint.spec.interface_name == "*"
    assert endpoint.spec.expected_ips == (parse_address("10.0.0.1"),)
    assert endpoint.spec.ports == (EndpointPort("a", "UDP", 53),)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"interfaceName": "eth0"}, "spec: no node has been specified"),
        ({"node": "n"}, "spec: no interface or expected IPs have been specified"),
        ({"node": "n", "expectedIPs": ["10.0.0.0/8"]}, "spec.expectedIPs[0]: not an IP address"),
    ],
)
def test_refused_host_endpoints(spec: dict[str, Any], message: str) -> None:
    assert message in refusal_of_spec(HostEndpoint, spec)
