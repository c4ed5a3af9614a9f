"""Parameters as text: types, defaults and flags of spec rules 11."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tortie.calc.view import PortRange
from tortie.net.address import parse_address, parse_prefix
from tortie.net.error import InvalidInput
from tortie.render.config import ProtocolPort, RenderConfig, parse_config

DEFAULT = RenderConfig()


def test_nothing_given_is_the_default_without_a_warning() -> None:
    assert parse_config({}) == (DEFAULT, ())


GOOD: list[tuple[str, str, RenderConfig]] = [
    ("Ipv6Support", "false", replace(DEFAULT, ipv6_support=False)),
    ("IPV6SUPPORT", "No", replace(DEFAULT, ipv6_support=False)),
    ("ipv6support", "none", replace(DEFAULT, ipv6_support=False)),
    ("InterfacePrefix", "cali,tap", replace(DEFAULT, interface_prefixes=("cali", "tap"))),
    ("InterfaceExclude", "kube-ipvs0,/^vbox/", replace(DEFAULT, interface_exclude=(r"^kube\-ipvs0$", "^vbox"))),
    ("InterfaceExclude", "none", replace(DEFAULT, interface_exclude=())),
    ("ChainInsertMode", "APPEND", replace(DEFAULT, chain_insert_mode="append")),
    ("DefaultEndpointToHostAction", "Accept", replace(DEFAULT, endpoint_to_host_action="ACCEPT")),
    ("IptablesFilterAllowAction", "Return", replace(DEFAULT, filter_allow_action="RETURN")),
    ("IptablesMangleAllowAction", "return", replace(DEFAULT, mangle_allow_action="RETURN")),
    ("IptablesMarkMask", "0xff000000", replace(DEFAULT, mark_mask=0xFF000000)),
    ("IptablesMarkMask", "4278190080", replace(DEFAULT, mark_mask=0xFF000000)),
    ("IptablesMarkMask", "0377", replace(DEFAULT, mark_mask=0xFF)),
    ("MaxIpsetSize", "1024", replace(DEFAULT, max_ipset_size=1024)),
    ("LogPrefix", 'a "quoted" prefix', replace(DEFAULT, log_prefix='a "quoted" prefix')),
    ("LogPrefix", "none", replace(DEFAULT, log_prefix="")),
    ("DisableConntrackInvalidCheck", "t", replace(DEFAULT, disable_conntrack_invalid_check=True)),
    (
        "FailsafeInboundHostPorts",
        "22, udp:68,TCP:80",
        replace(DEFAULT, failsafe_inbound=(ProtocolPort("tcp", 22), ProtocolPort("udp", 68), ProtocolPort("tcp", 80))),
    ),
    ("FailsafeOutboundHostPorts", "none", replace(DEFAULT, failsafe_outbound=())),
    ("KubeNodePortRanges", "1:2,3", replace(DEFAULT, node_port_ranges=(PortRange(1, 2), PortRange(3, 3)))),
    ("NATPortRange", "99", replace(DEFAULT, nat_port_range=PortRange(99, 99))),
    ("IptablesNATOutgoingInterfaceFilter", "eth+", replace(DEFAULT, nat_outgoing_interface="eth+")),
    ("IpInIpEnabled", "1", replace(DEFAULT, ipip_enabled=True)),
    ("IpInIpTunnelAddr", "10.0.0.1", replace(DEFAULT, ipip_tunnel_address=parse_address("10.0.0.1"))),
    ("VXLANEnabled", "y", replace(DEFAULT, vxlan_enabled=True)),
    ("VXLANPort", "4790", replace(DEFAULT, vxlan_port=4790)),
    ("VXLANVNI", "0x10", replace(DEFAULT, vxlan_vni=16)),
    ("IPv4VXLANTunnelAddr", "10.0.0.2", replace(DEFAULT, vxlan_tunnel_address=parse_address("10.0.0.2"))),
    (
        "ExternalNodesCIDRList",
        "10.0.0.1,10.1.2.3/16",
        replace(DEFAULT, external_nodes=(parse_prefix("10.0.0.1/32"), parse_prefix("10.1.0.0/16"))),
    ),
    ("MetadataAddr", "metadata.example", replace(DEFAULT, metadata_host="metadata.example")),
    ("MetadataPort", "0", replace(DEFAULT, metadata_port=0)),
    ("ClusterType", "k8s,bgp", replace(DEFAULT, cluster_type="k8s,bgp")),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD, ids=[f"{row[0]}={row[1]}" for row in GOOD])
def test_parameter(name: str, value: str, expected: RenderConfig) -> None:
    assert parse_config({name: value}) == (expected, ())


def test_every_field_but_the_last_is_a_parameter() -> None:
    changed = {
        field.name
        for _, _, value in GOOD
        for field in fields(value)
        if getattr(value, field.name) != getattr(DEFAULT, field.name)
    }
    assert changed | {"felix_exact"} == {field.name for field in fields(RenderConfig)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Ipv6Support", "maybe"),
        ("InterfaceExclude", "/(/"),
        ("InterfaceExclude", "/a(?=b)/"),
        ("InterfaceExclude", "a name"),
        ("MaxIpsetSize", "many"),
        ("MaxIpsetSize", "-1"),
        ("LogPrefix", "two\nlines"),
        ("KubeNodePortRanges", "http"),
        ("NATPortRange", "5:4"),
        ("NATPortRange", "1:70000"),
        ("IptablesNATOutgoingInterfaceFilter", "no blanks"),
        ("IpInIpTunnelAddr", "10.0.0.0/8"),
        ("VXLANVNI", "0x100000000"),
    ],
)
def test_a_bad_value_is_replaced_by_the_default_with_a_warning(name: str, value: str) -> None:
    config, warnings = parse_config({name: value})
    assert config == DEFAULT
    assert len(warnings) == 1 and name in warnings[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("InterfacePrefix", "with blank"),
        ("InterfacePrefix", "none"),
        ("InterfacePrefix", "sixteen-letters-"),
        ("InterfacePrefix", "fifteen-letters"),
        ("ChainInsertMode", "prepend"),
        ("DefaultEndpointToHostAction", "REJECT"),
        ("IptablesMarkMask", "0x1"),
        ("IptablesMarkMask", "0x1ffffffff"),
        ("MaxIpsetSize", "none"),
        ("FailsafeInboundHostPorts", "sctp:22"),
        ("FailsafeOutboundHostPorts", "tcp:70000"),
        ("ExternalNodesCIDRList", "fd00::/64"),
        ("MetadataAddr", "not a host"),
        ("MetadataPort", "65536"),
    ],
)
def test_a_bad_value_that_felix_does_not_start_with_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        parse_config({name: value})


def test_an_empty_value_counts_as_not_given_and_unknown_names_are_ignored() -> None:
    assert parse_config({"IptablesMarkMask": "", "SomethingElse": "1"}) == (DEFAULT, ())


def test_a_list_as_the_datastore_prints_it_is_read_unless_felix_is_wanted_exactly() -> None:
    """Felix 3.7.5 cannot read its own print of KubeNodePortRanges and falls back to the default (spec: model Q7)."""
    printed = {"KubeNodePortRanges": "[10000:20000 30000]"}
    assert parse_config(printed) == (
        replace(DEFAULT, node_port_ranges=(PortRange(10000, 20000), PortRange(30000, 30000))),
        (),
    )
    config, warnings = parse_config(printed, felix_exact=True)
    assert config == replace(DEFAULT, felix_exact=True)
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (DEFAULT, False),
        (replace(DEFAULT, cluster_type="k8s,OpenStack"), True),
        (replace(DEFAULT, metadata_host="10.0.0.1"), True),
        (replace(DEFAULT, metadata_host=""), False),
        (replace(DEFAULT, metadata_port=80), True),
        (replace(DEFAULT, metadata_port=0), False),
        (replace(DEFAULT, interface_prefixes=("cali", "tap")), True),
        (replace(DEFAULT, interface_prefixes=("tape",)), False),
    ],
)
def test_openstack_is_told_from_any_of_four_signs(config: RenderConfig, expected: bool) -> None:
    assert config.openstack is expected


@pytest.mark.parametrize(("host", "known"), [("127.0.0.1", True), ("metadata", False), ("", False), ("::1", False)])
def test_metadata_address_is_known_only_from_an_ipv4_address(host: str, known: bool) -> None:
    assert (replace(DEFAULT, metadata_host=host).metadata_address is not None) is known


def test_interfaces_are_sorted_by_name() -> None:
    config = replace(DEFAULT, interface_prefixes=("cali", "tap"), interface_exclude=("^kube-ipvs0$", "virt"))
    assert config.is_workload_interface("cali1") and config.is_workload_interface("tap0")
    assert not config.is_workload_interface("eth0")
    assert config.is_excluded_interface("kube-ipvs0") and config.is_excluded_interface("libvirt3")
    assert not config.is_excluded_interface("kube-ipvs01")
