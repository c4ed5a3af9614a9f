"""With a resource missing, whatever it says, nothing gets through that would not get through with it.

A cluster is drawn and rendered whole. Then one of its resources is spoilt so that it cannot be read, the rest is used and
what is missing closed, and packets are walked through both nodes.
"""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.rendered_node import accepted, rendered_node
from tortie.cli.desired import find_desired
from tortie.cli.node_state import ToldState
from tortie.model.read import Resources, parse_resources
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.net.packet import Packet
from tortie.render.state import NodeInterface, NodeState
from tortie.simulator.walk import Node

PODS = {"p1": ("node-1", "cali1", "10.1.0.1"), "p2": ("node-1", "cali2", "10.1.0.2"), "q1": ("node-2", "cali3", "10.2.0.1")}
ROUTES = {"10.1.0.1/32": "cali1", "10.1.0.2/32": "cali2"}
SELECTORS = ("all()", "a == 'x'", "a != 'x'", "!has(a)", "pcns.k == 'v'", "pcns.k != 'v'", "b in {'1', '2'}")
HOST = "10.20.0.1"
STATE = ToldState(NodeState((NodeInterface("eth0", frozenset({parse_address(HOST)})),)))
OUTSIDE = "172.16.0.1"

Document = dict[str, Any]


def document(kind: str, name: str, spec: Document, **metadata: Any) -> Document:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


selectors = st.sampled_from(SELECTORS)
labels = st.fixed_dictionaries({}, optional={"a": st.sampled_from("xy"), "b": st.sampled_from("12")})
sides = st.one_of(
    st.just({}),
    st.builds(lambda text: {"selector": text}, selectors),
    st.builds(lambda text: {"notSelector": text}, selectors),
    st.builds(lambda text, other: {"selector": text, "notSelector": other}, selectors, selectors),
    st.just({"nets": ["10.1.0.0/24"]}),
)
ports = st.sampled_from(({}, {"ports": [80]}, {"ports": ["http"]}, {"ports": [80, "http"]}, {"notPorts": ["http"]}))
rules = st.lists(
    st.builds(
        lambda action, source, to, port: {
            "action": action, "protocol": "TCP", "source": source, "destination": {**to, **port}
        },
        st.sampled_from(("Allow", "Allow", "Deny", "Pass", "Log")),
        sides,
        sides,
        ports,
    ),
    max_size=3,
)  # fmt: skip


@st.composite
def policy(draw: st.DrawFn, name: str) -> Document:
    spec: Document = {"selector": draw(selectors), "ingress": draw(rules), "egress": draw(rules)}
    place = draw(st.sampled_from(("normal", "normal", "normal", "forward", "untracked", "preDNAT")))
    if place != "normal":
        spec["applyOnForward"] = True
    if place == "untracked":
        spec["doNotTrack"] = True
    if place == "preDNAT":
        spec["preDNAT"] = True
        del spec["egress"]
    if draw(st.booleans()):
        spec["order"] = draw(st.sampled_from((1, 2, 3)))
    return document("GlobalNetworkPolicy", name, spec)


@st.composite
def clusters(draw: st.DrawFn) -> list[Document]:
    made = [draw(policy(f"policy-{number}")) for number in range(draw(st.integers(1, 3)))]
    for name in ("kns.n1", "kns.n2"):
        given = draw(st.sampled_from(({"k": "v"}, {"k": "w"}, {})))
        spec = {"ingress": draw(rules), "egress": draw(rules)}
        spec["labelsToApply"] = {f"pcns.{key}": value for key, value in given.items()}  # type: ignore[assignment]
        made.append(document("Profile", name, spec))
    for name, (node, interface, address) in PODS.items():
        spec = {
            "orchestrator": "k8s", "node": node, "pod": name, "endpoint": "eth0", "interfaceName": interface,
            "ipNetworks": [f"{address}/32"], "profiles": draw(st.sampled_from((["kns.n1"], ["kns.n2"], []))),
            "ports": [{"name": "http", "protocol": "TCP", "port": draw(st.sampled_from((80, 8080)))}],
        }  # fmt: skip
        whole = name.replace("-", "--")
        labelled = document(
            "WorkloadEndpoint", f"{node.replace('-', '--')}-k8s-{whole}-eth0", spec, namespace="n", labels=draw(labels)
        )
        made.append(labelled)
    if draw(st.booleans()):
        made.append(document("GlobalNetworkSet", "outside", {"nets": ["172.16.0.0/16"]}, labels=draw(labels)))
    if draw(st.booleans()):
        host = {"node": "node-1", "interfaceName": "eth0", "profiles": draw(st.sampled_from(([], ["kns.n1"])))}
        made.append(document("HostEndpoint", "host", host, labels=draw(labels)))
    return made


