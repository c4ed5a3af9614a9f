"""The document of a rendering keeps to its schema and says whose everything is."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.golden.rewrite_plan import REFERENCE, snapshot
from tests.unit.simulator.test_document import close_schema
from tortie.cli.desired import find_desired
from tortie.cli.node_state import snapshot_state
from tortie.cli.rendered_document import rendering_document, rule_hash
from tortie.cli.resource_files import load_resources
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "render-schema.json").read_text())
DESIRED = find_desired(load_resources([str(REFERENCE / "resources")]), "reference", snapshot_state(snapshot()))
DOCUMENT = rendering_document(DESIRED, IPFamily)


def test_the_document_keeps_to_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(close_schema(SCHEMA)).validate(json.loads(json.dumps(DOCUMENT)))


def test_every_chain_and_set_has_an_owner() -> None:
    (first, _) = DOCUMENT["families"]
    filter_table = next(table for table in first["tables"] if table["name"] == "filter")
    owners = {chain["name"]: chain["owner"] for chain in filter_table["chains"]}
    assert owners["cali-pi-shop/knp.default.web"] == {
        "kind": "policy", "name": "Kubernetes NetworkPolicy shop/web", "part": "ingress",
    }  # fmt: skip
    assert owners["cali-fw-cali551b05c3e54"]["name"] == "pod shop/web (cali551b05c3e54)"
    assert owners["cali-fh-eth0"]["name"] == "HostEndpoint reference-eth0 (eth0)"
    assert {one["of"] for one in first["ip_sets"]} >= {"all IP pools", "addresses of this node"}


def test_only_what_is_asked_for_is_there() -> None:
    assert [one["ip_version"] for one in rendering_document(DESIRED, [IPFamily.V6])["families"]] == [6]


def test_the_hash_of_a_rule() -> None:
    def of(text: str) -> str | None:
        return rule_hash(parse_rule(text, IPFamily.V4))

    assert of('-m comment --comment "cali:abc_-" -j DROP') == "abc_-"
    assert of('-m comment --comment "mine" -j DROP') is None
    assert of("-j DROP") is None
