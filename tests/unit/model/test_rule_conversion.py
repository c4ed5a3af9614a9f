"""Rules as users write them to rules as nodes enforce them: selectors, named ports, families (spec: model 4.3, 4.5, 11)."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.calc.set_id import named_port_set_id, selector_set_id
from tortie.model import v1
from tortie.model.policy import NetworkPolicy
from tortie.model.read import parse_resources
from tortie.model.reader import read_value
from tortie.model.rule import EntityRule, PolicyRule
from tortie.model.rule_conversion import felix_refuses, rule_selector, rule_to_v1
from tortie.model.scalar import PortRange
from tortie.net.address import IPFamily, parse_prefix
from tortie.selector.canonical import format_selector
from tortie.selector.parse import parse_selector
from tortie.selector.tree import Selector


def rule(**fields: Any) -> PolicyRule:
    return read_value(PolicyRule, {"action": "Allow"} | fields)


def source(fields: dict[str, Any], namespace: str = "", **others: Any) -> v1.RuleSide:
    return rule_to_v1(rule(source=fields, **others), namespace).source


def text(selector: Selector | None) -> str | None:
    return None if selector is None else format_selector(selector)


# What Calico 3.7 makes of one side of a rule, with the id of the set (spec: model 11).
VECTORS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "ns1",
        {"selector": "role == 'client'"},
        '(projectcalico.org/namespace == "ns1" && role == "client")',
        "s:TqLohIFmwleJANVwI_zJXgxllk7KZ1ysuriaTA",
    ),
    (
        "ns1",
        {"notSelector": "env == 'dev'"},
        '(projectcalico.org/namespace == "ns1" && !env == "dev")',
        "s:_iIKXuSO0avX9s3CgXrMR-UEX75MspNeEkC9IQ",
    ),
    (
        "",
        {"selector": "role == 'a'", "notSelector": "env == 'dev'"},
        '(role == "a" && !env == "dev")',
        "s:aWufrdxHzxaZ9XG76z5gpi3JM73a97LF4Rv7_w",
    ),
    (
        "",
        {"namespaceSelector": "team == 'red'"},
        'pcns.team == "red"',
        "s:UE0qd2vUzKcEIYtT328sZNRVV3sIX3z7YcBGjQ",
    ),
    (
        "ns1",
        {"serviceAccounts": {"names": ["sa1", "sa2"]}},
        '(projectcalico.org/namespace == "ns1" && projectcalico.org/serviceaccount in {"sa1", "sa2"})',
        "s:R0HP-t4zOw6cGdNZrAXRTX9sIfQ6Yw2j8QVLeQ",
    ),
    (
        "ns1",
        {"serviceAccounts": {"names": ["sa1"], "selector": "role == 'x'"}, "selector": "app == 'y'"},
        '(projectcalico.org/namespace == "ns1" && '
        '((pcsa.role == "x" && projectcalico.org/serviceaccount in {"sa1"}) && app == "y"))',
        "s:9cFuTs31ReP3VXmhegFhUYa-TeQ2DJcQRJIGOQ",
    ),
]


@pytest.mark.parametrize(("namespace", "fields", "canonical", "made"), VECTORS, ids=[entry[2] for entry in VECTORS])
def test_selectors_of_a_rule(namespace: str, fields: dict[str, Any], canonical: str, made: str) -> None:
    side = source(fields, namespace)
    assert text(side.selector) == canonical
    assert side.not_selector is None
    assert selector_set_id(canonical) == made


KUBERNETES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"podSelector": {"matchLabels": {"role": "frontend"}}},
        '(projectcalico.org/namespace == "ns1" && (projectcalico.org/orchestrator == "k8s" && role == "frontend"))',
        "s:YukLInVeCwFdGUqaUY30J0jNWYUHBgfe6xB9kg",
    ),
    (
        {"podSelector": {}},
        '(projectcalico.org/namespace == "ns1" && projectcalico.org/orchestrator == "k8s")',
        "s:tSFuQZXX8hNL4DG3JN7DZ0J8DYMYPsQPXniRFg",
    ),
    (
        {"namespaceSelector": {"matchLabels": {"team": "red"}}},
        '(pcns.team == "red" && projectcalico.org/orchestrator == "k8s")',
        "s:dsbLj_G2LGNE45YvnNmvIb8491-4KxMiMK6tHw",
    ),
    (
        {"namespaceSelector": {}},
        '(has(projectcalico.org/namespace) && projectcalico.org/orchestrator == "k8s")',
        "s:Vbl4aLpsO8Ss0UCzvsdmKAp4rZRC-V4hJGyiGg",
    ),
]


@pytest.mark.parametrize(("peer", "canonical", "made"), KUBERNETES, ids=[entry[1] for entry in KUBERNETES])
def test_selectors_of_a_kubernetes_policy(peer: dict[str, Any], canonical: str, made: str) -> None:
    manifest = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: a, namespace: ns1}}
spec: {{podSelector: {{}}, ingress: [{{from: [{str(peer).replace("'", '"')}]}}]}}
"""
    (policy,) = parse_resources([("a.yaml", manifest)]).of(NetworkPolicy)
    (converted,) = (rule_to_v1(entry, policy.metadata.namespace) for entry in policy.spec.ingress)
    assert text(converted.source.selector) == canonical
    assert selector_set_id(canonical) == made


