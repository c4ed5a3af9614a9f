"""Rules: what Calico 3.7 refuses in them, in its words (spec: model 1.8)."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.problem import FieldProblem
from tortie.model.reader import read_value
from tortie.model.rule import Action, EntityRule, IcmpMatch, PolicyRule
from tortie.model.scalar import NamedPort, PortRange
from tortie.net.address import IPFamily, parse_prefix


def _read(rule: dict[str, Any]) -> PolicyRule:
    return read_value(PolicyRule, {"action": "Allow"} | rule)


def test_a_rule_with_everything() -> None:
    assert read_value(
        PolicyRule,
        {
            "action": "Deny",
            "ipVersion": 4,
            "protocol": "TCP",
            "notICMP": {"type": 8},
            "source": {"nets": ["10.0.0.0/8"], "notPorts": [80]},
            "destination": {"selector": "has(a)", "ports": ["http", "1:2"], "notNets": ["10.1.0.0/16"]},
        },
    ) == PolicyRule(
        Action.DENY,
        ip_version=IPFamily.V4,
        protocol="TCP",
        not_icmp=IcmpMatch(8),
        source=EntityRule(nets=(parse_prefix("10.0.0.0/8"),), not_ports=(PortRange(80, 80),)),
        destination=EntityRule(
            selector="has(a)",
            ports=(NamedPort("http"), PortRange(1, 2)),
            not_nets=(parse_prefix("10.1.0.0/16"),),
        ),
    )


def _nets(*nets: str) -> dict[str, Any]:
    return {"source": {"nets": list(nets)}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source": {"ports": [80]}}, "rules that specify ports must set protocol to TCP or UDP"),
    ({"protocol": "SCTP", "destination": {"notPorts": [80]}}, "rules that specify ports must set protocol to TCP or UDP"),
    ({"protocol": 6, "http": {}}, "rules that specify HTTP fields must set protocol to TCP or empty"),
    ({"action": "Deny", "http": {}}, "only valid for Allow rules"),
    ({"http": {"methods": ["GET", "GET"]}}, "the same method is there twice"),
    ({"http": {"paths": [{"exact": "/a", "prefix": "/b"}]}}, "give either 'exact' or 'prefix'"),
    ({"http": {"paths": [{"exact": "a"}]}}, "invalid path 'a'"),
    ({"http": {"paths": [{"prefix": "/a?b"}]}}, "invalid path '/a?b'"),
    ({"protocol": 1, "icmp": {"type": 8}}, "rules that specify ICMP fields must set protocol to ICMP"),
    ({"protocol": "ICMP", "icmp": {"code": 0}}, "ICMP code specified without an ICMP type"),
    ({"protocol": "ICMP", "icmp": {"type": 255}}, "255 is not between 0 and 254"),
    ({"protocol": "ICMP", "ipVersion": 6}, "must set ipversion to '4' with protocol icmp"),
    ({"notProtocol": "ICMPv6", "ipVersion": 4}, "must set ipversion to '6' with protocol icmpv6"),
    ({"ipVersion": 5}, "IP version '5' is neither 4 nor 6"),
    (_nets("10.0.0.1"), "invalid CIDR"),
    (_nets("10.0.0.1/8"), "has bits set behind its prefix"),
    (_nets("fd00::/8") | {"ipVersion": 4}, "rule IP version doesn't match CIDR version"),
    (_nets("fd00::/8", "10.0.0.0/8"), "rule contains both IPv4 and IPv6 CIDRs"),
    (_nets("fd00::/8") | {"destination": {"notNets": ["10.0.0.0/8"]}}, "rule contains both IPv4 and IPv6 CIDRs"),
    ({"action": "allow"}, "'allow' is not one of Allow, Deny, Log, Pass"),
    ({"sourc": {}}, "unknown field 'sourc'"),
    ({"source": {"serviceAccounts": {"selector": "a"}}}, "expected an operator after label 'a'"),
]


@pytest.mark.parametrize(("rule", "message"), REFUSED, ids=[str(rule)[:50] for rule, _ in REFUSED])
def test_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldProblem) as refusal:
        _read(rule)
    assert message in refusal.value.message


def test_a_rule_needs_an_action() -> None:
    with pytest.raises(FieldProblem, match="action is missing"):
        read_value(PolicyRule, {})


def test_named_ports_are_those_of_both_lists() -> None:
    entity = EntityRule(ports=(NamedPort("a"), PortRange(1, 1)), not_ports=(NamedPort("b"),))
    assert entity.named_ports == (NamedPort("a"), NamedPort("b"))
