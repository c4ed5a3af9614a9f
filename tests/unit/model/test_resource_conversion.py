"""Resources to what the calculation is told: names, labels, addresses (spec: model 2, 4.2, 4.4)."""

from __future__ import annotations

from typing import TypeVar

import pytest

from tortie.model import v1
from tortie.model.metadata import Metadata
from tortie.model.profile import Profile, ProfileSpec
from tortie.model.read import Resources, parse_resources
from tortie.model.resource_conversion import resource_to_v1, resources_to_v1
from tortie.model.rule import Action, EntityRule, PolicyRule
from tortie.model.scalar import PortRange
from tortie.net.address import Address, parse_address, parse_prefix
from tortie.selector.canonical import format_selector

T = TypeVar("T")


def resource(kind: str, name: str, spec: str, namespace: str = "", more: str = "") -> str:
    space = f"namespace: {namespace}," if namespace else ""
    return f"""
apiVersion: projectcalico.org/v3
kind: {kind}
metadata: {{name: {name}, {space} {more}}}
spec: {spec}
---
"""


def read(*texts: str) -> Resources:
    return parse_resources([("test.yaml", "".join(texts))])


def cluster(*texts: str, felix_exact: bool = False) -> v1.Cluster:
    return resources_to_v1(read(*texts), felix_exact=felix_exact)


def only(found: tuple[T, ...]) -> T:
    (one,) = found
    return one


def v4(text: str) -> Address:
    return parse_address(text)


# --- policies ----------------------------------------------------------------------------------------------------


def test_a_policy_of_a_namespace() -> None:
    spec = "{order: 5, selector: a == 'b' || has(c), types: [Egress], egress: [{action: Pass}]}"
    policy = only(cluster(resource("NetworkPolicy", "x", spec, "ns1")).policies)
    assert policy.name == "ns1/default.x"
    assert policy.namespace == "ns1"
    assert policy.order == 5.0
    assert format_selector(policy.selector) == '((a == "b" || has(c)) && projectcalico.org/namespace == "ns1")'
    assert (policy.ingress, policy.egress) == (False, True)
    assert policy.outbound == (v1.Rule("next-tier"),)
    assert policy.inbound == ()
    assert (policy.untracked, policy.pre_dnat, policy.apply_on_forward) == (False, False, True)


def test_a_policy_of_a_namespace_for_all_its_endpoints() -> None:
    policy = only(cluster(resource("NetworkPolicy", "x", "{}", "ns1")).policies)
    assert format_selector(policy.selector) == 'projectcalico.org/namespace == "ns1"'
    assert policy.order is None
    assert (policy.ingress, policy.egress) == (True, False)


def test_rules_of_a_policy_are_in_its_namespace() -> None:
    spec = "{ingress: [{action: Allow, source: {selector: has(a)}}]}"
    policy = only(cluster(resource("NetworkPolicy", "x", spec, "ns1")).policies)
    (selector,) = only(policy.inbound).source.selectors
    assert format_selector(selector) == '(projectcalico.org/namespace == "ns1" && has(a))'


def test_a_policy_of_the_cluster() -> None:
    spec = "{selector: has(a), preDNAT: true, applyOnForward: true, ingress: [{action: Deny, source: {selector: has(b)}}]}"
    policy = only(cluster(resource("GlobalNetworkPolicy", "x", spec)).policies)
    assert (policy.name, policy.namespace) == ("default.x", "")
    assert format_selector(policy.selector) == "has(a)"
    assert (policy.untracked, policy.pre_dnat, policy.apply_on_forward) == (False, True, True)
    assert [format_selector(selector) for selector in only(policy.inbound).source.selectors] == ["has(b)"]


def test_an_untracked_policy_of_the_cluster() -> None:
    policy = only(cluster(resource("GlobalNetworkPolicy", "x", "{doNotTrack: true, applyOnForward: true}")).policies)
    assert (policy.untracked, policy.pre_dnat, policy.apply_on_forward) == (True, False, True)
    assert format_selector(policy.selector) == "all()"


