"""Texts to resources: YAML, JSON and lists, where things came from, and every refusal with file, line and field."""

from __future__ import annotations

import json

import pytest

from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy, PolicyType
from tortie.model.pool import IPPool
from tortie.model.profile import Profile
from tortie.model.read import Key, Resources, parse_resources
from tortie.model.resource import ReadOptions
from tortie.net.error import InvalidInput

POLICY = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: a
spec:
  order: 10
  selector: has(x)
  egress:
  - action: Allow
"""
SET = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: s}
spec: {nets: [10.0.0.1/8]}
"""


def _read(*texts: str, keep_going: bool = False) -> Resources:
    return parse_resources(((f"f{number}.yaml", text) for number, text in enumerate(texts)), keep_going=keep_going)


def _refusal(*texts: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        _read(*texts)
    return refusal.value


def test_a_policy_with_its_defaults() -> None:
    (policy,) = _read(POLICY).of(GlobalNetworkPolicy)
    assert (policy.metadata.name, policy.spec.order, policy.spec.types) == ("a", 10.0, (PolicyType.EGRESS,))


AS_JSON = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "a"},
    "spec": {"order": 10, "selector": "has(x)", "egress": [{"action": "Allow"}]},
}
TYPED_LIST = {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicyList", "items": [AS_JSON]}
BARE_ITEM = {**TYPED_LIST, "items": [{key: AS_JSON[key] for key in ("metadata", "spec")}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(AS_JSON),
        json.dumps([AS_JSON]),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [AS_JSON]}),
        json.dumps(TYPED_LIST),
        json.dumps(BARE_ITEM),
        "---\n" + POLICY + "---\n",
        "kind: List\napiVersion: v1\nitems:\n- " + POLICY.replace("\n", "\n  "),
    ],
    ids=["JSON", "array", "List", "typed list", "list without types", "empty documents", "YAML list"],
)
def test_one_object_in_any_spelling(text: str) -> None:
    assert _read(text).of(GlobalNetworkPolicy) == _read(POLICY).of(GlobalNetworkPolicy)


def test_every_resource_knows_where_it_came_from() -> None:
    resources = _read(SET, "# a comment\n" + SET.replace("name: s", "name: t") + "---\n" + POLICY)
    places = {str(key): str(origin) for key, origin in resources.origins.items()}
    assert places == {
        "GlobalNetworkSet(s)": "f0.yaml:1",
        "GlobalNetworkSet(t)": "f1.yaml:2",
        "GlobalNetworkPolicy(a)": "f1.yaml:7",
    }
    assert {resources.origin(resource) for resource in resources} == set(resources.origins.values())


def test_the_order_of_texts_means_nothing() -> None:
    assert list(_read(POLICY, SET)) == list(_read(SET, POLICY))


REFUSED: list[tuple[str, str]] = [
    (POLICY.replace("selector: has(x)", "selectr: x"), "f0.yaml:7: GlobalNetworkPolicy(a) spec.selectr: unknown field "),
    (POLICY.replace("Allow", "Alow"), "f0.yaml:9: GlobalNetworkPolicy(a) spec.egress[0].action: 'Alow' is not one of"),
    (POLICY.replace("name: a", "nam: a"), "f0.yaml:4: GlobalNetworkPolicy metadata.nam: unknown field 'nam'"),
    (POLICY.replace("  order: 10", "  order: x"), "f0.yaml:6: GlobalNetworkPolicy(a) spec.order: expected a number"),
    (POLICY.replace("GlobalNetworkPolicy", "GlobalNetPolicy"), "f0.yaml:2: GlobalNetPolicy(a) kind: unknown kind"),
    (POLICY.replace("org/v3", "org/v4"), "f0.yaml:1: GlobalNetworkPolicy(a) apiVersion: Calico 3.7 knows no"),
    (POLICY.replace("apiVersion", "apiversion"), "f0.yaml:1: GlobalNetworkPolicy(a): the object has no apiVersion"),
    ("kind: X\nkind: Y\n", "f0.yaml:2: the key 'kind' is there twice"),
    ("a: [1\nb: 2\n", "f0.yaml:2: not YAML"),
    ('{"a": 1,\n"b" 2}', "f0.yaml:2: not JSON"),
    ("- 1\n", "f0.yaml:1: expected an object with apiVersion and kind"),
    (SET.replace("name: s", "name: s, namespace: no"), "no GlobalNetworkSet has a namespace"),
    (
        SET.replace("GlobalNetworkSet", "IPAMBlock"),
        "f0.yaml:1: IPAMBlock(s) apiVersion: there is no IPAMBlock in projectcalico.org/v3",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:60] for _, message in REFUSED])
def test_refused_with_file_line_and_field(text: str, message: str) -> None:
    assert message in str(_refusal(text))


