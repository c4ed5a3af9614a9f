"""Chains that depend on configuration alone: the entry of every table, failsafe ports, IPVS glue, kernel-chain hooks.

Order and wording are Felix's (spec: rules 3 and 4; Felix 3.7 rules/static.go). A function a chain returns that chain's
rules; `static_chains` lists what exists in a table. The nat chains with addresses in them are in `nat`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tortie.calc.view import IcmpTest, PortRange
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import Side
from tortie.render import names, text
from tortie.render.config import ProtocolPort
from tortie.render.policy import split_ports
from tortie.render.state import RenderContext
from tortie.render.text import ACCEPT, DROP, RETURN, Criterion, FelixRule, rule

HOOKS: Mapping[TableName, Mapping[str, str]] = {
    TableName.RAW: {"PREROUTING": names.PREROUTING, "OUTPUT": names.OUTPUT},
    TableName.MANGLE: {"PREROUTING": names.PREROUTING},
    TableName.NAT: {"PREROUTING": names.PREROUTING, "POSTROUTING": names.POSTROUTING, "OUTPUT": names.OUTPUT},
    TableName.FILTER: {"FORWARD": names.FORWARD, "INPUT": names.INPUT, "OUTPUT": names.OUTPUT},
}
"""Which kernel chain jumps to which of ours, by table (spec: rules 4)."""

NEIGHBOUR_TYPES = (130, 131, 132, 133, 135, 136)
"""ICMPv6 that a workload may always send to its host: multicast listener messages, router and neighbour discovery."""
_IPV6_ICMP = 58
_IPIP = 4
_UDP = 17
_DNS_PORT = 53
_DHCP_PORTS = {IPFamily.V4: (68, 67), IPFamily.V6: (546, 547)}
_HOST_ACCEPTED = "Host endpoint policy accepted packet."
_POLICY_ACCEPTED = "Policy explicitly accepted packet."
_NODE_PORT = "To kubernetes NodePort service"

Rules = list[FelixRule]


def static_chains(context: RenderContext, table: TableName, family: IPFamily) -> dict[str, Rules]:
    """The static chains of raw, mangle or filter by name, in order of generation; nat's are made in `nat`."""
    failsafe_in = {names.FAILSAFE_IN: failsafe_in_rules(context, table)}
    failsafe_out = {names.FAILSAFE_OUT: failsafe_out_rules(context, table)}
    if table is TableName.RAW:
        return {
            **failsafe_in,
            **failsafe_out,
            names.PREROUTING: raw_prerouting_rules(context, family),
            names.OUTPUT: raw_output_rules(context),
        }
    if table is TableName.MANGLE:
        return {**failsafe_in, names.PREROUTING: mangle_prerouting_rules(context)}
    if table is TableName.FILTER:
        check = {names.FORWARD_CHECK: forward_check_rules(context, family)} if context.ipvs else {}
        mark = {names.FORWARD_ENDPOINT_MARK: forward_endpoint_mark_rules(context)} if context.ipvs else {}
        return {
            names.FORWARD: forward_rules(context),
            names.INPUT: input_rules(context, family),
            names.WORKLOAD_TO_HOST: workload_to_host_rules(context, family),
            **failsafe_in,
            **check,
            names.OUTPUT: output_rules(context, family),
            **failsafe_out,
            **mark,
        }
    raise ValueError(f"no static chains in {table}")


def hook_rules(table: TableName) -> dict[str, Rules]:
    """The rules of ours in each kernel chain of a table: one jump where there is a hook."""
    return {chain: [rule(text.jump(ours))] for chain, ours in HOOKS.get(table, {}).items()}


# --- raw and mangle ----------------------------------------------------------------------------------------------


