"""Configuration resources to parameters, name and text, as the datastore hands them to Felix and to BGP (spec: model 4.6).

A parameter that is not set is not there. What a node's Felix works with is `felix_parameters`: the cluster's settings, and
over them the node's own. A configuration file and the environment win over both and are for whoever has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tortie.model.bgp import BGPConfiguration
from tortie.model.cluster import ClusterInformation
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.node import Node
from tortie.model.read import Resources
from tortie.model.scalar import format_port

ANNOTATION_PREFIX = "config.projectcalico.org/"
"""In front of the name of a parameter that an annotation sets, whatever the resource says."""
CLUSTER_NAME = "default"
NODE_PREFIX = "node."


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _scaled(nanoseconds: int, unit: int) -> str:
    """A number as Go prints it: the shortest digits that tell it apart, none behind the point of a whole one."""
    whole, rest = divmod(nanoseconds, unit)
    return repr(nanoseconds / unit) if rest else str(whole)


def _seconds(nanoseconds: Any) -> str:
    return _scaled(nanoseconds, 10**9)


def _milliseconds(nanoseconds: Any) -> str:
    return _scaled(nanoseconds, 10**6)


def _failsafe_ports(ports: Any) -> str:
    return ",".join(f"{port.protocol.lower()}:{port.port}" for port in ports) or "none"


def _printed_list(ports: Any) -> str:
    """As Go prints a list, which Felix then cannot read (spec: model Q7)."""
    return f"[{' '.join(map(format_port, ports))}]"


_Format = Callable[[Any], str]

FELIX_PARAMETERS: Mapping[str, tuple[str, _Format]] = {
    "use_internal_dataplane_driver": ("UseInternalDataplaneDriver", _text),
    "dataplane_driver": ("DataplaneDriver", _text),
    "ipv6_support": ("Ipv6Support", _text),
    "ignore_loose_rpf": ("IgnoreLooseRPF", _text),
    "route_refresh_interval": ("RouteRefreshInterval", _seconds),
    "iptables_refresh_interval": ("IptablesRefreshInterval", _seconds),
    "iptables_post_write_check_interval": ("IptablesPostWriteCheckIntervalSecs", _seconds),
    "iptables_lock_file_path": ("IptablesLockFilePath", _text),
    "iptables_lock_timeout": ("IptablesLockTimeoutSecs", _seconds),
    "iptables_lock_probe_interval": ("IptablesLockProbeIntervalMillis", _milliseconds),
    "ipsets_refresh_interval": ("IpsetsRefreshInterval", _seconds),
    "max_ipset_size": ("MaxIpsetSize", _text),
    "xdp_refresh_interval": ("XDPRefreshInterval", _seconds),
    "netlink_timeout": ("NetlinkTimeoutSecs", _seconds),
    "metadata_addr": ("MetadataAddr", _text),
    "metadata_port": ("MetadataPort", _text),
    "openstack_region": ("OpenstackRegion", _text),
    "interface_prefix": ("InterfacePrefix", _text),
    "interface_exclude": ("InterfaceExclude", _text),
    "chain_insert_mode": ("ChainInsertMode", _text),
    "default_endpoint_to_host_action": ("DefaultEndpointToHostAction", _text),
    "iptables_filter_allow_action": ("IptablesFilterAllowAction", _text),
    "iptables_mangle_allow_action": ("IptablesMangleAllowAction", _text),
    "log_prefix": ("LogPrefix", _text),
    "log_file_path": ("LogFilePath", _text),
    "log_severity_file": ("LogSeverityFile", _text),
    "log_severity_screen": ("LogSeverityScreen", _text),
    "log_severity_sys": ("LogSeveritySys", _text),
    "ipip_enabled": ("IpInIpEnabled", _text),
    "ipip_mtu": ("IpInIpMtu", _text),
    "vxlan_enabled": ("VXLANEnabled", _text),
    "vxlan_mtu": ("VXLANMTU", _text),
    "vxlan_port": ("VXLANPort", _text),
    "vxlan_vni": ("VXLANVNI", _text),
    "reporting_interval": ("ReportingIntervalSecs", _seconds),
    "reporting_ttl": ("ReportingTTLSecs", _seconds),
    "endpoint_reporting_enabled": ("EndpointReportingEnabled", _text),
    "endpoint_reporting_delay": ("EndpointReportingDelaySecs", _seconds),
    "iptables_mark_mask": ("IptablesMarkMask", _text),
    "disable_conntrack_invalid_check": ("DisableConntrackInvalidCheck", _text),
    "health_enabled": ("HealthEnabled", _text),
    "health_host": ("HealthHost", _text),
    "health_port": ("HealthPort", _text),
    "prometheus_metrics_enabled": ("PrometheusMetricsEnabled", _text),
    "prometheus_metrics_port": ("PrometheusMetricsPort", _text),
    "prometheus_go_metrics_enabled": ("PrometheusGoMetricsEnabled", _text),
    "prometheus_process_metrics_enabled": ("PrometheusProcessMetricsEnabled", _text),
    "failsafe_inbound_host_ports": ("FailsafeInboundHostPorts", _failsafe_ports),
    "failsafe_outbound_host_ports": ("FailsafeOutboundHostPorts", _failsafe_ports),
    "kube_node_port_ranges": ("KubeNodePortRanges", _printed_list),
    "policy_sync_path_prefix": ("PolicySyncPathPrefix", _text),
    "usage_reporting_enabled": ("UsageReportingEnabled", _text),
    "usage_reporting_initial_delay": ("UsageReportingInitialDelaySecs", _seconds),
    "usage_reporting_interval": ("UsageReportingIntervalSecs", _seconds),
    "nat_port_range": ("NATPortRange", format_port),
    "external_nodes_list": ("ExternalNodesCIDRList", ",".join),
    "debug_memory_profile_path": ("DebugMemoryProfilePath", _text),
    "debug_disable_log_dropping": ("DebugDisableLogDropping", _text),
    "debug_simulate_calc_graph_hang_after": ("DebugSimulateCalcGraphHangAfter", _seconds),
    "debug_simulate_dataplane_hang_after": ("DebugSimulateDataplaneHangAfter", _seconds),
    "iptables_nat_outgoing_interface_filter": ("IptablesNATOutgoingInterfaceFilter", _text),
    "xdp_enabled": ("XDPEnabled", _text),
    "generic_xdp_enabled": ("GenericXDPEnabled", _text),
}
"""Every field of a FelixConfiguration, Felix's name for it, and how its value is written."""


