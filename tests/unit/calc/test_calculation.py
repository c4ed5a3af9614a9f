"""What a node is told of a cluster (spec: model 6); the plain calculation that judges the other is held to the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from tests.calc_builder import (
    HERE,
    allow_from,
    allow_to_port,
    host_endpoint,
    members,
    named_port_members,
    network_set,
    only_host_endpoint,
    only_workload,
    policy,
    workload,
)
from tests.plain_calculation import calculate_plainly
from tortie.calc.calculation import Calculation
from tortie.calc.calculation import calculate as calculate_in_steps
from tortie.calc.rule import selector_id
from tortie.calc.tunnel import vtep_mac
from tortie.calc.view import (
    ActiveProfile,
    ActiveRule,
    EndpointTier,
    HostMetadata,
    IPPool,
    NatMapping,
    NodeView,
    RuleAction,
    Vtep,
    VxlanRoute,
    WorkloadId,
)
from tortie.model import v1
from tortie.model.read import Key, Resources, key_of, parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import parse_address, parse_prefix
from tortie.selector.parse import parse_selector

ALL_ID = selector_id(parse_selector("all()"))
DENY = (ActiveRule(RuleAction.DENY),)
VXLAN = {"VXLANEnabled": "true"}


Calculate: TypeAlias = Callable[..., NodeView]


@pytest.fixture(params=[calculate_in_steps, calculate_plainly], ids=["in steps", "plainly"])
def calculate(request: pytest.FixtureRequest) -> Calculate:
    found: Calculate = request.param
    return found


def names(view: NodeView) -> list[str]:
    return [one.name for one in view.policies]


# --- what is active ----------------------------------------------------------------------------------------------


def test_nothing_makes_an_empty_view(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(), HERE, {"LogPrefix": "x"})
    assert (view.hostname, view.config) == (HERE, {"LogPrefix": "x"})
    assert (view.workloads, view.policies, view.profiles, view.ip_sets, view.pools) == ((), (), (), (), ())


def test_only_endpoints_of_the_node_are_in_its_view(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(workloads=(workload("a"), workload("b", node="elsewhere"))), HERE)
    assert only_workload(view).id == WorkloadId("k8s", "ns/a", "eth0")


def test_a_policy_for_other_nodes_is_not_active_and_neither_are_its_sets(calculate: Calculate) -> None:
    there = workload("b", node="elsewhere", labels={"app": "b"})
    view = calculate(v1.Cluster(policies=(policy("p", "app == 'b'", allow_from("has(x)")),), workloads=(there,)), HERE)
    assert (view.policies, view.ip_sets) == ((), ())


def test_a_network_set_makes_no_policy_active(calculate: Calculate) -> None:
    assert (
        names(
            calculate(
                v1.Cluster(policies=(policy("p", "has(x)"),), network_sets=(network_set("n", "10.0.0.0/8", x="1"),)), HERE
            )
        )
        == []
    )


def test_a_policy_selects_by_inherited_labels(calculate: Calculate) -> None:
    profile = v1.Profile("kns.ns", {"pcns.team": "red"})
    pod = workload("a", profiles=("kns.ns",))
    cluster = v1.Cluster(policies=(policy("p", "pcns.team == 'red'"),), profiles=(profile,), workloads=(pod,))
    assert names(calculate(cluster, HERE)) == ["p"]


@pytest.mark.parametrize(
    ("own", "profiles", "value"),
    [({"k": "own"}, ("one", "two"), "own"), ({}, ("one", "two"), "1"), ({}, ("two", "one"), "2"), ({}, ("no", "one"), "1")],
    ids=["its own goes first", "the first profile", "in the endpoint's order", "a profile that is missing gives none"],
)
def test_which_of_several_labels_counts(
    calculate: Calculate, own: dict[str, str], profiles: tuple[str, ...], value: str
) -> None:
    cluster = v1.Cluster(
        policies=tuple(policy(f"is-{one}", f"k == '{one}'") for one in ("own", "1", "2")),
        profiles=(v1.Profile("one", {"k": "1"}), v1.Profile("two", {"k": "2"})),
        workloads=(workload("a", labels=own, profiles=profiles),),
    )
    assert names(calculate(cluster, HERE)) == [f"is-{value}"]


def test_profiles_are_active_when_an_endpoint_of_the_node_lists_them(calculate: Calculate) -> None:
    profile = v1.Profile("b", inbound=(v1.Rule("allow"),))
    cluster = v1.Cluster(profiles=(profile, v1.Profile("unused")), workloads=(workload("a", profiles=("b",)),))
    assert calculate(cluster, HERE).profiles == (ActiveProfile("b", (ActiveRule(),), ()),)


def test_a_profile_that_is_missing_denies_everything(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(workloads=(workload("a", profiles=("none",)),)), HERE)
    assert view.profiles == (ActiveProfile("none", DENY, DENY),)


def test_a_profile_with_a_wrong_rule_denies_everything_and_keeps_its_labels(calculate: Calculate) -> None:
    profile = v1.Profile("b", {"k": "v"}, outbound=(v1.Rule("allow", protocol=0),))
    cluster = v1.Cluster(
        policies=(policy("p", "k == 'v'"),), profiles=(profile,), workloads=(workload("a", profiles=("b",)),)
    )
    assert calculate(cluster, HERE).profiles == (ActiveProfile("b", DENY, DENY),)
    assert names(calculate(cluster, HERE)) == ["p"]


def test_a_policy_with_one_wrong_rule_is_left_out_whole(calculate: Calculate) -> None:
    wrong = policy("p", "all()", v1.Rule("allow"), v1.Rule("allow", protocol="tpc"))
    assert names(calculate(v1.Cluster(policies=(wrong, policy("q")), workloads=(workload("a"),)), HERE)) == ["q"]


# --- order and tiers ---------------------------------------------------------------------------------------------


def test_policies_are_in_order_and_then_by_name(calculate: Calculate) -> None:
    given = (
        policy("z", order=1), policy("default.x"), policy("ns/b"), policy("ns/a", order=1.5), policy("b", order=1),
        policy("A"),
    )  # fmt: skip
    view = calculate(v1.Cluster(policies=given, workloads=(workload("a"),)), HERE)
    expected = ("b", "z", "ns/a", "A", "default.x", "ns/b")
    assert only_workload(view).tiers == (EndpointTier(expected, expected),)


def test_a_policy_is_in_the_directions_that_it_is_for(calculate: Calculate) -> None:
    given = (policy("in", egress=False), policy("out", ingress=False), policy("two"))
    view = calculate(v1.Cluster(policies=given, workloads=(workload("a"),)), HERE)
    assert only_workload(view).tiers == (EndpointTier(("in", "two"), ("out", "two")),)


HOST_POLICIES = (
    policy("1-normal"),
    policy("2-forward", apply_on_forward=True),
    policy("3-untracked", untracked=True, apply_on_forward=True),
    policy("4-pre-dnat", pre_dnat=True, apply_on_forward=True),
    policy("5-untracked-pre-dnat", untracked=True, pre_dnat=True, apply_on_forward=True),
)


def test_a_host_endpoint_has_four_tiers(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(policies=HOST_POLICIES, host_endpoints=(host_endpoint("eth0"),)), HERE)
    found = only_host_endpoint(view)
    assert found.tiers == (EndpointTier(("1-normal", "2-forward"), ("1-normal", "2-forward")),)
    assert found.forward_tiers == (EndpointTier(("2-forward",), ("2-forward",)),)
    untracked = ("3-untracked", "5-untracked-pre-dnat")
    assert found.untracked_tiers == (EndpointTier(untracked, untracked),)
    assert found.pre_dnat_tiers == (EndpointTier(("4-pre-dnat",), ()),)


def test_a_workload_has_the_normal_tier_only(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(policies=HOST_POLICIES, workloads=(workload("a"),)), HERE)
    assert only_workload(view).tiers == (EndpointTier(("1-normal", "2-forward"), ("1-normal", "2-forward")),)
    assert len(view.policies) == 5


def test_a_tier_without_policies_is_left_out(calculate: Calculate) -> None:
    egress_pre_dnat = policy("p", pre_dnat=True, ingress=False)
    view = calculate(v1.Cluster(policies=(egress_pre_dnat,), host_endpoints=(host_endpoint("eth0"),)), HERE)
    found = only_host_endpoint(view)
    assert (found.tiers, found.forward_tiers, found.untracked_tiers, found.pre_dnat_tiers) == ((), (), (), ())
    assert [one.name for one in view.policies] == ["p"]


def test_what_else_an_endpoint_says_is_passed_on(calculate: Calculate) -> None:
    pod = workload(
        "a",
        "10.0.0.1 fd00::1",
        profiles=("y", "x", "y"),
        mac=b"\xee" * 6,
        nats=(v1.Nat(parse_address("192.0.2.1"), parse_address("10.0.0.1")),),
    )
    found = only_workload(calculate(v1.Cluster(workloads=(pod,)), HERE))
    assert (found.interface, found.active, found.mac, found.profiles) == ("calia", True, b"\xee" * 6, ("y", "x", "y"))
    assert found.networks == (parse_prefix("10.0.0.1/32"), parse_prefix("fd00::1/128"))
    assert found.nats == (NatMapping(parse_address("192.0.2.1"), parse_address("10.0.0.1")),)


def test_a_host_endpoint_may_be_told_by_addresses_alone(calculate: Calculate) -> None:
    view = calculate(v1.Cluster(host_endpoints=(host_endpoint("h", "10.1.0.1", interface=""),)), HERE)
    assert only_host_endpoint(view).interface == ""
    assert only_host_endpoint(view).expected_addresses == (parse_address("10.1.0.1"),)


# --- sets --------------------------------------------------------------------------------------------------------


def cluster_of_sets(*rules: v1.Rule) -> v1.Cluster:
    return v1.Cluster(
        policies=(policy("p", "all()", *rules),),
        profiles=(v1.Profile("prof", {"team": "red"}),),
        workloads=(
            workload("a", "10.0.0.1 fd00::1", ports="http:tcp:80 http:tcp:8080 dns:udp:53", labels={"app": "a"}),
            workload("b", "10.0.0.2", "elsewhere", ports="http:tcp:80 http:udp:80", profiles=("prof",)),
        ),
        host_endpoints=(host_endpoint("h", "10.9.0.1", "elsewhere", ports="http:tcp:8", labels={"app": "h"}),),
        network_sets=(network_set("n", "10.8.0.0/16 0.0.0.0/0 ::/0", app="n"), network_set("m", "10.8.0.0/16", app="m")),
    )


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app == 'a'", ["10.0.0.1/32", "fd00::1/128"]),
        ("team == 'red'", ["10.0.0.2/32"]),
        ("app == 'h'", ["10.9.0.1/32"]),
        ("app == 'n'", ["0.0.0.0/1", "10.8.0.0/16", "128.0.0.0/1", "8000::/1", "::/1"]),
        ("app in {'m', 'n'} && app != 'n'", ["10.8.0.0/16"]),
        ("has(nothing)", []),
    ],
    ids=["a workload", "elsewhere, by an inherited label", "a host endpoint", "a network set", "one of two", "nothing"],
)
def test_members_of_a_selectors_set(calculate: Calculate, selector: str, expected: list[str]) -> None:
    view = calculate(cluster_of_sets(allow_from(selector)), HERE)
    assert members(view) == {selector_id(parse_selector(selector)): expected}


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (
            allow_to_port("http"),
            [
                "10.0.0.1,tcp:80", "10.0.0.1,tcp:8080", "10.0.0.2,tcp:80", "10.9.0.1,tcp:8", "fd00::1,tcp:80",
                "fd00::1,tcp:8080",
            ],
        ),
        (allow_to_port("http", "udp"), ["10.0.0.2,udp:80"]),
        (allow_to_port("http", "tcp", "team == 'red'"), ["10.0.0.2,tcp:80"]),
        (allow_to_port("none"), []),
    ],
    ids=["tcp", "udp", "of what a selector selects", "a name that nobody has"],
)  # fmt: skip
def test_members_of_a_named_ports_set(calculate: Calculate, port: v1.Rule, expected: list[str]) -> None:
    assert named_port_members(calculate(cluster_of_sets(port), HERE)) == expected


def test_an_address_that_two_have_is_a_member_once(calculate: Calculate) -> None:
    twins = (workload("a", "10.0.0.1"), workload("b", "10.0.0.1"))
    view = calculate(v1.Cluster(policies=(policy("p", "all()", allow_from("all()")),), workloads=twins), HERE)
    assert members(view) == {ALL_ID: ["10.0.0.1/32"]}


def test_rules_with_one_selector_share_its_set_whatever_its_text(calculate: Calculate) -> None:
    view = calculate(cluster_of_sets(allow_from("has( app )"), allow_from("(has(app))")), HERE)
    assert len(view.ip_sets) == 1
    assert [rule.source.ip_sets for rule in view.policies[0].inbound] == [(view.ip_sets[0].id,)] * 2


def test_sets_of_profiles_rules_and_of_both_directions_are_active(calculate: Calculate) -> None:
    profile = v1.Profile("prof", outbound=(allow_from("has(out)"),))
    rules = policy("p", "all()", allow_from("has(in)"), outbound=(allow_from("has(two)"),), egress=False)
    cluster = v1.Cluster(policies=(rules,), profiles=(profile,), workloads=(workload("a", profiles=("prof",)),))
    expected = {selector_id(parse_selector(text)) for text in ("has(out)", "has(in)", "has(two)")}
    assert set(members(calculate(cluster, HERE))) == expected


# --- what counts as not there ------------------------------------------------------------------------------------


def test_an_endpoint_that_cannot_be_enforced_is_neither_there_nor_a_member(calculate: Calculate) -> None:
    broken = replace(workload("a", labels={"app": "x"}), interface="")
    cluster = v1.Cluster(policies=(policy("p", "all()", allow_from("has(app)")),), workloads=(broken, workload("b")))
    view = calculate(cluster, HERE)
    assert only_workload(view).id.workload == "ns/b"
    assert list(members(view).values()) == [[]]


# --- pools, hosts, tunnels ---------------------------------------------------------------------------------------


def test_every_pool_is_passed_on(calculate: Calculate) -> None:
    pools = (v1.Pool(parse_prefix("10.2.0.0/16"), masquerade=True), v1.Pool(parse_prefix("10.1.0.0/16"), ipam=False))
    assert calculate(v1.Cluster(pools=pools), HERE).pools == (
        IPPool(parse_prefix("10.1.0.0/16")),
        IPPool(parse_prefix("10.2.0.0/16"), masquerade=True),
    )


A1, A2, T1, T2 = map(parse_address, ("172.16.0.1", "172.16.0.2", "10.0.1.0", "10.0.2.0"))
HOSTS = (
    v1.Host("there", A2, vxlan_address=T2), v1.Host(HERE, A1, vxlan_address=T1), v1.Host("new"),
    v1.Host("half", vxlan_address=T2), v1.Host("plain", A2),
)  # fmt: skip


def test_every_host_with_an_address_is_passed_on(calculate: Calculate) -> None:
    found = calculate(v1.Cluster(hosts=HOSTS), HERE).hosts
    assert found == (HostMetadata(HERE, A1), HostMetadata("plain", A2), HostMetadata("there", A2))


def test_tunnel_endpoints_are_those_of_hosts_with_both_addresses(calculate: Calculate) -> None:
    assert calculate(v1.Cluster(hosts=HOSTS), HERE, VXLAN).vteps == (
        Vtep(HERE, vtep_mac(HERE), T1, A1),
        Vtep("there", vtep_mac("there"), T2, A2),
    )


def block(cidr: str, node: str | None, **users: str) -> v1.Block:
    """A block; users as `_10_0_1_5="node"`."""
    used = tuple((parse_address(name[1:].replace("_", ".")), user) for name, user in users.items())
    return v1.Block(parse_prefix(cidr), node, used)


def route(destination: str) -> VxlanRoute:
    return VxlanRoute(parse_prefix(destination), "there", T2)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((block("10.0.2.0/26", "there"),), (route("10.0.2.0/26"),)),
        ((block("10.0.1.0/26", HERE),), ()),
        ((block("10.0.1.0/26", HERE, _10_0_1_5="there", _10_0_1_6=HERE),), (route("10.0.1.5/32"),)),
        ((block("10.0.2.0/26", "there", _10_0_2_5="there"),), (route("10.0.2.0/26"),)),
        ((block("10.0.2.0/26", "there", _10_0_2_5=HERE),), (route("10.0.2.0/26"),)),
        ((block("10.0.1.0/26", None, _10_0_1_5="there"),), (route("10.0.1.5/32"),)),
        ((block("10.1.0.0/26", "there"),), ()),
        ((block("10.0.2.0/26", "plain"), block("10.0.3.0/26", "nobody")), ()),
        ((block("10.0.2.1/32", "plain", _10_0_2_1="there"),), (route("10.0.2.1/32"),)),
    ],
    ids=[
        "a block of another node",
        "a block of this node",
        "an address that another node borrows",
        "an address that the block's node uses",
        "an address that this node borrows",
        "an address in a block that belongs to no node",
        "a block in a pool without VXLAN",
        "nodes without a tunnel endpoint",
        "a block of just the borrowed address",
    ],
)
def test_routes_through_the_tunnel(
    calculate: Calculate, blocks: tuple[v1.Block, ...], expected: tuple[VxlanRoute, ...]
) -> None:
    pools = (v1.Pool(parse_prefix("10.0.0.0/16"), vxlan_mode="always"), v1.Pool(parse_prefix("10.1.0.0/16")))
    cluster = v1.Cluster(hosts=HOSTS, pools=pools, blocks=blocks)
    assert calculate(cluster, HERE, VXLAN).vxlan_routes == expected
    off = calculate(cluster, HERE)
    assert (off.vteps, off.vxlan_routes) == ((), ())


# --- resources, one at a time ------------------------------------------------------------------------------------

RESOURCES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: eth0, labels: {pcns.team: red, role: host}}
spec: {node: here, interfaceName: eth0, profiles: [base]}
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: base}
spec: {labelsToApply: {zone: a}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: hosts}
spec: {selector: zone == 'a', ingress: [{action: Allow, source: {selector: role == 'set'}}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: set, labels: {role: set}}
spec: {nets: [10.0.0.0/8]}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 10.1.0.0/16, natOutgoing: true}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: here}
spec: {bgp: {ipv4Address: 172.16.0.1/24}}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {logSeverityScreen: Debug}
"""


