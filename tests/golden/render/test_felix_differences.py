"""The packets that tell Tortie from Felix 3.7.5, each walked through both renderings (docs/felix-differences.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.rendered_node import accepted, rendered_node
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostEndpoint,
    NodeView,
    PortMember,
    PortRange,
    PortSet,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.net.packet import Packet
from tortie.net.protocol import TCP
from tortie.render.config import RenderConfig, parse_config
from tortie.simulator.flow import walk_flow
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node

EXACT_OR_NOT = pytest.mark.parametrize("felix_exact", [True, False], ids=["Felix", "Tortie"])
ALLOW = ActiveRule()
EVERYTHING = ActiveProfile("kns.ns", (ALLOW,), (ALLOW,))


def tcp(src: str, dst: str, port: int) -> Packet:
    return Packet(IPFamily.V4, parse_address(src).value, parse_address(dst).value, TCP, 40000, port, tcp_flags=2)


def nets(*texts: str) -> tuple[RuleSide, ...]:
    return tuple(RuleSide(nets=tuple(parse_prefix(word) for word in text.split())) for text in texts)


# --- the scratch bit ---------------------------------------------------------------------------------------------

WEB = PortSet("n:web", frozenset({PortMember(parse_address("10.65.0.2"), "tcp", 8080)}))
SOURCES, DESTINATIONS = nets("10.1.0.0/24 10.1.1.0/24", "10.65.1.0/24 10.65.2.0/24")
THREE_LISTS = ActiveRule(
    protocol="tcp",
    source=SOURCES,
    destination=RuleSide(nets=DESTINATIONS.nets, ports=(PortRange(80, 80),), named_port_sets=("n:web",)),
)


def node_with_three_lists(felix_exact: bool) -> Node:
    pod = WorkloadEndpoint(WorkloadId("k8s", "ns/pod", "eth0"), "cali1", tiers=(EndpointTier(("default.p",)),))
    view = NodeView("node-1", workloads=(pod,), policies=(ActivePolicy("default.p", (THREE_LISTS,)),), ip_sets=(WEB,))
    routes = {"10.65.0.0/16": "cali1"}
    return rendered_node(view, RenderConfig(felix_exact=felix_exact), routes=routes)


@EXACT_OR_NOT
def test_three_lists_in_one_rule(felix_exact: bool) -> None:
    """Ports and sources hold, the destination is in neither net: Felix lets the packet through."""
    node = node_with_three_lists(felix_exact)
    assert accepted(node, tcp("10.1.0.1", "10.65.0.2", 80), "eth0") is felix_exact
    assert accepted(node, tcp("10.1.0.1", "10.65.1.2", 80), "eth0")
    assert not accepted(node, tcp("10.1.2.1", "10.65.1.2", 80), "eth0")
    assert not accepted(node, tcp("10.1.0.1", "10.65.1.2", 81), "eth0")


# --- one child chain for two ------------------------------------------------------------------------------------


@EXACT_OR_NOT
def test_workload_and_host_interfaces_that_share_a_letter_under_ipvs(felix_exact: bool) -> None:
    """A pod on calie1 opens a connection to a service: Felix takes it for traffic to the host, and drops it."""
    pods = tuple(
        WorkloadEndpoint(WorkloadId("k8s", f"ns/{name}", "eth0"), name, profiles=("kns.ns",))
        for name in ("calib", "calie1", "calie2")
    )
    hosts = tuple(HostEndpoint(name, name) for name in ("bond0", "eth0", "eth1"))
    view = NodeView("node-1", workloads=pods, host_endpoints=hosts, profiles=(EVERYTHING,))
    node = rendered_node(
        view,
        RenderConfig(felix_exact=felix_exact),
        routes={"10.65.0.2/32": "calie1", "10.65.0.3/32": "calie2", "10.65.0.4/32": "calib"},
        hosts=("bond0", "eth0", "eth1"),
        ipvs=True,
    )
    assert accepted(node, tcp("10.65.0.2", "10.96.0.1", 443), "calie1") is not felix_exact
    assert accepted(node, tcp("10.65.0.4", "10.96.0.1", 443), "calib")


# --- node ports from the datastore -------------------------------------------------------------------------------


@EXACT_OR_NOT
def test_node_ports_from_the_datastore(felix_exact: bool) -> None:
    """A connection from outside to NodePort 20000: Felix has not read the range and asks the host endpoint's policy."""
    config, _ = parse_config({"KubeNodePortRanges": "[20000:20100]"}, felix_exact=felix_exact)
    view = NodeView("node-1", host_endpoints=(HostEndpoint("host", "eth0"),))
    node = rendered_node(view, config, routes={}, ipvs=True)
    assert accepted(node, tcp("10.1.0.1", "10.20.0.1", 20000), "eth0") is not felix_exact
    assert accepted(node, tcp("10.1.0.1", "10.20.0.1", 30000), "eth0") is felix_exact


# --- answers of workloads to their host --------------------------------------------------------------------------


@EXACT_OR_NOT
def test_answers_of_a_workload_to_its_host_where_accepted_packets_return(felix_exact: bool) -> None:
    """The host opens a connection to a pod: Felix drops the answer, as if the pod had opened one to the host."""
    pod = WorkloadEndpoint(WorkloadId("k8s", "ns/pod", "eth0"), "cali1", profiles=("kns.ns",))
    view = NodeView("node-1", workloads=(pod,), profiles=(EVERYTHING,))
    config = RenderConfig(filter_allow_action="RETURN", felix_exact=felix_exact)
    node = rendered_node(view, config, routes={"10.65.0.2/32": "cali1"})
    flow = walk_flow(node, Arrival(tcp("10.20.0.1", "10.65.0.2", 80)))
    assert flow.first.verdict is Verdict.ACCEPT
    assert flow.works is not felix_exact
    assert not accepted(node, tcp("10.65.0.2", "10.20.0.1", 80), "cali1")


def test_the_page_names_every_test_of_this_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "felix-differences.md").read_text()
    here = Path(__file__).read_text()
    for name in re.findall(r"^def (test_\w+)\(felix_exact", here, re.MULTILINE):
        assert f"`{name}`" in page
