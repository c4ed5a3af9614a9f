"""Changes are what Calico would take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reference_builder import WORLD, policy, read
from tortie.explain.change import ChangeKind, as_calico_reads
from tortie.model.policy import NetworkPolicy, NetworkPolicySpec, PolicyType
from tortie.model.rule import Action, EntityRule, PolicyRule
from tortie.model.scalar import PortRange
from tortie.net.address import parse_prefix

POLICY = read(policy("p", "a", "{order: 1.5, ingress: [{action: Allow}]}")).of(NetworkPolicy)[0]


def with_rule(rule: PolicyRule) -> NetworkPolicy:
    return replace(POLICY, spec=replace(POLICY.spec, ingress=(rule,)))


def test_what_is_good_comes_back_as_it_was() -> None:
    for resource in read(WORLD, policy("p", "a", "{types: [Ingress]}")):
        assert as_calico_reads(resource) == resource


@pytest.mark.parametrize(
    "rule",
    [
        PolicyRule(Action.ALLOW, protocol="SCTP", destination=EntityRule(ports=(PortRange(80, 80),))),
        PolicyRule(Action.ALLOW, source=EntityRule(nets=(parse_prefix("10.0.0.0/8"), parse_prefix("fd00::/8")))),
    ],
    ids=["ports of SCTP", "two families"],
)
def test_what_calico_refuses_is_none(rule: PolicyRule) -> None:
    assert as_calico_reads(with_rule(rule)) is None


def test_defaults_are_filled_in() -> None:
    made = as_calico_reads(replace(POLICY, spec=NetworkPolicySpec(egress=(PolicyRule(Action.ALLOW),))))
    assert isinstance(made, NetworkPolicy) and made.spec.types == (PolicyType.EGRESS,)


def test_kinds_that_reach_less_far_come_first() -> None:
    assert sorted(ChangeKind) == list(ChangeKind)
    assert [kind.word for kind in ChangeKind] == ["member", "port", "net", "label", "rule", "profile", "policy"]
