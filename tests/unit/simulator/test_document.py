from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests import trace_values
from tortie.net.address import IPFamily
from tortie.netfilter.target import Accept, Drop, Goto, Jump, MarkTarget, Reject
from tortie.simulator.document import (
    SCHEMA,
    brief_document,
    flow_document,
    outcome_probability,
    packet_document,
    target_name,
    walk_document,
)
from tortie.simulator.flow import Flow

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "trace-schema.json"


def close_schema(part: Any) -> Any:
    """The schema with no room for fields that it does not name, so that none goes undocumented."""
    if isinstance(part, dict):
        closed = {key: close_schema(value) for key, value in part.items()}
        return closed | {"additionalProperties": False} if "properties" in part else closed
    return [close_schema(value) for value in part] if isinstance(part, list) else part


VALIDATOR = Draft202012Validator(close_schema(json.loads(SCHEMA_FILE.read_text())))
NAMING = trace_values.NAMING


def document(name: str) -> dict[str, Any]:
    return walk_document(trace_values.ALL[name], NAMING, node="hand-built")


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))
    assert json.loads(SCHEMA_FILE.read_text())["$defs"]["walk"]["properties"]["schema"] == {"const": SCHEMA}


@pytest.mark.parametrize("name", trace_values.ALL)
def test_every_document_fits_the_schema_and_is_json(name: str) -> None:
    for made in (document(name), brief_document(trace_values.ALL[name], NAMING)):
        assert json.loads(json.dumps(made)) == made
        VALIDATOR.validate(made)


def test_a_conversation_fits_the_schema_too() -> None:
    first = trace_values.ALL["forwarded"]
    flow = flow_document(Flow(first, first, None, False, "the answer does not get through"), NAMING)
    VALIDATOR.validate(document("forwarded") | {"flow": flow, "notes": []})
    assert (flow["works"], flow["next"]) == (False, None)
    assert flow["reply"]["verdict"] == "ACCEPT"


@pytest.mark.parametrize("spoiled", [{"schema": 2}, {"verdict": "MAYBE NOT"}, {"steps": None}, {"surprise": 1}])
def test_the_schema_refuses_what_it_does_not_say(spoiled: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(document("forwarded") | spoiled))


def test_a_rule_step_says_what_the_rule_did() -> None:
    steps = [
        step for step in document("forwarded")["steps"] if step["kind"] == "rule" and step["chain"].startswith("cali-pi-")
    ]
    told = ("hook", "table", "chain", "rule", "matched", "target", "mark_before", "mark")
    assert {key: steps[0][key] for key in told} == {
        "hook": "FORWARD", "table": "filter", "chain": "cali-pi-shop/default.web", "rule": 1, "matched": True,
        "target": "MARK", "mark_before": 0, "mark": 0x10000,
    }  # fmt: skip
    assert steps[0]["role"] == "Calico: policy shop/web, ingress rules"
    assert steps[0]["mark_meaning"] == "accept"
    assert steps[0]["text"].startswith("-s 10.65.0.0/16 ")


def test_what_decided_stands_at_the_top() -> None:
    decided = document("dropped-by-profile")["decided_by"]
    assert (decided["cause"], decided["hook"], decided["table"], decided["chain"], decided["rule"]) == (
        "rule", "FORWARD", "filter", "cali-tw-cali1a2b", 9,
    )  # fmt: skip
    assert decided["rule_text"].endswith("-j DROP")


def test_the_packet_as_it_leaves_has_its_new_ends() -> None:
    out = document("translated")["out"]
    assert (out["iface"], out["src"], out["dst"], out["dport"], out["mark"]) == ("eth1", "10.65.0.1", "10.65.0.9", 8080, 0)
    assert (out["sport_range"], out["dport_range"], out["source_known"]) == ([1024, 65535], None, True)


def test_connections_are_told_by_both_tuples() -> None:
    connection = document("translated")["conntrack"]
    assert connection["original"]["dst_key"] == 80
    assert connection["reply"]["src_key"] == 8080
    assert connection["src_nat"] and connection["dst_nat"]


def test_one_outcome_is_not_listed_again() -> None:
    assert document("forwarded")["outcomes"] == []
    assert brief_document(trace_values.ALL["forwarded"], NAMING)["outcomes"] == 1


def test_several_outcomes_are_listed_with_their_conditions() -> None:
    made = document("rejected-or-not")
    assert (made["verdict"], made["disposition"]) == ("MAYBE", "unknown")
    assert [outcome["verdict"] for outcome in made["outcomes"]] == ["ACCEPT", "REJECT"]
    assert made["outcomes"][1]["conditions"][0]["subject"] == "filter:FORWARD:1"
    assert made["outcomes"][1]["answers"][0]["out"]["iface"] == "eth0"
    assert made["assumptions"] == ["no conntrack table in the snapshot"]


def test_probability_is_known_only_when_every_condition_has_one() -> None:
    assert outcome_probability(trace_values.ALL["forwarded"].trace) == 1
    assert outcome_probability(trace_values.ALL["rejected-or-not"].trace) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, None),
        (Accept(), "ACCEPT"),
        (Drop(), "DROP"),
        (MarkTarget(1, 1), "MARK"),
        (Jump("cali-FORWARD"), "cali-FORWARD"),
        (Goto("cali-tw-x"), "cali-tw-x"),
        (Reject("tcp-reset"), "REJECT"),
    ],
)
def test_targets_go_by_the_name_iptables_prints(target: Any, expected: str | None) -> None:
    assert target_name(target, IPFamily.V4) == expected


def test_a_packet_has_the_fields_of_its_kind() -> None:
    made = packet_document(trace_values.PACKET)
    assert (made["proto"], made["sport"], made["tcp_flags"]) == ("tcp", 40000, ["SYN"])
    assert "icmp_type" not in made
    error = trace_values.ALL["rejected-or-not"].outcomes[1].answers[0].packet
    assert "sport" not in packet_document(error)
    assert packet_document(error)["icmp_type"] == 3