KUBERNETES_POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-dns, namespace: default}
spec: {podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 53}]}]}
---
"""


def test_a_kubernetes_policy_has_the_name_that_felix_logs() -> None:
    assert only(cluster(KUBERNETES_POLICY).policies).name == "default/knp.default.allow-dns"


def test_ports_of_sctp_are_enforced_where_felix_forgets_the_policy() -> None:
    rule = only(only(cluster(KUBERNETES_POLICY).policies).inbound)
    assert rule.protocol == "sctp"
    assert rule.destination.ports != ()
    assert cluster(KUBERNETES_POLICY, felix_exact=True).policies == ()


def test_felix_exact_keeps_other_policies() -> None:
    other = resource("NetworkPolicy", "x", "{ingress: [{action: Allow, protocol: SCTP}]}", "ns1")
    assert only(cluster(KUBERNETES_POLICY, other, felix_exact=True).policies).name == "ns1/default.x"


def test_a_profile() -> None:
    spec = "{ingress: [{action: Deny, source: {selector: has(a)}}], egress: [{action: Allow}], labelsToApply: {k: v}}"
    profile = only(cluster(resource("Profile", "x", spec)).profiles)
    assert (profile.name, profile.labels) == ("x", {"k": "v"})
    assert [format_selector(selector) for selector in only(profile.inbound).source.selectors] == ["has(a)"]
    assert profile.outbound == (v1.Rule("allow"),)


# --- endpoints and sets ------------------------------------------------------------------------------------------

WORKLOAD = """{node: node-1, orchestrator: k8s, pod: web-0, endpoint: eth0, interfaceName: cali1, profiles: [b, a],
  ipNetworks: [10.0.0.1/32, "fd00::1/128"], ipNATs: [{internalIP: 10.0.0.1, externalIP: 192.0.2.1}],
  mac: "ee:ee:ee:ee:ee:ee", ports: [{name: http, protocol: TCP, port: 80}]}"""
WORKLOAD_NAME = "node--1-k8s-web--0-eth0"


def test_a_workload() -> None:
    labels = "labels: {app: web, pcns.team: red, pcsa.role: x}"
    assert cluster(resource("WorkloadEndpoint", WORKLOAD_NAME, WORKLOAD, "prod", labels)).workloads == (
        v1.Workload(
            node="node-1",
            orchestrator="k8s",
            workload="prod/web-0",
            endpoint="eth0",
            interface="cali1",
            labels={"app": "web", "projectcalico.org/namespace": "prod", "projectcalico.org/orchestrator": "k8s"},
            profiles=("b", "a"),
            networks=(parse_prefix("10.0.0.1/32"), parse_prefix("fd00::1/128")),
            nats=(v1.Nat(external=v4("192.0.2.1"), internal=v4("10.0.0.1")),),
            ports=(v1.EndpointPort("http", "tcp", 80),),
            mac=b"\xee" * 6,
        ),
    )


def test_a_workload_without_addresses_is_not_there() -> None:
    spec = "{node: n1, orchestrator: k8s, pod: p, endpoint: eth0, interfaceName: cali1}"
    assert cluster(resource("WorkloadEndpoint", "n1-k8s-p-eth0", spec, "prod")).workloads == ()


HOST_ENDPOINT = resource(
    "HostEndpoint",
    "eth0",
    '{node: n1, interfaceName: eth0, expectedIPs: [192.0.2.1, "2001:db8::1"], profiles: [p],'
    " ports: [{name: ssh, protocol: TCP, port: 22}]}",
    more="labels: {a: b, pcns.team: red}",
)


def test_a_host_endpoint() -> None:
    assert only(cluster(HOST_ENDPOINT).host_endpoints) == v1.HostEndpoint(
        node="n1",
        name="eth0",
        interface="eth0",
        expected_addresses=(v4("192.0.2.1"), v4("2001:db8::1")),
        labels={"a": "b"},
        profiles=("p",),
        ports=(v1.EndpointPort("ssh", "tcp", 22),),
    )


def test_a_host_endpoint_for_all_interfaces() -> None:
    assert only(cluster(resource("HostEndpoint", "all", "{node: n1, interfaceName: '*'}")).host_endpoints).interface == "*"


NETWORK_SETS = resource("NetworkSet", "x", "{nets: [10.1.2.3/8, 10.0.0.1]}", "prod", "labels: {pcns.team: red, a: b}")


def test_network_sets() -> None:
    wide = resource("GlobalNetworkSet", "wide", "{nets: ['0.0.0.0/0']}", more="labels: {pcsa.role: x}")
    assert tuple(sorted(cluster(NETWORK_SETS, wide).network_sets, key=lambda one: one.name)) == (
        v1.NetworkSet(
            "prod/x",
            {"a": "b", "projectcalico.org/namespace": "prod"},
            (parse_prefix("10.0.0.0/8"), parse_prefix("10.0.0.1/32")),
        ),
        v1.NetworkSet("wide", {}, (parse_prefix("0.0.0.0/0"),)),
    )


def test_felix_lets_host_endpoints_and_sets_pose_as_parts_of_a_namespace() -> None:
    found = cluster(HOST_ENDPOINT, NETWORK_SETS, felix_exact=True)
    assert "pcns.team" in only(found.host_endpoints).labels
    assert "pcns.team" in only(found.network_sets).labels


# --- addresses ---------------------------------------------------------------------------------------------------

POOLS = [
    ("{cidr: 10.0.0.0/16}", v1.Pool(parse_prefix("10.0.0.0/16"))),
    (
        "{cidr: 10.0.0.0/16, ipipMode: Always, natOutgoing: true}",
        v1.Pool(parse_prefix("10.0.0.0/16"), masquerade=True),
    ),
    (
        "{cidr: 10.0.0.0/16, ipipMode: CrossSubnet, disabled: true}",
        v1.Pool(parse_prefix("10.0.0.0/16"), ipam=False),
    ),
    ("{cidr: 10.0.0.0/16, vxlanMode: Always}", v1.Pool(parse_prefix("10.0.0.0/16"), vxlan_mode="always")),
]


@pytest.mark.parametrize(("spec", "pool"), POOLS, ids=[spec for spec, _ in POOLS])
def test_pools(spec: str, pool: v1.Pool) -> None:
    assert cluster(resource("IPPool", "p", spec)).pools == (pool,)


def test_nodes() -> None:
    full = "{bgp: {ipv4Address: 192.0.2.1/24, ipv4IPIPTunnelAddr: 10.0.0.1}, ipv4VXLANTunnelAddr: 10.0.1.1}"
    assert cluster(resource("Node", "a", full), resource("Node", "b", "{}")).hosts == (
        v1.Host("a", v4("192.0.2.1"), v4("10.0.1.1")),
        v1.Host("b"),
    )


def block(affinity: str, more: str = "") -> str:
    return f"""
