"""What stands in for resources that cannot be read; that nothing is opened is in tests/property/test_closing.py."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from tortie.model import v1
from tortie.model.closing import (
    CLOSED,
    Closed,
    Loss,
    LostAnything,
    LostHostEndpoint,
    LostMember,
    LostPolicy,
    LostProfile,
    LostSettings,
    close,
    loss_of_object,
    loss_of_text,
    without_refused,
)
from tortie.model.read import Resources, parse_resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.model.scalar import PortRange
from tortie.net.error import InvalidInput
from tortie.selector.canonical import format_selector
from tortie.selector.tree import All, Has

PROBLEM = InvalidInput("cannot be read", source="x.yaml", line=3)
V3 = "projectcalico.org/v3"
DENY = (v1.Rule("deny"),)


def lost(kind: str, spec: object = None, *, version: str = V3, **metadata: object) -> Loss | None:
    data = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", **metadata}, "spec": spec}
    return loss_of_object(data, PROBLEM)


def policy(kind: str, spec: object, **more: object) -> v1.Policy:
    loss = lost(kind, spec, **more)  # type: ignore[arg-type]
    assert isinstance(loss, LostPolicy)
    assert loss.stands_in.inbound == loss.stands_in.outbound == DENY
    return loss.stands_in


# --- policies ----------------------------------------------------------------------------------------------------


def test_a_policy_keeps_selector_order_and_directions() -> None:
    spec = {"selector": "a == 'x'", "order": 7, "types": ["Egress"], "ingress": [{"action": "Alow"}]}
    made = policy("NetworkPolicy", spec, namespace="ns")
    assert (made.name, made.order, made.ingress, made.egress) == ("ns/default.a", 7, False, True)
    assert format_selector(made.selector) == '(a == "x" && projectcalico.org/namespace == "ns")'


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, (True, False)),
        ({"ingress": "?"}, (True, False)),
        ({"egress": "?"}, (False, True)),
        ({"ingress": [{}], "egress": [{}]}, (True, True)),
    ],
    ids=["no rules", "ingress", "egress", "both"],
)
def test_directions_follow_the_rules_where_nothing_is_said(spec: object, directions: tuple[bool, bool]) -> None:
    made = policy("GlobalNetworkPolicy", spec)
    assert (made.ingress, made.egress) == directions


def test_places_of_a_policy_of_the_whole_cluster() -> None:
    spec = {"selector": "all()", "applyOnForward": True, "preDNAT": True, "ingress": [{"action": "?"}]}
    made = policy("GlobalNetworkPolicy", spec)
    assert (made.pre_dnat, made.untracked, made.apply_on_forward) == (True, False, True)


def test_a_policy_of_kubernetes() -> None:
    spec = {"podSelector": {"matchLabels": {"a": "x"}}, "ingress": [{"form": []}]}
    made = policy("NetworkPolicy", spec, version="networking.k8s.io/v1", namespace="ns")
    assert (made.name, made.order, made.ingress, made.egress) == ("ns/knp.default.a", 1000, True, False)
    assert 'a == "x"' in format_selector(made.selector)


@pytest.mark.parametrize(
    "spec",
    [{"selectr": "a == 'x'"}, {"selector": "a =="}, {"order": "first"}, {"types": ["In"]}, {"doNotTrack": "?"}, None, "x"],
    ids=str,
)
def test_a_policy_of_which_not_even_the_scope_is_beyond_doubt_closes_everything(spec: object) -> None:
    assert lost("GlobalNetworkPolicy", spec) == LostAnything(PROBLEM)


# --- everything else ---------------------------------------------------------------------------------------------

OTHERS: dict[str, tuple[Loss | None, Loss | None]] = {
    "pod": (lost("Pod", version="v1", namespace="ns"), LostMember(PROBLEM, "Pod(ns/a)")),
    "set": (lost("NetworkSet", namespace="ns"), LostMember(PROBLEM, "NetworkSet(a)")),
    "namespace": (lost("Namespace", version="v1"), LostProfile(PROBLEM, "kns.a")),
    "service account": (lost("ServiceAccount", version="v1", namespace="ns"), LostProfile(PROBLEM, "ksa.ns.a")),
    "profile": (lost("Profile"), LostProfile(PROBLEM, "a")),
    "profile without a name": (lost("Profile", name=7), LostAnything(PROBLEM)),
    "settings of all": (lost("FelixConfiguration", name="default"), LostSettings(PROBLEM)),
    "settings of a node": (lost("FelixConfiguration", name="node.n"), LostSettings(PROBLEM, "n")),
    "settings of nobody": (lost("FelixConfiguration", name="other"), None),
    "cluster": (lost("ClusterInformation"), LostSettings(PROBLEM)),
    "pool": (lost("IPPool"), None),
    "node": (lost("Node", version="v1"), None),
    "host endpoint": (
        lost("HostEndpoint", {"node": "n", "interfaceName": "eth0", "profiles": 7}),
        LostHostEndpoint(PROBLEM, "a", "n", "eth0"),
    ),
    "host endpoint with addresses": (
        lost("HostEndpoint", {"node": "n", "interfaceName": "eth0", "expectedIPs": ["x"]}),
        LostHostEndpoint(PROBLEM, "a", "n", ""),
    ),
    "kind of ours that is not there": (lost("StagedNetworkPolicy"), LostAnything(PROBLEM)),
    "misspelt host endpoint": (lost("HostEndpont", {"interfaceName": "eth0"}), LostSettings(PROBLEM)),
    "nothing of ours": (loss_of_object({"replicas": 3, "image": "nginx"}, PROBLEM), None),
    "no object": (loss_of_object([1, 2], PROBLEM), None),
}


@pytest.mark.parametrize(("found", "expected"), OTHERS.values(), ids=OTHERS)
def test_what_is_lost_with_an_object(found: Loss | None, expected: Loss | None) -> None:
    assert found == expected


def _as_utf8(text: str, encoding: str) -> str:
    """What is seen of a text in another encoding."""
    return text.encode(encoding).decode(errors="replace")


TEXTS: dict[str, tuple[str | None, int | None, Loss | None]] = {
    "nothing to look at": (None, None, LostSettings(PROBLEM)),
    "a pod": ("kind: Pod\n  x", 2, LostAnything(PROBLEM)),
    "settings": ("kind: FelixConfiguration\n  x", 2, LostSettings(PROBLEM)),
    "a host endpoint whose kind is misspelt": ("kind: HstEndpoint\ninterfaceName: eth0\n  x", 3, LostSettings(PROBLEM)),
    "settings behind an escape": ('kind: "Felix\\u0043onfiguration"\n  x', 2, LostSettings(PROBLEM)),
    "settings over two lines": ('kind: "Felix\\\n  Configuration"\n  x', 3, LostSettings(PROBLEM)),
    "nothing of ours": ("replicas: 3\n  x", 2, None),
    "a policy of UTF-16": (_as_utf8("kind: NetworkPolicy\n", "utf-16"), None, LostAnything(PROBLEM)),
    "settings of UTF-16": (_as_utf8("kind: FelixConfiguration\n", "utf-16-be"), None, LostSettings(PROBLEM)),
    "nothing of ours of UTF-32": (_as_utf8("replicas: 3\n", "utf-32"), None, None),
    "settings in a document that was read": ("kind: FelixConfiguration\n---\nkind: Pod\n  x", 4, LostAnything(PROBLEM)),
    "a problem at the document's end": ("---\nkind: FelixConfiguration\na: [\n---\nb: 1", 4, LostSettings(PROBLEM)),
    "JSON has one document": ('{"kind": "FelixConfiguration"\n,\n"kind": "Pod"', 3, LostSettings(PROBLEM)),
}


@pytest.mark.parametrize(("text", "line", "expected"), TEXTS.values(), ids=TEXTS)
def test_what_is_lost_with_a_text(text: str | None, line: int | None, expected: Loss | None) -> None:
    found = loss_of_text(text, InvalidInput("cannot be read", source="x.yaml", line=line))
    assert type(found) is type(expected)


# --- two of one name ---------------------------------------------------------------------------------------------


def read(text: str) -> Resources:
    return parse_resources([("x.yaml", text)], keep_going=True)


def test_of_two_with_one_name_neither_is_trusted() -> None:
    one = f"apiVersion: {V3}\nkind: GlobalNetworkSet\nmetadata: {{name: a}}\nspec: {{nets: [%s]}}\n---\n"
    rest, losses = without_refused(read(one % "10.0.0.0/8" + one % "11.0.0.0/8"))
    assert len(rest) == 0
    assert {type(loss) for loss in losses} == {LostMember}


def test_of_two_policies_with_one_name_what_stands_in_is_asked_wherever_either_is() -> None:
    text = f"apiVersion: {V3}\nkind: GlobalNetworkPolicy\nmetadata: {{name: a}}\nspec: %s\n---\n"
    resources = read(
        text % "{selector: a == '1', order: 9, ingress: [{action: Allow}]}" + text % "{selector: b == '1', types: [Egress]}"
    )
    rest, losses = without_refused(resources)
    (stands_in,) = close(resources_to_v1(rest), losses, "n").cluster.policies
    assert format_selector(stands_in.selector) == '(a == "1" || b == "1")'
    assert (stands_in.order, stands_in.ingress, stands_in.egress, stands_in.inbound) == (9, True, True, DENY)


def test_of_two_pools_the_first_is_used() -> None:
    text = f"apiVersion: {V3}\nkind: IPPool\nmetadata: {{name: a}}\nspec: {{cidr: %s}}\n---\n"
    rest, losses = without_refused(read(text % "10.0.0.0/16" + text % "10.1.0.0/16"))
    assert (len(rest), losses) == (1, [])


# --- closing -----------------------------------------------------------------------------------------------------

SOME, OTHER = v1.RuleSide(selector=Has("a")), v1.RuleSide(not_selector=Has("a"))
HTTP = (PortRange(80, 80),)
NAMED = v1.RuleSide(ports=(), named_ports=(v1.NamedPort(All(), "tcp", "http"),))
RULES: dict[str, tuple[v1.Rule, v1.Rule | None]] = {
    "permit": (v1.Rule("allow", source=SOME), v1.Rule("allow", source=SOME)),
    "permit by negation": (v1.Rule("allow", source=OTHER), None),
    "denial": (v1.Rule("deny", source=SOME), v1.Rule("deny")),
    "denial by negation": (v1.Rule("deny", source=OTHER), v1.Rule("deny", source=OTHER)),
    "denial of a named port": (v1.Rule("deny", protocol="tcp", destination=NAMED), v1.Rule("deny", protocol="tcp")),
    "denial of a port and a named one": (
        v1.Rule("deny", protocol="tcp", destination=replace(NAMED, ports=HTTP)), v1.Rule("deny", protocol="tcp"),
    ),
    "denial of a port": (
        v1.Rule("deny", protocol="tcp", source=SOME, destination=v1.RuleSide(ports=HTTP)),
        v1.Rule("deny", protocol="tcp", destination=v1.RuleSide(ports=HTTP)),
    ),
    "permit by a named port": (v1.Rule("allow", destination=NAMED), v1.Rule("allow", destination=NAMED)),
    "permit by a negated named port": (
        v1.Rule("allow", destination=v1.RuleSide(not_named_ports=NAMED.named_ports)), None,
    ),
    "pass": (v1.Rule("next-tier", source=SOME), v1.Rule("deny")),
    "log": (v1.Rule("log", source=SOME), v1.Rule("log", source=SOME)),
    "without a set": (v1.Rule("next-tier", protocol="tcp"), v1.Rule("next-tier", protocol="tcp")),
}  # fmt: skip


def cluster(*policies: v1.Policy, **more: object) -> v1.Cluster:
    return v1.Cluster(policies=policies, **more)  # type: ignore[arg-type]


def some_policy(*rules: v1.Rule, **more: object) -> v1.Policy:
    return v1.Policy("default.p", "", 1, All(), True, True, rules, rules, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "expected"), RULES.values(), ids=RULES)
def test_no_rule_relies_on_a_member_that_may_be_missing(given: v1.Rule, expected: v1.Rule | None) -> None:
    closed = close(cluster(some_policy(given)), [LostMember(PROBLEM, "Pod(ns/a)")], "n").cluster
    wanted = () if expected is None else (expected,)
    assert closed.policies == (some_policy(*wanted),)


def test_endpoints_with_a_missing_profile_are_missing() -> None:
    pods = tuple(
        v1.Workload("n", "k8s", f"ns/{name}", "eth0", f"cali{name}", profiles=(profile,))
        for name, profile in (("a", "kns.x"), ("b", "kns.y"))
    )
    given = cluster(workloads=pods, profiles=(v1.Profile("kns.x"), v1.Profile("kns.y")))
    closed = close(given, [LostProfile(PROBLEM, "kns.x")], "n").cluster
    assert (closed.workloads, [one.name for one in closed.profiles]) == (pods[1:], ["kns.y"])


def test_everything_is_closed_at_each_place_where_a_policy_may_permit() -> None:
    given = cluster(
        some_policy(), replace(some_policy(), pre_dnat=True, egress=False), replace(some_policy(), untracked=True)
    )
    given = replace(given, policies=tuple(replace(one, name=str(n)) for n, one in enumerate(given.policies)))
    added = close(given, [LostAnything(PROBLEM)], "n").cluster.policies[3:]
    assert [(one.name, one.order, one.pre_dnat, one.untracked) for one in added] == [
        (CLOSED, -inf, False, False),
        (f"{CLOSED}-pre-dnat", -inf, True, False),
        (f"{CLOSED}-untracked", -inf, False, True),
    ]
    assert all(one.inbound == DENY and one.selector == All() for one in added)


def test_without_other_places_nothing_is_put_there() -> None:
    closed = close(cluster(some_policy()), [LostAnything(PROBLEM)], "n").cluster
    assert [one.name for one in closed.policies] == ["default.p", CLOSED]


def test_a_host_endpoint_of_this_node_is_there_and_closed() -> None:
    others = (v1.HostEndpoint("n", "b", "eth1"), v1.HostEndpoint("m", "a", "eth0"))
    given = cluster(host_endpoints=(*others, v1.HostEndpoint("n", "a", "eth0", labels={"open": ""})))
    closed = close(given, [LostHostEndpoint(PROBLEM, "a", "n", "eth0")], "n").cluster
    assert closed.host_endpoints == (*others, v1.HostEndpoint("n", "a", "eth0", labels={CLOSED: ""}))
    assert [(one.selector, one.apply_on_forward) for one in closed.policies] == [(Has(CLOSED), True)]


INDISPENSABLE = {
    "settings of all": LostSettings(PROBLEM),
    "settings of this node": LostSettings(PROBLEM, "n"),
    "host endpoint on an unknown interface": LostHostEndpoint(PROBLEM, "a", "n", ""),
    "host endpoint of an unknown node": LostHostEndpoint(PROBLEM, "a", "", "eth0"),
}


@pytest.mark.parametrize("loss", INDISPENSABLE.values(), ids=INDISPENSABLE)
def test_what_nothing_can_be_done_without(loss: Loss) -> None:
    with pytest.raises(InvalidInput, match=r"^x\.yaml:3: cannot be read; nothing can be done without it"):
        close(cluster(), [loss], "n")


def test_what_is_of_another_node_stops_nothing() -> None:
    given = cluster(some_policy(v1.Rule("allow")))
    losses = [LostSettings(PROBLEM, "m"), LostHostEndpoint(PROBLEM, "a", "m")]
    assert close(given, losses, "n").cluster == given


def test_without_losses_nothing_changes() -> None:
    given = cluster(some_policy(v1.Rule("deny", source=SOME)))
    assert close(given, [], "n") == Closed(given)
