"""Whatever happens to an agent, in the end its node is as that of an agent to which nothing ever happened."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.tools import Fails, Failure, Lies
from tests.scenario.test_fault import BROKEN_POLICY
from tests.scenario.world import PROFILE, World, configuration, fake_node, key, policy, resources, workload
from tortie.agent.event import Damaged, InterfaceChanged
from tortie.agent.interface import Interface
from tortie.agent.report import Part
from tortie.model.event import Changed, InSync, Lost, Refused, Regained, Removed
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend

DEVICES = ("cali1", "cali2")
WORKLOADS = {f"w{number}": workload(f"w{number}", f"cali{number}", f"10.65.0.{number}") for number in (1, 2)}
POLICIES = {name: [policy(name, pod, port) for port in (80, 81)] for name, pod in (("p", "w1"), ("q", "w2"))}
CALM_S = 150.0


class Life:
    """An agent, everything that it was told and that is still true, and what is done to it."""

    def __init__(self, folder: str) -> None:
        self.tools = fake_node(Path(folder))
        for device in DEVICES:
            self.tools.network.add_link(device)
        self.truth: dict[object, Changed | Refused] = {event.key: event for event in resources(PROFILE)}
        self.world = World(self.tools)
        self.world.tell(*self.truth.values(), InSync())

    def put(self, text: str) -> None:
        (event,) = resources(text)
        self.truth[event.key] = event
        self.world.tell(event)

    def remove(self, kind: str, name: str, namespace: str) -> None:
        gone = key(kind, name, namespace)
        if self.truth.pop(gone, None) is not None:
            self.world.tell(Removed(gone))

    def refuse(self, name: str) -> None:
        bad = key("NetworkPolicy", name, "prod")
        event = Refused(
            f"place of {name}", InvalidInput("bad"), bad, BROKEN_POLICY | {"metadata": {"name": name, "namespace": "prod"}}
        )
        self.truth[bad] = event
        self.world.tell(event)

    def flap(self, device: str) -> None:
        self.tools.network.remove_link(device)
        self.world.tell(InterfaceChanged(device, None))
        self.tools.network.add_link(device)
        self.world.tell(InterfaceChanged(device, Interface(device)))

    def fail(self, failure: Failure) -> None:
        writes = len(self.tools.tables.writes)
        self.tools.tables.failures = {writes: failure, writes + 1: failure}

    def meddle(self, what: str) -> None:
        if what == "routes":
            self.tools.network.routes = {p: r for p, r in self.tools.network.routes.items() if r["dev"] == "eth0"}
            self.world.tell(Damaged(Part.NETWORK, "somebody"))
        elif self.world.chain("cali-FORWARD") is not None:
            text = "*filter\n-I FORWARD -j ACCEPT\n-F cali-FORWARD\nCOMMIT\n"
            self.tools.tables.kernel.restore(IPFamily.V4, Backend.LEGACY, text)
            self.world.tell(Damaged(Part.CHECK_RULES, "somebody"))

    def restart(self) -> None:
        self.world = World(self.tools)
        self.world.tell(*self.truth.values(), InSync())

    def held(self) -> object:
        kernel = self.tools.tables.kernel
        rules = {
            (family, name, chain.name): chain.rules
            for family in IPFamily
            for name, table in kernel.ruleset(family, Backend.LEGACY).tables.items()
            for chain in table.chains.values()
            if chain.name.startswith("cali-")
        }
        sets = {name: frozenset(one.entries) for name, one in kernel.ip_sets.items()}
        hooks = [rule.endswith("-j cali-FORWARD") for rule in self.world.chain("FORWARD") or ()]
        # Static ARP entries of an interface stay until it goes (spec: model 7.1), so only those that count are looked at.
        routed = {str(prefix).partition("/")[0] for prefix in self.tools.network.routes}
        static = {place: mac for place, mac in self.tools.network.neighbours.items() if place[1] in routed}
        return rules, sets, hooks[:1], self.world.routes(), static


Act = Callable[[Life], None]
acts: st.SearchStrategy[Act] = st.one_of(
    st.sampled_from([*WORKLOADS.values(), *POLICIES["p"], *POLICIES["q"]]).map(lambda text: lambda life: life.put(text)),
    st.sampled_from(["x", "y"]).map(lambda word: lambda life: life.put(configuration(f"logPrefix: {word}"))),
    st.sampled_from(sorted(WORKLOADS)).map(
        lambda pod: lambda life: life.remove("WorkloadEndpoint", f"node--1-k8s-{pod}-eth0", "prod")
    ),
    st.sampled_from(sorted(POLICIES)).map(lambda name: lambda life: life.remove("NetworkPolicy", name, "prod")),
    st.sampled_from(sorted(POLICIES)).map(lambda name: lambda life: life.refuse(name)),
    st.sampled_from(DEVICES).map(lambda device: lambda life: life.flap(device)),
    st.sampled_from([Fails(), Lies()]).map(lambda failure: lambda life: life.fail(failure)),
    st.sampled_from(["routes", "rules"]).map(lambda what: lambda life: life.meddle(what)),
    st.sampled_from([0.03, 0.3, 3.0, 12.0]).map(lambda seconds: lambda life: life.world.wait(seconds) and None),
    st.just(lambda life: life.restart()),
    st.just(lambda life: life.world.tell(Lost("gone"), Regained()) and None),
)


@examples(20)
@given(st.lists(acts, max_size=10))
def test_in_the_end_nothing_of_it_matters(script: list[Act]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(f"{folder}/1")
        for act in script:
            act(life)
        life.world.wait(CALM_S)
        quiet = Life(f"{folder}/2")
        quiet.truth = life.truth
        quiet.restart()
        quiet.world.wait(CALM_S)
        assert life.held() == quiet.held()
        assert life.world.state.problems == () and life.world.state.ready
        before = life.world.writes
        life.world.wait(CALM_S)
        assert life.world.writes == before
