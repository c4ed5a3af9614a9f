"""Resources as plain data."""

from __future__ import annotations

import json

import pytest

from tortie.model.read import parse_resources
from tortie.model.scalar import read_duration
from tortie.model.writer import format_duration, plain_resource

HEAD = "apiVersion: projectcalico.org/v3\n"
RESOURCES = {
    "FelixConfiguration": (
        "kind: FelixConfiguration\nmetadata: {name: default}\n"
        "spec: {iptablesRefreshInterval: 90s, ipipEnabled: false, maxIpsetSize: 0, logSeverityScreen: Info,"
        " failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [{protocol: udp, port: 53}],"
        " kubeNodePortRanges: [80, '90:99'], natPortRange: '1:5', XDPRefreshInterval: 1500ms, vxlanVNI: 7}\n"
    ),
    "IPPool": "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16, natOutgoing: true, ipipMode: CrossSubnet}\n",
    "Node": (
        "kind: Node\nmetadata: {name: n, labels: {a: b}, annotations: {c: d}}\n"
        "spec: {bgp: {asNumber: 64512, ipv4Address: 10.0.0.1/24, ipv4IPIPTunnelAddr: 10.1.0.1},"
        " orchRefs: [{nodeName: x}]}\n"
    ),
    "WorkloadEndpoint": (
        "kind: WorkloadEndpoint\nmetadata: {namespace: ns}\n"
        "spec: {node: n, orchestrator: k8s, pod: p, endpoint: eth0, interfaceName: cali1, mac: 'ee:ee:ee:ee:ee:ee',"
        " ipNetworks: [10.0.0.1/32], ipNATs: [{internalIP: 10.0.0.1, externalIP: 192.0.2.1}], profiles: [a],"
        " ports: [{name: web, protocol: TCP, port: 80}], containerID: abc}\n"
    ),
    "GlobalNetworkPolicy": (
        "kind: GlobalNetworkPolicy\nmetadata: {name: g}\n"
        "spec: {order: 1.5, doNotTrack: true, applyOnForward: true, selector: all(), egress: [{action: Deny, protocol: TCP,"
        " ipVersion: 4, notProtocol: 17, notICMP: {type: 8, code: 0}, source: {notNets: [10.0.0.0/8],"
        " serviceAccounts: {names: [a], selector: has(x)}}, destination: {notPorts: [1]}}]}\n"
    ),
    "BGPPeer": "kind: BGPPeer\nmetadata: {name: b}\nspec: {peerIP: 'fd00::1', asNumber: 65000}\n",
    "Profile": "kind: Profile\nmetadata: {name: p}\nspec: {labelsToApply: {a: b}, ingress: [{action: Pass}]}\n",
}
"""One resource of a kind, with what is hard to write in it."""


@pytest.mark.parametrize("kind", RESOURCES)
def test_what_is_written_reads_as_it_was(kind: str) -> None:
    (resource,) = parse_resources([("f", HEAD + RESOURCES[kind])])
    plain = plain_resource(resource)
    assert list(plain)[:2] == ["kind", "apiVersion"] and plain["kind"] == kind
    (again,) = parse_resources([("f", json.dumps(plain))])
    assert again == resource


def test_what_says_nothing_is_left_out_and_modes_are_not() -> None:
    (resource,) = parse_resources([("f", HEAD + RESOURCES["IPPool"])])
    assert plain_resource(resource) == {
        "kind": "IPPool",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": "p"},
        "spec": {
            "cidr": "10.0.0.0/16",
            "vxlanMode": "Never",
            "ipipMode": "CrossSubnet",
            "natOutgoing": True,
            "blockSize": 26,
            "nodeSelector": "all()",
        },
    }


def test_false_zero_and_an_empty_list_are_told_from_nothing() -> None:
    (resource,) = parse_resources([("f", HEAD + RESOURCES["FelixConfiguration"])])
    spec = plain_resource(resource)["spec"]
    assert (spec["ipipEnabled"], spec["maxIpsetSize"], spec["failsafeInboundHostPorts"]) == (False, 0, [])
    assert spec["iptablesRefreshInterval"] == "1m30s" and spec["XDPRefreshInterval"] == "1.5s"
    assert spec["kubeNodePortRanges"] == [80, "90:99"]
    assert "vxlanEnabled" not in spec


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (999_999_999, "999.999999ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (-60_000_000_000, "-1m0s"),
    ],
)
def test_durations_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
    assert read_duration(text) == nanoseconds


def test_what_holds_fields_is_written_also_when_it_is_empty() -> None:
    (resource,) = parse_resources([("f", HEAD + RESOURCES["Profile"])])
    rule = {"action": "Pass", "source": {}, "destination": {}}
    assert plain_resource(resource)["spec"] == {"ingress": [rule], "labelsToApply": {"a": "b"}}
