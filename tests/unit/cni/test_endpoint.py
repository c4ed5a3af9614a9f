"""The endpoint of a call (spec: model 2.1, 2.2, 10.3)."""

from __future__ import annotations

import json

from tortie.cni.call import Call, Command
from tortie.cni.config import NetworkConfig, parse_config
from tortie.cni.endpoint import endpoint_of, network_profile, workload_of
from tortie.model import kubernetes as k8s
from tortie.model.reader import read_value
from tortie.model.rule import Action
from tortie.net.address import parse_prefix

V4, V6 = parse_prefix("10.0.0.5/32"), parse_prefix("fd00::5/128")
MAC = bytes(range(6))
POD_CALL = Call(Command.ADD, "abc", "/x", "eth0", (), {"K8S_POD_NAME": "web", "K8S_POD_NAMESPACE": "shop"})
PLAIN_CALL = Call(Command.ADD, "0123456789abcdef", "/x", "eth0")


def _config(**keys: object) -> NetworkConfig:
    return parse_config(json.dumps({"cniVersion": "0.4.0", "name": "net"} | keys))


def _pod(**metadata: object) -> k8s.Pod:
    ports = [{"name": "http", "containerPort": 80}, {"name": "s", "containerPort": 81, "protocol": "SCTP"}]
    return read_value(
        k8s.Pod,
        {
            "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}} | metadata,
            "spec": {"serviceAccountName": "clerk", "containers": [{"ports": ports}]},
        },
    )


def test_a_pod_is_known_by_its_namespace_and_name() -> None:
    workload = workload_of(POD_CALL, "node-1")
    assert (workload.namespace, workload.name) == ("shop", "node--1-k8s-web-eth0")
    assert workload.spec.interface_name == "cali551b05c3e54"  # sha1 of shop.web


def test_the_prefix_of_interfaces_can_be_another() -> None:
    assert workload_of(POD_CALL, "n", "tap").spec.interface_name == "tap551b05c3e54"


def test_another_container_is_known_by_its_id() -> None:
    workload = workload_of(PLAIN_CALL, "n")
    assert (workload.namespace, workload.name) == ("default", "n-cni-0123456789abcdef-eth0")
    assert workload.spec.interface_name == "cali0123456789a"


def test_with_policy_of_kubernetes_the_pod_says_what_it_is() -> None:
    endpoint = endpoint_of(workload_of(POD_CALL, "n"), _config(), _pod(), (V4, V6), MAC)
    assert endpoint.metadata.labels == {
        "app": "web",
        "projectcalico.org/namespace": "shop",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "clerk",
    }
    assert endpoint.spec.profiles == ("kns.shop", "ksa.shop.clerk")
    assert [(port.name, port.protocol, port.port) for port in endpoint.spec.ports] == [("http", "TCP", 80)]
    assert (endpoint.spec.ip_networks, endpoint.spec.mac, endpoint.spec.container_id) == ((V4, V6), MAC, "abc")


def test_without_it_the_network_does() -> None:
    endpoint = endpoint_of(workload_of(PLAIN_CALL, "n"), _config(), None, (V4,), None)
    assert endpoint.spec.profiles == ("net",)
    assert endpoint.metadata.labels == {
        "projectcalico.org/namespace": "default",
        "projectcalico.org/orchestrator": "cni",
    }


def test_floating_addresses_need_their_switch() -> None:
    pod = _pod(annotations={"cni.projectcalico.org/floatingIPs": '["192.0.2.1"]'})
    off, on = _config(), _config(feature_control={"floating_ips": True})
    assert endpoint_of(workload_of(POD_CALL, "n"), off, pod, (V4,), MAC).spec.ip_nats == ()
    (nat,) = endpoint_of(workload_of(POD_CALL, "n"), on, pod, (V4,), MAC).spec.ip_nats
    assert (str(nat.internal_ip), str(nat.external_ip)) == ("10.0.0.5", "192.0.2.1")


def test_a_floating_address_of_a_family_that_the_container_has_not_is_left_out() -> None:
    pod = _pod(annotations={"cni.projectcalico.org/floatingIPs": '["192.0.2.1", "2001:db8::1"]'})
    on = _config(feature_control={"floating_ips": True})
    for networks, outside in (((V4,), ["192.0.2.1"]), ((V6,), ["2001:db8::1"]), ((V4, V6), ["192.0.2.1", "2001:db8::1"])):
        endpoint = endpoint_of(workload_of(POD_CALL, "n"), on, pod, networks, MAC)
        assert [str(nat.external_ip) for nat in endpoint.spec.ip_nats] == outside


def test_endpoints_hold_to_their_own_checks() -> None:
    for endpoint in (
        endpoint_of(workload_of(POD_CALL, "n"), _config(), _pod(), (V4, V6), MAC),
        endpoint_of(workload_of(PLAIN_CALL, "n"), _config(), None, (V4,), MAC),
    ):
        assert list(endpoint.problems()) == []
        assert list(endpoint.spec.problems()) == []


def test_a_networks_profile_lets_out_and_lets_in_its_own() -> None:
    profile = network_profile("net", for_pods=False)
    (ingress,), (egress,) = profile.spec.ingress, profile.spec.egress
    assert (ingress.action, ingress.source.selector) == (Action.ALLOW, "has(net)")
    assert (egress.action, egress.destination.selector) == (Action.ALLOW, "")
    assert profile.spec.labels_to_apply == {"net": ""}
    assert network_profile("net", for_pods=True).spec.ingress[0].source.selector == ""
