"""The vectors of the model's specification, each from a resource all the way to what a node sees (spec: model 11).

Modules have the vectors that are theirs in their own tests; here a policy is read, converted and calculated, and the id of
the set that the node needs for it is compared, with the name of that set.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.bgp.view import speaker_of
from tortie.calc.calculation import calculate
from tortie.model.read import parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import IPFamily
from tortie.render.names import ip_set_name

NODE = "node-1"
NAMESPACE = "ns1"
CALICO = "projectcalico.org/v3"
ENDPOINT = {
    "apiVersion": CALICO,
    "kind": "WorkloadEndpoint",
    "metadata": {"namespace": NAMESPACE},
    "spec": {
        "node": NODE,
        "orchestrator": "k8s",
        "pod": "pod",
        "endpoint": "eth0",
        "interfaceName": "cali1",
        "ipNetworks": ["10.65.0.2/32"],
    },
}


def calico_policy(kind: str, side: str, entity: dict[str, Any], **rule: Any) -> dict[str, Any]:
    metadata = {"name": "p"} if kind == "GlobalNetworkPolicy" else {"name": "p", "namespace": NAMESPACE}
    given = {"action": "Allow", side: entity, **rule}
    return {"apiVersion": CALICO, "kind": kind, "metadata": metadata, "spec": {"ingress": [given]}}


def kubernetes_policy(peer: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [peer]}]},
    }


def set_ids(policy: dict[str, Any]) -> list[str]:
    """The ids of the sets that the policy's node needs."""
    text = "\n---\n".join(map(json.dumps, (ENDPOINT, policy)))
    view = calculate(resources_to_v1(parse_resources([("drawn", text)])), NODE)
    assert len(view.policies) == 1
    return [one.id for one in view.ip_sets]


def np(**entity: Any) -> dict[str, Any]:
    return calico_policy("NetworkPolicy", "source", entity)


def gnp(**entity: Any) -> dict[str, Any]:
    return calico_policy("GlobalNetworkPolicy", "source", entity)


def named_port(kind: str, protocol: str, port: str, **entity: Any) -> dict[str, Any]:
    return calico_policy(kind, "destination", entity | {"ports": [port]}, protocol=protocol)


SELECTORS = {
    "all()": "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug",
    " (all() )": "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug",
    "! (has( b)|| ! has(a ))": "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q",
    '! (a == "b"&&! c != "d")': "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w",
    "has(a)": "s:JpRGrxZ4kdS6g7WoF-uG_g7qlh2ipw2zGYBMpQ",
    "a == 'b'": "s:flMh0m0X_BowkAK_W3j3MgH8oQOsj3WxGDoXCQ",
    "a in {'d','a','b','a'}": "s:47Z8J8dfSg-rF2l7gb0UoCWC8HcdwnHgIX8-wA",
    "role == 'db' && env != \"dev\"": "s:6bxNOv1u2rar4L57CFjb8CpE_pnmVqspUYbIXA",
}


@pytest.mark.parametrize(("selector", "expected"), SELECTORS.items(), ids=SELECTORS)
def test_a_selector(selector: str, expected: str) -> None:
    assert set_ids(gnp(selector=selector)) == [expected]


