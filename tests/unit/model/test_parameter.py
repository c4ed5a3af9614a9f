"""Configuration resources to parameters: names, texts, who wins (spec: model 1.13, 4.6)."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tortie.model.bgp import BGPConfiguration
from tortie.model.felix_configuration import FelixConfiguration, FelixConfigurationSpec
from tortie.model.parameter import (
    FELIX_PARAMETERS,
    bgp_configuration_parameters,
    felix_configuration_parameters,
    felix_parameters,
)
from tortie.model.read import parse_resources


def configuration(spec: str, name: str = "default", metadata: str = "") -> str:
    return f"""
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: {name}, {metadata}}}
spec: {spec}
---
"""


def parameters(spec: str, metadata: str = "") -> dict[str, str]:
    (found,) = parse_resources([("test.yaml", configuration(spec, metadata=metadata))]).of(FelixConfiguration)
    return felix_configuration_parameters(found)


WRITTEN = {
    "{}": {},
    "{ipv6Support: false}": {"Ipv6Support": "false"},
    "{ipipEnabled: true, ipipMTU: 0}": {"IpInIpEnabled": "true", "IpInIpMtu": "0"},
    "{vxlanEnabled: true, vxlanPort: 4790, vxlanVNI: 1, vxlanMTU: 1400}": {
        "VXLANEnabled": "true", "VXLANPort": "4790", "VXLANVNI": "1", "VXLANMTU": "1400",
    },
    "{logPrefix: '', interfacePrefix: 'cali,tap'}": {"InterfacePrefix": "cali,tap"},
    "{iptablesMarkMask: 0xff000000}": {"IptablesMarkMask": "4278190080"},
    "{defaultEndpointToHostAction: Return}": {"DefaultEndpointToHostAction": "Return"},
    "{routeRefreshInterval: 90s}": {"RouteRefreshInterval": "90"},
    "{routeRefreshInterval: 1m0.5s}": {"RouteRefreshInterval": "60.5"},
    "{reportingInterval: 0s, reportingTTL: 90s}": {"ReportingIntervalSecs": "0", "ReportingTTLSecs": "90"},
    "{iptablesLockProbeInterval: 50ms}": {"IptablesLockProbeIntervalMillis": "50"},
    "{iptablesLockProbeInterval: 1500us}": {"IptablesLockProbeIntervalMillis": "1.5"},
    "{iptablesPostWriteCheckInterval: 1s}": {"IptablesPostWriteCheckIntervalSecs": "1"},
    "{XDPRefreshInterval: null}": {},
    "{failsafeInboundHostPorts: []}": {"FailsafeInboundHostPorts": "none"},
    "{failsafeOutboundHostPorts: [{protocol: TCP, port: 22}, {protocol: udp, port: 53}]}": {
        "FailsafeOutboundHostPorts": "tcp:22,udp:53",
    },
    "{kubeNodePortRanges: ['30000:32767', 80]}": {"KubeNodePortRanges": "[30000:32767 80]"},
    "{natPortRange: '32768:65535'}": {"NATPortRange": "32768:65535"},
    "{externalNodesList: [10.0.0.0/8, 192.0.2.1]}": {"ExternalNodesCIDRList": "10.0.0.0/8,192.0.2.1"},
    "{usageReportingInitialDelay: 5m}": {"UsageReportingInitialDelaySecs": "300"},
}  # fmt: skip


@pytest.mark.parametrize("spec", WRITTEN)
def test_felix_parameters_of_a_resource(spec: str) -> None:
    assert parameters(spec) == WRITTEN[spec]


def test_every_field_has_a_parameter() -> None:
    assert set(FELIX_PARAMETERS) == {field.name for field in fields(FelixConfigurationSpec)}


def test_an_annotation_wins() -> None:
    metadata = "annotations: {config.projectcalico.org/LogPrefix: other, config.projectcalico.org/New: '1', x: y}"
    assert parameters("{logPrefix: mine, ipv6Support: true}", metadata) == {
        "LogPrefix": "other",
        "Ipv6Support": "true",
        "New": "1",
    }


CLUSTER = """
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {clusterGUID: abc, clusterType: 'k8s,bgp', datastoreReady: true}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
spec: {bgp: {ipv4Address: 192.0.2.1/24, ipv4IPIPTunnelAddr: 10.0.0.1}, ipv4VXLANTunnelAddr: 10.0.1.1}
---
"""


def test_the_parameters_of_a_node() -> None:
    texts = [
        ("cluster.yaml", CLUSTER),
        ("felix.yaml", configuration("{logPrefix: a, ipipEnabled: true}")),
        ("own.yaml", configuration("{logPrefix: b}", "node.n1")),
        ("other.yaml", configuration("{logPrefix: c}", "node.n2")),
    ]
    resources = parse_resources(texts)
    shared = {"ClusterGUID": "abc", "ClusterType": "k8s,bgp", "IpInIpEnabled": "true"}
    tunnels = {"IpInIpTunnelAddr": "10.0.0.1", "IPv4VXLANTunnelAddr": "10.0.1.1"}
    assert felix_parameters(resources, "n1") == shared | {"LogPrefix": "b"} | tunnels
    assert felix_parameters(resources, "n3") == shared | {"LogPrefix": "a"}


def test_a_cluster_without_configuration() -> None:
    assert felix_parameters(parse_resources([]), "n1") == {}


BGP = {
    "{}": {},
    "{logSeverityScreen: Debug}": {"loglevel": "debug"},
    "{logSeverityScreen: Info}": {"loglevel": "info"},
    "{logSeverityScreen: Warning}": {"loglevel": "none"},
    "{nodeToNodeMeshEnabled: false}": {"node_mesh": '{"enabled":false}'},
    "{nodeToNodeMeshEnabled: true, asNumber: '1.10'}": {"node_mesh": '{"enabled":true}', "as_num": "65546"},
}


@pytest.mark.parametrize("spec", BGP)
def test_bgp_parameters(spec: str) -> None:
    text = configuration(spec).replace("FelixConfiguration", "BGPConfiguration")
    (found,) = parse_resources([("bgp.yaml", text)]).of(BGPConfiguration)
    assert bgp_configuration_parameters(found) == BGP[spec]
