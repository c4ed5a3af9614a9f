"""Which addresses of a workload are routed where (spec: model 7.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tortie.agent.route import owners_of_interfaces, routed_addresses, workload_routes
from tortie.calc.view import NatMapping, NodeView, WorkloadEndpoint, WorkloadId
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.reconcile.network import DeviceRoute, StaticNeighbour

MAC = bytes.fromhex("020000000001")
POD = WorkloadEndpoint(
    WorkloadId("k8s", "ns/pod", "eth0"),
    "cali1",
    mac=MAC,
    networks=(parse_prefix("10.65.0.2/32"), parse_prefix("fd00::2/128")),
    nats=(NatMapping(parse_address("203.0.113.7"), parse_address("10.65.0.2")),),
)


@pytest.mark.parametrize(
    ("pod", "texts"),
    [
        (POD, ["10.65.0.2", "fd00::2", "203.0.113.7"]),
        (replace(POD, active=False), []),
        (
            replace(POD, nats=(NatMapping(parse_address("10.65.0.2"), parse_address("10.65.0.2")),)),
            ["10.65.0.2", "fd00::2"],
        ),
    ],
    ids=["own and floating", "not active", "each once"],
)
def test_addresses(pod: WorkloadEndpoint, texts: list[str]) -> None:
    assert [str(address) for address in routed_addresses(pod)] == texts


def test_routes_and_static_arp_entries() -> None:
    pairs = list(workload_routes([POD], (IPFamily.V4, IPFamily.V6)))
    assert pairs[:2] == [
        (
            DeviceRoute(parse_prefix("10.65.0.2/32"), "cali1"),
            StaticNeighbour("cali1", parse_address("10.65.0.2"), MAC),
        ),
        (DeviceRoute(parse_prefix("fd00::2/128"), "cali1"), None),
    ]


def test_without_a_mac_there_is_no_static_entry() -> None:
    assert all(static is None for _, static in workload_routes([replace(POD, mac=None)], tuple(IPFamily)))


def test_a_family_that_is_off_has_no_routes() -> None:
    assert {route.destination.family for route, _ in workload_routes([POD], (IPFamily.V4,))} == {IPFamily.V4}


def test_of_several_workloads_on_an_interface_the_lowest_has_it() -> None:
    other = replace(POD, id=WorkloadId("k8s", "ns/a", "eth0"))
    assert owners_of_interfaces(NodeView("n", workloads=(POD, other))) == {"cali1": other}


def test_an_interface_that_cannot_be_belongs_to_nobody() -> None:
    assert owners_of_interfaces(NodeView("n", workloads=(replace(POD, interface="x" * 16),))) == {}
