"""A drawn or written cluster's node-1 with everything that explaining a walk over it needs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster_node import INTERFACES, ClusterNode, cluster_node
from tests.strategies.cluster_object import NOBODY, NODE, POD, WORKLOADS
from tests.strategies.cluster_packet import SERVICE_BACKEND
from tortie.calc.calculation import calculate
from tortie.cli.packet_option import parse_packet_words, split_words
from tortie.explain.basis import Basis
from tortie.explain.explanation import Explainer, Explanation
from tortie.explain.verdict import PolicyVerdict
from tortie.explain.world import Answer, Question, ask
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import IPFamily
from tortie.netfilter.snapshot import Snapshot
from tortie.render.config import parse_config
from tortie.render.ruleset import render_node
from tortie.render.state import NodeInterface, NodeState
from tortie.simulator.walk import Arrival, Node


def node_of(resources: Resources) -> ClusterNode:
    """Node-1 as it is once everything is programmed, with the interfaces of `cluster_object`."""
    return cluster_node(
        resources,
        NODE,
        interfaces=[who.interface for who in (*WORKLOADS.values(), POD, NOBODY)],
        more_routes={NOBODY.address(family): NOBODY.interface for family in IPFamily},
        service={family: (SERVICE_BACKEND[0].address(family), SERVICE_BACKEND[1]) for family in IPFamily},
    )


def basis_of(resources: Resources, node: str = NODE) -> Basis:
    """What node-1 should have, from the ground up."""
    parameters = felix_parameters(resources, node)
    cluster = resources_to_v1(resources)
    view = calculate(cluster, node, parameters)
    config, _ = parse_config(view.config)
    state = NodeState(tuple(NodeInterface(name, addresses) for name, addresses in INTERFACES.items()))
    return Basis(resources, node, cluster, view, state, config, render_node(view, state, config))


@dataclass(frozen=True)
class Explained:
    """A packet on node-1, and what is said of it."""

    explainer: Explainer
    question: Question
    answer: Answer
    explanation: Explanation

    @property
    def basis(self) -> Basis:
        return self.explainer.basis

    @property
    def verdict(self) -> PolicyVerdict:
        assert self.explanation.verdict is not None
        return self.explanation.verdict

    @property
    def changes(self) -> list[str]:
        """Every solution as its kinds of changes and their words."""
        return [
            " + ".join(f"{change.kind.word}: {change.text}" for change in solution.changes)
            for solution in self.explanation.solutions
        ]


def explained(resources: Resources, words: str, in_iface: str | None, *, one: bool = False) -> Explained:
    """A packet in the words of the command line, explained on node-1 as its resources have it."""
    node = node_of(resources).node
    return explained_on(basis_of(resources), node.snapshot, words, in_iface, one=one)


def explained_on(basis: Basis, snapshot: Snapshot, words: str, in_iface: str | None, *, one: bool = False) -> Explained:
    """The same on any snapshot."""
    packet = parse_packet_words(*split_words(words)).packet
    question = Question(Arrival(packet, in_iface=in_iface), one=one)
    answer = ask(question, Node.from_snapshot(snapshot))
    explainer = Explainer(basis, snapshot)
    return Explained(explainer, question, answer, explainer.explain(question, answer))
