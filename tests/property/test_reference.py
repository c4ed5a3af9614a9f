"""What the resources mean is what the node does: the reference agrees with packets walked through the rendered rules.

One reads the resources and decides; the other goes by way of the internal model, the calculation, the renderer and the
simulator, and shares nothing with the first below the resources. Clusters and packets follow from their seeds.
"""

from __future__ import annotations

import pytest

from tests.cases.rule_condition import CONDITIONS, MORE
from tests.cluster_node import cluster_node
from tests.reference_agreement import Tally, examine, first_disagreement, shrink
from tests.reference_builder import WORLD, global_policy, packet_of, read
from tests.rendered_node import accepted
from tests.strategies.cluster_object import Object
from tests.unit.reference.test_decide import TABLE, UNKNOWN
from tortie.net.address import parse_address
from tortie.netfilter.match import CtState
from tortie.reference.decide import decide
from tortie.reference.decision import Says, Stage, Verdict
from tortie.reference.flow import Flow, Tracking
from tortie.simulator.trace import Verdict as Walked
from tortie.simulator.walk import Arrival, walk

CLUSTERS = 150
WALKED = {name: row for name, row in TABLE.items() if name not in UNKNOWN}
STATES = {Tracking.ESTABLISHED: CtState.ESTABLISHED, Tracking.INVALID: CtState.INVALID}
SEED_OF_A_MISTAKE = "mistake 30"
"""A cluster in which Felix gets something wrong; when the strategies change, another seed has to be found."""


def test_the_reference_agrees_with_a_walk_through_the_rendered_rules() -> None:
    tally = Tally()
    assert first_disagreement([f"property {number}" for number in range(CLUSTERS)], tally) is None
    compared = tally.verdicts[Verdict.ALLOWED] + tally.verdicts[Verdict.DENIED]
    assert compared > 10 * CLUSTERS, "most packets can be sent"
    assert tally.verdicts[Verdict.ALLOWED] > compared / 5 and tally.verdicts[Verdict.DENIED] > compared / 5
    assert tally.verdicts[Verdict.UNKNOWN] < compared / 100
    assert tally.answers[Verdict.DENIED] > 0
    for stage in (Stage.UNTRACKED, Stage.PRE_DNAT, Stage.FORWARD, Stage.NORMAL):
        for says in (Says.ALLOW, Says.DENY, Says.NOTHING) if stage is not Stage.NORMAL else (Says.ALLOW, Says.DENY):
            assert tally.reasons[stage.name, says.name, "ByRule"] > 0, f"no rule decides so: {stage}, {says}"


@pytest.mark.parametrize(("text", "packet", "holds"), CONDITIONS)
def test_every_condition_of_a_rule(text: str, packet: Flow, holds: bool) -> None:
    """A packet gets through to a workload whose one policy allows what the condition holds for."""
    resources = read(WORLD, MORE, global_policy("p", f"{{types: [Ingress], ingress: [{{action: Allow, {text}}}]}}"))
    node = cluster_node(resources, "node-1", interfaces=["cali1", "cali2", "cali6"], more_routes={}, service={})
    assert (decide(resources, "node-1", packet).verdict is Verdict.ALLOWED) is holds
    assert accepted(node.node, packet_of(packet), packet.enters or "") is holds


def test_the_table_holds_what_can_be_walked() -> None:
    assert len(WALKED) > 60


@pytest.mark.parametrize(("more", "packet", "decision"), WALKED.values(), ids=WALKED.keys())
def test_every_row_of_what_becomes_of_packets(more: str, packet: Flow, decision: str) -> None:
    """What the unit tests say of the reference, walked through the rules of the same resources."""
    unmade = {parse_address("10.65.0.5"): "cali5", parse_address("10.65.0.9"): "cali9"}
    behind = packet.behind_translation()
    service = {packet.family: (behind.destination, behind.destination_port)} if packet.is_translated else {}
    names = [f"cali{number}" for number in (1, 2, 5, 9)]
    node = cluster_node(read(WORLD, more), "node-1", interfaces=names, more_routes=unmade, service=service)
    arrival = Arrival(packet_of(packet), packet.enters, state=STATES.get(packet.tracking))
    walked = walk(node.node, arrival, keep_steps=False)
    assert walked.verdict is (Walked.ACCEPT if decision.startswith("allowed") else Walked.DROP)


def test_a_mistake_in_the_rules_is_found_and_shown_small() -> None:
    """Felix's own: with accepted packets returning it drops what a workload answers its host."""
    found = examine(SEED_OF_A_MISTAKE, Tally(), felix_exact=True)
    assert found is not None and "cali-wl-to-host" in found
    assert found.count('"kind"') <= 2, "its configuration and the workload"
    assert examine(SEED_OF_A_MISTAKE, Tally()) is None


def test_shrinking_leaves_what_is_needed() -> None:
    objects: list[Object] = [
        {"kind": "a", "spec": {"x": [1, 2, 3], "y": 4}},
        {"kind": "b"},
        {"kind": "c", "spec": {"x": [5]}},
    ]
    small = shrink(objects, lambda some: any(2 in one.get("spec", {}).get("x", ()) for one in some))
    assert small == [{"spec": {"x": [2]}}]
