"""An explanation as plain values."""

from __future__ import annotations

import json
from typing import Any

from tests.explained_cluster import Explained, basis_of, explained
from tests.reference_builder import WORLD, policy, read
from tortie.explain.document import origin_document, policy_document
from tortie.explain.origin import Origins, RuleOrigin
from tortie.model.read import parse_resources
from tortie.simulator.trace import RuleStep

RULES = "{ingress: [{action: Allow, protocol: TCP, source: {selector: role == 'back'}}]}"
RESOURCES = read(WORLD, policy("web", "a", RULES))
SEEN = explained(RESOURCES, "tcp 10.65.1.2:1000 10.65.0.2:8080", "eth0")


def document(seen: Explained = SEEN) -> dict[str, Any]:
    made = policy_document(seen.explanation, ("a remark",))
    again: dict[str, Any] = json.loads(json.dumps(made))
    assert again == made, "nothing but plain values"
    return made


def test_the_verdict_names_everything() -> None:
    verdict = document()["verdict"]
    assert (verdict["packet"], verdict["cause"], verdict["policy_helps"]) == ("first", "no_policy_allows", True)
    assert verdict["endpoint"] == {
        "kind": "workload",
        "title": "pod a/web",
        "resource": None,
        "name": "cali1",
        "direction": "ingress",
        "stage": "normal",
    }
    (owner,) = verdict["asked"]
    assert owner["resource"] == {"kind": "NetworkPolicy", "namespace": "a", "name": "web"}
    assert owner["rules"] == [
        {
            "rule": 1,
            "action": "Allow",
            "text": "allows tcp from role == 'back'",
            "misses": ["source selector"],
            "why": ["the source, pod a/far, is not selected"],
        }
    ]


def test_every_change_is_a_resource_that_can_be_applied() -> None:
    changes = document()["changes"]
    assert [change["resources"][0]["kind"] for change in changes] == ["label", "rule", "policy"]
    for change in changes:
        texts = [("change", json.dumps(one["resource"])) for one in change["resources"]]
        assert len(parse_resources(texts)) == len(texts)
    assert changes[0]["resources"][0]["resource"]["metadata"]["labels"]["role"] == "back"
    assert [change["resources"][0]["created"] for change in changes] == [False, False, True]


def test_what_gets_through_has_no_verdict() -> None:
    made = document(explained(RESOURCES, "tcp 10.65.0.3:1000 10.65.1.2:8080", "cali2"))
    assert made["verdict"] is None and made["changes"] == [] and made["stale"] is None
    assert [(one["text"], one["rule"]) for one in made["allowed"]] == [
        ("egress of pod b/db: Namespace b rule 1 allows it", 1)
    ]
    assert made["remarks"] == ["a remark"]


def test_a_step_has_its_origin() -> None:
    origins = Origins(basis_of(RESOURCES))
    steps = [step for step in SEEN.answer.first.trace.steps if isinstance(step, RuleStep)]
    made = [origin_document(origins.of_step(step)) for step in steps]
    assert all(one is None or one["rendered"] for one in made)
    policies = [one["owner"]["title"] for one in made if one is not None and one["owner"]["kind"] == "workload"]
    assert set(policies) == {"pod a/web"}
    assert origin_document(None) is None
    assert origin_document(RuleOrigin(rendered=False)) == {"rendered": False, "owner": None, "rule": None, "sets": []}
