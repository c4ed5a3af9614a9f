"""One pass over ports that only listen: what is asked of whom, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from tests.unit.agent.test_route import POD
from tortie.agent.command import Program
from tortie.agent.interface import Interface
from tortie.agent.port import CannotRead
from tortie.agent.program import Programmer
from tortie.agent.report import EndpointStatus, Part, RulesReport
from tortie.agent.setting import DEFAULT_SETTINGS
from tortie.calc.view import NodeView
from tortie.net.address import IPFamily, Prefix
from tortie.net.node import Link, NextHop, Route
from tortie.reconcile.network import AddRoute, ForgetConnections, HeldNetwork, NetworkStep, SetSetting, WantedNetwork
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Rendering
from tortie.render.state import Features

VIEW = NodeView("node-1", workloads=(POD,))
EVERYTHING = frozenset({Part.RULES, Part.NETWORK})


@dataclass
class Failed:
    step: NetworkStep
    message: str = "no"


@dataclass
class Node:
    """Both ports; keeps what it was asked, and fails steps of a kind when told to."""

    asked: list[str] = field(default_factory=list)
    right: bool = True
    failing: type[NetworkStep] | None = None
    unreadable: bool = False
    links: dict[str, Link] = field(default_factory=lambda: {"cali1": Link("cali1", 1)})
    routes: tuple[Route, ...] = ()
    renderings: list[Rendering] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)

    def program(self, rendering: Rendering) -> RulesReport:
        self.asked.append("rules")
        self.renderings.append(rendering)
        return RulesReport(steps=1)

    def endpoint_marks(self) -> dict[str, int]:
        return self.marks

    def intact(self, *, rules: bool, sets: bool) -> bool:
        self.asked.append(f"intact {rules} {sets}")
        return self.right

    def read(self, wanted: WantedNetwork) -> HeldNetwork:
        if self.unreadable:
            raise CannotRead("no ip")
        return HeldNetwork(self.links, routes=self.routes)

    def carry_out(self, steps: Sequence[NetworkStep]) -> list[Failed]:
        self.asked += sorted({type(step).__name__ for step in steps})
        return [Failed(step) for step in steps if self.failing is not None and isinstance(step, self.failing)]

    def interfaces(self) -> tuple[Interface, ...]:
        return ()

    def all_rp_filter(self) -> str | None:
        return None


def order(*parts: Part) -> Program:
    return Program(frozenset(parts) or EVERYTHING, RenderConfig(), DEFAULT_SETTINGS, (Interface("cali1"),))


def programmer(node: Node) -> Programmer:
    return Programmer(node, node, Features(), iter(range(1000)).__next__)


def test_settings_then_rules_then_routes() -> None:
    node = Node()
    report = programmer(node).run(order(), VIEW)
    assert node.asked == ["SetSetting", "rules", "AddRoute", "SetNeighbour"]
    assert report.steps == 1 + 8 + 5
    assert report.seconds == 1
    assert report.statuses == {POD.id: EndpointStatus.UP}
    assert report.shape is not None and report.shape.view["endpoints"] == 1


@pytest.mark.parametrize(
    ("parts", "right", "asked"),
    [
        ((Part.CHECK_RULES,), True, ["intact True False"]),
        ((Part.CHECK_SETS,), True, ["intact False True"]),
        ((Part.CHECK_RULES, Part.CHECK_SETS), False, ["intact True True", "rules"]),
        ((Part.RULES,), True, ["rules"]),
    ],
)
def test_a_check_programs_only_what_is_damaged(parts: tuple[Part, ...], right: bool, asked: list[str]) -> None:
    node = Node(right=right)
    programmer(node).run(order(*parts), VIEW)
    assert node.asked == asked


def test_the_same_view_is_rendered_once() -> None:
    node = Node()
    made = programmer(node)
    for view in (VIEW, VIEW, replace(VIEW)):
        made.run(order(Part.RULES), view)
    assert node.renderings[0] is node.renderings[1] is not node.renderings[2]


IPVS = (Interface("cali1"), Interface("kube-ipvs0"))


@pytest.mark.parametrize(
    ("held", "mask", "kept"),
    [(0x500000, 0xFFFF0000, True), (0x500000, 0xFF000000, False), (0x5, 0xFFFF0000, False), (0x100000, 0xFFFF0000, False)],
    ids=["kept", "outside another mask", "nobody's", "of other endpoints"],
)
def test_under_ipvs_marks_that_are_given_out_are_kept(held: int, mask: int, kept: bool) -> None:
    node = Node(marks={"cali1": held})
    made = programmer(node)
    config = RenderConfig(mark_mask=mask)
    for view in (VIEW, replace(VIEW)):
        made.run(replace(order(Part.RULES), interfaces=IPVS, config=config), view)
        assert (node.renderings[-1].endpoint_marks["cali1"] == held) is kept
    assert node.renderings[0].endpoint_marks == node.renderings[1].endpoint_marks


def test_marks_follow_a_mask_that_changes() -> None:
    node = Node()
    made = programmer(node)
    for mask in (0xFFFF0000, 0x0000FFFF, 0xFFFF0000):
        made.run(replace(order(Part.RULES), interfaces=IPVS, config=RenderConfig(mark_mask=mask)), VIEW)
        (mark,) = node.renderings[-1].endpoint_marks.values()
        assert mark & ~mask == 0


def test_addresses_that_left_are_forgotten_once() -> None:
    node = Node()
    made = programmer(node)
    made.run(order(Part.NETWORK), VIEW)
    node.links, node.asked = {}, []
    for _ in range(2):
        made.run(order(Part.NETWORK), NodeView("node-1"))
    assert node.asked.count(ForgetConnections.__name__) == 1


@pytest.mark.parametrize("failing", [SetSetting, AddRoute])
def test_what_fails_is_told_with_its_endpoint_and_the_rest_goes_on(failing: type[NetworkStep]) -> None:
    node = Node(failing=failing)
    report = programmer(node).run(order(), VIEW)
    assert report.problems and report.problems[0].endswith(": no")
    assert report.statuses == {POD.id: EndpointStatus.ERROR}
    assert "rules" in node.asked


def test_an_interface_that_goes_away_meanwhile_is_no_failure() -> None:
    node = Node(failing=AddRoute)
    carry_out = node.carry_out

    def going(steps: Sequence[NetworkStep]) -> list[Failed]:
        failed = carry_out(steps)
        if failed:
            node.links = {}
        return failed

    node.carry_out = going  # type: ignore[method-assign]
    assert programmer(node).run(order(), VIEW).problems == ()


@pytest.mark.parametrize(("device", "problems"), [("cali1", 0), ("eth0", 1)], ids=["by a plugin", "elsewhere"])
def test_a_route_that_somebody_added_meanwhile(device: str, problems: int) -> None:
    node = Node(failing=AddRoute)
    route = Route(Prefix(IPFamily.V4, POD.networks[0].address, 32), next_hops=(NextHop(dev=device),))
    carry_out = node.carry_out

    def raced(steps: Sequence[NetworkStep]) -> list[Failed]:
        failed = carry_out(steps)
        if failed:
            node.routes = (route,)
        return failed

    node.carry_out = raced  # type: ignore[method-assign]
    report = programmer(node).run(order(), VIEW)
    assert len([problem for problem in report.problems if str(route.prefix) in problem]) == problems


def test_routes_that_got_lost_are_told_by_device() -> None:
    node = Node()
    made = programmer(node)
    assert [made.run(order(Part.NETWORK), VIEW).restored for _ in range(2)] == [frozenset(), {"cali1"}]


def test_rules_are_programmed_although_the_network_cannot_be_read() -> None:
    node = Node(unreadable=True)
    report = programmer(node).run(order(), VIEW)
    assert report.problems == ("the node's network cannot be read: no ip",)
    assert node.asked == ["rules"]


def test_what_cannot_be_rendered_is_refused_whole() -> None:
    node = Node()
    bad = replace(order(), config=RenderConfig(mark_mask=0x3))
    report = programmer(node).run(bad, VIEW)
    assert report.refused is not None and report.refused.startswith("nothing can be rendered")
    assert node.asked == []


def test_remarks_of_the_view_come_first() -> None:
    view = replace(VIEW, workloads=(replace(POD, interface="a b"),))
    report = programmer(Node()).run(order(), view, ("closed: x",))
    assert report.remarks[0] == "closed: x" and len(report.remarks) == 3
