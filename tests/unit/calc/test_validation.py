"""Values that count as not there (spec: model 6.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calc_builder import allow_to_port, host_endpoint, network_set, policy, workload
from tortie.calc.validation import (
    is_enforceable_host_endpoint,
    is_enforceable_network_set,
    is_enforceable_policy,
    is_enforceable_profile,
    is_enforceable_workload,
)
from tortie.model import v1
from tortie.model.scalar import PortRange

HTTP = v1.RuleSide(ports=(PortRange(80, 80),))


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (v1.Rule("allow"), True),
        (v1.Rule("allow", protocol="sctp", source=HTTP), True),
        (v1.Rule("allow", protocol=17, source=HTTP), True),
        (v1.Rule("allow", source=HTTP), False),
        (v1.Rule("allow", protocol="icmp", destination=HTTP), False),
        (v1.Rule("allow", not_protocol="tcp", destination=HTTP), False),
        (v1.Rule("allow", protocol="tcp", destination=v1.RuleSide(not_ports=(PortRange(80, 80),))), True),
        (v1.Rule("allow", destination=v1.RuleSide(not_ports=(PortRange(80, 80),))), False),
        (allow_to_port("http"), True),
        (replace(allow_to_port("http"), protocol=None), False),
        (v1.Rule("allow", protocol="tcp", source=v1.RuleSide(ports=(PortRange(0, 80),))), False),
        (v1.Rule("allow", protocol="tcp", source=v1.RuleSide(ports=(PortRange(81, 80),))), False),
        (v1.Rule("allow", protocol="tcp", source=v1.RuleSide(ports=(PortRange(1, 65536),))), False),
        (v1.Rule("allow", protocol=255), True),
        (v1.Rule("allow", protocol=0), False),
        (v1.Rule("allow", protocol=256), False),
        (v1.Rule("allow", protocol="TCP"), False),
        (v1.Rule("allow", not_protocol="x"), False),
        (v1.Rule("allow", icmp=v1.Icmp(254, 255)), True),
        (v1.Rule("allow", icmp=v1.Icmp(255)), False),
        (v1.Rule("allow", not_icmp=v1.Icmp(0, 256)), False),
    ],
    ids=lambda value: "" if isinstance(value, v1.Rule) else "good" if value else "wrong",
)
def test_one_rule_decides_for_its_policy_and_its_profile(rule: v1.Rule, good: bool) -> None:
    assert is_enforceable_policy(policy("p", "all()", v1.Rule("allow"), rule)) is good
    assert is_enforceable_policy(policy("p", "all()", outbound=(rule,))) is good
    assert is_enforceable_profile(v1.Profile("p", inbound=(rule,))) is good
    assert is_enforceable_profile(v1.Profile("p", outbound=(rule,))) is good


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({}, True),
        ({"interface": ""}, False),
        ({"ports": (v1.EndpointPort("a" * 128, "tcp", 65535),)}, True),
        ({"ports": (v1.EndpointPort("a" * 129, "tcp", 1),)}, False),
        ({"ports": (v1.EndpointPort("", "tcp", 1),)}, False),
        ({"ports": (v1.EndpointPort("a", "tcp", 0),)}, False),
        ({"ports": (v1.EndpointPort("a", "tcp", 65536),)}, False),
        ({"ports": (v1.EndpointPort("a", "sctp", 1),)}, False),
    ],
    ids=["good", "no interface", "longest name", "name too long", "no name", "port 0", "port too large", "protocol"],
)
def test_workload(changed: dict[str, object], good: bool) -> None:
    assert is_enforceable_workload(replace(workload("a"), **changed)) is good  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "good"),
    [
        ({"interface": "*"}, True),
        ({"interface": ""}, True),
        ({"interface": "a" * 16}, False),
        ({"interface": "a b"}, False),
        ({"labels": {"a/b.c-d_e": "v"}}, True),
        ({"labels": {"a b": "v"}}, False),
        ({"labels": {"a": "-"}}, False),
        ({"labels": {"a": "v" * 64}}, False),
        ({"ports": (v1.EndpointPort("a b", "tcp", 1),)}, False),
    ],
    ids=[
        "all interfaces", "by addresses", "interface too long", "interface with a blank", "label", "key with a blank",
        "value of a dash", "value too long", "port",
    ],
)  # fmt: skip
def test_host_endpoint(changed: dict[str, object], good: bool) -> None:
    assert is_enforceable_host_endpoint(replace(host_endpoint("h", "10.0.0.1"), **changed)) is good  # type: ignore[arg-type]


def test_network_set() -> None:
    assert is_enforceable_network_set(network_set("n", "10.0.0.0/8", a="1"))
    assert not is_enforceable_network_set(network_set("n", "10.0.0.0/8", a="a b"))
