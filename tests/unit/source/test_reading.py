"""What places say."""

from __future__ import annotations

from typing import Any

import pytest

from tortie.model.read import Key
from tortie.model.resource import ReadOptions
from tortie.net.error import InvalidInput
from tortie.source.reading import Definition, claimed_key, read_object, read_text

CALICO, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"


def thing(version: str, kind: str, name: Any = "a", namespace: str = "", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata} | rest


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (thing(CALICO, "NetworkPolicy", namespace="ns"), Key("NetworkPolicy", "ns", "a")),
        (thing(CALICO, "NetworkPolicy"), Key("NetworkPolicy", "here", "a")),
        (thing(STORED, "NetworkPolicy", "default.a", "ns"), Key("NetworkPolicy", "ns", "a")),
        (thing(STORED, "GlobalNetworkPolicy", "default.a"), Key("GlobalNetworkPolicy", "", "a")),
        (thing(CALICO, "IPPool", namespace="ns"), Key("IPPool", "", "a")),
        (thing("v1", "Namespace"), Key("Profile", "", "kns.a")),
        (thing("v1", "ServiceAccount", namespace="ns"), Key("Profile", "", "ksa.ns.a")),
        (thing("v1", "Node"), Key("Node", "", "a")),
        (thing("networking.k8s.io/v1", "NetworkPolicy", namespace="ns"), Key("NetworkPolicy", "ns", "knp.default.a")),
        (
            thing("v1", "Pod", "web-0", "ns", spec={"nodeName": "n-1"}),
            Key("WorkloadEndpoint", "ns", "n--1-k8s-web--0-eth0"),
        ),
        (thing("v1", "Pod", "web-0", "ns", spec={}), None),
        (thing("v1", "Pod", "web-0", "ns", spec=[]), None),
        (thing("v1", "Pod", "web-0", "ns", spec={"nodeName": ""}), None),
        (thing("v1", "Service"), None),
        (thing("projectcalico.org/v1", "IPPool"), None),
        (thing(CALICO, "IPPool", "A_"), None),
        (thing(CALICO, "IPPool", 7), None),
        (thing(CALICO, ["x"]), None),  # type: ignore[arg-type]
        ({"kind": "IPPool"}, None),
        ("text", None),
    ],
)
def test_what_an_object_says_it_is(data: Any, expected: Key | None) -> None:
    assert claimed_key(data, ReadOptions(namespace="here")) == expected


def said(definition: Definition) -> tuple[str, str]:
    content = definition.content
    return str(definition.key or "-"), str(content) if isinstance(content, InvalidInput) else "good"


def test_a_text_of_several_documents() -> None:
    text = (
        f"apiVersion: {CALICO}\nkind: GlobalNetworkSet\nmetadata: {{name: a}}\n---\n"
        f"apiVersion: {CALICO}\nkind: IPPool\nmetadata: {{name: b}}\nspec: {{cidr: x}}\n---\n"
        "apiVersion: v1\nkind: Service\nmetadata: {name: c}\n---\nkind: x\n---\n{{\n"
    )
    found = list(read_text("f", text, ReadOptions()))
    assert [definition.where for definition in found[:3]] == ["f:1", "f:5", "f:14"]
    assert [said(definition)[0] for definition in found] == ["GlobalNetworkSet(a)", "IPPool(b)", "-", "-"]
    assert said(found[0])[1] == "good"
    assert said(found[1])[1].startswith("f:8: IPPool(b) spec.cidr: ")
    assert said(found[2])[1].startswith("f:14: x: the object has no apiVersion")
    assert said(found[3])[1].startswith("f:1")


def test_what_is_refused_comes_with_what_it_says() -> None:
    bad = f"apiVersion: {CALICO}\nkind: IPPool\nmetadata: {{name: b}}\nspec: {{cidr: x}}\n"
    (definition,) = read_text("f", bad, ReadOptions())
    assert definition.data["spec"] == {"cidr": "x"}
    (definition,) = read_text("f", "kind: x\n", ReadOptions())
    assert definition.key is None and definition.data == {"kind": "x"}
    both = "kind: x\n---\nkind: y\n---\n" + bad
    one, other, named = read_text("f", both, ReadOptions())
    assert one.data == both and other.data == both and named.data["kind"] == "IPPool"
    (definition,) = read_text("f", "{{\n", ReadOptions())
    assert definition.data == "{{\n"


def test_an_object_of_the_api() -> None:
    data = thing(STORED, "GlobalNetworkSet") | {"spec": {"nets": []}}
    data["metadata"] |= {"resourceVersion": "17", "uid": "u"}
    (definition,) = read_object("p", data, ReadOptions())
    assert definition.revision == "17" and definition.key == Key("GlobalNetworkSet", "", "a")
    assert not isinstance(definition.content, InvalidInput)
    assert definition.content.metadata.resource_version == "" and definition.content.metadata.uid == "u"


@pytest.mark.parametrize(
    ("data", "key", "words"),
    [
        (
            thing(STORED, "GlobalNetworkPolicy", "default.a", spec={"x": 1}),
            "GlobalNetworkPolicy(a)",
            "p: GlobalNetworkPolicy(a)",
        ),
        (thing("v1", "Pod", "w", "ns", spec={"nodeName": 5}), "-", "p: Pod(ns/w) spec.nodeName"),
        ({"kind": 5}, "-", "p: the object has no apiVersion"),
    ],
)
def test_an_object_that_cannot_be_read(data: dict[str, Any], key: str, words: str) -> None:
    (definition,) = read_object("p", data, ReadOptions())
    assert said(definition)[0] == key
    assert said(definition)[1].startswith(words)


def test_an_object_that_nothing_is_made_of_says_nothing() -> None:
    assert read_object("p", thing("v1", "Pod", "w", "ns", spec={"hostNetwork": True}), ReadOptions()) == ()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("f:7", "f:7: Node(n): x (y)"),
        ("pods/a", "pods/a: Node(n): x (y)"),
        ("/ipam/fd00::1", "/ipam/fd00::1: Node(n): x (y)"),
    ],
)
def test_errors_about_a_definition_are_at_its_place(where: str, expected: str) -> None:
    definition = Definition(Key("Node", "", "n"), InvalidInput("z"), where)
    assert str(definition.problem("x", "y")) == expected
