"""What is read of Kubernetes objects, and which policies are refused as the API server refuses them."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.kubernetes import NetworkPolicy, Pod
from tortie.model.policy import PolicyType
from tortie.model.problem import FieldProblem
from tortie.model.reader import read_value


def _policy(spec: dict[str, Any]) -> NetworkPolicy:
    return read_value(NetworkPolicy, {"metadata": {"name": "p"}, "spec": spec})


def _from(peer: dict[str, Any]) -> dict[str, Any]:
    return {"ingress": [{"from": [peer]}]}


def _expression(**expression: Any) -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [{"key": "a", **expression}]}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (_from({}), "must specify a peer"),
    (_from({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}), "may not specify both ipBlock and another peer"),
    (_from({"podSelectr": {}}), "unknown field 'podSelectr'"),
    (_from({"ipBlock": {"cidr": "10.0.0.0/33"}}), "not a prefix length"),
    (_from({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x"]}}), "not an IP address"),
    (_from({"ipBlock": {}}), "cidr is missing"),
    ({"ingress": [{"ports": [{"port": "80:90"}]}]}, "invalid port format (80:90)"),
    ({"ingress": [{"ports": [{"port": 0}]}]}, "port range invalid"),
    ({"ingress": [{"ports": [{"port": 80, "protocol": "tcp"}]}]}, "'tcp' is not one of TCP, UDP, SCTP"),
    ({"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]}, "unknown field 'endPort'"),
    (_expression(operator="In"), "must be specified when `operator` is 'In' or 'NotIn'"),
    (_expression(operator="Exists", values=["x"]), "may not be specified when `operator` is 'Exists'"),
    (_expression(operator="in", values=["x"]), "'in' is not one of In, NotIn, Exists, DoesNotExist"),
    (_expression(operator="In", values=["x' || all("]), "is not a label's value"),
    ({"podSelector": {"matchLabels": {"a b": "x"}}}, "'a b' is not a label's name"),
    ({"podSelector": {"matchLabels": {"a": 1}}}, "expected text, not 1"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_policies_that_the_api_server_refuses(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldProblem) as refusal:
        _policy(spec)
    assert message in refusal.value.message


def test_a_policy_without_types_has_those_of_its_rules() -> None:
    assert _policy({"egress": [{}]}).with_defaults().spec.policy_types == (PolicyType.INGRESS, PolicyType.EGRESS)
    assert _policy({}).with_defaults().spec.policy_types == (PolicyType.INGRESS,)


def test_fields_that_nobody_needs_are_passed_over() -> None:
    pod = read_value(
        Pod, {"metadata": {"name": "a", "selfLink": "x"}, "spec": {"volumes": []}, "status": {"qosClass": "x"}}
    )
    assert pod.metadata.name == "a"


def test_an_object_has_a_name() -> None:
    with pytest.raises(FieldProblem, match="the object has no name"):
        read_value(Pod, {"metadata": {}})
