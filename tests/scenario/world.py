"""The agent over fakes: a source that says what the test says, a kernel that can fail, a clock that the test turns.

The real `step`, the real pass of programming and the real tools' commands run; the loop's part, which is to carry out
commands in order and to ring timers, is done here one thing at a time, so that a script says what happens and what comes of
it. A new `World` over the same kernel is the agent after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from tests.fakes.kernel import FakeKernel
from tests.fakes.network import FakeNetwork
from tests.fakes.tools import FakeTools
from tortie.agent.command import (
    Command,
    Configure,
    Learn,
    Level,
    ListInterfaces,
    Log,
    Lose,
    Program,
    Quit,
    SetTimer,
    WriteStatus,
)
from tortie.agent.event import Clock, Event, InterfacesListed, Programmed, Rang, StatusWritten
from tortie.agent.knowledge import Cluster
from tortie.agent.program import Programmer
from tortie.agent.report import Part, Report
from tortie.agent.state import Agent
from tortie.agent.status import NodeStatus, node_status
from tortie.agent.step import begin, held_back, step
from tortie.cli.agent_kernel import KernelRules, NodeNetwork
from tortie.codec.rule import format_rule
from tortie.kernel.observed import ObservedTools
from tortie.kernel.run import Ran
from tortie.model.event import Changed, InSync
from tortie.model.read import Key, key_of, parse_resources
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.render import names
from tortie.render.state import Features

NODE = "node-1"
SYSCTL_FOLDER = "proc-sys"

WORKLOAD = """\
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: node--1-k8s-{pod}-eth0, namespace: prod, labels: {{app: {pod}}}}}
spec:
  {{node: node-1, orchestrator: k8s, pod: {pod}, endpoint: eth0, interfaceName: {interface}, ipNetworks: [{address}/32],
    profiles: [kns.prod], mac: "02:00:00:00:00:aa"}}
"""
PROFILE = """\
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: kns.prod}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
"""
POLICY = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: {name}, namespace: prod}}
spec:
  selector: "app == '{pod}'"
  types: [Ingress]
  ingress: [{{action: Allow, protocol: TCP, destination: {{ports: [{port}]}}}}]
"""
CONFIGURATION = """\
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: default}}
spec: {{{fields}}}
"""


def resources(*texts: str) -> list[Changed]:
    """What a source tells of these."""
    found = parse_resources([("test", "---\n".join(texts))])
    return [Changed(key_of(resource), resource) for resource in found]


def workload(pod: str, interface: str, address: str) -> str:
    return WORKLOAD.format(pod=pod, interface=interface, address=address)


def policy(name: str, pod: str, port: int) -> str:
    return POLICY.format(name=name, pod=pod, port=port)


def configuration(fields: str) -> str:
    return CONFIGURATION.format(fields=fields)


def key(kind: str, name: str, namespace: str = "") -> Key:
    return Key(kind, namespace, name)


class ScriptEnded(Exception):
    """The agent ended; nothing may be told it any more."""


@dataclass
class Tools:
    """All tools of the fake node behind one door."""

    tables: FakeTools
    network: FakeNetwork

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        if command[0] in ("ip", "bridge", "conntrack"):
            return self.network(command, data)
        return self.tables(command, data)


def fake_node(folder: Path) -> Tools:
    """A node with eth0 and nothing of ours."""
    network = FakeNetwork(folder / SYSCTL_FOLDER)
    network.add_link("lo", "127.0.0.1/8")
    network.add_link("eth0", "10.20.0.1/24")
    return Tools(FakeTools(FakeKernel()), network)