ALONE: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "nothing is asked": ("ns1", {}, None),
    "nets and ports do not limit to the namespace": ("ns1", {"nets": ["10.0.0.0/8"]}, None),
    "no service accounts at all": ("ns1", {"serviceAccounts": {}}, None),
    "a selector of the whole cluster": ("", {"selector": "has(a)"}, "has(a)"),
    "a namespace selector with a selector": (
        "",
        {"namespaceSelector": "has(a) || all()", "selector": "has(b)"},
        "((has(pcns.a) || has(projectcalico.org/namespace)) && has(b))",
    ),
    "all() in a value": (
        "",
        {"namespaceSelector": "a not in {'x', 'all()'} && !b contains 'all()'"},
        '(pcns.a not in {"has(projectcalico.org/namespace)", "x"} && !pcns.b contains "has(projectcalico.org/namespace)")',
    ),
    "a namespace selector wins over the policy's namespace": (
        "ns1",
        {"namespaceSelector": "all()", "selector": "has(b)"},
        "(has(projectcalico.org/namespace) && has(b))",
    ),
    "service accounts with a namespace selector": (
        "ns1",
        {"namespaceSelector": "has(a)", "serviceAccounts": {"selector": "all()"}},
        "(has(pcns.a) && all())",
    ),
    "service accounts of the whole cluster": (
        "",
        {"serviceAccounts": {"names": ["b", "a"], "selector": "has(c)"}},
        '(has(pcsa.c) && projectcalico.org/serviceaccount in {"a", "b"})',
    ),
    "blanks are a selector of everything": ("ns1", {"selector": " "}, '(projectcalico.org/namespace == "ns1" && all())'),
}


@pytest.mark.parametrize("name", ALONE)
def test_positive_selector(name: str) -> None:
    namespace, fields, canonical = ALONE[name]
    assert text(source(fields, namespace).selector) == canonical


def test_a_negated_selector_alone_stays_negated_where_there_is_no_namespace() -> None:
    side = source({"notSelector": "env == 'dev'"})
    assert side.selector is None
    assert text(side.not_selector) == 'env == "dev"'
    assert selector_set_id('env == "dev"') == "s:Up_GutopGQk0lcR7OfV_vXQeMju2V-FhUYlR4Q"


def test_a_doubly_negated_selector_keeps_both() -> None:
    assert text(source({"selector": "has(a)", "notSelector": "!has(b)"}).selector) == "(has(a) && !!has(b))"


# --- ports -------------------------------------------------------------------------------------------------------


def named(port: v1.NamedPort) -> str:
    return named_port_set_id(selector_set_id(format_selector(port.selector)), port.protocol, port.name)


NAMED = [
    ("", {"ports": ["http"]}, "TCP", "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A"),
    ("", {"ports": ["dns"]}, "UDP", "n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA"),
    ("", {"ports": ["dns"]}, 17, "n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA"),
    ("", {"ports": ["psql"], "selector": "role == 'db'"}, "TCP", "n:s4IebwKotj0fXDZc6DX1YxEZL-5QXvNpY1Zlgw"),
    ("ns1", {"ports": ["psql"], "selector": "role == 'db'"}, 6, "n:OBc0h7Ak6b6OoZ3Pk5_7Ho7JUkAobzKf3L7avQ"),
]


@pytest.mark.parametrize(("namespace", "fields", "protocol", "made"), NAMED, ids=[entry[3] for entry in NAMED])
def test_named_ports(namespace: str, fields: dict[str, Any], protocol: str | int, made: str) -> None:
    side = rule_to_v1(rule(protocol=protocol, destination=fields), namespace).destination
    assert [named(port) for port in side.named_ports] == [made]
    assert side.ports == ()


def test_named_ports_alone_carry_the_selector() -> None:
    side = source({"ports": ["http"], "selector": "has(a)"}, protocol="TCP")
    assert side.selector is None
    assert [text(port.selector) for port in side.named_ports] == ["has(a)"]
    assert side.selectors == ()


