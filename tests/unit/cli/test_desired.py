"""From resources to what a node should have, and what is refused on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tortie.calc.view import NodeView
from tortie.cli.desired import Desired, choose_node, find_desired, usable_marks
from tortie.cli.node_state import ToldState
from tortie.model.read import parse_resources
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import TableName
from tortie.render.config import RenderConfig
from tortie.render.state import NodeInterface, NodeState

STATE = ToldState(NodeState((NodeInterface("eth0"),)), ("of the state",))

POD = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: node--1-k8s-%(name)s-eth0, namespace: ns}
spec:
  {orchestrator: k8s, node: node-1, pod: %(name)s, endpoint: eth0, interfaceName: %(interface)s, ipNetworks: [10.0.0.1/32]}
---
"""
HOST = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: %(name)s}
spec: {node: node-1, interfaceName: %(interface)s}
---
"""


def desired(text: str, node: str = "node-1", *, keep_going: bool = False) -> Desired:
    return find_desired(parse_resources([("x.yaml", text)], keep_going=keep_going), node, STATE)


def filter_chains(made: Desired) -> set[str]:
    return set(made.rendering.families[IPFamily.V4].tables[TableName.FILTER].chains)


def test_a_pod_gets_its_chains_and_all_remarks_are_there() -> None:
    made = desired(POD % {"name": "a", "interface": "cali1"})
    assert "cali-tw-cali1" in filter_chains(made)
    assert made.named
    assert made.remarks == ("of the state",)


@pytest.mark.parametrize(
    ("node", "hint"),
    [("node-2", "did you mean node-1?"), ("zebra", "they name node-1")],
    ids=["mistyped", "nothing near"],
)
def test_a_node_that_no_resource_names_is_remarked(node: str, hint: str) -> None:
    made = desired(POD % {"name": "a", "interface": "cali1"}, node)
    assert not made.named
    assert hint in made.remarks[-1]


def test_without_any_node_that_is_said() -> None:
    assert "they name no node at all" in desired("").remarks[-1]


def test_settings_of_the_node_win_and_bad_ones_are_remarked() -> None:
    text = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default, annotations: {config.projectcalico.org/VXLANPort: x}}
spec: {ipv6Support: true}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.node-1}
spec: {ipv6Support: false}
"""
    made = desired(text + "---" + POD % {"name": "a", "interface": "cali1"})
    assert made.config.families == (IPFamily.V4,)
    assert any("VXLANPort" in remark for remark in made.remarks)


SETTINGS = {
    "a mask with too few bits": ("iptablesMarkMask: 0x30000", "at least 5 bits|bits"),
    "an annotation that Felix would not start with": ("", "InterfacePrefix"),
}


@pytest.mark.parametrize(("spec", "message"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_nothing_can_be_rendered_with_are_refused_at_their_place(spec: str, message: str) -> None:
    annotations = "" if spec else ", annotations: {config.projectcalico.org/InterfacePrefix: '!'}"
    text = f"""
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {{name: default{annotations}}}
spec: {{{spec}}}
"""
    with pytest.raises(InvalidInput, match=message) as refusal:
        desired(text)
    assert (refusal.value.source, refusal.value.line) == ("x.yaml", 2)


# --- two endpoints with one interface ----------------------------------------------------------------------------

TWO = {
    "pods": (
        POD % {"name": "a", "interface": "cali1"} + POD % {"name": "b", "interface": "cali1"},
        "x.yaml:9: WorkloadEndpoint(ns/node--1-k8s-b-eth0): interface cali1 of node node-1 belongs to "
        "WorkloadEndpoint(ns/node--1-k8s-a-eth0) at x.yaml:2 (leave one of them out)",
    ),
    "host endpoints": (
        HOST % {"name": "a", "interface": "eth0"} + HOST % {"name": "b", "interface": "eth0"},
        "x.yaml:8: HostEndpoint(b): interface eth0 of node node-1 belongs to HostEndpoint(a) at x.yaml:2 "
        "(leave one of them out)",
    ),
}


@pytest.mark.parametrize(("text", "message"), TWO.values(), ids=TWO)
def test_two_endpoints_with_one_interface_are_both_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        desired(text)
    assert str(refusal.value) == message


def test_told_to_keep_going_the_interface_of_two_pods_is_closed() -> None:
    made = desired(TWO["pods"][0], keep_going=True)
    assert not any("cali1" in chain for chain in filter_chains(made))
    assert TWO["pods"][1] in made.remarks


def test_told_to_keep_going_the_interface_of_two_host_endpoints_is_closed() -> None:
    made = desired(TWO["host endpoints"][0], keep_going=True)
    policies = [policy.name for policy in made.view.policies]
    assert policies == ["tortie.closed-host"]
    assert "cali-fh-eth0" in filter_chains(made)


# --- parts -------------------------------------------------------------------------------------------------------


def test_the_node_is_this_host_unless_it_is_said() -> None:
    assert choose_node(None, live=True) == os.uname().nodename.lower()
    assert choose_node("Some", live=False) == "Some"


@pytest.mark.parametrize(("given", "message"), [(None, "does not say which node"), ("", "--node is empty")])
def test_a_snapshot_does_not_say_which_node_it_is_of(given: str | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        choose_node(given, live=False)


def test_marks_that_the_mask_cannot_give_out_are_forgotten() -> None:
    config = RenderConfig(mark_mask=0xFFFF0000)
    given = {"a": 0x200000, "outside": 0x1, "nobody's": 0x100000, "none": 0}
    assert usable_marks(given, config) == {"a": 0x200000}


def test_the_calculation_can_be_another() -> None:
    made = find_desired(parse_resources([]), "node-1", STATE, calculate=lambda cluster, node, config: NodeView(f"{node}!"))
    assert made.view.hostname == "node-1!"


def test_the_reference_node_is_what_its_resources_mean() -> None:
    from tortie.cli.node_state import snapshot_state
    from tortie.cli.resource_files import load_resources
    from tortie.cli.snapshot_file import load_snapshot

    folder = Path(__file__).parents[3] / "examples" / "reference-node"
    made = find_desired(
        load_resources([str(folder / "resources")]), "reference", snapshot_state(load_snapshot(str(folder / "snapshot")))
    )
    assert made.remarks == ()
    assert {endpoint.interface for endpoint in made.view.host_endpoints} == {"eth0"}
