"""A plan reaches what is wanted, is empty the second time, and is safe at every step.

Safe is: no step names what is not there (the fake kernel would refuse it), and no packet gets through at any step that both
the old and the new state drop. Packets are walked through every state by the simulator, which knows nothing of plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.fakes.kernel import FakeKernel
from tests.rendered_node import node_of
from tests.strategies.node import FAMILY, FLOATING, PODS, ROUTES, Told, sets_and_policies_twice, told_twice
from tests.strategies.view import PEERS
from tortie.cli.programming import CALICO, wanted_families
from tortie.net.address import parse_address
from tortie.net.packet import Packet
from tortie.net.protocol import TCP, UDP
from tortie.netfilter.hook import Backend
from tortie.netfilter.match import CtState
from tortie.reconcile.plan import plan, plan_removal
from tortie.reconcile.step import Plan, TableEdit
from tortie.reconcile.text import format_restore, ipset_line
from tortie.reconcile.wanted import Held, WantedFamily
from tortie.render.ruleset import render_node
from tortie.render.state import NodeInterface, NodeState
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node, walk

BACKEND = Backend.LEGACY
HOST = "10.20.0.1"
STATE = NodeState((NodeInterface("eth0", frozenset({parse_address(HOST)})),))


def wanted(told: Told) -> tuple[WantedFamily, ...]:
    return wanted_families(render_node(told.view, STATE, told.config))


def held(kernel: FakeKernel) -> Held:
    return Held({FAMILY: kernel.ruleset(FAMILY, BACKEND)}, kernel.ip_sets)


def states(kernel: FakeKernel, made: Plan) -> Iterator[FakeKernel]:
    """The kernel after each step of a plan."""
    for step in made.steps:
        if isinstance(step, TableEdit):
            kernel.restore(step.family, step.backend, format_restore(step))
            yield kernel
        else:
            for command in step.commands:
                kernel.ipset(ipset_line(command))
                yield kernel


def programmed(told: Told, kernel: FakeKernel | None = None) -> FakeKernel:
    made = kernel or FakeKernel()
    for _ in states(made, plan(wanted(told), held(made), CALICO)):
        pass
    return made


def node(kernel: FakeKernel) -> Node:
    return node_of([kernel.ruleset(FAMILY, BACKEND)], kernel.ip_sets, routes=ROUTES)


@lru_cache
def arrivals() -> tuple[Arrival, ...]:
    """Packets of every kind of way: in, out, between workloads, to and from the node, to floating addresses."""
    pods = {interface: parse_address(text).value for interface, text in PODS.items()}
    host = parse_address(HOST).value
    outside = (*PEERS[FAMILY], *(parse_address(text).value for text in FLOATING))
    ways: list[tuple[int, int, str | None]] = []
    for interface, pod in pods.items():
        ways += [(peer, pod, "eth0") for peer in outside] + [(pod, peer, interface) for peer in outside]
        ways += [(pod, other, interface) for other in pods.values() if other != pod]
        ways += [(pod, host, interface), (host, pod, None)]
    ways += [(peer, host, "eth0") for peer in PEERS[FAMILY]] + [(host, peer, None) for peer in outside]
    ways += [(peer, to, "eth0") for peer in PEERS[FAMILY] for to in outside if to != peer]
    return tuple(
        Arrival(Packet(FAMILY, src, dst, proto, sport=1, dport=port, tcp_flags=2), in_iface=interface, state=state)
        for src, dst, interface in ways
        for proto, port in ((TCP, 2), (TCP, 5), (UDP, 3))
        for state in (None, CtState.ESTABLISHED)
    )


def passes(where: Node, arrival: Arrival) -> bool:
    result = walk(where, arrival, keep_steps=False)
    assert result.verdict in (Verdict.ACCEPT, Verdict.DROP), result.outcomes[0].decided_by
    return result.verdict is Verdict.ACCEPT


def check_every_step(before: Told, after: Told, tried: Iterable[Arrival]) -> FakeKernel:
    """Plans from one view to the next and looks at the node after each step; returns the kernel after the last."""
    kernel = programmed(before)
    made = plan(wanted(after), held(kernel), CALICO)
    ends = (node(kernel), node(programmed(after, kernel.copy())))
    dropped = [arrival for arrival in tried if not any(passes(end, arrival) for end in ends)]
    for state in states(kernel, made):
        now = node(state)
        for arrival in dropped:
            assert not passes(now, arrival), arrival
    assert plan(wanted(after), held(kernel), CALICO) == Plan()
    return kernel


def few_arrivals() -> tuple[Arrival, ...]:
    """Packets between the one workload and those who may be in its sets."""
    pod = parse_address(PODS["cali1"]).value
    peers = [parse_address(text).value for text in ("10.0.0.1", "10.1.0.1", "10.1.0.130")]
    ways = [(peer, pod, "eth0") for peer in peers] + [(pod, peer, "cali1") for peer in peers]
    return tuple(Arrival(Packet(FAMILY, src, dst, TCP, sport=1, dport=2, tcp_flags=2), iface) for src, dst, iface in ways)


@examples(150)
@given(told=sets_and_policies_twice())
def test_no_step_of_sets_and_policies_lets_through_what_before_and_after_both_drop(told: tuple[Told, Told]) -> None:
    check_every_step(*told, few_arrivals())


@examples(25)
@given(told=told_twice(), data=st.data())
def test_no_step_of_a_whole_node_lets_through_what_before_and_after_both_drop(
    told: tuple[Told, Told], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.sampled_from(arrivals()), min_size=100, max_size=100, unique=True))
    kernel = check_every_step(*told, drawn)
    for _ in states(kernel, plan_removal(held(kernel), CALICO)):
        pass
    chains = [c for t in kernel.ruleset(FAMILY, BACKEND).tables.values() for c in t.chains.values()]
    assert not kernel.ip_sets
    assert not any(chain.rules or CALICO.owns_chain(chain.name) for chain in chains)


FOREIGN = """\
*filter
:FORWARD DROP [0:0]
:INPUT DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -s 10.0.0.0/24 -j ACCEPT
-A FORWARD -d 10.65.0.2/32 -j ACCEPT
-A INPUT -i eth0 -p tcp -j ACCEPT
COMMIT
"""


@examples(8)
@given(told=told_twice(), data=st.data())
def test_no_step_of_coming_or_going_lets_through_what_foreign_rules_and_ours_both_drop(
    told: tuple[Told, Told], data: st.DataObject
) -> None:
    """Hooks come and go one table after the other, without a fence (docs/design/reconcile.md, limits)."""
    kernel = FakeKernel()
    kernel.restore(FAMILY, BACKEND, FOREIGN)
    drawn = data.draw(st.lists(st.sampled_from(arrivals()), min_size=60, max_size=60, unique=True))
    alone, ours = node(kernel), node(programmed(told[0], kernel.copy()))
    dropped = [arrival for arrival in drawn if not passes(alone, arrival) and not passes(ours, arrival)]
    for state in states(kernel, plan(wanted(told[0]), held(kernel), CALICO)):
        now = node(state)
        assert not [arrival for arrival in dropped if passes(now, arrival)]
    for state in states(kernel, plan_removal(held(kernel), CALICO)):
        now = node(state)
        assert not [arrival for arrival in dropped if passes(now, arrival)]