def raw_prerouting_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Clears our bits, remembers in scratch 0 what comes from a workload, and asks untracked policy about the rest."""
    bits = context.bits
    strict = [rule(DROP, text.mark_single_set(bits.scratch0), text.RPFILTER_FAILED)] if family is IPFamily.V6 else []
    return [
        rule(text.clear_mark(bits.fixed)),
        *(rule(text.set_mark(bits.scratch0), incoming) for incoming in _in_prefixes(context)),
        *strict,
        rule(text.jump(names.FROM_HOST_ENDPOINT), text.mark_clear(bits.scratch0)),
        _accepted(context, ACCEPT),
    ]


def raw_output_rules(context: RenderContext) -> Rules:
    """Clears our bits and asks untracked policy; what it accepts is accepted here whatever the allow actions say."""
    return [
        rule(text.clear_mark(context.bits.fixed)),
        rule(text.jump(names.TO_HOST_ENDPOINT)),
        _accepted(context, ACCEPT),
    ]


def mangle_prerouting_rules(context: RenderContext) -> Rules:
    """Lets known connections and what raw accepted pass, and asks pre-DNAT policy about the rest."""
    allow = context.allow(TableName.MANGLE)
    return [
        rule(allow, text.CT_ESTABLISHED),
        _accepted(context, allow),
        rule(text.jump(names.FROM_HOST_ENDPOINT)),
        _accepted(context, allow, _HOST_ACCEPTED),
    ]


# --- filter ------------------------------------------------------------------------------------------------------


def forward_rules(context: RenderContext) -> Rules:
    """Forwarded traffic: host policy in, workload policy in and out, host policy out; an accept bit set before survives."""
    config, bits = context.config, context.bits
    workloads: Rules = []
    for prefix in config.interface_prefixes:
        workloads.append(rule(text.jump(names.FROM_WORKLOAD_DISPATCH), text.in_interface(f"{prefix}+")))
        workloads.append(rule(text.jump(names.TO_WORKLOAD_DISPATCH), text.out_interface(f"{prefix}+")))
    return [
        rule(text.clear_mark(bits.forwarded)),
        rule(text.jump(names.FROM_HOST_FORWARD), text.mark_clear(bits.accept)),
        *workloads,
        rule(text.jump(names.TO_HOST_FORWARD)),
        _accepted(context, context.allow(TableName.FILTER), _POLICY_ACCEPTED),
    ]


def input_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Traffic to the node: tunnels of other nodes, IPVS traffic that is really forwarded, workloads, host policy."""
    bits = context.bits
    allow = context.allow(TableName.FILTER)
    ipvs: Rules = []
    if context.ipvs:
        ipvs = [
            rule(text.clear_mark(bits.endpoint)),
            rule(text.jump(names.FORWARD_CHECK)),
            rule(RETURN, text.mark_not_clear(bits.endpoint)),
        ]
    return [
        *(_tunnels_in(context) if family is IPFamily.V4 else []),
        *ipvs,
        *(rule(text.goto(names.WORKLOAD_TO_HOST), incoming) for incoming in _in_prefixes(context)),
        _accepted(context, allow),
        rule(text.clear_mark(bits.fixed)),
        rule(text.jump(names.FROM_HOST_ENDPOINT)),
        _accepted(context, allow, _HOST_ACCEPTED),
    ]


def _tunnels_in(context: RenderContext) -> Rules:
    allow = context.allow(TableName.FILTER)
    ipip, udp = text.protocol(_IPIP), text.protocol(_UDP)
    rules: Rules = []
    if context.config.ipip_enabled:
        rules += [
            rule(
                allow,
                ipip,
                _in_ipv4_set(names.ALL_HOSTS_SET, Side.SRC),
                text.DESTINATION_LOCAL,
                comment="Allow IPIP packets from Calico hosts",
            ),
            rule(DROP, ipip, comment="Drop IPIP packets from non-Calico hosts"),
        ]
    if context.config.vxlan_enabled:
        port, vni = _vxlan_port(context), text.vxlan_vni(context.config.vxlan_vni)
        rules += [
            rule(
                allow,
                udp,
                port,
                _in_ipv4_set(names.ALL_VXLAN_SET, Side.SRC),
                text.DESTINATION_LOCAL,
                vni,
                comment="Allow VXLAN packets from whitelisted hosts",
            ),
            rule(DROP, udp, port, text.DESTINATION_LOCAL, vni, comment="Drop VXLAN packets from non-whitelisted hosts"),
        ]
    return rules