@dataclass
class World:
    """One agent's life; `tools` outlive it."""

    tools: Tools
    local: Mapping[str, str] = field(default_factory=dict)
    status_problem: str | None = None
    """Why the status cannot be written, None when it can."""
    slow: bool = False
    """While true, a pass that began does not end before `finish`."""

    def __post_init__(self) -> None:
        self.now = 0.0
        self.state = Agent(NODE, self.local)
        self.knowledge = Cluster(NODE)
        self.observed = ObservedTools(self._time, names.OUR_CHAIN_PREFIXES, ("cali4", "cali6", "felix-"), self.tools)
        self.network = NodeNetwork(self.observed, self.tools.network.sysctls)
        rules = KernelRules(self.observed, Backend.LEGACY, self._sleep)
        self.programmer = Programmer(rules, self.network, Features(), self._time)
        self.timers: dict[Clock, float] = {}
        self.logs: list[Log] = []
        self.passes: list[tuple[float, frozenset[Part]]] = []
        """When each pass began, and what it was about."""
        self.reports: list[Report] = []
        self.statuses: list[NodeStatus] = []
        self.ended: Quit | None = None
        self._unfinished: list[Program] = []
        self.state, commands = begin(self.state)
        self._carry_out(commands)

    def _time(self) -> float:
        return self.now

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    # --- the script ---

    def tell(self, *events: Event) -> World:
        """Events in order; what follows from each is done at once, timers aside."""
        for event in events:
            if self.ended is not None:
                raise ScriptEnded(self.ended)
            self.state, commands = step(self.state, event)
            self._carry_out(commands)
        return self

    def sync(self, *texts: str) -> World:
        """Everything there is, and a moment for it to be programmed."""
        return self.tell(*resources(*texts), InSync()).wait(1)

    def wait(self, seconds: float) -> World:
        """Time passes; timers ring at their times."""
        end = self.now + seconds
        while self.timers and self.ended is None:
            clock, at = min(self.timers.items(), key=lambda item: item[1])
            if at > end:
                break
            del self.timers[clock]
            self.now = max(self.now, at)
            self.tell(Rang(clock))
        self.now = max(self.now, end)
        return self

    def stand_still(self, seconds: float) -> World:
        """Time passes and nobody looks, as under SIGSTOP; then every timer that has run out rings, once and late."""
        self.now += seconds
        for clock in sorted((clock for clock, at in self.timers.items() if at <= self.now), key=self.timers.__getitem__):
            del self.timers[clock]
            self.tell(Rang(clock))
        return self

    def finish(self) -> World:
        """A slow pass comes to its end."""
        order = self._unfinished.pop(0)
        return self.tell(Programmed(self._run(order)))

    # --- what the loop does ---

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Learn(key, resource):
                    self.knowledge.learn(key, resource)
                case Lose(what, loss):
                    self.knowledge.lose(what, loss)
                case Configure(parameters):
                    self.knowledge.configure(parameters)
                case Program():
                    assert not self._unfinished, "two passes at once"
                    self.passes.append((self.now, command.parts))
                    if self.slow:
                        self._unfinished.append(command)
                    else:
                        self.tell(Programmed(self._run(command)))
                case SetTimer(clock, delay_s):
                    self.timers[clock] = self.now + delay_s
                case ListInterfaces():
                    self.tell(InterfacesListed(self.network.interfaces(), self.network.all_rp_filter()))
                case WriteStatus():
                    if self.status_problem is None:
                        self.statuses.append(node_status(self.state, held_back(self.state), 1, self.now))
                    self.tell(StatusWritten(self.status_problem))
                case Log():
                    self.logs.append(command)
                case Quit():
                    self.ended = command
                case _:
                    assert_never(command)

    def _run(self, order: Program) -> Report:
        try:
            view = self.knowledge.view()
        except InvalidInput as problem:
            report = Report(order.parts, refused=str(problem))
        else:
            report = self.programmer.run(order, view, self.knowledge.remarks())
        self.reports.append(report)
        return report

    # --- what came of it ---

    @property
    def writes(self) -> int:
        """Runs of restore tools so far, whoever asked for them."""
        return len(self.tools.tables.writes)

    def told(self, level: Level) -> list[str]:
        """Lines of the log, without their fields."""
        return [line.text for line in self.logs if line.level is level]

    def chain(self, name: str, table: TableName = TableName.FILTER) -> list[str] | None:
        """The rules of an IPv4 chain without their hashes; None when there is no such chain."""
        tables = self.tools.tables.kernel.ruleset(IPFamily.V4, Backend.LEGACY).tables
        if table not in tables or name not in tables[table].chains:
            return None
        texts = [format_rule(rule, IPFamily.V4) for rule in tables[table].chains[name].rules]
        return [text.partition('" ')[2] if '--comment "cali:' in text else text for text in texts]

    def routes(self) -> dict[str, str]:
        """Devices by destination."""
        return {str(prefix): route["dev"] for prefix, route in self.tools.network.routes.items()}
