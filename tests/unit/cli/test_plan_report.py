"""The report of a plan and its document; what it looks like is in tests/golden/plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.golden.rewrite_plan import EDITS, report
from tests.unit.render.test_ruleset import BUSY, EMPTY, rendered
from tests.unit.simulator.test_document import close_schema
from tortie.cli.plan_report import may_lock_out, report_document
from tortie.reconcile.step import Plan

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "plan-schema.json").read_text())


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_every_document_keeps_to_the_schema(edits: dict[str, object]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    document = json.loads(json.dumps(report_document(report(edits))))  # type: ignore[arg-type]
    Draft202012Validator(close_schema(SCHEMA)).validate(document)


def test_a_node_that_is_what_its_resources_mean_has_an_empty_plan() -> None:
    made = report({})
    assert made.plan == Plan()
    assert not made.changes.any
    assert report_document(made)["changes"] is False


def test_the_document_has_the_steps_in_the_text_that_the_tools_read() -> None:
    steps = report_document(report(EDITS["pod-new"]))["steps"]
    assert [step["kind"] for step in steps] == ["table", "table", "ip sets"]
    assert steps[0]["lines"][0] == "*filter"
    assert steps[2]["lines"] == ["add cali40s:5DYuSn5tLWFQtZEUUL-THHn 192.170.21.77 -exist"]


def test_only_host_endpoints_can_lock_out() -> None:
    assert not may_lock_out(rendered(EMPTY))
    assert not may_lock_out(rendered(replace(BUSY, host_endpoints=())))
    assert may_lock_out(rendered(BUSY))
    assert may_lock_out(rendered(replace(BUSY, host_endpoints=BUSY.host_endpoints[1:])))