def felix_configuration_parameters(configuration: FelixConfiguration) -> dict[str, str]:
    """The parameters that one resource sets."""
    spec = configuration.spec
    found: dict[str, str] = {}
    for field, (name, form) in FELIX_PARAMETERS.items():
        value = getattr(spec, field)
        if value is not None and value != "":
            found[name] = form(value)
    return found | _annotated(configuration.metadata.annotations)


def _annotated(annotations: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ANNOTATION_PREFIX): text
        for name, text in annotations.items()
        if name.startswith(ANNOTATION_PREFIX)
    }


def cluster_parameters(information: ClusterInformation) -> dict[str, str]:
    """What Felix is told about the cluster."""
    spec = information.spec
    given = {"ClusterGUID": spec.cluster_guid, "ClusterType": spec.cluster_type, "CalicoVersion": spec.calico_version}
    return {name: text for name, text in given.items() if text}


def node_parameters(node: Node) -> dict[str, str]:
    """What Felix on a node is told about the node: its addresses inside the tunnels."""
    bgp = node.spec.bgp
    ipip = None if bgp is None else bgp.ipv4_ipip_tunnel_addr
    given = {"IpInIpTunnelAddr": ipip, "IPv4VXLANTunnelAddr": node.spec.ipv4_vxlan_tunnel_addr}
    return {name: str(address) for name, address in given.items() if address is not None}


def felix_parameters(resources: Resources, node: str) -> dict[str, str]:
    """The parameters that the datastore has for Felix on one node; the node's own win over the cluster's (1.13)."""
    found: dict[str, str] = {}
    information = resources.get(ClusterInformation, CLUSTER_NAME)
    if information is not None:
        found |= cluster_parameters(information)
    for name in (CLUSTER_NAME, NODE_PREFIX + node):
        configuration = resources.get(FelixConfiguration, name)
        if configuration is not None:
            found |= felix_configuration_parameters(configuration)
    own = resources.get(Node, node)
    return found if own is None else found | node_parameters(own)


_BGP_LEVELS = ("debug", "info")


def bgp_configuration_parameters(configuration: BGPConfiguration) -> dict[str, str]:
    """The parameters that one resource sets for BGP: log level, mesh and AS number."""
    spec = configuration.spec
    found: dict[str, str] = {}
    if spec.log_severity_screen:
        level = spec.log_severity_screen.lower()
        found["loglevel"] = level if level in _BGP_LEVELS else "none"
    if spec.node_to_node_mesh_enabled is not None:
        found["node_mesh"] = f'{{"enabled":{_text(spec.node_to_node_mesh_enabled)}}}'
    if spec.as_number is not None:
        found["as_num"] = str(spec.as_number)
    return found | _annotated(configuration.metadata.annotations)
