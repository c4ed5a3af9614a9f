"""Kubernetes objects become Calico's (spec: model 5), read as manifests."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.endpoint import EndpointPort, IPNat, WorkloadEndpoint
from tortie.model.node import Node
from tortie.model.policy import NetworkPolicy, PolicyType
from tortie.model.problem import FieldProblem
from tortie.model.profile import Profile
from tortie.model.resource import PassedOver, ReadOptions, Resource, read_resource
from tortie.model.rule import ANY, Action, EntityRule, PolicyRule
from tortie.model.scalar import NamedPort, PortRange
from tortie.net.address import parse_address, parse_prefix

ANY_POD = "projectcalico.org/orchestrator == 'k8s'"


def _read(kind: str, metadata: dict[str, Any], api: str = "v1", **rest: Any) -> Resource | PassedOver:
    return read_resource({"apiVersion": api, "kind": kind, "metadata": metadata, **rest}, ReadOptions())


# --- profiles ----------------------------------------------------------------------------------------------------


def test_a_namespace_is_a_profile_that_allows_and_labels() -> None:
    profile = _read("Namespace", {"name": "a", "labels": {"team": "red"}, "resourceVersion": "7"})
    assert isinstance(profile, Profile)
    assert (profile.metadata.name, profile.metadata.resource_version) == ("kns.a", "7/")
    assert profile.spec.ingress == profile.spec.egress == (PolicyRule(Action.ALLOW),)
    assert profile.spec.labels_to_apply == {"pcns.team": "red"}


def test_a_service_account_is_a_profile_that_labels() -> None:
    profile = _read("ServiceAccount", {"name": "sa", "labels": {"role": "x"}, "resourceVersion": "7"})
    assert isinstance(profile, Profile)
    assert (profile.metadata.name, profile.metadata.resource_version) == ("ksa.default.sa", "/7")
    assert profile.spec.ingress == profile.spec.egress == ()
    assert profile.spec.labels_to_apply == {"pcsa.role": "x"}


# --- pods --------------------------------------------------------------------------------------------------------

PORTS = [
    {"name": "http", "containerPort": 80},
    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
    {"name": "sctp", "containerPort": 9, "protocol": "SCTP"},
    {"containerPort": 81},
]


def _pod(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> WorkloadEndpoint:
    found = _read(
        "Pod",
        {"name": "web-0", "namespace": "ns1", **metadata},
        spec={"nodeName": "node-1", **(spec or {})},
        status={"podIP": "10.0.0.5"} if status is None else status,
    )
    assert isinstance(found, WorkloadEndpoint)
    return found


def test_a_pod_is_a_workload_endpoint() -> None:
    pod = _pod({"serviceAccountName": "sa", "containers": [{"ports": PORTS}]}, labels={"app": "web"}, uid="1-2")
    assert (pod.metadata.name, pod.metadata.namespace, pod.metadata.uid) == ("node--1-k8s-web--0-eth0", "ns1", "1-2")
    assert pod.metadata.labels == {
        "app": "web",
        "projectcalico.org/namespace": "ns1",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "sa",
    }
    assert (pod.spec.node, pod.spec.pod, pod.spec.endpoint, pod.spec.orchestrator) == ("node-1", "web-0", "eth0", "k8s")
    assert pod.spec.interface_name == "caliabc48332923"
    assert pod.spec.profiles == ("kns.ns1", "ksa.ns1.sa")
    assert pod.spec.ip_networks == (parse_prefix("10.0.0.5/32"),)
    assert pod.spec.ports == (EndpointPort("http", "TCP", 80), EndpointPort("dns", "UDP", 53))


def test_without_a_service_account_there_is_one_profile() -> None:
    assert _pod().spec.profiles == ("kns.ns1",)


@pytest.mark.parametrize(
    ("status", "annotations", "networks"),
    [
        ({"podIP": "fd00::5"}, {}, ["fd00::5/128"]),
        ({}, {"cni.projectcalico.org/podIP": "10.0.0.6/32"}, ["10.0.0.6/32"]),
        ({}, {}, []),
        ({"podIP": "10.0.0.5", "phase": "Succeeded"}, {}, []),
        ({"podIP": "10.0.0.5", "phase": "Failed"}, {}, []),
        ({"podIP": "10.0.0.5", "phase": "Running"}, {"cni.projectcalico.org/podIP": "10.0.0.6/32"}, ["10.0.0.5/32"]),
    ],
    ids=["IPv6", "annotation", "none yet", "succeeded", "failed", "status wins"],
)
def test_where_a_pods_address_comes_from(status: dict[str, Any], annotations: dict[str, str], networks: list[str]) -> None:
    assert _pod(status=status, annotations=annotations).spec.ip_networks == tuple(map(parse_prefix, networks))


@pytest.mark.parametrize("spec", [{"nodeName": "n", "hostNetwork": True}, {}], ids=["host network", "no node"])
def test_pods_that_are_no_endpoints(spec: dict[str, Any]) -> None:
    assert _read("Pod", {"name": "a"}, spec=spec) == PassedOver()


def test_floating_addresses() -> None:
    pod = _pod(annotations={"cni.projectcalico.org/floatingIPs": '["192.0.2.1"]'})
    assert pod.spec.ip_nats == (IPNat(parse_address("10.0.0.5"), parse_address("192.0.2.1")),)


@pytest.mark.parametrize(
    ("annotation", "text", "message"),
    [
        ("floatingIPs", "192.0.2.1", "not a list of addresses in JSON"),
        ("floatingIPs", '["fd00::1"]', "mismatched IP versions"),
        ("floatingIPs", '["x"]', "not an IP address"),
    ],
)
def test_annotations_that_cannot_be_read(annotation: str, text: str, message: str) -> None:
    with pytest.raises(FieldProblem, match=message):
        _pod(annotations={f"cni.projectcalico.org/{annotation}": text})


def test_an_address_that_is_more_than_one_is_refused() -> None:
    with pytest.raises(FieldProblem, match="is more than one address"):
        _pod(status={}, annotations={"cni.projectcalico.org/podIP": "10.0.0.0/24"})


# --- policies ----------------------------------------------------------------------------------------------------


def _policy(**spec: Any) -> NetworkPolicy:
    found = _read(
        "NetworkPolicy",
        {"name": "p", "namespace": "ns1", "resourceVersion": "3"},
        api="networking.k8s.io/v1",
        spec={"podSelector": {}, **spec},
    )
    assert isinstance(found, NetworkPolicy)
    return found


def test_the_name_the_order_and_the_revision() -> None:
    policy = _policy()
    assert (policy.metadata.name, policy.metadata.namespace, policy.spec.order) == ("knp.default.p", "ns1", 1000.0)
    assert policy.metadata.resource_version == "/3"


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"policyTypes": ["Egress", "Ingress"]}, ["Ingress", "Egress"]),
        ({"policyTypes": ["Egress"]}, ["Egress"]),
        ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"egress": [{}], "policyTypes": ["Ingress"]}, ["Ingress"]),
    ],
    ids=["default", "both in order", "egress", "as the API server fills it in", "given"],
)
def test_policy_types(spec: dict[str, Any], types: list[str]) -> None:
    assert _policy(**spec).spec.types == tuple(map(PolicyType, types))


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({}, ANY_POD),
        ({"matchLabels": {"b": "2", "a": "1"}}, f"{ANY_POD} && a == '1' && b == '2'"),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}]},
            f"{ANY_POD} && a in {{ 'y', 'x' }}",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]},
            f"{ANY_POD} && a not in {{ 'x' }}",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist"}]},
            f"{ANY_POD} && has(a) && ! has(b)",
        ),
    ],
    ids=["empty", "labels sorted", "In", "NotIn", "Exists"],
)
def test_pod_selectors(selector: dict[str, Any], text: str) -> None:
    assert _policy(podSelector=selector).spec.selector == text


PEERS: list[tuple[dict[str, Any], EntityRule]] = [
    ({"podSelector": {}}, EntityRule(selector=ANY_POD)),
    ({"namespaceSelector": {}}, EntityRule(selector=ANY_POD, namespace_selector="all()")),
    (
        {"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {"matchLabels": {"a": "b"}}},
        EntityRule(selector=f"{ANY_POD} && a == 'b'", namespace_selector="team == 'red'"),
    ),
    (
        {"ipBlock": {"cidr": "10.0.0.1/8", "except": ["10.1.2.3/16"]}},
        EntityRule(nets=(parse_prefix("10.0.0.0/8"),), not_nets=(parse_prefix("10.1.0.0/16"),)),
    ),
]


@pytest.mark.parametrize(("peer", "entity"), PEERS, ids=["pods", "all namespaces", "both", "block"])
def test_peers_are_sources_of_ingress_and_destinations_of_egress(peer: dict[str, Any], entity: EntityRule) -> None:
    policy = _policy(ingress=[{"from": [peer]}], egress=[{"to": [peer]}])
    assert policy.spec.ingress == (PolicyRule(Action.ALLOW, source=entity),)
    assert policy.spec.egress == (PolicyRule(Action.ALLOW, destination=entity),)


@pytest.mark.parametrize(
    ("port", "protocol", "ports"),
    [
        ({"port": 80}, "TCP", (PortRange(80, 80),)),
        ({"port": "80", "protocol": "UDP"}, "UDP", (PortRange(80, 80),)),
        ({"port": "http"}, "TCP", (NamedPort("http"),)),
        ({"protocol": "SCTP", "port": 9}, "SCTP", (PortRange(9, 9),)),
        ({"protocol": "UDP"}, "UDP", ()),
    ],
    ids=["number", "quoted number", "name", "SCTP", "protocol alone"],
)
def test_ports_are_destination_ports(port: dict[str, Any], protocol: str, ports: tuple[Any, ...]) -> None:
    (rule,) = _policy(ingress=[{"ports": [port]}]).spec.ingress
    assert rule == PolicyRule(Action.ALLOW, protocol=protocol, destination=EntityRule(ports=ports))


def test_an_item_that_asks_nothing_allows_everything() -> None:
    assert _policy(ingress=[{}]).spec.ingress == (PolicyRule(Action.ALLOW),)


def test_no_items_allow_nothing() -> None:
    assert _policy(ingress=[]).spec.ingress == ()


def test_a_rule_for_each_port_and_within_it_for_each_peer() -> None:
    peers = [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]
    rules = _policy(ingress=[{"from": peers, "ports": [{"port": 1}, {"port": 2}]}]).spec.ingress
    assert [(rule.destination.ports[0], bool(rule.source.nets)) for rule in rules] == [
        (PortRange(1, 1), False),
        (PortRange(1, 1), True),
        (PortRange(2, 2), False),
        (PortRange(2, 2), True),
    ]
    assert ANY not in [rule.source for rule in rules]


# --- nodes -------------------------------------------------------------------------------------------------------


def _node(options: ReadOptions | None = None, **annotations: str) -> Node:
    data = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "n",
            "labels": {"b": "kube"},
            "annotations": {f"projectcalico.org/{key}": value for key, value in annotations.items()},
        },
        "spec": {"podCIDR": "10.65.3.0/24"},
    }
    found = read_resource(data, options or ReadOptions())
    assert isinstance(found, Node)
    return found


def test_a_node_is_what_its_annotations_say() -> None:
    node = _node(IPv4Address="10.0.0.1/24", IPv6Address="fd00::1/64", IPv4IPIPTunnelAddr="10.65.0.1", ASNumber="64513")
    assert node.spec.bgp is not None
    assert str(node.spec.bgp.ipv4_address) == "10.0.0.1/24"
    assert str(node.spec.bgp.ipv6_address) == "fd00::1/64"
    assert node.spec.bgp.ipv4_ipip_tunnel_addr == parse_address("10.65.0.1")
    assert node.spec.bgp.as_number == 64513


def test_a_node_without_annotations_says_nothing_of_bgp() -> None:
    assert _node().spec.bgp is None


def test_labels_of_kubernetes_win_and_are_noted() -> None:
    node = _node(labels='{"a": "calico", "b": "calico"}')
    assert node.metadata.labels == {"a": "calico", "b": "kube"}
    assert node.metadata.annotations == {"projectcalico.org/kube-labels": '{"b":"kube"}'}


def test_with_host_local_addresses_the_tunnel_has_the_first_of_the_nodes_pods() -> None:
    node = _node(ReadOptions(use_pod_cidr=True), IPv4IPIPTunnelAddr="10.65.0.1")
    assert node.spec.bgp is not None
    assert node.spec.bgp.ipv4_ipip_tunnel_addr == parse_address("10.65.3.1")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("IPv4Address", "fd00::1/64", "is not an IPv4 address"),
        ("labels", "[]", "is not a map of texts in JSON"),
        ("ASNumber", "x", "invalid AS Number format"),
    ],
)
def test_annotations_of_a_node_that_cannot_be_read(name: str, text: str, message: str) -> None:
    with pytest.raises(FieldProblem, match=message):
        _node(None, **{name: text})
