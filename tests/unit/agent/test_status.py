"""The status of endpoints (spec: model 7.5) and of the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.agent.test_route import POD
from tests.unit.agent.test_tunnel import ETH0
from tortie.agent.interface import Interface
from tortie.agent.report import EndpointStatus
from tortie.agent.state import MOST_FAILURES_READY, Agent, Unreadable
from tortie.agent.status import endpoint_statuses, node_status
from tortie.calc.view import HostEndpoint, NodeView
from tortie.net.address import parse_address
from tortie.render.config import RenderConfig

UP, DOWN, ERROR = EndpointStatus.UP, EndpointStatus.DOWN, EndpointStatus.ERROR
CALI1 = Interface("cali1")


@pytest.mark.parametrize(
    ("pod", "interfaces", "failed", "status"),
    [
        (POD, [CALI1], set(), UP),
        (POD, [Interface("cali1", up=False)], set(), DOWN),
        (POD, [], set(), DOWN),
        (replace(POD, active=False), [CALI1], set(), DOWN),
        (POD, [CALI1], {"cali1"}, ERROR),
        (replace(POD, interface="a b"), [CALI1], set(), ERROR),
    ],
    ids=["up", "interface down", "interface missing", "not active", "failed", "impossible name"],
)
def test_workloads(pod: object, interfaces: list[Interface], failed: set[str], status: EndpointStatus) -> None:
    view = NodeView("n", workloads=(pod,))  # type: ignore[arg-type]
    assert endpoint_statuses(view, RenderConfig(), interfaces, frozenset(failed)) == {POD.id: status}


def test_a_workload_whose_interface_is_anothers_is_in_error() -> None:
    other = replace(POD, id=replace(POD.id, workload="ns/z"))
    statuses = endpoint_statuses(NodeView("n", workloads=(POD, other)), RenderConfig(), [CALI1], frozenset())
    assert statuses == {POD.id: UP, other.id: ERROR}


@pytest.mark.parametrize(
    ("host", "interfaces", "status"),
    [
        (HostEndpoint("h", "eth0"), [ETH0], UP),
        (HostEndpoint("h", "eth0"), [replace(ETH0, up=False)], DOWN),
        (HostEndpoint("h", "eth1"), [ETH0], ERROR),
        (HostEndpoint("h", "", (parse_address("10.20.0.1"),)), [ETH0], UP),
        (HostEndpoint("h", "", (parse_address("10.20.0.9"),)), [ETH0], ERROR),
        (HostEndpoint("h", "*"), [], UP),
    ],
    ids=["up", "down", "no such interface", "by address", "no such address", "all interfaces"],
)
def test_host_endpoints(host: HostEndpoint, interfaces: list[Interface], status: EndpointStatus) -> None:
    view = NodeView("n", host_endpoints=(host,))
    assert endpoint_statuses(view, RenderConfig(), interfaces, frozenset()) == {"h": status}


def test_the_agents_own() -> None:
    unreadable = {(place, None): Unreadable(place, None, "bad", closed=True) for place in "ba"}
    state = Agent("n", in_sync=True, programmed=True, unreadable=unreadable, rules_problems=("p",))
    status = node_status(state, "why", 5, 2.0)
    assert (status.ready, status.held_back, status.problems) == (True, "why", ("p",))
    assert [one.place for one in status.unreadable] == ["a", "b"]


@pytest.mark.parametrize(
    ("state", "ready"),
    [
        (Agent("n"), False),
        (Agent("n", in_sync=True), False),
        (Agent("n", in_sync=True, programmed=True), True),
        (Agent("n", in_sync=True, programmed=True, lost="gone"), True),
        (Agent("n", in_sync=True, programmed=True, failures=99, network_problems=("route",)), True),
        (Agent("n", in_sync=True, programmed=True, rules_failures=MOST_FAILURES_READY - 1), True),
        (Agent("n", in_sync=True, programmed=True, rules_failures=MOST_FAILURES_READY), False),
    ],
)
def test_when_it_is_ready(state: Agent, ready: bool) -> None:
    assert state.ready is ready
