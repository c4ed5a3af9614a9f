"""Resources to what the calculation is told (spec: model 4.2, 4.4).

The original keeps for every internal key the resource with the lowest name; here two resources with one key cannot come
together, since names differ and pools do not overlap. With `felix_exact` what Felix gets wrong is wrong here too
(docs/felix-differences.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar, assert_never

from tortie.model import v1
from tortie.model.bgp import BGPConfiguration, BGPPeer
from tortie.model.cluster import ClusterInformation
from tortie.model.endpoint import NAMESPACE_LABEL, EndpointPort, HostEndpoint, WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.model.kubernetes_conversion import NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.node import Node
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy, Policy, PolicyType, stored_name
from tortie.model.pool import IPPool, VXLANMode
from tortie.model.profile import Profile
from tortie.model.read import Resources
from tortie.model.resource import Resource
from tortie.model.rule import PolicyRule
from tortie.model.rule_conversion import felix_refuses, in_namespace, rule_to_v1
from tortie.model.workload_name import parse_workload_name
from tortie.net.address import Address
from tortie.selector.parse import parse_selector
from tortie.selector.tree import And, Selector

ValueT = TypeVar("ValueT", bound=v1.Value)

NODE_ATTRIBUTE = "node"
"""What a block's attributes call the node that uses an address."""
_VXLAN_MODES = {VXLANMode.ALWAYS: "always", VXLANMode.NEVER: ""}
_LONGEST_PROFILE = 128
"""Bytes of a profile's name with which Felix 3.7 still takes a host endpoint (spec: model 6.1)."""
_INHERITED = (NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX)


def resources_to_v1(resources: Resources, *, felix_exact: bool = False) -> v1.Cluster:
    """Everything that the calculation is told; endpoints that are not ready are not there."""
    found = [value for one in resources if (value := resource_to_v1(one, felix_exact=felix_exact)) is not None]
    information = resources.get(ClusterInformation, "default")
    return v1.Cluster(
        policies=_of(v1.Policy, found),
        profiles=_of(v1.Profile, found),
        workloads=_of(v1.Workload, found),
        host_endpoints=_of(v1.HostEndpoint, found),
        network_sets=_of(v1.NetworkSet, found),
        pools=_of(v1.Pool, found),
        hosts=_of(v1.Host, found),
        blocks=_of(v1.Block, found),
        ready=information is None or is_ready(information),
    )


def _of(cls: type[ValueT], values: Iterable[v1.Value]) -> tuple[ValueT, ...]:
    return tuple(value for value in values if isinstance(value, cls))


def resource_to_v1(resource: Resource, *, felix_exact: bool = False) -> v1.Value | None:
    """What the calculation is told of one resource; None where that is nothing."""
    match resource:
        case NetworkPolicy() | GlobalNetworkPolicy():
            refused = felix_exact and _refused(resource.spec.ingress, resource.spec.egress)
            return None if refused else policy_to_v1(resource)
        case Profile():
            return profile_to_v1(resource, felix_exact=felix_exact)
        case WorkloadEndpoint():
            return workload_to_v1(resource)
        case HostEndpoint():
            refused = felix_exact and any(len(name) > _LONGEST_PROFILE for name in resource.spec.profiles)
            return None if refused else host_endpoint_to_v1(resource, felix_exact=felix_exact)
        case NetworkSet() | GlobalNetworkSet():
            return network_set_to_v1(resource, felix_exact=felix_exact)
        case IPPool():
            return pool_to_v1(resource)
        case Node():
            return node_to_v1(resource)
        case IPAMBlock():
            return None if resource.spec.deleted else block_to_v1(resource, felix_exact=felix_exact)
        case (
            BGPConfiguration() | BGPPeer() | BlockAffinity() | ClusterInformation() | FelixConfiguration() | IPAMConfig()
            | IPAMHandle()
        ):  # fmt: skip
            return None
        case _:
            assert_never(resource)


def is_ready(information: ClusterInformation) -> bool:
    """False when the cluster says that its datastore is not ready."""
    return information.spec.datastore_ready is not False


def _refused(*lists: tuple[PolicyRule, ...]) -> bool:
    return any(felix_refuses(rule) for rules in lists for rule in rules)


# --- policies and profiles ---------------------------------------------------------------------------------------


def policy_to_v1(policy: Policy) -> v1.Policy:
    """The policy under its full name, with its namespace in its selector and in its rules'."""
    namespace = policy.metadata.namespace
    spec = policy.spec
    stored = stored_name(policy.metadata.name)
    types = spec.types or tuple(PolicyType)
    inbound, outbound = _rules(spec.ingress, namespace), _rules(spec.egress, namespace)
    if isinstance(policy, NetworkPolicy):
        return v1.Policy(
            name=f"{namespace}/{stored}",
            namespace=namespace,
            order=spec.order,
            selector=_endpoint_selector(spec.selector, namespace),
            ingress=PolicyType.INGRESS in types,
            egress=PolicyType.EGRESS in types,
            inbound=inbound,
            outbound=outbound,
            apply_on_forward=True,  # for all policies of namespaces (spec: model Q13)
        )
    return v1.Policy(
        name=stored,
        namespace="",
        order=spec.order,
        selector=parse_selector(spec.selector),
        ingress=PolicyType.INGRESS in types,
        egress=PolicyType.EGRESS in types,
        inbound=inbound,
        outbound=outbound,
        untracked=policy.spec.do_not_track,
        pre_dnat=policy.spec.pre_dnat,
        apply_on_forward=policy.spec.apply_on_forward,
    )


