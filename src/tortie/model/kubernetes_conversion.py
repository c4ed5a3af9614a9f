"""Kubernetes objects as Calico 3.7 presents them: profiles, workload endpoints, policies, nodes (spec: model 5).

Pure, and exact for every object that an API server lets through; the others are refused where they are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, assert_never

from tortie.model import kubernetes as k8s
from tortie.model.endpoint import (
    NAMESPACE_LABEL,
    ORCHESTRATOR_LABEL,
    SERVICE_ACCOUNT_LABEL,
    EndpointPort,
    IPNat,
    WorkloadEndpoint,
    WorkloadEndpointSpec,
)
from tortie.model.json_text import load_json
from tortie.model.metadata import Metadata
from tortie.model.node import Node, NodeBGPSpec, NodeSpec, read_interface_v4, read_interface_v6
from tortie.model.policy import KUBERNETES_PREFIX, NetworkPolicy, NetworkPolicySpec, PolicyType
from tortie.model.problem import FieldProblem, field_problem
from tortie.model.profile import Profile, ProfileSpec
from tortie.model.rule import ANY, Action, EntityRule, PolicyRule
from tortie.model.scalar import Port, read_address, read_address_v4, read_as_number, read_prefix
from tortie.model.workload_name import (
    DEFAULT_INTERFACE_PREFIX,
    KUBERNETES,
    WorkloadIdentifiers,
    format_workload_name,
    namespace_profile,
    pod_interface,
    service_account_profile,
)
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.error import InvalidInput

NAMESPACE_LABEL_PREFIX = "pcns."
SERVICE_ACCOUNT_LABEL_PREFIX = "pcsa."
"""What stands before a namespace's or account's label on the profile that it becomes (spec: model 4.1)."""
POLICY_ORDER = 1000.0
POD_ENDPOINT = "eth0"
_FINISHED = frozenset(("Failed", "Succeeded", "Completed"))
_POD_IP = "cni.projectcalico.org/podIP"
_FLOATING_IPS = "cni.projectcalico.org/floatingIPs"


def namespace_to_profile(namespace: k8s.Namespace) -> Profile:
    """The profile of a namespace: it allows everything and hands on the namespace's labels."""
    allow = (PolicyRule(Action.ALLOW),)
    meta = namespace.metadata
    labels = _prefixed(NAMESPACE_LABEL_PREFIX, meta.labels)
    return Profile(
        _metadata(meta, namespace_profile(meta.name), version=f"{meta.resource_version}/"),
        ProfileSpec(ingress=allow, egress=allow, labels_to_apply=labels),
    )


def service_account_to_profile(account: k8s.ServiceAccount) -> Profile:
    """The profile of a service account: it has no rules and hands on the account's labels."""
    meta = account.metadata
    name = service_account_profile(meta.namespace, meta.name)
    labels = _prefixed(SERVICE_ACCOUNT_LABEL_PREFIX, meta.labels)
    return Profile(_metadata(meta, name, version=f"/{meta.resource_version}"), ProfileSpec(labels_to_apply=labels))


def _prefixed(prefix: str, labels: Mapping[str, str]) -> dict[str, str]:
    return {prefix + key: value for key, value in labels.items()}


def _metadata(meta: k8s.ObjectMeta, name: str, *, namespace: str = "", version: str) -> Metadata:
    """Metadata under another name: identity and age stay."""
    return Metadata(
        name=name,
        namespace=namespace,
        uid=meta.uid,
        creation_timestamp=meta.creation_timestamp,
        resource_version=version,
    )


# --- pods --------------------------------------------------------------------------------------------------------


def pod_to_workload(pod: k8s.Pod, *, interface_prefix: str = DEFAULT_INTERFACE_PREFIX) -> WorkloadEndpoint | None:
    """The workload endpoint of a pod, or None for a pod of the node's own network or one that has no node yet.

    A pod without an address, or that is finished, is an endpoint without networks. Raises `FieldProblem` for an address
    or an annotation that cannot be read.
    """
    meta, spec = pod.metadata, pod.spec
    if spec.host_network or not spec.node_name:
        return None
    profiles = [namespace_profile(meta.namespace)]
    labels = {**meta.labels, NAMESPACE_LABEL: meta.namespace, ORCHESTRATOR_LABEL: KUBERNETES}
    if spec.service_account_name:
        profiles.append(service_account_profile(meta.namespace, spec.service_account_name))
        labels[SERVICE_ACCOUNT_LABEL] = spec.service_account_name
    networks = () if pod.status.phase in _FINISHED else _pod_networks(pod)
    identifiers = WorkloadIdentifiers(node=spec.node_name, orchestrator=KUBERNETES, pod=meta.name, endpoint=POD_ENDPOINT)
    metadata = _metadata(meta, format_workload_name(identifiers), namespace=meta.namespace, version=meta.resource_version)
    return WorkloadEndpoint(
        replace(metadata, labels=labels, generate_name=meta.generate_name),
        WorkloadEndpointSpec(
            node=spec.node_name,
            orchestrator=KUBERNETES,
            pod=meta.name,
            endpoint=POD_ENDPOINT,
            interface_name=pod_interface(meta.namespace, meta.name, interface_prefix),
            profiles=tuple(profiles),
            ip_networks=networks,
            ip_nats=_floating_addresses(pod, networks),
            ports=tuple(_endpoint_ports(pod)),
        ),
    )


