"""When a rule holds (spec: model 1.8, 4.3, 4.5), by the table in `tests/cases/rule_condition.py`, and in a namespace."""

from __future__ import annotations

import pytest

from tests.cases.rule_condition import (
    ACCOUNTED_TO_DB,
    CONDITIONS,
    DB_TO_WEB,
    FAR_TO_DB,
    MORE,
    NEAR_TO_DB,
    SET_TO_DB,
    WEB_TO_DB,
)
from tests.reference_builder import WORLD, policy, read
from tortie.model.policy import NetworkPolicy
from tortie.model.read import Resources
from tortie.model.rule import PolicyRule
from tortie.reference.flow import Flow
from tortie.reference.party import parties
from tortie.reference.rule import rule_holds


@pytest.fixture(scope="module")
def cluster() -> Resources:
    return read(WORLD, MORE)


def rule_of(text: str) -> PolicyRule:
    found = read(policy("p", "a", f"{{ingress: [{{action: Allow, {text}}}]}}")).of(NetworkPolicy)
    return found[0].spec.ingress[0]


def check(cluster: Resources, namespace: str, text: str, packet: Flow) -> bool:
    return rule_holds(rule_of(text), namespace, packet, parties(cluster))


@pytest.mark.parametrize(("text", "packet", "holds"), CONDITIONS)
def test_rules_of_the_whole_cluster(cluster: Resources, text: str, packet: Flow, holds: bool) -> None:
    assert check(cluster, "", text, packet) is holds


@pytest.mark.parametrize(
    ("text", "packet", "holds"),
    [
        pytest.param("source: {selector: has(role)}", WEB_TO_DB, True, id="its own"),
        pytest.param("source: {selector: has(role)}", FAR_TO_DB, True, id="its own on another node"),
        pytest.param("source: {selector: has(role)}", DB_TO_WEB, False, id="another's"),
        pytest.param("source: {selector: has(role)}", SET_TO_DB, True, id="its own network set"),
        pytest.param("source: {nets: [10.0.0.0/8]}", DB_TO_WEB, True, id="nets know no namespace"),
        pytest.param("protocol: TCP, destination: {ports: [sql]}", WEB_TO_DB, True, id="nor do named ports alone"),
        pytest.param("source: {notSelector: role == 'back'}", WEB_TO_DB, True, id="its own but some"),
        pytest.param("source: {notSelector: role == 'back'}", NEAR_TO_DB, False, id="strangers are not its own"),
        pytest.param("source: {namespaceSelector: team == 'blue'}", DB_TO_WEB, True, id="of other namespaces"),
        pytest.param("source: {namespaceSelector: team == 'blue', selector: role == 'front'}", DB_TO_WEB, False, id="both"),
        pytest.param("source: {serviceAccounts: {names: [robot]}}", ACCOUNTED_TO_DB, True, id="its own account"),
    ],
)
def test_rules_of_namespace_a(cluster: Resources, text: str, packet: Flow, holds: bool) -> None:
    assert check(cluster, "a", text, packet) is holds


def test_an_account_of_another_namespace(cluster: Resources) -> None:
    assert not check(cluster, "b", "source: {serviceAccounts: {names: [robot]}}", ACCOUNTED_TO_DB)
