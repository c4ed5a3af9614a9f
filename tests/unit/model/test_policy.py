"""Policies: their defaults, their names, and what is refused (spec: model 1.9)."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy, PolicyType, shown_name, stored_name
from tortie.model.problem import FieldProblem
from tortie.model.reader import read_value

RULE = {"action": "Allow"}
HTTP = {"action": "Allow", "http": {"methods": ["GET"]}}


def _global(spec: dict[str, Any], name: str = "a") -> GlobalNetworkPolicy:
    return read_value(GlobalNetworkPolicy, {"metadata": {"name": name}, "spec": spec}).with_defaults()


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"ingress": [RULE]}, ["Ingress"]),
        ({"egress": [RULE]}, ["Egress"]),
        ({"ingress": [RULE], "egress": [RULE]}, ["Ingress", "Egress"]),
        ({"egress": [RULE], "types": ["Ingress"]}, ["Ingress"]),
    ],
    ids=["no rules", "ingress", "egress", "both", "given"],
)
def test_types_follow_the_rules(spec: dict[str, Any], types: list[str]) -> None:
    assert _global(spec).spec.types == tuple(map(PolicyType, types))


REFUSED: list[tuple[dict[str, Any], str, tuple[str | int, ...]]] = [
    ({"types": ["Ingress", "Ingress"]}, "'Ingress' type specified more than once", ("spec", "types", 1)),
    (
        {"doNotTrack": True, "preDNAT": True, "applyOnForward": True},
        "PreDNAT and DoNotTrack cannot both be true, for a given PolicySpec",
        ("spec", "preDNAT"),
    ),
    (
        {"preDNAT": True, "applyOnForward": True, "egress": [RULE]},
        "PreDNAT PolicySpec cannot have any Egress rules",
        ("spec", "egress"),
    ),
    (
        {"preDNAT": True, "applyOnForward": True, "types": ["Egress"]},
        "PreDNAT PolicySpec cannot have 'egress' Type",
        ("spec", "types"),
    ),
    (
        {"doNotTrack": True},
        "ApplyOnForward must be true if either PreDNAT or DoNotTrack is true, for a given PolicySpec",
        ("spec", "doNotTrack"),
    ),
    ({"egress": [HTTP]}, "not allowed in egress rules", ("spec", "egress", 0, "http")),
    ({"selector": "a =="}, "selector 'a ==': expected a string", ("spec", "selector")),
    ({"ordr": 1}, "unknown field 'ordr'", ("spec", "ordr")),
    ({"order": "1"}, "expected a number, not '1'", ("spec", "order")),
]


@pytest.mark.parametrize(("spec", "message", "path"), REFUSED, ids=[message[:40] for _, message, _ in REFUSED])
def test_refused(spec: dict[str, Any], message: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(FieldProblem) as refusal:
        _global(spec)
    assert message in refusal.value.message
    assert refusal.value.path == path


@pytest.mark.parametrize(
    ("kind", "name", "good"),
    [
        (NetworkPolicy, "a-1", True),
        (NetworkPolicy, "knp.default.a.b", True),
        (NetworkPolicy, "ossg.default.a", True),
        (NetworkPolicy, "default.a", False),
        (GlobalNetworkPolicy, "a-1", True),
        (GlobalNetworkPolicy, "knp.default.a", False),
        (GlobalNetworkPolicy, "A", False),
    ],
)
def test_names_that_users_may_give(kind: type[NetworkPolicy | GlobalNetworkPolicy], name: str, good: bool) -> None:
    data = {"metadata": {"name": name, "namespace": "ns"}}
    if good:
        assert read_value(kind, data).metadata.name == name
    else:
        with pytest.raises(FieldProblem, match="name must consist of lower case alphanumeric characters"):
            read_value(kind, data)


@pytest.mark.parametrize(
    ("shown", "stored"),
    [("a", "default.a"), ("knp.default.a", "knp.default.a"), ("ossg.default.a", "ossg.default.a")],
)
def test_names_in_storage(shown: str, stored: str) -> None:
    assert stored_name(shown) == stored
    assert shown_name(stored) == shown