def _pod_networks(pod: k8s.Pod) -> tuple[Prefix, ...]:
    """The network of the pod's address, which the status knows, or before it the annotation of Calico's plugin."""
    path: tuple[str, ...] = ("status", "podIP")
    text = pod.status.pod_ip
    if not text:
        path, text = ("metadata", "annotations", _POD_IP), pod.metadata.annotations.get(_POD_IP, "")
    if not text:
        return ()
    try:
        prefix = read_prefix(text)
    except InvalidInput as error:
        raise field_problem(error).inside(*path) from None
    if prefix.length != prefix.family.bits:
        raise FieldProblem(f"{text!r} is more than one address", path=path)
    return (prefix,)


def _floating_addresses(pod: k8s.Pod, networks: tuple[Prefix, ...]) -> tuple[IPNat, ...]:
    text = pod.metadata.annotations.get(_FLOATING_IPS, "")
    if not text or not networks:
        return ()
    path = ("metadata", "annotations", _FLOATING_IPS)
    internal = Address(networks[0].family, networks[0].address)
    try:
        external = load_json(text)
    except (ValueError, RecursionError):
        external = None
    if type(external) is not list:
        raise FieldProblem(f"{text!r} is not a list of addresses in JSON", path=path)
    nats = []
    for entry in external:
        try:
            nat = IPNat(internal, read_address(entry))
        except InvalidInput as error:
            raise field_problem(error).inside(*path) from None
        for problem in nat.problems():
            raise FieldProblem(f"{entry}: {problem.message}", path=path)
        nats.append(nat)
    return tuple(nats)


def _endpoint_ports(pod: k8s.Pod) -> Iterator[EndpointPort]:
    """The ports that rules can name: there are none of SCTP."""
    for container in pod.spec.containers:
        for port in container.ports:
            if port.name and port.container_port and port.protocol is not k8s.TransportProtocol.SCTP:
                yield EndpointPort(port.name, port.protocol.value, port.container_port)


# --- policies ----------------------------------------------------------------------------------------------------


def network_policy_to_calico(policy: k8s.NetworkPolicy) -> NetworkPolicy:
    """The policy of Calico's that a policy of Kubernetes' is (spec: model 5.4)."""
    meta, spec = policy.metadata, policy.spec
    types = tuple(kind for kind in PolicyType if kind in spec.policy_types)
    name = KUBERNETES_PREFIX + meta.name
    return NetworkPolicy(
        _metadata(meta, name, namespace=meta.namespace, version=f"/{meta.resource_version}"),
        NetworkPolicySpec(
            order=POLICY_ORDER,
            selector=pod_selector_text(spec.pod_selector),
            ingress=tuple(rule for item in spec.ingress for rule in _rules(item.ports, item.peers, ingress=True)),
            egress=tuple(rule for item in spec.egress for rule in _rules(item.ports, item.peers, ingress=False)),
            types=types or (PolicyType.INGRESS,),
        ),
    )


def _rules(
    ports: Sequence[k8s.NetworkPolicyPort], peers: Sequence[k8s.NetworkPolicyPeer], *, ingress: bool
) -> Iterator[PolicyRule]:
    """A rule for each port and peer, ports outside; an empty list counts as one that asks nothing (spec: model 5.6)."""
    for port, peer in product(ports or (None,), peers or (None,)):
        protocol, numbers = _port_fields(port)
        entity = ANY if peer is None else _peer_entity(peer)
        source, destination = (entity, ANY) if ingress else (ANY, entity)
        yield PolicyRule(Action.ALLOW, protocol=protocol, source=source, destination=replace(destination, ports=numbers))


def _port_fields(port: k8s.NetworkPolicyPort | None) -> tuple[str | None, tuple[Port, ...]]:
    if port is None:
        return None, ()
    return port.protocol.value, () if port.port is None else (port.port,)


