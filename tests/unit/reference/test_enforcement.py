"""What the policies of one endpoint say, kind by kind (spec: model 6.3, rules 6.2): the table of the module, row by row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reference_builder import configuration, flow, global_policy, host, profile, read
from tortie.model.endpoint import HostEndpoint
from tortie.model.read import Key
from tortie.model.rule import Action
from tortie.reference.configuration import read_configuration
from tortie.reference.decision import (
    ByRule,
    Direction,
    FailsafePort,
    Finding,
    KnownConnection,
    NoConnection,
    NoForwardPolicy,
    NoProfile,
    NoRule,
    Reason,
    Says,
)
from tortie.reference.enforcement import forward_policy, normal_policy, pre_dnat_policy, untracked_policy
from tortie.reference.flow import Flow, Tracking
from tortie.reference.site import Site, site_of

Ask = Callable[[Site, HostEndpoint, Flow], Finding | None]
KINDS: dict[str, tuple[str, Ask]] = {
    "normal": ("", lambda site, at, packet: normal_policy(site, at, Direction.INGRESS, packet)),
    "forward": ("applyOnForward: true, ", lambda site, at, packet: forward_policy(site, at, Direction.INGRESS, packet)),
    "untracked": (
        "applyOnForward: true, doNotTrack: true, ",
        lambda site, at, packet: untracked_policy(site, at, Direction.INGRESS, packet),
    ),
    "pre-DNAT": ("applyOnForward: true, preDNAT: true, ", pre_dnat_policy),
}
PACKET = flow("tcp 10.0.0.1:1000 > 10.20.0.1:80", "eth0", None)
SAFE = flow("tcp 10.0.0.1:1000 > 10.20.0.1:22", "eth0", None)
P = Key("GlobalNetworkPolicy", "", "p")
OPEN = ByRule(Key("Profile", "", "open"), 1, Action.ALLOW)


def ask(kind: str, rules: str | None, packet: Flow = PACKET, *texts: str) -> tuple[Says, Reason] | None:
    """What the endpoint of eth0 says, with one policy of a kind or with none, and a profile that allows everything."""
    switches, asked = KINDS[kind]
    made = "" if rules is None else global_policy("p", f"{{{switches}ingress: {rules}}}")
    resources = read(host("h", "interfaceName: eth0, profiles: [open]"), profile("open"), made, *texts)
    site = site_of(resources, "node-1", read_configuration(resources, "node-1"), None)
    endpoint = site.host_endpoint_at("eth0")
    assert endpoint is not None
    found = asked(site, endpoint, packet)
    return None if found is None else (found.says, found.reason)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("normal", (Says.ALLOW, OPEN)),
        ("forward", (Says.ALLOW, NoForwardPolicy())),
        ("untracked", None),
        ("pre-DNAT", None),
    ],
)
def test_no_policy_applies(kind: str, expected: tuple[Says, Reason] | None) -> None:
    assert ask(kind, None) == expected


@pytest.mark.parametrize(
    ("kind", "says"),
    [("normal", Says.DENY), ("forward", Says.DENY), ("untracked", Says.NOTHING), ("pre-DNAT", Says.NOTHING)],
)
def test_none_has_an_answer(kind: str, says: Says) -> None:
    assert ask(kind, "[]") == (says, NoRule((P,)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("action", "says"), [("Allow", Says.ALLOW), ("Deny", Says.DENY)])
def test_an_answer(kind: str, action: str, says: Says) -> None:
    assert ask(kind, f"[{{action: {action}}}]") == (says, ByRule(P, 1, Action(action)))


@pytest.mark.parametrize("kind", KINDS)
def test_pass(kind: str) -> None:
    passed = (Says.ALLOW, OPEN) if kind == "normal" else (Says.NOTHING, ByRule(P, 1, Action.PASS))
    assert ask(kind, "[{action: Pass}, {action: Deny}]") == passed


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("normal", (Says.ALLOW, FailsafePort(6, 22))),
        ("forward", (Says.DENY, ByRule(P, 1, Action.DENY))),
        ("untracked", (Says.NOTHING, FailsafePort(6, 22))),
        ("pre-DNAT", (Says.NOTHING, FailsafePort(6, 22))),
    ],
)
def test_failsafe_ports(kind: str, expected: tuple[Says, Reason]) -> None:
    assert ask(kind, "[{action: Deny}]", SAFE) == expected


def test_answers_of_failsafe_ports_are_for_untracked_policy_alone() -> None:
    answer = flow("udp 10.0.0.1:53 > 10.20.0.1:1000", "eth0", None)
    assert ask("untracked", "[{action: Deny}]", answer) == (Says.NOTHING, FailsafePort(17, 53))
    assert ask("normal", "[{action: Deny}]", answer) == (Says.DENY, ByRule(P, 1, Action.DENY))


@pytest.mark.parametrize(
    ("kind", "tracking", "expected"),
    [
        ("normal", Tracking.ESTABLISHED, (Says.ALLOW, KnownConnection())),
        ("forward", Tracking.ESTABLISHED, (Says.ALLOW, KnownConnection())),
        ("untracked", Tracking.ESTABLISHED, (Says.DENY, ByRule(P, 1, Action.DENY))),
        ("pre-DNAT", Tracking.ESTABLISHED, None),
        ("normal", Tracking.INVALID, (Says.DENY, NoConnection())),
        ("forward", Tracking.INVALID, (Says.DENY, NoConnection())),
        ("untracked", Tracking.INVALID, (Says.DENY, ByRule(P, 1, Action.DENY))),
        ("pre-DNAT", Tracking.INVALID, (Says.DENY, NoConnection())),
        ("normal", Tracking.UNTRACKED, (Says.DENY, ByRule(P, 1, Action.DENY))),
    ],
)
def test_what_tracking_knows(kind: str, tracking: Tracking, expected: tuple[Says, Reason] | None) -> None:
    packet = flow("tcp 10.0.0.1:1000 > 10.20.0.1:80", "eth0", None, tracking=tracking)
    assert ask(kind, "[{action: Deny}]", packet) == expected


def test_invalid_packets_may_be_let_to_the_policies() -> None:
    packet = flow("tcp 10.0.0.1:1000 > 10.20.0.1:80", "eth0", None, tracking=Tracking.INVALID)
    told = configuration("{disableConntrackInvalidCheck: true}")
    assert ask("normal", "[{action: Allow}]", packet, told) == (Says.ALLOW, ByRule(P, 1, Action.ALLOW))


def test_a_profile_that_passes_leaves_it_to_the_next() -> None:
    resources = read(
        host("h", "interfaceName: eth0, profiles: [one, two]"),
        profile("one", rules="ingress: [{action: Pass}, {action: Deny}]"),
        profile("two", rules="ingress: [{action: Deny, protocol: UDP}]"),
    )
    site = site_of(resources, "node-1", read_configuration(resources, "node-1"), None)
    (endpoint,) = resources.of(HostEndpoint)
    found = normal_policy(site, endpoint, Direction.INGRESS, PACKET)
    assert (found.says, found.reason) == (Says.DENY, NoProfile(("one", "two")))
