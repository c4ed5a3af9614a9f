"""`tortie apply` over a fake kernel, and which of its two meanings is meant; the real kernel is in tests/kernel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from tests.fakes.tools import Fails, FakeTools
from tests.golden.rewrite_plan import REFERENCE
from tests.unit.simulator.test_document import close_schema
from tortie.cli import apply as module
from tortie.cli.apply import (
    applied_document,
    check_allowed,
    datastore_command,
    means_datastore,
    other_backend_remarks,
    prepare,
    program,
)
from tortie.cli.programming import CALICO
from tortie.cli.resource_files import load_resources
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran
from tortie.model.read import Resources, parse_resources
from tortie.net.address import IPFamily, parse_address
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend

RESOURCES = load_resources([str(REFERENCE / "resources")])
ADDRESSES = b"""[{"ifindex": 1, "ifname": "eth0", "flags": ["UP"], "addr_info":
 [{"family": "inet", "local": "10.20.0.11", "prefixlen": 24, "scope": "global"}]}]"""


class Node:
    """The tools of a node over a fake kernel."""

    def __init__(self, tools: FakeTools | None = None) -> None:
        self.tools = tools or FakeTools(plain=Backend.NFT)

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        if command[0] == "ip":
            return Ran(0, ADDRESSES)
        if command[0] == "cat":
            return Ran(0, b"Linux version 5.10.0 (x)\n")
        return self.tools(command, data)


def job(
    node: Node, name: str = "reference", backend: Backend | None = None, resources: Resources = RESOURCES
) -> module.Job:
    return prepare(node, resources, name, backend)


def test_the_back_end_is_that_of_plain_iptables_unless_it_is_said() -> None:
    assert job(Node()).backend is Backend.NFT
    assert job(Node(), backend=Backend.LEGACY).backend is Backend.LEGACY


def test_the_node_is_read_and_its_own_state_taken_into_account() -> None:
    made = job(Node())
    assert parse_address("10.20.0.11") in made.desired.state.interfaces[0].addresses
    assert set(made.held.rulesets) == set(IPFamily)


def test_what_is_wanted_is_programmed_and_then_there_is_nothing_to_do() -> None:
    node = Node()
    first = program(job(node), pytest.fail)
    assert first.steps > 5
    assert any(CALICO.owns_set(IPFamily.V4, name) for name in node.tools.kernel.ip_sets)
    assert program(job(node), pytest.fail).steps == 0


def test_the_document_keeps_to_its_schema() -> None:
    schema = json.loads((Path(__file__).parents[3] / "docs" / "apply-schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    made = job(Node())
    document = applied_document(made, program(made, pytest.fail))
    Draft202012Validator(close_schema(schema)).validate(document)
    assert (document["node"], document["backend"]) == ("reference", "nft")


def test_the_first_reading_is_not_made_twice() -> None:
    node = Node()
    program(job(node), pytest.fail)
    asked: list[str] = []

    def run(command: Sequence[str], data: bytes = b"") -> Ran:
        asked.append(command[0])
        return node(command, data)

    program(prepare(run, RESOURCES, "reference", None), pytest.fail)
    assert asked.count("ipset") == 1


def test_a_tool_that_fails_is_tried_again() -> None:
    node = Node(FakeTools(plain=Backend.NFT, failures={1: Fails()}))
    pauses: list[float] = []
    done = program(job(node), pauses.append)
    assert (len(done.failures), len(pauses)) == (1, 1)
    assert program(job(node), pytest.fail).steps == 0


def test_without_tools_that_is_told() -> None:
    with pytest.raises(KernelRefused, match="not installed"):
        job(Node(FakeTools(missing=("iptables", "ipset"))))


def test_a_name_that_no_resource_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no resource names the node other"):
        check_allowed(job(Node(), "other"), "")


def test_before_the_datastore_is_ready_nothing_is_programmed() -> None:
    text = """
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {datastoreReady: false}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: node-1}
"""
    made = job(Node(), "node-1", resources=parse_resources([("x", text)]))
    with pytest.raises(InvalidInput, match="not ready"):
        check_allowed(made, "")


def test_where_nothing_changes_nobody_is_asked_for() -> None:
    node = Node()
    program(job(node), pytest.fail)
    check_allowed(job(node), "")


def test_the_other_back_end_is_told_of() -> None:
    node = Node()
    program(job(node, backend=Backend.LEGACY), pytest.fail)
    assert [text[:29] for text in other_backend_remarks(node, Backend.NFT)] == [
        "IPv4: the legacy back-end hol",
        "IPv6: the legacy back-end hol",
    ]
    assert other_backend_remarks(node, Backend.LEGACY) == []


# --- the other meaning -------------------------------------------------------------------------------------------

WORDS = {
    "-f x": True, "-fx": True, "--filename x": True, "--filename=x": True, "x --force": False, "--felix-exact x": False,
    "x -- -f": False, "x": False,
}  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), WORDS.items(), ids=WORDS)
def test_which_is_meant(words: str, expected: bool) -> None:
    assert means_datastore(words.split()) is expected


def test_the_command_for_the_datastore_is_used_where_there_is_one() -> None:
    found = datastore_command()
    assert found is None or isinstance(found, click.Command)