RULES: dict[str, tuple[dict[str, Any], str]] = {
    "NP, selector": (np(selector="role == 'client'"), "s:TqLohIFmwleJANVwI_zJXgxllk7KZ1ysuriaTA"),
    "NP, notSelector only": (np(notSelector="env == 'dev'"), "s:_iIKXuSO0avX9s3CgXrMR-UEX75MspNeEkC9IQ"),
    "GNP, both": (
        gnp(selector="role == 'a'", notSelector="env == 'dev'"),
        "s:aWufrdxHzxaZ9XG76z5gpi3JM73a97LF4Rv7_w",
    ),
    "GNP, notSelector only": (gnp(notSelector="env == 'dev'"), "s:Up_GutopGQk0lcR7OfV_vXQeMju2V-FhUYlR4Q"),
    "GNP, namespaceSelector": (gnp(namespaceSelector="team == 'red'"), "s:UE0qd2vUzKcEIYtT328sZNRVV3sIX3z7YcBGjQ"),
    "NP, service accounts": (
        np(serviceAccounts={"names": ["sa1", "sa2"]}),
        "s:R0HP-t4zOw6cGdNZrAXRTX9sIfQ6Yw2j8QVLeQ",
    ),
    "NP, service account, its selector and a selector": (
        np(serviceAccounts={"names": ["sa1"], "selector": "role == 'x'"}, selector="app == 'y'"),
        "s:9cFuTs31ReP3VXmhegFhUYa-TeQ2DJcQRJIGOQ",
    ),
    "KNP, podSelector": (
        kubernetes_policy({"podSelector": {"matchLabels": {"role": "frontend"}}}),
        "s:YukLInVeCwFdGUqaUY30J0jNWYUHBgfe6xB9kg",
    ),
    "KNP, any pod": (kubernetes_policy({"podSelector": {}}), "s:tSFuQZXX8hNL4DG3JN7DZ0J8DYMYPsQPXniRFg"),
    "KNP, namespaceSelector": (
        kubernetes_policy({"namespaceSelector": {"matchLabels": {"team": "red"}}}),
        "s:dsbLj_G2LGNE45YvnNmvIb8491-4KxMiMK6tHw",
    ),
    "KNP, any namespace": (kubernetes_policy({"namespaceSelector": {}}), "s:Vbl4aLpsO8Ss0UCzvsdmKAp4rZRC-V4hJGyiGg"),
}


@pytest.mark.parametrize(("policy", "expected"), RULES.values(), ids=RULES)
def test_a_rule(policy: dict[str, Any], expected: str) -> None:
    assert set_ids(policy) == [expected]


PORTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "http": (
        named_port("GlobalNetworkPolicy", "TCP", "http"),
        "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A",
        "cali40n:cl9_Kgeu4H0OGLbhovVR3NB",
    ),
    "dns": (
        named_port("GlobalNetworkPolicy", "UDP", "dns"),
        "n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA",
        "cali40n:wBUuGT_s8isCYKpah3eXsbd",
    ),
    "psql of a selector": (
        named_port("GlobalNetworkPolicy", "TCP", "psql", selector="role == 'db'"),
        "n:s4IebwKotj0fXDZc6DX1YxEZL-5QXvNpY1Zlgw",
        "cali40n:s4IebwKotj0fXDZc6DX1YxE",
    ),
    "psql of a selector in a namespace": (
        named_port("NetworkPolicy", "TCP", "psql", selector="role == 'db'"),
        "n:OBc0h7Ak6b6OoZ3Pk5_7Ho7JUkAobzKf3L7avQ",
        "cali40n:OBc0h7Ak6b6OoZ3Pk5_7Ho7",
    ),
}


@pytest.mark.parametrize(("policy", "expected", "name"), PORTS.values(), ids=PORTS)
def test_a_named_port(policy: dict[str, Any], expected: str, name: str) -> None:
    assert set_ids(policy) == [expected]
    assert ip_set_name(IPFamily.V4, expected) == name


def test_the_names_of_a_set_in_both_families() -> None:
    names = [ip_set_name(family, SELECTORS["all()"]) for family in IPFamily]
    assert names == ["cali40s:5y5I3VdRZfDU01O--xXAPx2", "cali60s:5y5I3VdRZfDU01O--xXAPx2"]


@pytest.mark.parametrize(("node", "router_id"), [("node1", "202.18.243.27"), ("host-1", "74.23.150.172")])
def test_a_router_id_that_is_made_of_the_nodes_name(node: str, router_id: str) -> None:
    text = json.dumps({"apiVersion": CALICO, "kind": "Node", "metadata": {"name": node}, "spec": {}})
    assert speaker_of(parse_resources([("drawn", text)]), node, router_id="hash").router_id == router_id