apiVersion: crd.projectcalico.org/v1
kind: IPAMBlock
metadata: {{name: 10-0-0-0-30}}
spec:
  cidr: 10.0.0.0/30
  affinity: {affinity}
  allocations: [null, 0, 1, 2]
  unallocated: [0]
  attributes:
  - {{handle_id: a, secondary: {{node: host-1, pod: p}}}}
  - {{handle_id: b, secondary: {{node: other}}}}
  - {{handle_id: null, secondary: {{pod: q}}}}
  {more}
"""


def test_blocks() -> None:
    assert cluster(block("host:host-1")).blocks == (
        v1.Block(parse_prefix("10.0.0.0/30"), "host-1", ((v4("10.0.0.1"), "host-1"), (v4("10.0.0.2"), "other"))),
    )


@pytest.mark.parametrize(
    ("affinity", "node", "in_felix"),
    [("host:node1", "node1", "node1"), ("host:host-1", "host-1", "-1"), ("host:storage-1", "storage-1", "rage-1")],
)
def test_felix_cuts_off_more_than_the_prefix(affinity: str, node: str, in_felix: str) -> None:
    assert only(cluster(block(affinity)).blocks).node == node
    assert only(cluster(block(affinity), felix_exact=True).blocks).node == in_felix


@pytest.mark.parametrize("affinity", ["null", "virtual:load-balancer"])
def test_blocks_of_no_node(affinity: str) -> None:
    assert only(cluster(block(affinity)).blocks).node is None


def test_a_block_that_is_being_deleted_is_not_there() -> None:
    assert cluster(block("host:a", "Deleted: true")).blocks == ()


@pytest.mark.parametrize(
    ("spec", "ready"), [("{datastoreReady: true}", True), ("{datastoreReady: false}", False), ("{}", True)]
)
def test_readiness(spec: str, ready: bool) -> None:
    assert cluster(resource("ClusterInformation", "default", spec)).ready is ready


def test_nothing() -> None:
    assert cluster() == v1.Cluster()


# --- one at a time -----------------------------------------------------------------------------------------------


def test_resources_one_at_a_time_are_what_they_are_together() -> None:
    resources = read(KUBERNETES_POLICY, HOST_ENDPOINT, NETWORK_SETS, resource("IPPool", "p", "{cidr: 10.0.0.0/16}"))
    whole = resources_to_v1(resources)
    assert [resource_to_v1(one) for one in resources] == [
        *whole.host_endpoints, *whole.pools, *whole.policies, *whole.network_sets
    ]  # fmt: skip


def test_configuration_is_nothing_that_the_calculation_is_told() -> None:
    (felix,) = read(resource("FelixConfiguration", "default", "{logSeverityScreen: Debug}"))
    assert resource_to_v1(felix) is None


LONG_PROFILE = resource("HostEndpoint", "h", f"{{node: n1, interfaceName: eth0, profiles: [{'p' * 63}.{'q' * 65}]}}")


def test_a_host_endpoint_with_a_profile_of_a_long_name_is_there_where_felix_forgets_it() -> None:
    assert only(cluster(LONG_PROFILE).host_endpoints).name == "h"
    assert cluster(LONG_PROFILE, felix_exact=True).host_endpoints == ()


def test_a_profile_that_felix_refuses_denies_everything_and_keeps_its_labels() -> None:
    sctp = PolicyRule(Action.ALLOW, protocol="SCTP", destination=EntityRule(ports=(PortRange(80, 80),)))
    profile = Profile(Metadata(name="x"), ProfileSpec(ingress=(sctp,), labels_to_apply={"k": "v"}))
    deny = (v1.Rule("deny"),)
    assert resource_to_v1(profile, felix_exact=True) == v1.Profile("x", {"k": "v"}, deny, deny)
    enforced = resource_to_v1(profile)
    assert isinstance(enforced, v1.Profile)
    assert (only(enforced.inbound).protocol, enforced.outbound) == ("sctp", ())