def read(text: str) -> Resources:
    return parse_resources([("test.yaml", text)])


def told(calculation: Calculation, resources: Resources) -> Calculation:
    for resource in resources:
        calculation.update(key_of(resource), resource)
    return calculation


def test_resources_one_at_a_time_give_what_they_give_together() -> None:
    resources = read(RESOURCES)
    calculation = told(Calculation(HERE), resources)
    changes = calculation.flush()
    assert calculation.view() == calculate_plainly(resources_to_v1(resources), HERE)
    assert only_host_endpoint(calculation.view()).tiers == (EndpointTier(("default.hosts",), ()),)
    assert (changes.policies, changes.hosts, changes.pools) == ({"default.hosts"}, {HERE}, {parse_prefix("10.1.0.0/16")})


def test_nothing_is_left_of_resources_that_are_gone() -> None:
    resources = read(RESOURCES)
    calculation = told(Calculation(HERE), resources)
    calculation.flush()
    for resource in resources:
        calculation.update(key_of(resource), None)
    calculation.flush()
    assert calculation.view() == NodeView(HERE)


def test_a_view_is_that_of_the_last_flush() -> None:
    calculation = told(Calculation(HERE), read(RESOURCES))
    assert calculation.view() == NodeView(HERE)


def test_felix_exact_takes_resources_for_what_felix_takes_them() -> None:
    by_posing = "{selector: pcns.team == 'red'}"
    text = RESOURCES.replace("{selector: zone == 'a', ", by_posing[:-1] + ", ")
    for felix_exact, expected in ((False, []), (True, ["default.hosts"])):
        calculation = told(Calculation(HERE, felix_exact=felix_exact), read(text))
        calculation.flush()
        assert names(calculation.view()) == expected