def _endpoint_selector(text: str, namespace: str) -> Selector:
    """Which endpoints of its namespace a policy is for."""
    where = in_namespace(namespace)
    return And((parse_selector(text), where)) if text else where


def _rules(rules: tuple[PolicyRule, ...], namespace: str = "") -> tuple[v1.Rule, ...]:
    return tuple(rule_to_v1(rule, namespace) for rule in rules)


def profile_to_v1(profile: Profile, *, felix_exact: bool = False) -> v1.Profile:
    """The profile's rules and labels; for rules that Felix refuses it denies everything (spec: model 6.2)."""
    spec = profile.spec
    if felix_exact and _refused(spec.ingress, spec.egress):
        return v1.Profile(profile.metadata.name, spec.labels_to_apply, (v1.Rule("deny"),), (v1.Rule("deny"),))
    return v1.Profile(profile.metadata.name, spec.labels_to_apply, _rules(spec.ingress), _rules(spec.egress))


# --- endpoints and sets ------------------------------------------------------------------------------------------


def workload_to_v1(endpoint: WorkloadEndpoint) -> v1.Workload | None:
    """The workload's endpoint, or None while it has no address. Its name says which it is (spec: model 2.1)."""
    spec = endpoint.spec
    if not spec.ip_networks:
        return None
    segments = parse_workload_name(endpoint.metadata.name)
    if len(segments) != 4:
        raise ValueError(f"not the name of a workload endpoint: {endpoint.metadata.name!r}")
    node, orchestrator, workload, name = segments
    return v1.Workload(
        node=node,
        orchestrator=orchestrator,
        workload=f"{endpoint.metadata.namespace}/{workload}",
        endpoint=name,
        interface=spec.interface_name,
        labels=_own_labels(endpoint.metadata.labels),
        profiles=spec.profiles,
        networks=tuple(net.network for net in spec.ip_networks),
        nats=tuple(v1.Nat(nat.external_ip, nat.internal_ip) for nat in spec.ip_nats),
        ports=_ports(spec.ports),
        mac=spec.mac,
    )


def _own_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Labels without those that say they were inherited, which only profiles may give."""
    if not any(key.startswith(_INHERITED) for key in labels):
        return labels
    return {key: value for key, value in labels.items() if not key.startswith(_INHERITED)}


def _ports(ports: tuple[EndpointPort, ...]) -> tuple[v1.EndpointPort, ...]:
    return tuple(v1.EndpointPort(port.name, port.protocol.lower(), port.port) for port in ports)


def host_endpoint_to_v1(endpoint: HostEndpoint, *, felix_exact: bool = False) -> v1.HostEndpoint:
    """The host endpoint. Labels that only profiles may give are taken from it, which Felix forgets (spec: model Q15)."""
    spec, labels = endpoint.spec, endpoint.metadata.labels
    return v1.HostEndpoint(
        node=spec.node,
        name=endpoint.metadata.name,
        interface=spec.interface_name,
        expected_addresses=spec.expected_ips,
        labels=labels if felix_exact else _own_labels(labels),
        profiles=spec.profiles,
        ports=_ports(spec.ports),
    )


def network_set_to_v1(network_set: NetworkSet | GlobalNetworkSet, *, felix_exact: bool = False) -> v1.NetworkSet:
    """The set under its full name, its namespace among its labels; of the other labels see `host_endpoint_to_v1`."""
    metadata = network_set.metadata
    labels = metadata.labels if felix_exact else _own_labels(metadata.labels)
    name = metadata.name
    if isinstance(network_set, NetworkSet):
        name, labels = f"{metadata.namespace}/{name}", {**labels, NAMESPACE_LABEL: metadata.namespace}
    return v1.NetworkSet(name, labels, tuple(net.network for net in network_set.spec.nets))


# --- addresses ---------------------------------------------------------------------------------------------------


def pool_to_v1(pool: IPPool) -> v1.Pool:
    """The pool by its network."""
    spec = pool.spec
    return v1.Pool(
        cidr=spec.cidr,
        vxlan_mode=_VXLAN_MODES[spec.vxlan_mode],
        masquerade=spec.nat_outgoing,
        ipam=not spec.disabled,
    )


def node_to_v1(node: Node) -> v1.Host:
    """The node's addresses that other nodes need to know."""
    bgp = node.spec.bgp
    own = None if bgp is None else bgp.ipv4_address
    return v1.Host(
        name=node.metadata.name,
        address=None if own is None else Address(own.family, own.address),
        vxlan_address=node.spec.ipv4_vxlan_tunnel_addr,
    )


_AFFINE_TO_HOST = "host:"


def block_to_v1(block: IPAMBlock, *, felix_exact: bool = False) -> v1.Block:
    """The block, its node, and who uses its addresses.

    Felix cuts more than the prefix off some nodes' names (spec: model Q1): every leading letter that is in the prefix.
    """
    spec = block.spec
    node = None
    if spec.affinity is not None and spec.affinity.startswith(_AFFINE_TO_HOST):
        node = spec.affinity.lstrip(_AFFINE_TO_HOST) if felix_exact else spec.affinity.removeprefix(_AFFINE_TO_HOST)
    users = []
    for index, slot in enumerate(spec.allocations):
        if slot is not None and NODE_ATTRIBUTE in spec.attributes[slot].secondary:
            user = spec.attributes[slot].secondary[NODE_ATTRIBUTE]
            users.append((Address(spec.cidr.family, spec.cidr.address + index), user))
    return v1.Block(spec.cidr, node, tuple(users))
