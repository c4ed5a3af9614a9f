"""One pass: from what is wanted to what the kernel holds, over the ports. Blocking; runs in a thread of its own.

The order within a pass: settings of interfaces first, so that a workload's source addresses are checked before rules let it
through; then ip sets and rules (their own order is `reconcile.plan`'s); then routes that leave, conversations that are
forgotten, and routes that come. Either half goes on when the other fails.

What is remembered between passes only saves work or cleans up behind a workload that is gone: the last rendering, the
addresses that were routed, the marks of endpoints under IPVS. A new process starts without and programs the same: marks are
read from the rules that stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tortie.agent.command import Program
from tortie.agent.interface import node_interfaces
from tortie.agent.network import DesiredNetwork, desired_network
from tortie.agent.port import CannotRead, FailedStep, Network, Rules
from tortie.agent.report import Part, Report, Shape
from tortie.agent.status import endpoint_statuses
from tortie.calc.view import NodeView
from tortie.net.address import Address
from tortie.net.error import InvalidInput
from tortie.reconcile.network import (
    AddForwarding,
    AddRoute,
    DeleteForwarding,
    DeleteRoute,
    ForgetConnections,
    NetworkPlan,
    NetworkStep,
    SetNeighbour,
    SetSetting,
    host_address,
    plan_network,
    simple_routes,
)
from tortie.reconcile.network_text import describe_network_step
from tortie.render import names
from tortie.render.config import RenderConfig
from tortie.render.marks import allocate_bits, number_of_mark
from tortie.render.ruleset import Renderer, Rendering
from tortie.render.state import Features, NodeState

_NOTHING = NetworkPlan()


@dataclass(frozen=True, slots=True)
class _NetworkPass:
    """The network's half of a pass: what is wanted, the plan, devices whose routes got lost, and why there is no plan."""

    desired: DesiredNetwork
    plan: NetworkPlan = _NOTHING
    restored: frozenset[str] = frozenset()
    problem: str | None = None


