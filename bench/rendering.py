"""Rendering a node: from its view to every rule with its hash, both families, and all sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, seconds
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    NetSet,
    NodeView,
    PortRange,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, Prefix
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Rendering, render_node
from tortie.render.state import NodeInterface, NodeState

_WORKLOADS, _POLICIES, _RULES, _MEMBERS = 250, 20, 5, 50
_MOST_SECONDS = 0.5


def figures(_folder: Path) -> Iterator[Figure]:
    """A busy node without and with IPVS."""
    view = make_view()
    for ipvs in (False, True):
        state = NodeState((NodeInterface("eth0"),), ipvs=ipvs)
        taken = seconds(lambda state=state: render_node(view, state, RenderConfig()))  # type: ignore[misc]
        count = rule_count(render_node(view, state, RenderConfig()))
        yield Figure(
            f"rendering {_WORKLOADS} workloads, {_POLICIES} policies each{', IPVS' if ipvs else ''}",
            f"{taken:.2f} s, {count:,} rules",
            f"under {_MOST_SECONDS} s",
            taken < _MOST_SECONDS,
        )


def make_view() -> NodeView:
    """A node on which every workload has every policy, in both directions."""
    sets = tuple(
        NetSet(
            f"s:{i:02d}{'x' * 36}", frozenset(Prefix(IPFamily.V4, 0x0A000000 + i * 256 + j, 32) for j in range(_MEMBERS))
        )
        for i in range(_POLICIES)
    )
    policies = tuple(
        ActivePolicy(
            f"ns{i % 10}/knp.default.policy-{i}",
            tuple(
                ActiveRule(
                    protocol="tcp",
                    source=RuleSide(ip_sets=(sets[i].id,)),
                    destination=RuleSide(ports=(PortRange(port, port),)),
                )
                for port in range(80, 80 + _RULES)
            ),
            (ActiveRule(),),
        )
        for i in range(_POLICIES)
    )
    names = tuple(policy.name for policy in policies)
    workloads = tuple(
        WorkloadEndpoint(
            WorkloadId("k8s", f"ns/pod-{i}", "eth0"),
            f"cali{i * 0x9E3779B1 % (1 << 44):011x}",
            profiles=("kns.ns", "ksa.ns.default"),
            tiers=(EndpointTier(names, names),),
        )
        for i in range(_WORKLOADS)
    )
    profiles = (ActiveProfile("kns.ns", (ActiveRule(),), (ActiveRule(),)), ActiveProfile("ksa.ns.default"))
    return NodeView("bench", workloads=workloads, policies=policies, profiles=profiles, ip_sets=sets)


def rule_count(rendering: Rendering) -> int:
    """Rules in all tables of both families."""
    return sum(
        len(chain.rules)
        for family in rendering.families.values()
        for table in family.tables.values()
        for chain in table.chains.values()
    )