def output_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Traffic of the node itself: already accepted, forwarded by IPVS, to workloads, to tunnels, then host policy."""
    bits = context.bits
    allow = context.allow(TableName.FILTER)
    forwarded = [rule(text.goto(names.FORWARD_ENDPOINT_MARK), text.mark_not_clear(bits.endpoint))]
    return [
        _accepted(context, allow),
        *(forwarded if context.ipvs else []),
        *(rule(RETURN, outgoing) for outgoing in _out_prefixes(context)),
        *(_tunnels_out(context) if family is IPFamily.V4 else []),
        rule(text.clear_mark(bits.fixed)),
        rule(text.jump(names.TO_HOST_ENDPOINT)),
        _accepted(context, allow, _HOST_ACCEPTED),
    ]


def _tunnels_out(context: RenderContext) -> Rules:
    """In the VXLAN rule the address type stands before the set, everywhere else behind it (spec: rules 3.7)."""
    allow = context.allow(TableName.FILTER)
    rules: Rules = []
    if context.config.ipip_enabled:
        rules.append(
            rule(
                allow,
                text.protocol(_IPIP),
                _in_ipv4_set(names.ALL_HOSTS_SET, Side.DST),
                text.SOURCE_LOCAL,
                comment="Allow IPIP packets to other Calico hosts",
            )
        )
    if context.config.vxlan_enabled:
        rules.append(
            rule(
                allow,
                text.protocol(_UDP),
                _vxlan_port(context),
                text.SOURCE_LOCAL,
                _in_ipv4_set(names.ALL_VXLAN_SET, Side.DST),
                text.vxlan_vni(context.config.vxlan_vni),
                comment="Allow VXLAN packets to other whitelisted hosts",
            )
        )
    return rules


def workload_to_host_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Traffic from a workload to its host: discovery, OpenStack's services, egress policy, then as configured."""
    final = {"DROP": DROP, "ACCEPT": ACCEPT}.get(context.config.endpoint_to_host_action, RETURN)
    return [
        *(_neighbour_discovery(context) if family is IPFamily.V6 else []),
        *(_openstack_services(context, family) if context.config.openstack else []),
        rule(text.jump(names.FROM_WORKLOAD_DISPATCH)),
        *_answers_to_host(context, final),
        rule(final, comment="Configured DefaultEndpointToHostAction"),
    ]


def _answers_to_host(context: RenderContext, final: text.Action) -> Rules:
    """Where accepted packets return, so do those of known connections; Felix drops what workloads answer their host."""
    if final is not DROP or context.allow(TableName.FILTER) is not RETURN or context.config.felix_exact:
        return []
    return [rule(RETURN, text.CT_ESTABLISHED, comment="Return for known connections")]


def _neighbour_discovery(context: RenderContext) -> Rules:
    return [
        rule(context.allow(TableName.FILTER), text.protocol(_IPV6_ICMP), text.icmp(IPFamily.V6, IcmpTest(kind)))
        for kind in NEIGHBOUR_TYPES
    ]


def _openstack_services(context: RenderContext, family: IPFamily) -> Rules:
    allow = context.allow(TableName.FILTER)
    address = context.config.metadata_address
    client, server = _DHCP_PORTS[family]
    rules: Rules = []
    if family is IPFamily.V4 and address is not None:
        port = text.ports(Side.DST, (_single(context.config.metadata_port),))
        rules.append(rule(allow, text.protocol("tcp"), text.host(Side.DST, address), port))
    return [
        *rules,
        rule(
            allow,
            text.protocol("udp"),
            text.ports(Side.SRC, (_single(client),)),
            text.ports(Side.DST, (_single(server),)),
        ),
        rule(allow, text.protocol("udp"), text.ports(Side.DST, (_single(_DNS_PORT),))),
    ]


