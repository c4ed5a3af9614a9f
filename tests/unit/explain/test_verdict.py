"""What policy says of a dropped packet, in words."""

from __future__ import annotations

import pytest

from tests.explained_cluster import explained
from tests.reference_builder import WORLD, policy, profile, read, resource, workload

WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"
PORT_80 = policy("web", "a", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}, {action: Log}]}")
FROM_BACK = policy("back", "a", "{order: 5, ingress: [{action: Allow, source: {selector: role == 'back'}}]}")


def test_every_policy_is_told_in_order_with_every_rule() -> None:
    verdict = explained(read(WORLD, PORT_80, FROM_BACK), WEB, "eth0").verdict
    assert verdict.text == (
        "ingress of pod a/web: selected by 2 policies, neither of which allows tcp/8080 from pod a/far to pod a/web"
    )
    assert [(owner.title, [(said.number, said.text, said.why) for said in owner.rules]) for owner in verdict.asked] == [
        (
            "NetworkPolicy a/back",
            [(1, "allows everything from role == 'back'", ("the source, pod a/far, is not selected",))],
        ),
        ("NetworkPolicy a/web", [(1, "allows tcp/80", ("the destination port is 8080",)), (2, "logs everything", ())]),
    ]


def test_nobody_is_told_who_was_not_asked() -> None:
    """The second policy decides, so that the third is of no interest."""
    more = [policy(f"p{n}", "a", f"{{order: {n}, ingress: [{rule}]}}") for n, rule in enumerate(("", "{action: Deny}", ""))]
    verdict = explained(read(WORLD, *more), WEB, "eth0").verdict
    assert [owner.title for owner in verdict.asked] == ["NetworkPolicy a/p0", "NetworkPolicy a/p1"]
    assert verdict.denied_by == 1
    assert verdict.text == "ingress of pod a/web: NetworkPolicy a/p1 rule 1 denies tcp/8080 from pod a/far to pod a/web"


def test_profiles_are_told_where_they_are_asked() -> None:
    more = profile("one", rules="ingress: [{action: Allow, protocol: UDP}]") + profile("two", rules="ingress: []")
    more += workload("x", "a", "cali12", "10.65.0.8", more="profiles: [one, two]")
    verdict = explained(read(WORLD, more), "tcp 192.0.2.1:1 10.65.0.8:80", "eth0").verdict
    assert verdict.text == (
        "ingress of pod a/x: no policy selects it, and none of its 2 profiles allows tcp/80 from 192.0.2.1 to pod a/x"
    )
    assert [(owner.title, [said.why for said in owner.rules]) for owner in verdict.asked] == [
        ("Profile one", [("it is tcp",)]),
        ("Profile two", []),
    ]


def test_a_profile_that_nobody_made_is_named() -> None:
    more = workload("x", "a", "cali12", "10.65.0.8", more="profiles: [kns.a, gone]")
    verdict = explained(
        read(WORLD.replace("name: kns.a", "name: kns.z"), more), "tcp 192.0.2.1:1 10.65.0.8:80", "eth0"
    ).verdict
    assert verdict.missing_profile == "kns.a"
    assert [(owner.title, owner.resource) for owner in verdict.asked] == [("Namespace a", None)]


@pytest.mark.parametrize(
    ("rule", "packet", "why"),
    [
        ("protocol: UDP, destination: {ports: [53]}", WEB, ("it is tcp", "the destination port is 8080")),
        ("protocol: ICMP, icmp: {type: 8}", WEB, ("it is tcp",)),
        ("protocol: ICMP, icmp: {type: 0}", "icmp 10.65.1.2 10.65.0.2", ("it is icmp type 8 code 0",)),
        ("ipVersion: 6", WEB, ("it is IPv4",)),
        ("notProtocol: TCP", WEB, ("it is tcp",)),
        ("source: {nets: [10.0.0.0/16]}", WEB, ("the source is 10.65.1.2",)),
        ("source: {selector: role == 'x'}", "tcp 192.0.2.1:1 10.65.0.2:80", ("the source, 192.0.2.1, is not selected",)),
    ],
)
def test_why_a_rule_does_not_hold_is_said_by_what_the_packet_has(rule: str, packet: str, why: tuple[str, ...]) -> None:
    resources = read(WORLD, policy("p", "a", f"{{types: [Ingress], ingress: [{{action: Allow, {rule}}}]}}"))
    (owner,) = explained(resources, packet, "eth0").verdict.asked
    assert owner.rules[0].why == why


def test_an_end_is_called_by_the_endpoint_at_its_address_not_by_a_network_set_that_holds_it() -> None:
    sets = resource("GlobalNetworkSet", "a", "{nets: [192.0.2.1/32]}")
    resources = read(WORLD, sets, policy("p", "a", "{ingress: [{action: Allow, source: {selector: role == 'x'}}]}"))
    verdict = explained(resources, "tcp 192.0.2.1:1 10.65.0.2:80", "eth0").verdict
    assert verdict.text.endswith("does not allow tcp/80 from 192.0.2.1 to pod a/web")
