"""Names of chains and sets lead back to what people named."""

from __future__ import annotations

import pytest

from tortie.calc.set_id import named_port_set_id, selector_set_id
from tortie.calc.view import ActivePolicy, ActiveProfile, NodeView, WorkloadEndpoint, WorkloadId
from tortie.cli.chain_owner import Owner, OwnerKind, Owners, policy_title, profile_title
from tortie.model import v1
from tortie.net.address import IPFamily
from tortie.render.names import ip_set_name
from tortie.selector.tree import All, Has

LONG = "a-namespace/knp.default.with-a-long-name"
VIEW = NodeView(
    "node-1",
    workloads=(WorkloadEndpoint(WorkloadId("k8s", "shop/web-1", "eth0"), "cali12ab"),),
    policies=(ActivePolicy(LONG), ActivePolicy("default.all")),
    profiles=(ActiveProfile("kns.shop"),),
)
NAMED = v1.NamedPort(All(), "tcp", "http")
RULE = v1.Rule("allow", source=v1.RuleSide(selector=Has("a")), destination=v1.RuleSide(named_ports=(NAMED,)))
CLUSTER = v1.Cluster(policies=(v1.Policy("default.all", "", None, All(), True, True, (RULE,)),))
OWNERS = Owners(VIEW, CLUSTER, [("eth0", "host-1")])

CHAINS = {
    "cali-pi-default.all": (OwnerKind.POLICY, "GlobalNetworkPolicy all", "ingress"),
    "cali-po-default.all": (OwnerKind.POLICY, "GlobalNetworkPolicy all", "egress"),
    "cali-pri-kns.shop": (OwnerKind.PROFILE, "Namespace shop", "ingress"),
    "cali-tw-cali12ab": (OwnerKind.WORKLOAD, "pod shop/web-1 (cali12ab)", "ingress"),
    "cali-fw-cali12ab": (OwnerKind.WORKLOAD, "pod shop/web-1 (cali12ab)", "egress"),
    "cali-fhfw-eth0": (OwnerKind.HOST_ENDPOINT, "HostEndpoint host-1 (eth0)", "forwarded ingress"),
    "cali-FORWARD": (OwnerKind.NODE, "every endpoint", ""),
    "FORWARD": (OwnerKind.NODE, "every endpoint", ""),
    # held by the kernel only
    "cali-fw-cali99": (OwnerKind.WORKLOAD, "interface cali99", "egress"),
    "cali-pi-ns/default.gone": (OwnerKind.POLICY, "NetworkPolicy ns/gone", "ingress"),
    "cali-pi-_N0mE1uEul9nsAbL_P-4": (OwnerKind.POLICY, "policy with the digest _N0mE1uEul9nsAbL_P-4", "ingress"),
}


@pytest.mark.parametrize(("chain", "expected"), CHAINS.items(), ids=CHAINS)
def test_whose_a_chain_is(chain: str, expected: tuple[OwnerKind, str, str]) -> None:
    kind, name, part = expected
    use = OWNERS.of_chain(chain)
    assert (use.owner, use.part) == (Owner(kind, name), part)


def test_a_digest_of_what_was_rendered_is_known() -> None:
    from tortie.render.names import POLICY_INBOUND, chain_name

    name = chain_name(POLICY_INBOUND, LONG)
    assert "_" in name
    assert OWNERS.of_chain(name).owner.name == "Kubernetes NetworkPolicy a-namespace/with-a-long-name"


@pytest.mark.parametrize(
    ("set_id", "title"),
    [
        (selector_set_id("has(a)"), "has(a)"),
        (named_port_set_id(selector_set_id("all()"), "tcp", "http"), "port tcp/http"),
        ("all-ipam-pools", "all IP pools"),
    ],
)
def test_what_a_set_is_of(set_id: str, title: str) -> None:
    for family in IPFamily:
        assert OWNERS.of_set(ip_set_name(family, set_id)) == Owner(OwnerKind.SET, title)


def test_a_set_that_nobody_asks_for_has_only_its_name() -> None:
    assert OWNERS.of_set("cali40s:x").name == "cali40s:x"


def test_titles() -> None:
    assert [policy_title(n) for n in ("default.a", "ns/default.a", "ns/knp.default.a", "ns/ossg.default.a")] == [
        "GlobalNetworkPolicy a",
        "NetworkPolicy ns/a",
        "Kubernetes NetworkPolicy ns/a",
        "NetworkPolicy ns/ossg.default.a",
    ]
    assert [profile_title(n) for n in ("kns.a", "ksa.ns.a.b", "mine")] == [
        "Namespace a",
        "ServiceAccount ns/a.b",
        "Profile mine",
    ]