class Programmer:
    """Carries out `Program` commands for one node; `monotonic` tells seconds of a clock that cannot be set."""

    def __init__(self, rules: Rules, network: Network, features: Features, monotonic: Callable[[], float]) -> None:
        self._rules = rules
        self._network = network
        self._features = features
        self._monotonic = monotonic
        self._routed: frozenset[Address] = frozenset()
        self._marks: Mapping[str, int] | None = None
        self._last: tuple[NodeView, Program, Rendering] | None = None
        self._renderer = Renderer()

    def run(self, order: Program, view: NodeView, remarks: tuple[str, ...] = ()) -> Report:
        """Carries out one command; what goes wrong is in the report, and so are the view's `remarks`."""
        start = self._monotonic()
        report = self._pass(order, view)
        return replace(report, remarks=(*remarks, *report.remarks), seconds=self._monotonic() - start)

    def _pass(self, order: Program, view: NodeView) -> Report:
        try:
            rendering = self._rendering_for(order, view)
        except InvalidInput as problem:
            return Report(order.parts, refused=f"nothing can be rendered: {problem}")
        network = self._plan_network(order, view) if Part.NETWORK in order.parts else None
        failed = list(self._network.carry_out(network.plan.settings)) if network is not None else []
        rules = self._rules.program(rendering) if rendering is not None else None
        if network is not None:
            plan = network.plan
            failed += self._network.carry_out((*plan.leaving, *plan.forgetting, *plan.arriving))
            failed = self._still_meant(failed, network)
            if network.problem is None:
                self._routed = network.desired.routed
        report = Report(order.parts, rules, shape=None if rendering is None else _shape(view, rendering))
        remarks = self._last[2].remarks if self._last is not None else ()
        return self._with_network(report, order, view, remarks, network, failed)

    @staticmethod
    def _with_network(
        report: Report,
        order: Program,
        view: NodeView,
        remarks: tuple[str, ...],
        network: _NetworkPass | None,
        failed: list[FailedStep],
    ) -> Report:
        if network is None:
            return replace(report, remarks=remarks)
        problems = [] if network.problem is None else [network.problem]
        problems += [f"{describe_network_step(one.step)}: {one.message}" for one in failed]
        broken = frozenset(device for one in failed if (device := _device(one.step)) is not None)
        return replace(
            report,
            network_steps=len(network.plan.steps) - len(failed),
            restored=network.restored,
            network_failures=tuple(problems),
            remarks=tuple(dict.fromkeys((*remarks, *network.desired.remarks))),
            statuses=endpoint_statuses(view, order.config, order.interfaces, broken),
            rendered=True,
        )

    def _rendering_for(self, order: Program, view: NodeView) -> Rendering | None:
        """What rules should be programmed; None when none need to be."""
        if Part.RULES not in order.parts:
            rules, sets = Part.CHECK_RULES in order.parts, Part.CHECK_SETS in order.parts
            if not (rules or sets) or self._rules.intact(rules=rules, sets=sets):
                return None
        if self._last is not None:
            last_view, last_order, rendering = self._last
            same = last_order.config == order.config and last_order.interfaces == order.interfaces
            if last_view is view and same:
                return rendering
        ipvs = any(interface.name == names.IPVS_DEVICE for interface in order.interfaces)
        marks = self._usable_marks(order.config) if ipvs else {}
        state = NodeState(node_interfaces(order.interfaces), self._features, ipvs, marks)
        rendering = self._renderer.render(view, state, order.config)
        if ipvs:
            self._marks = rendering.endpoint_marks
        self._last = (view, order, rendering)
        return rendering

    def _usable_marks(self, config: RenderConfig) -> dict[str, int]:
        """Marks that are given out already, as far as the mask still has them; at first those of the agent before this."""
        if self._marks is None:
            self._marks = self._rules.endpoint_marks()
        mask = allocate_bits(config.mark_mask).endpoint
        return {name: mark for name, mark in self._marks.items() if not mark & ~mask and number_of_mark(mask, mark) > 1}

    def _still_meant(self, failed: list[FailedStep], network: _NetworkPass) -> list[FailedStep]:
        """Failures without those that mean nothing: an interface went away or down meanwhile, or somebody added the route.

        A CNI plugin adds the same routes as we do.
        """
        if not failed:
            return failed
        try:
            held = self._network.read(network.desired.wanted)
        except (CannotRead, InvalidInput):
            return failed
        there = {(prefix, device) for prefix, device in simple_routes(held.routes)}

        def is_meant(step: NetworkStep) -> bool:
            if isinstance(step, AddRoute) and (step.route.destination, step.route.device) in there:
                return False
            device = _device(step)
            return device is None or held.is_up(device)

        return [one for one in failed if is_meant(one.step)]

    def _plan_network(self, order: Program, view: NodeView) -> _NetworkPass:
        desired = desired_network(view, order.config, order.settings, order.interfaces, order.new_interfaces)
        try:
            held = self._network.read(desired.wanted)
        except (CannotRead, InvalidInput) as problem:
            return _NetworkPass(desired, problem=f"the node's network cannot be read: {problem}")
        plan = plan_network(desired.wanted, held, self._routed)
        arriving = (step.route for step in plan.arriving if isinstance(step, AddRoute))
        restored = frozenset(route.device for route in arriving if host_address(route.destination) in self._routed)
        return _NetworkPass(desired, plan, restored)


def _device(step: NetworkStep) -> str | None:
    """The workload's interface that a failure is about."""
    match step:
        case SetSetting(setting):
            return setting.device
        case AddRoute(route):
            return route.device
        case DeleteRoute(_, device):
            return device
        case SetNeighbour(neighbour):
            return neighbour.device
        case AddForwarding(entry) | DeleteForwarding(entry):
            return entry.device
        case ForgetConnections():
            return None
        case _:
            return None


def _shape(view: NodeView, rendering: Rendering) -> Shape:
    return Shape(
        {
            (family, name): (len(table.chains), sum(len(chain.rules) for chain in table.chains.values()))
            for family, rendered in rendering.families.items()
            for name, table in rendered.tables.items()
        },
        {family: len(rendered.ip_sets) for family, rendered in rendering.families.items()},
        {
            "endpoints": len(view.workloads) + len(view.host_endpoints),
            "policies": len(view.policies),
            "selectors": len(view.ip_sets),
        },
    )