def test_whether_the_cluster_is_ready() -> None:
    information = """
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {datastoreReady: false}
"""
    calculation = Calculation(HERE)
    assert calculation.ready
    told(calculation, read(information))
    assert not calculation.ready
    told(calculation, read(information.replace("false", "true")))
    assert calculation.ready
    told(calculation, read(information))
    calculation.update(Key("ClusterInformation", "", "default"), None)
    assert calculation.ready


def test_a_resource_that_is_about_another_thing_leaves_nothing_of_the_first() -> None:
    calculation, key = Calculation(HERE), Key("WorkloadEndpoint", "ns", "w")
    for name in ("a", "b"):
        calculation.tell(key, workload(name))
        calculation.flush()
    assert only_workload(calculation.view()).id.workload == "ns/b"


def test_of_two_pools_with_one_network_the_lower_name_counts() -> None:
    calculation, net = Calculation(HERE), parse_prefix("10.0.0.0/16")
    for name, masquerade in (("b", True), ("a", False), ("c", True)):
        calculation.tell(Key("IPPool", "", name), v1.Pool(net, masquerade=masquerade))
    calculation.flush()
    assert calculation.view().pools == (IPPool(net),)
    calculation.tell(Key("IPPool", "", "a"), None)
    assert calculation.flush().pools == {net}
    assert calculation.view().pools == (IPPool(net, masquerade=True),)