HEAD = "apiVersion: projectcalico.org/v3\nkind: {}\nmetadata:\n  name: a\nspec:\n"
"""Five lines; what follows is the spec."""
POOL_HEAD, POLICY_HEAD, HOST_HEAD = (HEAD.format(kind) for kind in ("IPPool", "GlobalNetworkPolicy", "HostEndpoint"))
RULE_HEAD = POLICY_HEAD + "  ingress:\n  - action: Allow\n    source:\n"
SENSELESS: dict[str, tuple[str, str]] = {
    "a pool that is no network": (
        POOL_HEAD + "  natOutgoing: true\n  cidr: 10.0.0/8\n",
        "a.yaml:7: IPPool(a) spec.cidr: IPPool CIDR must be a valid subnet: not an IP address: '10.0.0'",
    ),
    "a pool with host bits": (
        POOL_HEAD + "  cidr: 10.0.0.1/8\n",
        "a.yaml:6: IPPool(a) spec.cidr: IPPool CIDR must be a valid subnet: '10.0.0.1/8' has bits set behind its prefix "
        "(did you mean 10.0.0.0/8?)",
    ),
    "a pool of nothing": (POOL_HEAD + "  natOutgoing: true\n", "a.yaml:5: IPPool(a) spec: cidr is missing"),
    "a policy's selector": (
        POLICY_HEAD + "  order: 1\n  selector: a = 'b'\n",
        "a.yaml:7: GlobalNetworkPolicy(a) spec.selector: selector \"a = 'b'\": expected an operator after label 'a' "
        "at \"= 'b'\" (character 3)",
    ),
    "a rule's selector": (
        RULE_HEAD + "      nets: [10.0.0.0/8]\n      notSelector: has(a\n",
        "a.yaml:10: GlobalNetworkPolicy(a) spec.ingress[0].source.notSelector: selector 'has(a': expected an operator "
        "after label 'has' at '(a' (character 4)",
    ),
    "a selector of namespaces": (
        RULE_HEAD + "      namespaceSelector: '&&'\n",
        "a.yaml:9: GlobalNetworkPolicy(a) spec.ingress[0].source.namespaceSelector: selector '&&': expected a label, "
        "has(), all(), '!' or '(' at '&&' (character 1)",
    ),
    "a kind of another Calico": (
        HEAD.format("StagedNetworkPolicy") + "  selector: all()\n",
        "a.yaml:2: StagedNetworkPolicy(a) kind: unknown kind 'StagedNetworkPolicy' (did you mean NetworkPolicy?)",
    ),
    "a rule's net": (
        RULE_HEAD + "      nets:\n      - 10.0.0.0/8\n      - 10.1.0.0/33\n",
        "a.yaml:11: GlobalNetworkPolicy(a) spec.ingress[0].source.nets[1]: not a prefix length: '10.1.0.0/33'",
    ),
    "ports of what has none": (
        RULE_HEAD + "      ports: [80]\n    protocol: SCTP\n",
        "a.yaml:9: GlobalNetworkPolicy(a) spec.ingress[0].source.ports: rules that specify ports must set protocol to "
        "TCP or UDP (Calico 3.7 has ports for TCP and UDP only)",
    ),
    "a host endpoint of no node": (
        HOST_HEAD + "  interfaceName: eth0\n",
        "a.yaml:5: HostEndpoint(a) spec: no node has been specified",
    ),
}


@pytest.mark.parametrize(("text", "message"), SENSELESS.values(), ids=SENSELESS)
def test_one_bad_file_among_a_thousand_is_named_with_its_line(text: str, message: str) -> None:
    good = [(f"set-{number}.yaml", SET.replace("name: s", f"name: s{number}")) for number in range(1000)]
    texts = [*good[:700], ("a.yaml", text), *good[700:]]
    with pytest.raises(InvalidInput) as refusal:
        parse_resources(texts)
    assert str(refusal.value) == message
    kept = parse_resources(texts, keep_going=True)
    assert len(kept) == 1000
    assert [str(problem) for problem in kept.problems] == [message]


def test_a_misspelt_field_is_answered_with_the_nearest() -> None:
    assert _refusal(POLICY.replace("selector", "selectr")).remedy == "did you mean selector?"


def test_lines_count_inside_lists() -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [AS_JSON, {**AS_JSON, "spek": 1}]}, indent=1)
    line = text.split("\n").index('   "spek": 1') + 1
    assert _refusal(text).line == line


def test_the_same_resource_twice_is_refused() -> None:
    refusal = _refusal(POLICY, POLICY)
    assert str(refusal) == "f1.yaml:1: GlobalNetworkPolicy(a): already defined at f0.yaml:1 (leave one of them out)"


