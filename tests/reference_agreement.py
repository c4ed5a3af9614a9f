"""Whether reference and simulator agree about a drawn cluster: one reads the resources, the other the rendered rules.

`examine` walks packets through node-1 as it is rendered and asks the reference about each, and about the answer to each.
What the reference says that it cannot tell is not compared, but counted. A disagreement comes with the cluster made as
small as leaving out objects, fields and rules one by one makes it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.cluster_node import INTERFACES, ClusterNode, cluster_node
from tests.kernel.generate.draw import Draw
from tests.strategies.cluster_object import NOBODY, NODE, POD, WORKLOADS, Object, draw_cluster, read_cluster
from tests.strategies.cluster_packet import SERVICE_BACKEND, Sent, draw_packet
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.read import Resources
from tortie.net.address import Address, IPFamily
from tortie.net.error import InvalidInput
from tortie.reference.conversation import decide_conversation
from tortie.reference.decide import decide
from tortie.reference.decision import Decision, Finding, Verdict
from tortie.simulator.flow import walk_flow
from tortie.simulator.trace import Verdict as Walked
from tortie.simulator.trace import Walk
from tortie.simulator.walk import Arrival

CANDIDATES, ALWAYS = 100, 4
"""How many packets are drawn for a cluster, of which some cannot be sent; and how many are walked in any case."""
_CONDITIONS = ("selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets", "ports", "notPorts")
_MOST_TRIALS = 500


@dataclass
class Tally:
    """What was compared: verdicts, and how often each reason came up."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    answers: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def count(self, decision: Decision, into: Counter[Verdict]) -> None:
        into[decision.verdict] += 1
        self.reasons.update((one.stage.name, one.says.name, type(one.reason).__name__) for one in decision.findings)


@dataclass(frozen=True)
class Making:
    """How the node's rules are made: `felix_exact` with Felix's mistakes."""

    ipvs: bool = False
    felix_exact: bool = False


def examine(seed: str, tally: Tally, *, felix_exact: bool = False) -> str | None:
    """What the two disagree about in the cluster of a seed, in words, or None."""
    draw = Draw(seed)
    objects = draw_cluster(draw)
    resources = read_cluster(objects)
    making = Making(draw.chance(1 / 6) and not _excludes_interfaces(resources), felix_exact)
    node = _node(resources, making)
    for sent in _worth_walking(draw, objects, resources, node):
        if (found := _compare(resources, node, sent, tally)) is not None:
            small = shrink(objects, partial(_disagrees, sent, node.routes, making))
            return f"seed {seed!r}: {found}\n{json.dumps(small, indent=1)}"
    return None


def _worth_walking(draw: Draw, objects: list[Object], resources: Resources, node: ClusterNode) -> Iterator[Sent]:
    """A few packets as they come; one more for every reason that the reference has for its decisions; and those that
    one condition makes the difference for, where it stands in rules."""
    drawn = [sent for _ in range(CANDIDATES) if (sent := draw_packet(draw, node.routes)) is not None]
    yield from drawn[:ALWAYS]
    weaker = read_cluster(_without_condition(objects, draw.one(_CONDITIONS)))
    seen: set[tuple[Finding, ...]] = set()
    for sent in drawn[ALWAYS:]:
        decision = decide(resources, NODE, sent.flow, interfaces=INTERFACES)
        if decision.findings not in seen:
            seen.add(decision.findings)
            yield sent
        elif decide(weaker, NODE, sent.flow, interfaces=INTERFACES).verdict is not decision.verdict:
            yield sent


def _without_condition(objects: list[Object], name: str) -> list[Object]:
    """The cluster with one condition taken out of all rules of Calico's policies and profiles."""
    copy: list[Object] = json.loads(json.dumps(objects))
    for spec in [one["spec"] for one in copy if one["apiVersion"] == "projectcalico.org/v3"]:
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            for end in ("source", "destination"):
                rule.get(end, {}).pop(name, None)
    return copy


def first_disagreement(seeds: Iterator[str] | Sequence[str], tally: Tally) -> str | None:
    """The first disagreement among the clusters of these seeds."""
    return next((found for seed in seeds if (found := examine(seed, tally)) is not None), None)


def _excludes_interfaces(resources: Resources) -> bool:
    """Under IPVS what goes to an excluded interface's address is taken for forwarded (docs/felix-differences.md)."""
    return any(found.spec.interface_exclude for found in resources.of(FelixConfiguration))


def _node(resources: Resources, making: Making) -> ClusterNode:
    return cluster_node(
        resources,
        NODE,
        interfaces=[who.interface for who in (*WORKLOADS.values(), POD, NOBODY)],
        more_routes={NOBODY.address(family): NOBODY.interface for family in IPFamily},
        service={family: (SERVICE_BACKEND[0].address(family), SERVICE_BACKEND[1]) for family in IPFamily},
        ipvs=making.ipvs,
        felix_exact=making.felix_exact,
    )


def _compare(resources: Resources, node: ClusterNode, sent: Sent, tally: Tally) -> str | None:
    decided = decide_conversation(resources, NODE, sent.flow, interfaces=INTERFACES)
    walked = walk_flow(node.node, Arrival(sent.packet, in_iface=sent.flow.enters), keep_steps=False)
    tally.count(decided.first, tally.verdicts)
    if not _agree(decided.first, walked.first):
        return f"{sent.flow}\n  reference: {decided.first}\n  simulator: {_words(walked.first)}"
    if decided.answer is None or walked.reply is None:
        return None
    tally.count(decided.answer, tally.answers)
    if not _agree(decided.answer, walked.reply):
        return f"answer to {sent.flow}\n  reference: {decided.answer}\n  simulator: {_words(walked.reply)}"
    return None


def _agree(decision: Decision, walk: Walk) -> bool:
    if decision.verdict is Verdict.UNKNOWN:
        return True
    return walk.verdict is (Walked.ACCEPT if decision.verdict is Verdict.ALLOWED else Walked.DROP)


def _words(walk: Walk) -> str:
    return f"{walk.verdict.value}, {walk.outcomes[0].decided_by}"


def _disagrees(sent: Sent, routes: Mapping[Address, str], making: Making, objects: list[Object]) -> bool:
    """True when they still disagree, about a packet that still comes and goes where it did."""
    try:
        resources = read_cluster(objects)
    except InvalidInput:
        return False
    node = _node(resources, making)
    ends = (sent.flow.source, sent.flow.destination, sent.flow.translated)
    if any(end is not None and node.routes.get(end) != routes.get(end) for end in ends):
        return False
    return _compare(resources, node, sent, Tally()) is not None


# --- making a cluster small --------------------------------------------------------------------------------------


def shrink(objects: list[Object], still: Callable[[list[Object]], bool]) -> list[Object]:
    """The cluster without everything that is not needed for the disagreement."""
    trials = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for path in list(_places(objects)):
            smaller = _without(objects, path)
            trials += 1
            if trials > _MOST_TRIALS:
                return objects
            if smaller is not None and still(smaller):
                objects, shrunk = smaller, True
    return objects


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree of plain data, outer ones first, later ones first."""
    inner = reversed(list(enumerate(value))) if isinstance(value, list) else ()
    inner = value.items() if isinstance(value, dict) else inner
    for key, below in inner:
        yield (*path, key)
        yield from _places(below, (*path, key))


def _without(objects: list[Object], path: tuple[Any, ...]) -> list[Object] | None:
    """A copy without what is at a place; None if there is nothing any more."""
    copy: list[Object] = json.loads(json.dumps(objects))
    at: Any = copy
    try:
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
    except (KeyError, IndexError):
        return None
    return copy
