"""What findings amount to, and their words."""

from __future__ import annotations

import pytest

from tortie.model.read import Key
from tortie.model.rule import Action
from tortie.reference.decision import (
    ByRule,
    CannotTell,
    Direction,
    Finding,
    HostToWorkload,
    NoConnection,
    NoPolicyApplies,
    NoRule,
    Says,
    Stage,
    Verdict,
    decision_of,
)

H = Key("HostEndpoint", "", "h")
P = Key("NetworkPolicy", "a", "p")
NO_SAY = Finding(Stage.UNTRACKED, Says.NOTHING, NoRule((P,)), Direction.INGRESS, H)
EARLY = Finding(Stage.UNTRACKED, Says.ALLOW, ByRule(P, 2, Action.ALLOW), Direction.INGRESS, H)
ALLOWED = Finding(Stage.NORMAL, Says.ALLOW, ByRule(P, 1, Action.ALLOW), Direction.INGRESS, H)
DENIED = Finding(Stage.NORMAL, Says.DENY, NoConnection(), Direction.EGRESS, H)
UNTOLD = Finding(Stage.NODE, Says.UNKNOWN, CannotTell("who knows"))


@pytest.mark.parametrize(
    ("findings", "verdict", "words"),
    [
        ((), Verdict.ALLOWED, "allowed: no policy applies"),
        (
            (NO_SAY,),
            Verdict.ALLOWED,
            "allowed: ingress of HostEndpoint(h) (untracked policy): no rule of NetworkPolicy(a/p) holds",
        ),
        (
            (NO_SAY, ALLOWED),
            Verdict.ALLOWED,
            "allowed: ingress of HostEndpoint(h): rule 1 of NetworkPolicy(a/p) allows it",
        ),
        (
            (ALLOWED, DENIED),
            Verdict.DENIED,
            "denied: egress of HostEndpoint(h): it belongs to no connection and cannot begin one",
        ),
        ((NO_SAY, UNTOLD), Verdict.UNKNOWN, "cannot tell: who knows"),
        (
            (EARLY, Finding(Stage.NODE, Says.ALLOW, HostToWorkload())),
            Verdict.ALLOWED,
            "allowed: ingress of HostEndpoint(h) (untracked policy): rule 2 of NetworkPolicy(a/p) allows it; "
            "a node reaches its own workloads",
        ),
    ],
)
def test_what_findings_amount_to(findings: tuple[Finding, ...], verdict: Verdict, words: str) -> None:
    decision = decision_of(findings, Direction.INGRESS)
    assert decision.verdict is verdict
    assert str(decision) == words


def test_what_settles_it() -> None:
    assert decision_of((ALLOWED, DENIED), Direction.INGRESS).decided_by is DENIED
    assert decision_of((EARLY, NO_SAY), Direction.INGRESS).decided_by is EARLY
    assert decision_of((NO_SAY,), Direction.INGRESS).decided_by is NO_SAY
    assert decision_of((), Direction.INGRESS).decided_by.reason == NoPolicyApplies()


@pytest.mark.parametrize(
    ("findings", "first", "untracked"),
    [
        pytest.param((EARLY, ALLOWED), Direction.INGRESS, True, id="let in untracked"),
        pytest.param((NO_SAY, ALLOWED), Direction.INGRESS, False, id="no say"),
        pytest.param((EARLY,), Direction.EGRESS, False, id="let back in, after tracking has seen it"),
    ],
)
def test_whether_tracking_sees_it(findings: tuple[Finding, ...], first: Direction, untracked: bool) -> None:
    assert decision_of(findings, first).untracked is untracked