def _peer_entity(peer: k8s.NetworkPolicyPeer) -> EntityRule:
    if peer.ip_block is not None:
        return EntityRule(nets=(peer.ip_block.cidr,), not_nets=peer.ip_block.except_)
    return EntityRule(
        selector=pod_selector_text(peer.pod_selector),
        namespace_selector=namespace_selector_text(peer.namespace_selector),
    )


def pod_selector_text(selector: k8s.LabelSelector | None) -> str:
    """A selector of pods in Calico's language; without one, all pods (spec: model 5.5)."""
    return " && ".join((f"{ORCHESTRATOR_LABEL} == '{KUBERNETES}'", *_terms(selector)))


def namespace_selector_text(selector: k8s.LabelSelector | None) -> str:
    """A selector of namespaces in Calico's language: empty without one, and `all()` for one that asks nothing."""
    if selector is None:
        return ""
    return " && ".join(_terms(selector)) or "all()"


def _terms(selector: k8s.LabelSelector | None) -> Iterator[str]:
    if selector is None:
        return
    for key in sorted(selector.match_labels, key=str.encode):
        yield f"{key} == '{selector.match_labels[key]}'"
    for expression in selector.match_expressions:
        values = "', '".join(expression.values)
        match expression.operator:
            case k8s.LabelOperator.IN:
                yield f"{expression.key} in {{ '{values}' }}"
            case k8s.LabelOperator.NOT_IN:
                yield f"{expression.key} not in {{ '{values}' }}"
            case k8s.LabelOperator.EXISTS:
                yield f"has({expression.key})"
            case k8s.LabelOperator.DOES_NOT_EXIST:
                yield f"! has({expression.key})"
            case _:
                assert_never(expression.operator)


# --- nodes -------------------------------------------------------------------------------------------------------

_CALICO = "projectcalico.org/"
"""In front of the annotations in which Calico keeps what it knows of a node."""


def node_to_calico(node: k8s.Node, *, use_pod_cidr: bool) -> Node:
    """A node with what Calico keeps in its annotations (spec: model 5.8); `use_pod_cidr` is for host-local addresses.

    Raises `FieldProblem` for an annotation that cannot be read.
    """
    meta = node.metadata
    bgp = NodeBGPSpec(
        as_number=_annotation(meta, "ASNumber", read_as_number),
        ipv4_address=_annotation(meta, "IPv4Address", read_interface_v4),
        ipv6_address=_annotation(meta, "IPv6Address", read_interface_v6),
        ipv4_ipip_tunnel_addr=(
            _first_pod_address(node) if use_pod_cidr else _annotation(meta, "IPv4IPIPTunnelAddr", read_address_v4)
        ),
        route_reflector_cluster_id=_annotation(meta, "RouteReflectorClusterID", read_address_v4),
    )
    bookkeeping = {_CALICO + "kube-labels": json.dumps(dict(sorted(meta.labels.items())), separators=(",", ":"))}
    metadata = replace(
        _metadata(meta, meta.name, version=meta.resource_version),
        labels={**(_annotation(meta, "labels", _read_map) or {}), **meta.labels},
        annotations={**(_annotation(meta, "annotations", _read_map) or {}), **bookkeeping},
    )
    vxlan = _annotation(meta, "IPv4VXLANTunnelAddr", read_address_v4)
    return Node(metadata, NodeSpec(bgp=None if bgp == NodeBGPSpec() else bgp, ipv4_vxlan_tunnel_addr=vxlan))


def _annotation(meta: k8s.ObjectMeta, name: str, read: Callable[[Any], Any]) -> Any:
    """What an annotation of Calico's says, None where there is none or it is empty."""
    text = meta.annotations.get(_CALICO + name, "")
    if not text:
        return None
    try:
        return read(text)
    except InvalidInput as error:
        raise field_problem(error).inside("metadata", "annotations", _CALICO + name) from None


def _read_map(text: str) -> dict[str, str]:
    try:
        data: Any = load_json(text)
    except (ValueError, RecursionError):
        data = None
    if type(data) is not dict or not all(type(value) is str for value in data.values()):
        raise FieldProblem(f"{text!r} is not a map of texts in JSON")
    return data


def _first_pod_address(node: k8s.Node) -> Address | None:
    """The first address of the network that Kubernetes gives a node's pods, if that is IPv4: its last byte plus one."""
    if not node.spec.pod_cidr:
        return None
    try:
        prefix = read_prefix(node.spec.pod_cidr)
    except InvalidInput as error:
        raise field_problem(error).inside("spec", "podCIDR") from None
    if prefix.family is not IPFamily.V4:
        return None
    return Address(IPFamily.V4, prefix.address & ~0xFF | prefix.address + 1 & 0xFF)
