"""The view that follows from what was learnt, whole or with gaps."""

from __future__ import annotations

import pytest

from tests.scenario.test_fault import BROKEN_POLICY
from tests.scenario.world import NODE, PROFILE, policy, resources, workload
from tortie.agent.knowledge import Cluster
from tortie.calc.calculation import calculate
from tortie.calc.view import RuleAction
from tortie.model.closing import LostSettings, loss_of_object
from tortie.model.read import parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.error import InvalidInput

TEXTS = (PROFILE, workload("web", "cali1", "10.65.0.2"), policy("p", "web", 80))
PLACE = ("place", None)


def learnt() -> Cluster:
    cluster = Cluster(NODE)
    for event in resources(*TEXTS):
        cluster.learn(event.key, event.resource)
    return cluster


def test_the_view_is_that_of_everything_at_once() -> None:
    whole = resources_to_v1(parse_resources([("test", "---\n".join(TEXTS))]))
    assert learnt().view() == calculate(whole, NODE, {})


def test_an_unchanged_view_is_the_same_object() -> None:
    cluster = learnt()
    assert cluster.view() is cluster.view()


def test_what_is_unlearnt_is_gone() -> None:
    cluster = learnt()
    for event in resources(*TEXTS):
        cluster.learn(event.key, None)
    cluster.learn(resources(*TEXTS)[0].key, None)
    assert not cluster.view().workloads
    assert not +cluster.counts()


def test_a_gap_is_closed_until_it_is_filled() -> None:
    cluster = learnt()
    before = cluster.view()
    cluster.lose(PLACE, loss_of_object(BROKEN_POLICY, InvalidInput("bad")))
    (closed,) = cluster.view().policies
    assert [rule.action for rule in closed.inbound] == [RuleAction.DENY]
    assert len(cluster.remarks()) == 1
    cluster.lose(PLACE, None)
    assert cluster.view() == before
    assert cluster.remarks() == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (workload("web", "cali1", "10.65.0.2"), True),
        (f"apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {NODE}}}\n", True),
        ("apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: other}\n", False),
        (PROFILE, False),
    ],
    ids=["an endpoint", "its own resource", "another node", "no node"],
)
def test_that_nothing_names_this_node_is_told(text: str, named: bool) -> None:
    cluster = Cluster(NODE)
    for event in resources(text):
        cluster.learn(event.key, event.resource)
    unnamed = f"no resource names the node {NODE}: it gets the rules of a node without endpoints"
    assert cluster.remarks() == (() if named else (unnamed,))


def test_without_settings_there_is_no_view() -> None:
    cluster = learnt()
    cluster.lose(PLACE, LostSettings(InvalidInput("bad")))
    with pytest.raises(InvalidInput, match="nothing can be done without it"):
        cluster.view()


def test_parameters_are_part_of_the_view() -> None:
    cluster = learnt()
    cluster.configure({"LogPrefix": "x"})
    assert cluster.view().config == {"LogPrefix": "x"}


def test_counts_by_kind() -> None:
    assert learnt().counts() == {"Profile": 1, "WorkloadEndpoint": 1, "NetworkPolicy": 1}
