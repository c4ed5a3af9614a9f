"""Which chains are made again after a change, and which stay the very objects that they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.render.test_ruleset import BUSY, CONFIG, RULES, STATE, workload
from tortie.calc.view import ActivePolicy, ActiveRule, EndpointTier, NatMapping, NetSet, NodeView
from tortie.net.address import IPFamily, parse_address
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain
from tortie.render.ruleset import Renderer, Rendering
from tortie.render.state import NodeInterface

IPVS = replace(STATE, ipvs=True)
RAW, MANGLE, NAT, FILTER = TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER


def chains(rendering: Rendering) -> dict[tuple[TableName, IPFamily, str], Chain]:
    return {
        (name, family, chain.name): chain
        for family, rendered in rendering.families.items()
        for name, table in rendered.tables.items()
        for chain in table.chains.values()
    }


def made_again(before: NodeView, after: NodeView) -> set[str]:
    """Names of chains in the second rendering that are not the objects of the first."""
    renderer = Renderer()
    old = chains(renderer.render(before, IPVS, CONFIG))
    new = chains(renderer.render(after, IPVS, CONFIG))
    return {place[2] for place, chain in new.items() if old.get(place) is not chain}


def with_policy(name: str, **changes: object) -> Callable[[NodeView], NodeView]:
    def change(view: NodeView) -> NodeView:
        policies = (replace(one, **changes) if one.name == name else one for one in view.policies)  # type: ignore[arg-type]
        return replace(view, policies=tuple(policies))

    return change


def with_workload(place: int, **changes: object) -> Callable[[NodeView], NodeView]:
    def change(view: NodeView) -> NodeView:
        workloads = list(view.workloads)
        workloads[place] = replace(workloads[place], **changes)  # type: ignore[arg-type]
        return replace(view, workloads=tuple(workloads))

    return change


CHANGES: dict[str, tuple[Callable[[NodeView], NodeView], set[str]]] = {
    "nothing, in other objects": (lambda view: replace(view, policies=tuple(map(replace, view.policies))), set()),
    "another order of everything": (
        lambda view: replace(view, policies=view.policies[::-1], workloads=view.workloads[::-1]),
        set(),
    ),
    "a policy's rules of one direction": (
        with_policy("default.normal", inbound=(*RULES, ActiveRule())),
        {"cali-pi-default.normal"},
    ),
    "a policy's namespace": (with_policy("default.normal", namespace="other"), set()),
    "the policies of a workload in one direction": (
        with_workload(0, tiers=(EndpointTier(("default.normal",), ("default.normal",)),)),
        {"cali-tw-cali11"},
    ),
    "a workload's profiles": (with_workload(1, profiles=()), {"cali-tw-cali12", "cali-fw-cali12"}),
    "a workload goes down": (with_workload(1, active=False), {"cali-tw-cali12", "cali-fw-cali12"}),
    "policies of a workload that is down": (with_workload(2, tiers=()), set()),
    "a workload's address": (with_workload(0, mac=b"\x02\0\0\0\0\1"), set()),
    "a floating address": (
        with_workload(0, nats=(NatMapping(parse_address("172.16.1.4"), parse_address("10.65.0.2")),)),
        {"cali-fip-dnat", "cali-fip-snat"},
    ),
    "members of a set": (lambda view: replace(view, ip_sets=(NetSet("s:a"),)), set()),
    "a policy comes": (
        lambda view: replace(view, policies=(ActivePolicy("default.a"), *view.policies)),
        {"cali-pi-default.a", "cali-po-default.a"},
    ),
    "a workload comes beside another": (
        lambda view: replace(view, workloads=(*view.workloads, workload("ns/d", "cali13"))),
        {
            "cali-tw-cali13", "cali-fw-cali13", "cali-sm-cali13", "cali-from-wl-dispatch-1", "cali-to-wl-dispatch-1",
            "cali-set-endpoint-mark-1", "cali-from-endpoint-mark",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_only_the_chains_that_depend_on_it(
    change: Callable[[NodeView], NodeView], expected: set[str]
) -> None:
    assert made_again(BUSY, change(BUSY)) == expected


@pytest.mark.parametrize(
    ("change", "tables"),
    [
        (with_policy("default.normal", outbound=()), {RAW, MANGLE, FILTER}),
        (with_workload(1, profiles=()), {FILTER}),
        (with_workload(0, nats=()), {NAT}),
    ],
    ids=["a policy", "an endpoint", "floating addresses"],
)
def test_tables_in_which_nothing_changes_are_the_same_objects(
    change: Callable[[NodeView], NodeView], tables: set[TableName]
) -> None:
    renderer = Renderer()
    before, after = (renderer.render(view, IPVS, CONFIG).families[IPFamily.V4] for view in (BUSY, change(BUSY)))
    assert {name for name in before.tables if before.tables[name] is not after.tables[name]} == tables
    assert before.ip_sets is after.ip_sets


def test_families_of_which_nothing_changes_are_the_same_objects() -> None:
    renderer = Renderer()
    before, after = (renderer.render(replace(BUSY, hostname="node-1"), IPVS, CONFIG) for _ in range(2))
    assert all(before.families[family] is after.families[family] for family in IPFamily)


def test_another_configuration_is_rendered_from_the_start() -> None:
    renderer = Renderer()
    renderer.render(BUSY, IPVS, CONFIG)
    config = replace(CONFIG, filter_allow_action="RETURN")
    assert renderer.render(BUSY, IPVS, config) == Renderer().render(BUSY, IPVS, config)


def test_an_interface_of_the_node_that_comes_changes_only_what_is_about_it() -> None:
    renderer = Renderer()
    before = chains(renderer.render(BUSY, IPVS, CONFIG))
    state = replace(IPVS, interfaces=(*IPVS.interfaces, NodeInterface("cali11"), NodeInterface("eth1")))
    after = chains(renderer.render(BUSY, state, CONFIG))
    assert before.keys() == after.keys()
    assert all(before[place] is after[place] for place in before)