def test_with_numbers_beside_them_the_selector_has_its_own_set() -> None:
    side = source({"ports": ["http", 80, "90:95"], "selector": "has(a)"}, protocol="TCP")
    assert text(side.selector) == "has(a)"
    assert side.ports == (PortRange(80, 80), PortRange(90, 95))


def test_negated_named_ports_are_of_the_positive_selector_and_do_not_carry_it() -> None:
    side = source({"notPorts": ["http", 80], "selector": "has(a)", "notSelector": "has(b)"}, protocol="TCP")
    assert text(side.selector) == "(has(a) && !has(b))"
    assert [text(port.selector) for port in side.not_named_ports] == ["(has(a) && !has(b))"]
    assert side.not_ports == (PortRange(80, 80),)


def test_without_a_positive_selector_named_ports_are_anybodys_and_a_negated_selector_stays() -> None:
    side = source({"ports": ["http"], "notSelector": "has(b)"}, protocol="TCP")
    assert [text(port.selector) for port in side.named_ports] == ["all()"]
    assert text(side.not_selector) == "has(b)"
    assert side.selectors == (parse_selector("has(b)"),)


# --- the rest of a rule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({}, None),
        ({"protocol": "TCP"}, None),
        ({"protocol": "ICMP"}, IPFamily.V4),
        ({"protocol": "ICMPv6"}, IPFamily.V6),
        ({"protocol": 1}, None),
        ({"protocol": 58}, None),
        ({"notProtocol": "ICMP"}, None),
        ({"protocol": 58, "ipVersion": 4}, IPFamily.V4),
        ({"ipVersion": 6}, IPFamily.V6),
    ],
    ids=str,
)
def test_family_of_a_rule(fields: dict[str, Any], version: IPFamily | None) -> None:
    assert rule_to_v1(rule(**fields)).ip_version is version


@pytest.mark.parametrize(("action", "made"), [("Allow", "allow"), ("Deny", "deny"), ("Log", "log"), ("Pass", "next-tier")])
def test_actions(action: str, made: str) -> None:
    assert rule_to_v1(rule(action=action)).action == made


@pytest.mark.parametrize(
    ("protocol", "made"), [("TCP", "tcp"), ("ICMPv6", "icmpv6"), ("UDPLite", "udplite"), (132, 132), ("6", 6)]
)
def test_protocols(protocol: str | int, made: str | int) -> None:
    converted = rule_to_v1(rule(protocol=protocol, notProtocol=protocol))
    assert (converted.protocol, converted.not_protocol) == (made, made)


@pytest.mark.parametrize(
    ("icmp", "made"),
    [({}, None), ({"type": 8}, v1.Icmp(8)), ({"type": 0, "code": 0}, v1.Icmp(0, 0))],
    ids=str,
)
def test_icmp(icmp: dict[str, int], made: v1.Icmp | None) -> None:
    converted = rule_to_v1(rule(protocol="ICMP", icmp=icmp, notICMP=icmp))
    assert (converted.icmp, converted.not_icmp) == (made, made)


def test_nets() -> None:
    fields = {"nets": ["10.0.0.0/8", "10.1.1.1/32"], "notNets": ["10.2.0.0/16"]}
    side = source(fields)
    assert side.nets == (parse_prefix("10.0.0.0/8"), parse_prefix("10.1.1.1/32"))
    assert side.not_nets == (parse_prefix("10.2.0.0/16"),)


def test_both_ends_are_read() -> None:
    converted = rule_to_v1(rule(source={"selector": "has(a)"}, destination={"selector": "has(b)"}))
    assert (text(converted.source.selector), text(converted.destination.selector)) == ("has(a)", "has(b)")


def test_a_rule_that_asks_nothing() -> None:
    assert rule_to_v1(rule()) == v1.Rule("allow")
    assert rule_selector(EntityRule(), "ns1") is None


@pytest.mark.parametrize(
    ("protocol", "refused"), [("SCTP", True), (132, True), (None, True), ("TCP", False), (17, False)], ids=str
)
def test_felix_refuses_ports_of_what_it_thinks_has_none(protocol: str | int | None, refused: bool) -> None:
    ports = EntityRule(ports=(PortRange(80, 80),))
    bare = rule(protocol=protocol)
    assert not felix_refuses(bare)
    assert felix_refuses(PolicyRule(bare.action, protocol=bare.protocol, destination=ports)) is refused
    negated = EntityRule(not_ports=(PortRange(80, 80),))
    assert felix_refuses(PolicyRule(bare.action, protocol=bare.protocol, source=negated)) is refused
