from __future__ import annotations

import pytest

from tests.builders import chain, comment, ruleset, table
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Jump
from tortie.simulator.role import chain_role, policy_subject, profile_subject, remarks, service_names

RAW, MANGLE, NAT, FILTER = TableName.RAW, TableName.MANGLE, TableName.NAT, TableName.FILTER

ROLES = [
    (FILTER, "cali-tw-cali1a2b", "Calico: to workload cali1a2b"),
    (FILTER, "cali-fw-cali1a2b", "Calico: from workload cali1a2b"),
    (FILTER, "cali-sm-cali1a2b", "Calico: sets the endpoint mark of cali1a2b"),
    (FILTER, "cali-pi-default.allow-web", "Calico: global policy allow-web, ingress rules"),
    (FILTER, "cali-po-shop/default.db", "Calico: policy shop/db, egress rules"),
    (FILTER, "cali-pi-shop/knp.default.db", "Calico: Kubernetes policy shop/db, ingress rules"),
    (FILTER, "cali-pri-kns.shop", "Calico: profile of namespace shop, ingress rules"),
    (FILTER, "cali-pro-ksa.shop.web", "Calico: profile of service account shop/web, egress rules"),
    (
        FILTER,
        "cali-pri-_be-w3hQ5gq4AKcBa1O",
        "Calico: the profile with the long name (hash be-w3hQ5gq4AKcBa1O), ingress rules",
    ),
    (FILTER, "cali-wl-to-host", "Calico: from a workload to this node itself"),
    (FILTER, "cali-fh-eth0", "Calico: to this node by host endpoint eth0"),
    (RAW, "cali-fh-eth0", "Calico: untracked, in by host endpoint eth0"),
    (MANGLE, "cali-fh-eth0", "Calico: before DNAT, in by host endpoint eth0"),
    (MANGLE, "cali-fh-any-interface-at-all", "Calico: before DNAT, in by host endpoint * (any interface)"),
    (FILTER, "cali-th-eth0", "Calico: from this node out of host endpoint eth0"),
    (FILTER, "cali-thfw-eth0", "Calico: forwarded out of host endpoint eth0"),
    (FILTER, "cali-fhfw-eth0", "Calico: forwarded, came in by host endpoint eth0"),
    (FILTER, "cali-from-wl-dispatch", "Calico: picks the workload the packet comes from"),
    (FILTER, "cali-from-wl-dispatch-1", "Calico: the same for names that go on with 1"),
    (RAW, "cali-PREROUTING", "Calico: marks what comes from workloads, then untracked host policy"),
    (NAT, "cali-PREROUTING", "Calico: destination NAT of floating IPs"),
    (FILTER, "cali-FORWARD", "Calico: policy for what passes through this node"),
    (NAT, "KUBE-SERVICES", "Kubernetes: picks the service by its address"),
    (FILTER, "KUBE-SERVICES", "Kubernetes: refuses services without endpoints"),
    (NAT, "KUBE-SVC-ERIFXISQEP7F7OF4", "Kubernetes: service ERIFXISQEP7F7OF4: picks an endpoint"),
    (NAT, "KUBE-MARK-MASQ", "Kubernetes: marks the packet for masquerading"),
    (NAT, "DOCKER", "Docker: published ports to containers"),
    (FILTER, "DOCKER", "Docker: lets published ports through to containers"),
    (FILTER, "DOCKER-ISOLATION-STAGE-2", "Docker: keeps container networks apart"),
    (FILTER, "FLANNEL-FWD", "flannel: lets pod traffic pass"),
    (FILTER, "LIBVIRT_FWI", "libvirt: traffic into guest networks"),
    (FILTER, "ufw-before-input", "ufw: input: rules before the user's"),
    (FILTER, "ufw6-user-forward", "ufw: forward: the administrator's rules"),
    (FILTER, "ufw-user-limit-accept", "ufw: accepts what does not come too often"),
    (FILTER, "f2b-sshd", "fail2ban: addresses banned by the jail sshd"),
    (FILTER, "INPUT_ZONES", "firewalld: picks the zone"),
    (FILTER, "IN_public", "firewalld: zone or policy public, to this node"),
    (FILTER, "IN_public_allow", "firewalld: zone or policy public, to this node: rules that allow"),
    (NAT, "POST_dmz_two_deny", "firewalld: zone or policy dmz_two, before leaving: rules that refuse"),
]


@pytest.mark.parametrize(("where", "name", "expected"), ROLES, ids=lambda value: str(value))
def test_known_chains_have_a_role(where: TableName, name: str, expected: str) -> None:
    assert str(chain_role(where, name)) == expected


@pytest.mark.parametrize(
    "name", ["FORWARD", "INPUT", "MY_CHAIN", "IN_", "DOCKERED", "KUBE-MADE-UP", "calico", "ufwx", "f2b-"]
)
def test_other_chains_have_none(name: str) -> None:
    assert chain_role(FILTER, name) is None


def test_a_chain_of_a_newer_calico_is_calicos_all_the_same() -> None:
    role = chain_role(FILTER, "cali-cidr-block")
    assert role is not None
    assert (role.owner, role.kind) == ("Calico", "other")


def test_services_are_named_by_the_comments_in_and_before_their_chains() -> None:
    rules = ruleset(
        table(
            NAT,
            chain("KUBE-SERVICES", Rule((comment("default/web:http cluster IP"),), Jump("KUBE-SVC-AAAA"))),
            chain("KUBE-SVC-AAAA", Rule((comment("default/web:http -> 10.65.0.3:80"),), Jump("KUBE-SEP-BBBB"))),
            chain("KUBE-SEP-CCCC", Rule((comment("default/db"),))),
            chain("KUBE-SEP-DDDD", Rule((comment("no name"),))),
        )
    )
    names = service_names([rules])
    assert names == {
        "KUBE-SVC-AAAA": "default/web:http",
        "KUBE-SEP-BBBB": "default/web:http",
        "KUBE-SEP-CCCC": "default/db",
    }
    assert str(chain_role(NAT, "KUBE-SEP-BBBB", names)) == "Kubernetes: service default/web:http: one endpoint"


def test_remarks_leave_out_the_tracking_hash() -> None:
    rule = Rule((comment("cali:6gwbT8clXdHdC1b1"), comment("Drop if no profiles matched")))
    assert remarks(rule) == ("Drop if no profiles matched",)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("default.allow", "global policy allow"),
        ("ossg.default.x", "global policy ossg.default.x"),
        ("ns/default.p", "policy ns/p"),
        ("ns/knp.default.p.q", "Kubernetes policy ns/p.q"),
        ("_hash", "the policy with the long name (hash hash)"),
    ],
)
def test_policy_names_read_as_people_write_them(stored: str, expected: str) -> None:
    assert policy_subject(stored) == expected


def test_a_service_account_may_have_dots_in_its_name() -> None:
    assert profile_subject("ksa.ns.my.account") == "profile of service account ns/my.account"
