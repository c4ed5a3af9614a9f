"""What people call policies and whoever selectors select."""

from __future__ import annotations

import pytest

from tests.reference_builder import global_policy, policy, read
from tortie.explain.title import full_name, party_title, policy_title, profile_title
from tortie.model import v1
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("default.a", "GlobalNetworkPolicy a"),
        ("ns/default.a", "NetworkPolicy ns/a"),
        ("ns/knp.default.a.b", "Kubernetes NetworkPolicy ns/a.b"),
        ("ns/ossg.default.a", "NetworkPolicy ns/ossg.default.a"),
    ],
)
def test_a_policy_is_called_as_its_user_calls_it(name: str, title: str) -> None:
    assert policy_title(name) == title


@pytest.mark.parametrize(
    ("name", "title"),
    [("kns.a", "Namespace a"), ("ksa.ns.a.b", "ServiceAccount ns/a.b"), ("mine", "Profile mine")],
)
def test_a_profile_is_called_by_what_it_was_made_of(name: str, title: str) -> None:
    assert profile_title(name) == title


@pytest.mark.parametrize(
    ("value", "title"),
    [
        (v1.Workload("n", "k8s", "a/web", "eth0", "cali1"), "pod a/web"),
        (v1.Workload("n", "openstack", "a/vm", "eth0", "cali1"), "openstack workload a/vm"),
        (v1.HostEndpoint("n", "eth0"), "HostEndpoint eth0 of n"),
        (v1.NetworkSet("partners"), "GlobalNetworkSet partners"),
        (v1.NetworkSet("a/partners"), "NetworkSet a/partners"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whoever_is_selected_has_a_title(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet, title: str) -> None:
    assert party_title(value) == title


def test_the_full_name_has_the_namespace_and_the_tier() -> None:
    resources = read(policy("web", "a", "{}"), policy("knp.default.b", "a", "{}"), global_policy("c", "{}"))
    assert [full_name(one) for one in resources.of(NetworkPolicy)] == ["a/knp.default.b", "a/default.web"]
    assert [full_name(one) for one in resources.of(GlobalNetworkPolicy)] == ["default.c"]