def spoilt(whole: Document, how: str) -> Document:
    """The resource with something in it that nobody can read."""
    broken = deepcopy(whole)
    spec = broken["spec"]
    if how == "rule" and (spec.get("ingress") or spec.get("egress")):
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or ():
                rule["protcol"] = "TCP"
    elif how == "kind":
        broken["kind"] += "s"
    elif how == "value":
        field = {"WorkloadEndpoint": "ports", "HostEndpoint": "profiles", "GlobalNetworkSet": "nets"}
        spec[field.get(whole["kind"], "ingress")] = 7
    elif how == "selector":
        spec["selector" if "selector" in spec else "nods"] = "a =="
    else:
        spec["bogus"] = 1
    return broken


def read(documents: list[Document], *, keep_going: bool = False) -> Resources:
    return parse_resources([("cluster.json", json.dumps(documents))], keep_going=keep_going)


def node_of(resources: Resources) -> Node:
    desired = find_desired(resources, "node-1", STATE)
    return rendered_node(desired.view, desired.config, routes=ROUTES)


def packets() -> list[tuple[Packet, str]]:
    addresses = {name: parse_address(address).value for name, (_, _, address) in PODS.items()}
    addresses |= {"out": parse_address(OUTSIDE).value, "host": parse_address(HOST).value}
    found = []
    for (src, source), (dst, destination), port in product(addresses.items(), addresses.items(), (80, 8080)):
        if src in (dst, "host"):
            continue
        packet = Packet(IPFamily.V4, source, destination, 6, sport=40000, dport=port, tcp_flags=2)
        found.append((packet, PODS[src][1] if src in ("p1", "p2") else "eth0"))
    return found


PACKETS = packets()


def opened(whole: list[Document], broken: list[Document]) -> list[tuple[Packet, str]]:
    """Packets that get through only because something is missing."""
    try:
        closed = node_of(read(broken, keep_going=True))
    except InvalidInput:
        return []
    full = node_of(read(whole))
    return [one for one in PACKETS if accepted(closed, *one) and not accepted(full, *one)]


@examples(40)
@given(cluster=clusters(), data=st.data())
def test_nothing_is_opened_by_a_resource_that_cannot_be_read(cluster: list[Document], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(cluster) - 1), label="which")
    how = data.draw(st.sampled_from(("field", "rule", "kind", "selector", "value")), label="how")
    broken = [*cluster[:place], spoilt(cluster[place], how), *cluster[place + 1 :]]
    assert opened(cluster, broken) == []


@examples(15)
@given(cluster=clusters(), other=clusters(), data=st.data())
def test_nothing_is_opened_by_two_of_one_name(cluster: list[Document], other: list[Document], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(cluster) - 1), label="which")
    key = (cluster[place]["kind"], cluster[place]["metadata"]["name"])
    twin = next((one for one in other if (one["kind"], one["metadata"]["name"]) == key), None)
    if twin is None:
        return
    both = [*cluster, twin]
    alone = [*cluster[:place], twin, *cluster[place + 1 :]]
    assert opened(cluster, both) == []
    assert opened(alone, both) == []


def test_the_property_can_fail() -> None:
    """A denial that is simply left out opens, so the packets do look where it counts."""
    deny = document("GlobalNetworkPolicy", "a", {"order": 1, "ingress": [{"action": "Deny"}]})
    allow = document("GlobalNetworkPolicy", "b", {"ingress": [{"action": "Allow"}]})
    pod = document(
        "WorkloadEndpoint", "node--1-k8s-p1-eth0",
        {"orchestrator": "k8s", "node": "node-1", "pod": "p1", "endpoint": "eth0", "interfaceName": "cali1",
         "ipNetworks": ["10.1.0.1/32"]}, namespace="n",
    )  # fmt: skip
    full, without = node_of(read([deny, allow, pod])), node_of(read([allow, pod]))
    assert [one for one in PACKETS if accepted(without, *one) and not accepted(full, *one)]
    assert opened([deny, allow, pod], [spoilt(deny, "field"), allow, pod]) == []
    with pytest.raises(InvalidInput):
        read([spoilt(deny, "field")])
