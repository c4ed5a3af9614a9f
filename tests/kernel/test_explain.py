"""What is told to let a packet through does so on a real kernel: dropped before, let through after, as walked.

The reference node is programmed with what each change makes of its resources; the packets are two that fail there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.kernel.compare import compare_own
from tests.kernel.oracle.node import KernelNode
from tests.kernel.scenario import Given
from tests.kernel.test_reference_journeys import EXAMPLE, snapshot_without_connections, topology
from tortie.calc.calculation import calculate
from tortie.cli.node_state import snapshot_state
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.cli.resource_files import load_resources
from tortie.codec.ipset import format_ipset_save
from tortie.codec.save import SaveFile, format_save
from tortie.explain.basis import Basis
from tortie.explain.explanation import Explainer
from tortie.explain.search import Solution, final_resources
from tortie.explain.world import Question, World, ask
from tortie.model.parameter import felix_parameters
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.packet import Packet
from tortie.net.wire import format_packet
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.render.config import parse_config
from tortie.render.ruleset import render_node
from tortie.simulator.trace import Verdict
from tortie.simulator.walk import Arrival, Node, walk

NODE = "reference"
PACKETS = {
    "another port": ("tcp 192.170.140.66:40007 192.170.21.3:8080", "eth0"),
    "a pod that is not selected": ("tcp 192.170.21.3:40009 192.170.21.4:5432", "cali551b05c3e54"),
    "the host's own policy": ("tcp 10.20.0.12:40000 10.20.0.11:9999", "eth0"),
}


def basis_of(snapshot: Snapshot) -> Basis:
    """What the reference node should have."""
    resources = load_resources([str(EXAMPLE / "resources")], report=False)
    parameters = felix_parameters(resources, NODE)
    cluster = resources_to_v1(resources)
    view = calculate(cluster, NODE, parameters)
    config, _ = parse_config(parameters)
    state = snapshot_state(snapshot).state
    return Basis(resources, NODE, cluster, view, state, config, render_node(view, state, config))


@pytest.fixture(scope="module", params=[Backend.LEGACY, Backend.NFT], ids=lambda backend: backend.value)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[KernelNode, Snapshot]]:
    snapshot = snapshot_without_connections(request.param)
    kernel = KernelNode(topology(snapshot), request.param, drop_reasons=True)
    yield kernel, snapshot
    kernel.close()


def sent(kernel: KernelNode, node: Node, packet: Packet, in_iface: str) -> Verdict:
    """Programs the kernel as a node is, sends a packet, and says what became of it there, which must be what was walked."""
    snapshot = node.snapshot
    rules = {one.family: format_save(SaveFile(one)) for one in snapshot.rulesets}
    assert snapshot.ip_sets is not None
    kernel.prepare(rules, format_ipset_save(snapshot.ip_sets), [("net/ipv4/conf/all/rp_filter", "1")])
    try:
        outcome = kernel.inject(Given(format_packet(packet), in_iface))
        (trace,) = walk(node, Arrival(packet, in_iface)).outcomes
        assert compare_own(outcome, trace, kernel.backend, local=False) == []
        return trace.verdict
    finally:
        kernel.clear()


@pytest.mark.parametrize("case", PACKETS.values(), ids=PACKETS)
def test_a_change_that_is_told_lets_the_packet_through_on_the_kernel(
    both: tuple[KernelNode, Snapshot], case: tuple[str, str]
) -> None:
    kernel, snapshot = both
    words, in_iface = case
    packet = structs.replace(parse_packet_words(*split_words(words)).packet, identification=1)
    basis = basis_of(snapshot)
    world = World(basis, snapshot)
    question = Question(Arrival(packet, in_iface))
    before = world.node(basis)
    solutions = Explainer(basis, snapshot).explain(question, ask(question, before)).solutions
    assert len(solutions) >= 3
    assert sent(kernel, before, packet, in_iface) is Verdict.DROP
    for solution in solutions:
        assert sent(kernel, changed(world, solution), packet, in_iface) is Verdict.ACCEPT
    assert sent(kernel, before, packet, in_iface) is Verdict.DROP


def changed(world: World, solution: Solution) -> Node:
    """The node with a solution."""
    return world.node(world.basis(final_resources(solution.changes)))