# --- failsafe ports ----------------------------------------------------------------------------------------------


def failsafe_in_rules(context: RenderContext, table: TableName) -> Rules:
    """Inbound failsafe ports; in raw, which sees no connections, also replies from the outbound ones."""
    config = context.config
    replies = _failsafe(Side.SRC, config.failsafe_outbound) if table is TableName.RAW else []
    return [*_failsafe(Side.DST, config.failsafe_inbound), *replies]


def failsafe_out_rules(context: RenderContext, table: TableName) -> Rules:
    """Outbound failsafe ports; in raw also replies from the inbound ones."""
    config = context.config
    replies = _failsafe(Side.SRC, config.failsafe_inbound) if table is TableName.RAW else []
    return [*_failsafe(Side.DST, config.failsafe_outbound), *replies]


def _failsafe(side: Side, ports: tuple[ProtocolPort, ...]) -> Rules:
    return [rule(ACCEPT, text.protocol(p.protocol), text.ports(side, (_single(p.port),))) for p in ports]


# --- IPVS --------------------------------------------------------------------------------------------------------


def forward_check_rules(context: RenderContext, family: IPFamily) -> Rules:
    """Recognises in INPUT what IPVS will forward: NodePort traffic to this host, and whatever is not to this host."""
    this_host = names.ip_set_name(family, names.THIS_HOST_SET)
    node_ports = [
        rule(
            text.goto(names.SET_ENDPOINT_MARK),
            text.protocol(name),
            text.ports(Side.DST, ranges),
            text.in_set(this_host, Side.DST),
            comment=_NODE_PORT,
        )
        for ranges in split_ports(context.config.node_port_ranges)
        for name in ("tcp", "udp")
    ]
    return [
        rule(RETURN, text.CT_ESTABLISHED),
        *node_ports,
        rule(
            text.jump(names.SET_ENDPOINT_MARK),
            text.in_set(this_host, Side.DST, inverted=True),
            comment="To kubernetes service",
        ),
    ]


def forward_endpoint_mark_rules(context: RenderContext) -> Rules:
    """Treats in OUTPUT what IPVS forwards as FORWARD would: policy of the endpoint it came from, then of where it goes."""
    bits = context.bits
    return [
        rule(text.jump(names.FROM_ENDPOINT_MARK), text.mark_is_not(bits.non_calico, bits.endpoint)),
        *(rule(text.jump(names.TO_WORKLOAD_DISPATCH), outgoing) for outgoing in _out_prefixes(context)),
        rule(text.jump(names.TO_HOST_FORWARD)),
        rule(text.clear_mark(bits.endpoint)),
        _accepted(context, context.allow(TableName.FILTER), _POLICY_ACCEPTED),
    ]


# --- pieces ------------------------------------------------------------------------------------------------------


def _accepted(context: RenderContext, action: text.Action, comment: str = "") -> FelixRule:
    return rule(action, text.mark_single_set(context.bits.accept), comment=comment)


def _in_prefixes(context: RenderContext) -> list[Criterion]:
    return [text.in_interface(f"{prefix}+") for prefix in context.config.interface_prefixes]


def _out_prefixes(context: RenderContext) -> list[Criterion]:
    return [text.out_interface(f"{prefix}+") for prefix in context.config.interface_prefixes]


def _in_ipv4_set(set_id: str, side: Side) -> Criterion:
    return text.in_set(names.ip_set_name(IPFamily.V4, set_id), side)


def _vxlan_port(context: RenderContext) -> Criterion:
    return text.ports(Side.DST, (_single(context.config.vxlan_port & 0xFFFF),))


def _single(port: int) -> PortRange:
    return PortRange(port, port)