NAMESPACED = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: a}
"""


def test_a_namespaced_resource_without_one_is_in_the_given_namespace() -> None:
    assert _read(NAMESPACED).of(NetworkPolicy)[0].metadata.namespace == "default"
    options = ReadOptions(namespace="ns")
    assert parse_resources([("f", NAMESPACED)], options=options).get(NetworkPolicy, "a", "ns") is not None


def test_plain_words_that_are_truth_values_in_yaml_are_names_as_go_reads_them() -> None:
    assert _read(NAMESPACED.replace("{name: a}", "{name: a, namespace: n}")).get(NetworkPolicy, "a", "false") is not None


def test_a_custom_resource_is_what_users_see_of_it() -> None:
    text = NAMESPACED.replace("projectcalico.org/v3", "crd.projectcalico.org/v1").replace(
        "{name: a}", '{name: default.a, namespace: ns, annotations: {projectcalico.org/metadata: "{}"}}'
    )
    (policy,) = _read(text).of(NetworkPolicy)
    assert (policy.metadata.name, policy.metadata.annotations) == ("a", {})


def _pool(name: str, cidr: str) -> str:
    return f"""\
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {{name: {name}}}
spec: {{cidr: {cidr}}}
"""


def test_pools_of_the_first_api_are_read_from_storage() -> None:
    text = _pool("p", "10.0.0.0/16, ipip: {enabled: true, mode: cross-subnet}, nat-outgoing: true")
    (pool,) = _read(text.replace("projectcalico.org/v3", "crd.projectcalico.org/v1")).of(IPPool)
    assert (pool.spec.ipip_mode.value, pool.spec.nat_outgoing) == ("CrossSubnet", True)
    assert "unknown field 'ipip'" in str(_refusal(text))


@pytest.mark.parametrize(
    ("first", "second"),
    [("10.0.0.0/8", "10.1.0.0/16"), ("10.1.0.0/16", "10.0.0.0/8"), ("fd00::/64", "fd00::/64")],
    ids=["inside", "around", "equal"],
)
def test_pools_that_overlap_are_refused(first: str, second: str) -> None:
    refusal = _refusal(_pool("b", first), _pool("a", second))
    assert str(refusal) == f"f1.yaml:4: IPPool(a) spec.cidr: CIDR overlaps with IPPool(b) CIDR {first}"


def test_pools_beside_each_other_are_fine() -> None:
    assert len(_read(_pool("a", "10.0.0.0/9"), _pool("b", "10.128.0.0/9"), _pool("c", "fd00::/64")).of(IPPool)) == 3


def test_a_pool_that_was_refused_refuses_no_other() -> None:
    resources = _read(_pool("a", "10.0.0.0/16"), _pool("b", "10.0.0.0/8"), _pool("c", "10.1.0.0/16"), keep_going=True)
    assert [pool.metadata.name for pool in resources.of(IPPool)] == ["a", "c"]


def test_what_is_good_is_kept_when_reading_goes_on() -> None:
    resources = _read(POLICY.replace("Allow", "Alow"), SET, "a: [", POLICY, keep_going=True)
    assert {str(key) for key in resources.origins} == {"GlobalNetworkSet(s)", "GlobalNetworkPolicy(a)"}
    assert [(problem.source, problem.line) for problem in resources.problems] == [("f0.yaml", 9), ("f2.yaml", 1)]


def test_objects_that_say_nothing_to_calico_are_passed_over_with_a_remark() -> None:
    resources = _read("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n")
    assert len(resources) == 0
    assert [str(remark) for remark in resources.remarks] == ["f0.yaml:1: apps/v1 Deployment is nothing that Calico reads"]


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [
        ("networking.k8s.io/v2", "NetworkPolicy", "Calico 3.7 knows no NetworkPolicy of version 'networking.k8s.io/v2'"),
        ("networking.k8s.io/v1", "NetworkPolcy", "unknown kind 'NetworkPolcy'"),
        ("v1", "policy", "'policy' is a resource of Calico before version 3"),
    ],
)
def test_what_was_meant_for_calico_is_not_passed_over(version: str, kind: str, message: str) -> None:
    assert message in str(_refusal(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"))


def test_namespaces_become_profiles() -> None:
    resources = _read("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
    assert [profile.metadata.name for profile in resources.of(Profile)] == ["kns.a"]
    assert Key("Profile", "", "kns.a") in resources.origins


def test_what_nobody_reads_is_kept_and_remarked_on() -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata:\n  name: defaults\n"
    found = parse_resources([("a.yaml", text)])
    assert len(found) == 1
    assert [str(remark) for remark in found.remarks] == [
        "a.yaml:1: FelixConfiguration(defaults): nobody reads it; the names that count are default and node.NAME"
    ]
