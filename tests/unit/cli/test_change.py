"""What changes, by chain, set and owner; how it is shown is in tests/golden/plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.render.test_ruleset import BUSY, rendered
from tortie.calc.view import ActivePolicy, ActiveRule, NetSet, NodeView, RuleAction
from tortie.cli.chain_owner import OwnerKind, Owners
from tortie.cli.change import Changes, Kind, find_changes
from tortie.cli.programming import CALICO, wanted_families
from tortie.model import v1
from tortie.net.address import IPFamily, parse_prefix
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.plan import plan
from tortie.reconcile.wanted import Held

EMPTY = Held({family: Ruleset(family, Backend.NFT, {}) for family in IPFamily}, {})
LESS = replace(BUSY, workloads=BUSY.workloads[:1], policies=BUSY.policies[:-1] + BUSY.policies[-1:])


def changes(view: NodeView, held: Held) -> Changes:
    return find_changes(rendered(view), held, Owners(view, v1.Cluster(), [("eth0", "host")]))


def after(view: NodeView) -> Held:
    return changes(view, EMPTY).after


def kinds(found: Changes, kind: OwnerKind) -> dict[str, Kind]:
    return {one.owner.name: one.kind for one in found.owners if one.owner.kind is kind}


def test_from_nothing_everything_is_new() -> None:
    found = changes(BUSY, EMPTY)
    new = [one for one in found.chains if one.chain.startswith("cali-")]
    assert {one.kind for one in new} == {Kind.NEW}
    assert all(line.startswith("+ ") for one in found.chains for line in one.lines)
    assert {one.kind for one in found.sets} == {Kind.NEW}
    assert kinds(found, OwnerKind.WORKLOAD) == {f"pod ns/{pod} ({i})": Kind.NEW for pod, i in
                                                (("a", "cali11"), ("b", "cali12"), ("c", "cali2"))}  # fmt: skip


def test_what_is_held_afterwards_is_what_planning_leads_to() -> None:
    held = after(BUSY)
    assert plan(wanted_families(rendered(BUSY)), held, CALICO).steps == ()
    assert not changes(BUSY, held).any


def test_where_the_families_differ_it_is_said_of_which_a_rule_is() -> None:
    deny = ActiveRule(RuleAction.DENY)
    some = ActivePolicy(BUSY.policies[0].name, (deny, replace(deny, ip_version=IPFamily.V4)), (deny,))
    found = changes(replace(BUSY, policies=(some, *BUSY.policies[1:])), EMPTY)
    (details,) = [one.details for one in found.owners if some.name.endswith(one.owner.name.rpartition(" ")[2])]
    assert details == ("IPv4 ingress: 2 rules", "egress: 1 rule", "IPv6 ingress: 1 rule")


def test_a_workload_that_goes() -> None:
    found = changes(LESS, after(BUSY))
    assert kinds(found, OwnerKind.WORKLOAD) == {"interface cali12": Kind.GONE, "interface cali2": Kind.GONE}
    assert kinds(found, OwnerKind.POLICY) == {}
    gone = [one for one in found.chains if one.chain == "cali-tw-cali12"]
    assert {one.kind for one in gone} == {Kind.GONE}
    assert len(gone) == 2


def test_hashes_that_change_are_counted_and_not_shown() -> None:
    found = changes(LESS, after(BUSY))
    dispatch = next(one for one in found.chains if one.chain == "cali-set-endpoint-mark" and one.family is IPFamily.V4)
    assert dispatch.renumbered > 0
    assert not any("cali:" in line for line in dispatch.lines)


def test_members_that_come_and_go() -> None:
    members = frozenset({parse_prefix("10.65.0.0/24"), parse_prefix("10.99.0.0/24")})
    found = changes(replace(BUSY, ip_sets=(NetSet("s:a", members),)), after(BUSY))
    by_family = {one.family: one for one in found.sets}
    assert by_family[IPFamily.V4].added == ("10.99.0.0/24",)
    assert by_family[IPFamily.V6].removed == ("fd00::/64",)
    assert not found.chains
    assert [one.details for one in found.owners] == [("IPv4: + 10.99.0.0/24",), ("IPv6: - fd00::/64",)]


def test_a_set_of_another_type_is_made_anew() -> None:
    held = after(BUSY)
    name = "cali40s:a"
    other = replace(held.ip_sets[name], type="hash:ip", entries=())
    found = changes(BUSY, Held(held.rulesets, {**held.ip_sets, name: other}))
    assert [(one.name, one.remade) for one in found.sets] == [(name, True)]


def test_a_set_of_ours_that_nobody_wants_goes() -> None:
    held = after(BUSY)
    left = replace(held.ip_sets["cali40s:a"], name="cali40s:left")
    found = changes(
        BUSY, Held(held.rulesets, {**held.ip_sets, "cali40s:left": left, "theirs": replace(left, name="theirs")})
    )
    assert [(one.name, one.kind) for one in found.sets] == [("cali40s:left", Kind.GONE)]
    assert set(found.after.ip_sets) == {*held.ip_sets, "theirs"}


@pytest.mark.parametrize("family", IPFamily)
def test_a_family_alone_is_told_by_its_number(family: IPFamily) -> None:
    made = rendered(BUSY)
    alone = replace(made, families={family: made.families[family]})
    found = find_changes(alone, EMPTY, Owners(BUSY, v1.Cluster()))
    shared = next(one for one in found.owners if one.owner.kind is OwnerKind.NODE)
    assert all(detail.startswith(f"IPv{family.value} ") for detail in shared.details)
