"""Which policies apply, in which order (spec: model 6.3)."""

from __future__ import annotations

import pytest

from tests.reference_builder import flow, global_policy, policy, profile, read
from tortie.model.profile import Profile
from tortie.model.read import key_of
from tortie.model.rule import Action
from tortie.reference.decision import ByRule, Direction, Stage
from tortie.reference.policy import answer_of_policies, answer_of_profile, policies_for, policies_in_order

PACKET = flow("tcp 10.0.0.1:1 > 10.65.0.2:80", "eth0", "cali1")
OF_A = {"projectcalico.org/namespace": "a", "role": "front"}


def names(*texts: str, labels: dict[str, str], stage: Stage, direction: Direction) -> list[str]:
    return [found.metadata.name for found in policies_for(read(*texts), labels, stage, direction)]


def test_by_order_then_by_full_name() -> None:
    texts = (
        policy("z", "zoo", "{}"),
        global_policy("x", "{}"),
        policy("z", "ant", "{}"),
        global_policy("late", "{order: 10.5}"),
        policy("early", "zoo", "{order: -1}"),
        policy("knp.default.k", "cat", "{order: 10}"),
    )
    order = [str(key_of(found)) for found in policies_in_order(read(*texts))]
    assert order == [
        "NetworkPolicy(zoo/early)",
        "NetworkPolicy(cat/knp.default.k)",
        "GlobalNetworkPolicy(late)",
        "NetworkPolicy(ant/z)",
        "GlobalNetworkPolicy(x)",
        "NetworkPolicy(zoo/z)",
    ]


KINDS = (
    global_policy("normal", "{}")
    + global_policy("forward", "{applyOnForward: true}")
    + global_policy("untracked", "{applyOnForward: true, doNotTrack: true}")
    + global_policy("early", "{applyOnForward: true, preDNAT: true}")
    + policy("spaced", "a", "{}")
)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.NORMAL, ["spaced", "forward", "normal"]),
        (Stage.FORWARD, ["spaced", "forward"]),
        (Stage.UNTRACKED, ["untracked"]),
        (Stage.PRE_DNAT, ["early"]),
    ],
)
def test_kinds(stage: Stage, expected: list[str]) -> None:
    assert names(KINDS, labels=OF_A, stage=stage, direction=Direction.INGRESS) == expected


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ("{}", "ingress"),
        ("{ingress: [{action: Allow}]}", "ingress"),
        ("{egress: [{action: Allow}]}", "egress"),
        ("{egress: [{action: Allow}], ingress: [{action: Allow}]}", "ingress egress"),
        ("{egress: [{action: Allow}], types: [Ingress]}", "ingress"),
        ("{types: [Egress, Ingress]}", "ingress egress"),
    ],
)
def test_directions(spec: str, directions: str) -> None:
    text = global_policy("p", spec)
    found = [way.value for way in Direction if names(text, labels=OF_A, stage=Stage.NORMAL, direction=way)]
    assert found == directions.split()


@pytest.mark.parametrize(
    ("text", "applies"),
    [
        (policy("p", "a", "{}"), True),
        (policy("p", "b", "{}"), False),
        (policy("p", "a", "{selector: role == 'back'}"), False),
        (global_policy("p", "{selector: role == 'front'}"), True),
        (global_policy("p", "{selector: role == 'back'}"), False),
    ],
)
def test_selectors(text: str, applies: bool) -> None:
    found = names(text, labels=OF_A, stage=Stage.NORMAL, direction=Direction.INGRESS)
    assert bool(found) is applies


def test_the_first_rule_that_holds_has_the_answer_and_logging_is_none() -> None:
    resources = read(
        global_policy("a", "{order: 1, ingress: [{action: Log}, {action: Deny, protocol: UDP}]}"),
        global_policy("b", "{order: 2, ingress: [{action: Pass, protocol: TCP}, {action: Deny}]}"),
    )
    every = policies_in_order(resources)
    assert answer_of_policies(every, Direction.INGRESS, PACKET, ()) == ByRule(key_of(every[1]), 1, Action.PASS)
    assert answer_of_policies(every, Direction.EGRESS, PACKET, ()) is None


def test_profiles() -> None:
    made = read(profile("p", rules="ingress: [{action: Log}, {action: Deny}]")).get(Profile, "p")
    assert made is not None
    assert answer_of_profile(made, Direction.INGRESS, PACKET, ()) == ByRule(key_of(made), 2, Action.DENY)
    assert answer_of_profile(made, Direction.EGRESS, PACKET, ()) is None
