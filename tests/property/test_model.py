"""Agreements about resources: joined trees are joined texts, names read back, order does not count, nothing escapes."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies.selector import trees
from tortie.model.read import parse_resources
from tortie.model.rule import Action, EntityRule, PolicyRule, ServiceAccountMatch
from tortie.model.rule_conversion import rule_selector, rule_to_v1
from tortie.model.workload_name import WorkloadIdentifiers, format_workload_name, parse_workload_name
from tortie.model.yaml_text import resolve_plain
from tortie.net.error import InvalidInput
from tortie.selector.canonical import format_selector
from tortie.selector.parse import parse_selector
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Selector

ANY_NAMESPACE = "has(projectcalico.org/namespace)"
texts = st.one_of(st.just(""), trees.map(format_selector))
namespaces = st.sampled_from(("", "ns1"))
accounts = st.one_of(
    st.none(),
    st.builds(ServiceAccountMatch, st.lists(st.sampled_from(("sa1", "sa2")), max_size=2).map(tuple), texts),
)


def prefixed(text: str, prefix: str) -> str:
    """The canonical text with a prefix in front of every label, plainly."""
    return format_selector(_map_labels(parse_selector(text), prefix))


def _map_labels(tree: Selector, prefix: str) -> Selector:
    if isinstance(tree, (And, Or)):
        return type(tree)(tuple(_map_labels(operand, prefix) for operand in tree.operands))
    if isinstance(tree, Not):
        return Not(_map_labels(tree.operand, prefix))
    if isinstance(tree, Has):
        return Has(prefix + tree.label)
    if isinstance(tree, Compare):
        return Compare(prefix + tree.label, tree.relation, tree.value)
    if isinstance(tree, Member):
        return Member(prefix + tree.label, tree.values, tree.negated)
    assert isinstance(tree, All)
    return tree


def joined_texts(entity: EntityRule, namespace: str) -> str:
    """The positive selector as text, step by step as the specification of the model has it in 4.3."""
    where = ""
    if entity.namespace_selector:
        where = prefixed(entity.namespace_selector, "pcns.").replace("all()", ANY_NAMESPACE)
    elif namespace:
        where = f"projectcalico.org/namespace == '{namespace}'"
    parts = []
    match = entity.service_accounts
    if match is not None and match.selector:
        parts.append(prefixed(match.selector, "pcsa."))
    if match is not None and match.names:
        inside = ", ".join(f'"{name}"' for name in sorted(set(match.names)))
        parts.append(f"projectcalico.org/serviceaccount in {{{inside}}}")
    account = f"({parts[0]}) && ({parts[1]})" if len(parts) == 2 else "".join(parts)
    selected = f"({account}) && ({entity.selector})" if account and entity.selector else account or entity.selector
    if where and (selected or entity.not_selector or entity.namespace_selector):
        return f"({where}) && ({selected})" if selected else where
    return selected


@given(texts, texts, texts, accounts, namespaces)
def test_joined_trees_are_the_trees_of_joined_texts(
    selector: str, not_selector: str, namespace_selector: str, match: ServiceAccountMatch | None, namespace: str
) -> None:
    entity = EntityRule(
        selector=selector, not_selector=not_selector, namespace_selector=namespace_selector, service_accounts=match
    )
    text = joined_texts(entity, namespace)
    found = rule_selector(entity, namespace)
    assert ("" if found is None else format_selector(found)) == (format_selector(parse_selector(text)) if text else "")
    side = rule_to_v1(PolicyRule(Action.ALLOW, source=entity), namespace).source
    if text and not_selector:
        text, not_selector = f"({text}) && (!({not_selector}))", ""
    expected = [format_selector(parse_selector(part)) for part in (text, not_selector) if part]
    assert [format_selector(tree) for tree in side.selectors] == expected


segments = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True)


@given(segments, segments, segments)
def test_names_of_workload_endpoints_read_back(node: str, pod: str, endpoint: str) -> None:
    name = format_workload_name(WorkloadIdentifiers(node=node, orchestrator="k8s", pod=pod, endpoint=endpoint))
    assert parse_workload_name(name) == (node, "k8s", pod, endpoint)


SETS = [
    {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet", "metadata": {"name": name}, "spec": {"nets": [net]}}
    for name, net in (("b", "10.0.0.0/8"), ("a", "192.0.2.0/24"), ("c", "2001:db8::/32"))
]


def test_the_order_of_texts_does_not_count() -> None:
    found = [parse_resources([("x", json.dumps(one)) for one in order]) for order in permutations(SETS)]
    assert all(list(resources) == list(found[0]) for resources in found)
    assert len(found[0]) == len(SETS)


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=5)),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(
            st.sampled_from(("apiVersion", "kind", "metadata", "name", "spec", "ingress", "action", "items")), children
        ),
    ),
    max_leaves=15,
)
heads = st.sampled_from(
    (
        ("projectcalico.org/v3", "NetworkPolicy"),
        ("projectcalico.org/v3", "FelixConfiguration"),
        ("crd.projectcalico.org/v1", "IPAMBlock"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("v1", "Pod"),
        ("v1", "List"),
    )
)


@given(heads, plain, plain)
def test_any_object_is_read_or_refused_with_its_place(head: tuple[str, str], metadata: Any, spec: Any) -> None:
    data = {"apiVersion": head[0], "kind": head[1], "metadata": metadata, "spec": spec, "items": [spec]}
    found = parse_resources([("drawn.json", json.dumps(data))], keep_going=True)
    assert all(isinstance(problem, InvalidInput) and problem.source == "drawn.json" for problem in found.problems)


@given(st.text(alphabet="ayn{}[]:-# \n\"'&*!|>?,%@`~\t0x.", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = parse_resources([("drawn.yaml", text)], keep_going=True)
    assert all(isinstance(problem, InvalidInput) and problem.source == "drawn.yaml" for problem in found.problems)


@given(st.text(alphabet="0123456789xXeE+-._:abf", min_size=1, max_size=8))
def test_a_plain_word_is_text_or_a_number(word: str) -> None:
    assert isinstance(resolve_plain(word), (str, int, float))
