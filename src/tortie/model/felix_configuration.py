"""Felix's configuration as a resource (spec: model 1.13).

One field is one parameter of Felix; what Felix makes of their texts is said where parameters are read. None stands
for a field that is not there: false, 0 and an empty list are told apart from it, because they are handed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from tortie.model.bgp import LogLevel
from tortie.model.metadata import Metadata
from tortie.model.name import InterfaceFilter, is_dns_label
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads, read_int, read_text
from tortie.model.scalar import AnyPort, DurationNs, NamedPort, read_prefix, read_word_of
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput

_LONGEST_REGION = 46
_MOST_NODE_PORTS = 7


def _read_region(data: Any) -> str:
    text = read_text(data)
    if len(text) > _LONGEST_REGION:
        raise FieldProblem("is too long")
    if text and not is_dns_label(text):
        raise FieldProblem("must be a valid DNS label")
    return text


def _unsigned(bits: int) -> Reads:
    def read(data: Any) -> int:
        number = read_int(data)
        if not 0 <= number < 1 << bits:
            raise FieldProblem(f"{number} is not between 0 and {(1 << bits) - 1}")
        return number

    return Reads(read)


def _read_external_node(data: Any) -> str:
    text = read_text(data)
    try:
        prefix = read_prefix(text)
    except InvalidInput:
        raise FieldProblem(f"has invalid CIDR(s): {text!r}") from None
    if prefix.family is not IPFamily.V4:
        raise FieldProblem(f"has invalid IPv6 CIDR: {text!r}")
    return text


EndpointToHostAction: TypeAlias = Annotated[str, Reads(read_word_of("Drop", "Accept", "Return"))]
AllowAction: TypeAlias = Annotated[str, Reads(read_word_of("Accept", "Return"))]


@dataclass(frozen=True, slots=True)
class ProtocolPort:
    """A failsafe port; what stands here is not checked before Felix reads it (spec: model Q10)."""

    protocol: str
    port: Annotated[int, _unsigned(16)]


@dataclass(frozen=True, slots=True)
class FelixConfigurationSpec:
    """Felix's parameters; durations are in nanoseconds."""

    use_internal_dataplane_driver: bool | None = None
    dataplane_driver: str = ""
    ipv6_support: bool | None = None
    route_refresh_interval: DurationNs | None = None
    iptables_refresh_interval: DurationNs | None = None
    iptables_post_write_check_interval: DurationNs | None = None
    iptables_lock_file_path: str = ""
    iptables_lock_timeout: DurationNs | None = None
    iptables_lock_probe_interval: DurationNs | None = None
    ipsets_refresh_interval: DurationNs | None = None
    max_ipset_size: int | None = None
    xdp_refresh_interval: Annotated[DurationNs | None, Named("XDPRefreshInterval")] = None
    netlink_timeout: DurationNs | None = None
    metadata_addr: str = ""
    metadata_port: int | None = None
    openstack_region: Annotated[str, Reads(_read_region)] = ""
    interface_prefix: str = ""
    interface_exclude: str = ""
    chain_insert_mode: str = ""
    default_endpoint_to_host_action: EndpointToHostAction = ""
    iptables_filter_allow_action: AllowAction = ""
    iptables_mangle_allow_action: AllowAction = ""
    log_prefix: str = ""
    log_file_path: str = ""
    log_severity_file: LogLevel = ""
    log_severity_screen: LogLevel = ""
    log_severity_sys: LogLevel = ""
    ipip_enabled: bool | None = None
    ipip_mtu: Annotated[int | None, Named("ipipMTU")] = None
    vxlan_enabled: bool | None = None
    vxlan_mtu: Annotated[int | None, Named("vxlanMTU")] = None
    vxlan_port: int | None = None
    vxlan_vni: Annotated[int | None, Named("vxlanVNI")] = None
    reporting_interval: DurationNs | None = None
    reporting_ttl: Annotated[DurationNs | None, Named("reportingTTL")] = None
    endpoint_reporting_enabled: bool | None = None
    endpoint_reporting_delay: DurationNs | None = None
    iptables_mark_mask: Annotated[int | None, _unsigned(32)] = None
    disable_conntrack_invalid_check: bool | None = None
    health_enabled: bool | None = None
    health_host: str = ""
    health_port: int | None = None
    prometheus_metrics_enabled: bool | None = None
    prometheus_metrics_port: int | None = None
    prometheus_go_metrics_enabled: bool | None = None
    prometheus_process_metrics_enabled: bool | None = None
    failsafe_inbound_host_ports: tuple[ProtocolPort, ...] | None = None
    failsafe_outbound_host_ports: tuple[ProtocolPort, ...] | None = None
    kube_node_port_ranges: tuple[AnyPort, ...] | None = None
    policy_sync_path_prefix: str = ""
    usage_reporting_enabled: bool | None = None
    usage_reporting_initial_delay: DurationNs | None = None
    usage_reporting_interval: DurationNs | None = None
    nat_port_range: Annotated[AnyPort | None, Named("natPortRange")] = None
    external_nodes_list: tuple[Annotated[str, Reads(_read_external_node)], ...] | None = None
    debug_memory_profile_path: str = ""
    debug_disable_log_dropping: bool | None = None
    debug_simulate_calc_graph_hang_after: DurationNs | None = None
    debug_simulate_dataplane_hang_after: DurationNs | None = None
    iptables_nat_outgoing_interface_filter: Annotated[InterfaceFilter, Named("iptablesNATOutgoingInterfaceFilter")] = ""
    xdp_enabled: bool | None = None
    generic_xdp_enabled: Annotated[bool | None, Named("genericXDPEnabled")] = None
    ignore_loose_rpf: Annotated[bool | None, Named("ignoreLooseRPF")] = None

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the ranges of node ports."""
        ports = self.kube_node_port_ranges or ()
        if len(ports) > _MOST_NODE_PORTS:
            message = f"node port ranges list is too long (max {_MOST_NODE_PORTS})"
            yield FieldProblem(message, path=("kubeNodePortRanges",))
        if any(isinstance(port, NamedPort) for port in ports):
            message = "node port ranges should not contain named ports"
            yield FieldProblem(message, path=("kubeNodePortRanges",))


@dataclass(frozen=True, slots=True)
class FelixConfiguration:
    """Felix's parameters for the cluster (`default`) or for one node (`node.<name>`)."""

    metadata: Metadata
    spec: FelixConfigurationSpec = FelixConfigurationSpec()
