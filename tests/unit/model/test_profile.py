"""Profiles (spec: model 1.11)."""

from __future__ import annotations

from tests.model_value import read_spec, refusal_of_spec
from tortie.model.profile import Profile
from tortie.model.rule import Action, PolicyRule


def test_rules_and_labels() -> None:
    spec = read_spec(Profile, {"ingress": [{"action": "Allow"}], "labelsToApply": {"pcns.a": "b"}}).spec
    assert (spec.ingress, spec.egress) == ((PolicyRule(Action.ALLOW),), ())
    assert spec.labels_to_apply == {"pcns.a": "b"}


def test_labels_must_be_labels() -> None:
    assert "'a b' is not a label's value" in refusal_of_spec(Profile, {"labelsToApply": {"a": "a b"}})
