"""Felix's configuration: every field, and the few that are checked (spec: model 1.13)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.felix_configuration import FelixConfiguration, FelixConfigurationSpec, ProtocolPort
from tortie.model.scalar import PortRange

SECOND = 10**9

ACCEPTED: list[tuple[str, Any, str, Any]] = [
    ("useInternalDataplaneDriver", False, "use_internal_dataplane_driver", False),
    ("routeRefreshInterval", "1m30s", "route_refresh_interval", 90 * SECOND),
    ("XDPRefreshInterval", None, "xdp_refresh_interval", None),
    ("XDPRefreshInterval", "0s", "xdp_refresh_interval", 0),
    ("iptablesPostWriteCheckInterval", "1s", "iptables_post_write_check_interval", SECOND),
    ("iptablesNATOutgoingInterfaceFilter", "eth+", "iptables_nat_outgoing_interface_filter", "eth+"),
    ("defaultEndpointToHostAction", "Return", "default_endpoint_to_host_action", "Return"),
    ("ipipMTU", 1440, "ipip_mtu", 1440),
    ("vxlanVNI", 1, "vxlan_vni", 1),
    ("ignoreLooseRPF", True, "ignore_loose_rpf", True),
    ("genericXDPEnabled", True, "generic_xdp_enabled", True),
    ("reportingTTL", "90s", "reporting_ttl", 90 * SECOND),
    ("iptablesMarkMask", 0xFF000000, "iptables_mark_mask", 0xFF000000),
    ("natPortRange", "1024:65535", "nat_port_range", PortRange(1024, 65535)),
    ("kubeNodePortRanges", ["30000:32767", 80], "kube_node_port_ranges", (PortRange(30000, 32767), PortRange(80, 80))),
    ("failsafeInboundHostPorts", [], "failsafe_inbound_host_ports", ()),
    ("failsafeOutboundHostPorts", [{"protocol": "tcp", "port": 22}], "failsafe_outbound_host_ports",
     (ProtocolPort("tcp", 22),)),
    ("externalNodesList", ["10.0.0.1", "10.1.0.0/16"], "external_nodes_list", ("10.0.0.1", "10.1.0.0/16")),
    ("openstackRegion", "region-1", "openstack_region", "region-1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "attribute", "value"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_accepted(name: str, data: Any, attribute: str, value: Any) -> None:
    assert getattr(read_spec(FelixConfiguration, {name: data}).spec, attribute) == value


def test_what_is_not_given_is_told_apart_from_false_and_from_empty() -> None:
    assert read_spec(FelixConfiguration, {}).spec == FelixConfigurationSpec()
    assert FelixConfigurationSpec().ipip_enabled is None
    assert FelixConfigurationSpec().failsafe_inbound_host_ports is None


REFUSED: list[tuple[str, Any, str]] = [
    ("iptablesFilterAllowAction", "Drop", "'Drop' is not one of Accept, Return"),
    ("defaultEndpointToHostAction", "DROP", "'DROP' is not one of Drop, Accept, Return"),
    ("logSeverityFile", "info", "'info' is not one of Debug"),
    ("openstackRegion", "a" * 47, "is too long"),
    ("openstackRegion", "a.b", "must be a valid DNS label"),
    ("kubeNodePortRanges", [1, 2, 3, 4, 5, 6, 7, 8], "node port ranges list is too long (max 7)"),
    ("kubeNodePortRanges", ["http"], "node port ranges should not contain named ports"),
    ("externalNodesList", ["x"], "has invalid CIDR(s)"),
    ("externalNodesList", ["fd00::/64"], "has invalid IPv6 CIDR"),
    ("iptablesNATOutgoingInterfaceFilter", "a/b", "is not an interface"),
    ("reportingInterval", 30, "expected a duration such as 90s, not 30"),
    ("failsafeInboundHostPorts", [{"protocol": "tcp", "port": 65536}], "65536 is not between 0 and 65535"),
    ("iptablesMarkMask", -1, "-1 is not between 0 and 4294967295"),
    ("ipipEnabled", "true", "expected true or false, not 'true'"),
    ("xdpRefreshInterval", "1s", "unknown field 'xdpRefreshInterval'"),
]


@pytest.mark.parametrize(("name", "data", "message"), REFUSED, ids=[f"{row[0]} {row[2][:20]}" for row in REFUSED])
def test_refused(name: str, data: Any, message: str) -> None:
    assert message in refusal_of_spec(FelixConfiguration, {name: data})
