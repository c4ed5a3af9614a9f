"""Which changes come up for a packet that policy drops, by what they say; whether they work is `search`'s business."""

from __future__ import annotations

import pytest

from tests.explained_cluster import explained
from tests.reference_builder import WORLD, global_policy, host, policy, profile, read, resource, workload
from tortie.explain.candidate import candidates
from tortie.explain.change import ChangeKind
from tortie.explain.search import situation_of
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy

WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"
ETH = host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]")


def came_up(more: str, words: str = WEB, in_iface: str | None = "eth0") -> dict[str, list[str]]:
    """Candidates by kind."""
    seen = explained(read(WORLD, more), words, in_iface)
    situation = situation_of(seen.answer, seen.basis)
    assert situation is not None
    found: dict[str, list[str]] = {}
    for change in candidates(situation):
        found.setdefault(change.kind.word, []).append(change.text)
    return found


OPEN_AT_ONCE = "selector: access == 'open', applyOnForward: true, ingress: [{action: Allow}]"
RULE = "{action: Allow, protocol: TCP, %s}"


@pytest.mark.parametrize(
    ("rule", "kind", "text"),
    [
        ("destination: {ports: [80]}", "port", "NetworkPolicy a/p, ingress rule 1: add port 8080"),
        ("source: {ports: [80]}", "port", "NetworkPolicy a/p, ingress rule 1: add source port 1000"),
        ("source: {nets: [10.0.0.0/16]}", "net", "NetworkPolicy a/p, ingress rule 1: add the source net 10.65.1.2/32"),
        ("source: {selector: role == 'x'}", "label",
         "pod a/far: label role=x, so that NetworkPolicy a/p, ingress rule 1 is for it"),
    ],
)  # fmt: skip
def test_a_rule_that_asks_one_thing_too_many_is_met(rule: str, kind: str, text: str) -> None:
    found = came_up(policy("p", "a", f"{{ingress: [{RULE % rule}]}}"))
    assert found[kind] == [text]


def test_a_rule_that_asks_two_things_is_left_alone() -> None:
    rule = RULE % "source: {selector: role == 'x'}, destination: {ports: [80]}"
    assert came_up(policy("p", "a", f"{{ingress: [{rule}]}}")).keys() == {"rule", "policy"}


def test_only_rules_that_come_in_time_and_allow_are_met() -> None:
    rules = ", ".join(
        (
            RULE % "destination: {ports: [80]}",
            "{action: Deny, protocol: TCP, destination: {ports: [81]}}",
            "{action: Deny}",
            RULE % "destination: {ports: [82]}",
        )
    )
    found = came_up(policy("p", "a", f"{{ingress: [{rules}]}}"))
    assert found["port"] == ["NetworkPolicy a/p, ingress rule 1: add port 8080"]
    assert found["rule"] == [
        "NetworkPolicy a/p: add an ingress rule in front of rule 3 that allows tcp/8080 from role == 'front'"
    ]


def test_a_set_that_is_selected_gets_a_member() -> None:
    more = policy("p", "a", "{ingress: [{action: Allow, source: {selector: kind == 'net'}}]}")
    sets = resource("NetworkSet", "good", "{nets: [10.0.0.0/24]}", namespace="a", labels="{kind: net}")
    other = resource("NetworkSet", "other", "{nets: [10.0.0.0/24]}", namespace="b", labels="{kind: net}")
    found = came_up(more + sets + other, "tcp 192.0.2.1:1 10.65.0.2:80")
    assert found["member"] == ["NetworkSet a/good: add 192.0.2.1/32, which NetworkPolicy a/p, ingress rule 1 is for"]


def test_a_policy_that_would_allow_it_may_select_the_endpoint_too() -> None:
    more = policy("p", "a", "{types: [Ingress]}") + policy(
        "open", "a", "{selector: access == 'open', ingress: [{action: Allow}]}"
    )
    assert came_up(more)["label"] == [
        "pod a/web: label access=open, so that NetworkPolicy a/open, whose ingress rule 1 allows it, selects it"
    ]


