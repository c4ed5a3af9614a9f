"""What kind of thing dropped a packet, at which endpoint."""

from __future__ import annotations

import pytest

from tests.explained_cluster import explained
from tests.reference_builder import WORLD, configuration, global_policy, host, policy, profile, read, workload
from tortie.explain.cause import POLICY_HELPS, CauseKind

ETH = host("eth", "interfaceName: eth0, expectedIPs: [10.20.0.1]")
WEB = "tcp 10.65.1.2:1000 10.65.0.2:8080"
NO_RULES = policy("p", "a", "{types: [Ingress]}")
ALLOW_ALL = "{selector: has(host), ingress: [{action: Allow}], egress: [{action: Allow}]}"
DENY_AT_ONCE = "selector: has(host), ingress: [{action: Deny}], applyOnForward: true"
ALLOW_AT_ONCE = "selector: has(host), ingress: [{action: Allow, protocol: TCP}], applyOnForward: true"

CASES: dict[str, tuple[str, str, str | None, CauseKind, str]] = {
    "no rule of a policy": (NO_RULES, WEB, "eth0", CauseKind.NO_POLICY, "ingress of pod a/web: "),
    "no rule of a profile": (
        profile("none", rules="ingress: []") + workload("x", "a", "cali12", "10.65.0.8", more="profiles: [none]"),
        "tcp 10.65.1.2:1 10.65.0.8:80", "eth0", CauseKind.NO_PROFILE,
        "ingress of pod a/x: no policy selects it, and its profile",
    ),
    "no profile at all": (
        workload("x", "a", "cali12", "10.65.0.8", more="profiles: []"),
        "tcp 10.65.1.2:1 10.65.0.8:80", "eth0", CauseKind.NO_PROFILE,
        "ingress of pod a/x: no policy selects it, and it has no",
    ),
    "passed on to a profile": (
        policy("p", "a", "{ingress: [{action: Pass}]}") + profile("none", rules="ingress: []")
        + workload("x", "a", "cali12", "10.65.0.8", more="profiles: [none]"),
        "tcp 10.65.1.2:1 10.65.0.8:80", "eth0", CauseKind.NO_PROFILE,
        "ingress of pod a/x: policy passes it on to the profiles",
    ),
    "a profile that nobody made": (
        workload("x", "a", "cali12", "10.65.0.8", more="profiles: [gone]"),
        "tcp 10.65.1.2:1 10.65.0.8:80", "eth0", CauseKind.NO_SUCH_PROFILE, "ingress of pod a/x: the profile gone, ",
    ),
    "a rule that denies": (
        policy("p", "a", "{ingress: [{action: Log}, {action: Deny, protocol: TCP}]}"),
        WEB, "eth0", CauseKind.DENIED, "ingress of pod a/web: NetworkPolicy a/p rule 2 denies tcp/8080 from pod a/far",
    ),
    "the host's own policy": (
        ETH + global_policy("h", "{selector: has(host), types: [Ingress]}"),
        "tcp 192.0.2.1:1 10.20.0.1:9999", "eth0", CauseKind.NO_POLICY, "ingress of HostEndpoint eth (eth0): selected by 1",
    ),
    "the host's policy for forwarded traffic": (
        ETH + global_policy("h", "{selector: has(host), types: [Ingress], applyOnForward: true}"),
        WEB, "eth0", CauseKind.NO_POLICY, "ingress of HostEndpoint eth (eth0) for forwarded traffic: selected by 1",
    ),
    "untracked policy": (
        ETH + global_policy("h", f"{{{DENY_AT_ONCE}, doNotTrack: true}}"),
        WEB, "eth0", CauseKind.DENIED, "ingress of HostEndpoint eth (eth0), untracked: GlobalNetworkPolicy h rule 1",
    ),
    "policy before destination NAT": (
        ETH + global_policy("h", f"{{{DENY_AT_ONCE}, preDNAT: true}}"),
        WEB, "eth0", CauseKind.DENIED, "ingress of HostEndpoint eth (eth0), before destination NAT: GlobalNetworkPolicy h",
    ),
    "an answer that untracked policy forgot": (
        ETH + global_policy("n", ALLOW_ALL) + global_policy("h", f"{{{ALLOW_AT_ONCE}, doNotTrack: true}}"),
        "tcp 192.0.2.1:1 10.20.0.1:9999", "eth0", CauseKind.UNTRACKED_ANSWER,
        "egress of HostEndpoint eth (eth0), untracked: ",
    ),
    "no endpoint at the interface": (
        "", "tcp 10.65.0.9:1 10.65.1.2:80", "cali9", CauseKind.UNKNOWN_ENDPOINT, "no endpoint is known behind this",
    ),
    "to the workload's own host": (
        "", "tcp 10.65.0.2:1 10.20.0.1:80", "cali1", CauseKind.TO_HOST, "egress of pod a/web: DefaultEndpointToHostAction",
    ),
    "another's address": (
        configuration("{ipv6Support: true}"), "tcp [fd00:65::77]:1 [fd00::1]:80", "cali1", CauseKind.FOREIGN_SOURCE,
        "the workload sends from an address",
    ),
    "a tunnel in a tunnel": (
        "", "ipencap 10.65.0.2 10.65.1.2", "cali1", CauseKind.TUNNEL, "egress of pod a/web: a packet of the tunnels",
    ),
    "nothing that it could belong to": (
        "", "tcp 10.65.1.2:1000 10.65.0.2:8080 --tcp-flags SYN,FIN", "eth0", CauseKind.NO_CONNECTION,
        "ingress of pod a/web: it",
    ),
    "the way": ("", "tcp 10.65.1.2:1000 127.0.0.1:8080", "eth0", CauseKind.OUTSIDE, "no rule decided"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_cause_is_named(case: tuple[str, str, str | None, CauseKind, str]) -> None:
    more, words, in_iface, kind, text = case
    seen = explained(read(WORLD, more), words, in_iface)
    assert (seen.verdict.kind, seen.verdict.text[: len(text)]) == (kind, text)
    assert kind in POLICY_HELPS or seen.changes == []


def test_every_kind_that_resources_can_bring_about_is_here() -> None:
    of_the_node = {CauseKind.FOREIGN_RULE, CauseKind.NOT_RENDERED, CauseKind.ENDPOINT_DOWN}
    assert {case[3] for case in CASES.values()} == set(CauseKind) - of_the_node
