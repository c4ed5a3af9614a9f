"""What the configuration of a node says (spec: model 1.13)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reference_builder import configuration, read, resource
from tortie.net.address import parse_prefix
from tortie.reference.configuration import Configuration, read_configuration

DEFAULT = Configuration()


def test_nothing_said() -> None:
    assert read_configuration(read(), "node-1") == DEFAULT
    assert (6, 22) in DEFAULT.failsafe_inbound and (17, 53) in DEFAULT.failsafe_outbound


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{ipv6Support: false}", replace(DEFAULT, ipv6_support=False)),
        ("{interfacePrefix: 'cali,veth'}", replace(DEFAULT, interface_prefixes=("cali", "veth"))),
        ("{defaultEndpointToHostAction: Return}", replace(DEFAULT, endpoint_to_host_action="Return")),
        ("{disableConntrackInvalidCheck: true}", replace(DEFAULT, drop_invalid=False)),
        ("{failsafeInboundHostPorts: []}", replace(DEFAULT, failsafe_inbound=frozenset())),
        (
            "{failsafeOutboundHostPorts: [{protocol: UDP, port: 9}, {protocol: tcp, port: 8}]}",
            replace(DEFAULT, failsafe_outbound=frozenset({(17, 9), (6, 8)})),
        ),
        ("{ipipEnabled: true, vxlanEnabled: true}", replace(DEFAULT, ipip_enabled=True, vxlan_enabled=True)),
        ("{vxlanPort: 1, vxlanVNI: 2}", replace(DEFAULT, vxlan_port=1, vxlan_vni=2)),
        ("{externalNodesList: [10.0.0.1]}", replace(DEFAULT, external_nodes=(parse_prefix("10.0.0.1/32"),))),
        ("{metadataAddr: 10.0.0.1}", replace(DEFAULT, openstack=True)),
        ("{failsafeInboundHostPorts: [{protocol: sctp, port: 9}]}", None),
    ],
)
def test_fields(spec: str, expected: Configuration | None) -> None:
    found = read_configuration(read(configuration(spec)), "node-1")
    if expected is None:
        assert found.unreadable == "a failsafe port has protocol sctp"
    else:
        assert found == expected


def test_the_node_wins_field_by_field() -> None:
    texts = configuration("{vxlanPort: 1, ipipEnabled: true}") + configuration("{vxlanPort: 2}", "node.node-1")
    assert read_configuration(read(texts), "node-1") == replace(DEFAULT, vxlan_port=2, ipip_enabled=True)
    assert read_configuration(read(texts), "node-2") == replace(DEFAULT, vxlan_port=1, ipip_enabled=True)


@pytest.mark.parametrize(("annotation", "readable"), [("VXLANPort", False), ("vxlanport", False), ("LogPrefix", True)])
def test_annotations_that_override(annotation: str, readable: bool) -> None:
    text = resource("FelixConfiguration", "default", more=f", annotations: {{config.projectcalico.org/{annotation}: x}}")
    assert (read_configuration(read(text), "node-1").unreadable == "") is readable


def test_the_cluster_may_be_openstack() -> None:
    assert read_configuration(
        read(resource("ClusterInformation", "default", "{clusterType: 'k8s,OpenStack'}")), "n"
    ).openstack


@pytest.mark.parametrize(
    ("words", "name", "excluded"),
    [
        (("kube-ipvs0",), "kube-ipvs0", True),
        (("kube-ipvs0",), "kube-ipvs01", False),
        (("/^eth/",), "eth7", True),
        (("/^eth/",), "veth7", False),
        (("/",), "/", True),
    ],
)
def test_excluded_interfaces(words: tuple[str, ...], name: str, excluded: bool) -> None:
    assert replace(DEFAULT, interface_exclude=words).is_excluded_interface(name) is excluded