@pytest.mark.parametrize(
    "other",
    [
        policy("open", "b", "{selector: access == 'open', ingress: [{action: Allow}]}"),
        policy("open", "a", "{selector: access == 'open', egress: [{action: Allow}]}"),
        policy("open", "a", "{selector: access == 'open', ingress: [{action: Deny}, {action: Allow}]}"),
        global_policy("open", f"{{doNotTrack: true, {OPEN_AT_ONCE}}}"),
        global_policy("open", f"{{preDNAT: true, {OPEN_AT_ONCE}}}"),
    ],
    ids=["another namespace", "another direction", "denied first", "untracked", "before DNAT"],
)  # fmt: skip
def test_a_policy_that_would_not_be_asked_is_no_help(other: str) -> None:
    assert "label" not in came_up(policy("p", "a", "{types: [Ingress]}") + other)


def test_a_new_policy_is_for_the_stage_and_comes_before_what_denies() -> None:
    deny = "{order: 10, selector: has(host), applyOnForward: true, preDNAT: true, ingress: [{action: Deny}]}"
    seen = explained(read(WORLD, ETH + global_policy("h", deny)), WEB, "eth0")
    situation = situation_of(seen.answer, seen.basis)
    assert situation is not None
    (new,) = (change for change in candidates(situation) if change.kind is ChangeKind.POLICY)
    made = new.resource
    assert isinstance(made, GlobalNetworkPolicy) and new.created
    assert (made.spec.order, made.spec.pre_dnat, made.spec.apply_on_forward, made.spec.selector) == (
        9, True, True, "host == 'eth'",
    )  # fmt: skip


def test_the_first_policy_of_an_endpoint_closes_it_and_that_is_said() -> None:
    more = profile("none", rules="ingress: []") + workload(
        "x", "a", "cali12", "10.65.0.8", labels="{app: x}", more="profiles: [none]"
    )
    seen = explained(read(WORLD, more), "tcp 10.65.1.2:1 10.65.0.8:80", "eth0")
    situation = situation_of(seen.answer, seen.basis)
    assert situation is not None
    by_kind = {change.kind: change for change in candidates(situation)}
    assert "closed to everything else" in by_kind[ChangeKind.POLICY].remark
    assert by_kind[ChangeKind.RULE].text.startswith("Profile none: add an ingress rule that allows tcp/80 from")
    made = by_kind[ChangeKind.POLICY].resource
    assert isinstance(made, NetworkPolicy) and made.metadata.namespace == "a" and made.spec.order is None


@pytest.mark.parametrize(
    ("name", "text", "rules"),
    [
        ("kns.gone", "Namespace gone: ", 1),
        ("ksa.a.gone", "ServiceAccount a/gone: ", 0),
        ("gone", "Profile gone: ", 1),
    ],
)
def test_a_profile_that_is_missing_is_made_as_it_usually_is(name: str, text: str, rules: int) -> None:
    more = workload("x", "a", "cali12", "10.65.0.8", labels="{app: x}", more=f"profiles: [{name}]")
    seen = explained(read(WORLD, more), "tcp 10.65.1.2:1 10.65.0.8:80", "eth0")
    situation = situation_of(seen.answer, seen.basis)
    assert situation is not None
    (made,) = (change for change in candidates(situation) if change.kind is ChangeKind.PROFILE)
    assert made.text.startswith(text) and made.created
    assert len(made.resource.spec.ingress) == rules  # type: ignore[union-attr]


def test_what_stands_for_something_of_kubernetes_gets_no_rules() -> None:
    """A namespace's profile allows everything always; nobody can give it other rules."""
    more = profile("kns.c", rules="ingress: [{action: Deny}]") + workload(
        "x", "c", "cali12", "10.65.0.8", labels="{app: x}"
    )
    assert came_up(more, "tcp 10.65.1.2:1 10.65.0.8:80").keys() == {"policy"}


def test_what_calico_would_refuse_does_not_come_up() -> None:
    """A rule of nets in one family cannot get one of the other."""
    more = policy("p", "a", "{ingress: [{action: Allow, source: {nets: [10.0.0.0/8]}}]}")
    assert "net" not in came_up(more, "tcp [fd00::1]:1 [fd00:65::2]:80")


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    taken = policy("allow-tcp-8080-ingress", "a", "{types: [Ingress]}")
    (new,) = came_up(taken)["policy"]
    assert "NetworkPolicy a/allow-tcp-8080-ingress-2 " in new
