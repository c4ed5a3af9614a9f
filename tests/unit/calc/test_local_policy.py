"""Which policies are active and which endpoints are looked at again; results in full: test_state_sequence.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.calc_builder import allow_from, policy
from tortie.calc.endpoint import Tiers
from tortie.calc.local_policy import LocalPolicies
from tortie.calc.view import EndpointTier
from tortie.model.read import Key

POD, TWIN, OTHER = (Key("WorkloadEndpoint", "ns", name) for name in ("pod", "twin", "other"))
A, B = policy("a", "app == 'x'"), policy("b", "has(app)")


def tiers(*names: str) -> Tiers:
    return Tiers(normal=(EndpointTier(names, names),))


@pytest.fixture
def local() -> LocalPolicies:
    """Two endpoints with two policies each, one with one."""
    made = LocalPolicies()
    for one in (A, B):
        made.set_policy(one.name, one)
    for key, value in ((POD, "x"), (TWIN, "x"), (OTHER, "y")):
        made.set_endpoint(key, {"app": value})
    assert made.flush_policies() == {"a": A, "b": B}
    assert made.flush_tiers() == {POD: tiers("a", "b"), TWIN: tiers("a", "b"), OTHER: tiers("b")}
    return made


def test_nothing_is_told_twice(local: LocalPolicies) -> None:
    assert (local.flush_policies(), local.flush_tiers()) == ({}, {})


def test_endpoints_that_the_same_select_share_their_tiers(local: LocalPolicies) -> None:
    local.set_endpoint(POD, {"app": "x", "more": "1"})
    local.set_endpoint(TWIN, {"app": "x"})
    found = local.flush_tiers()
    assert found[POD] is found[TWIN]


def test_a_policy_with_other_rules_leaves_endpoints_alone(local: LocalPolicies) -> None:
    other = replace(A, inbound=(allow_from("has(b)"),))
    local.set_policy("a", other)
    assert (local.flush_policies(), local.flush_tiers()) == ({"a": other}, {})


def test_the_same_policy_again_changes_nothing(local: LocalPolicies) -> None:
    local.set_policy("a", policy("a", "app == 'x'"))
    assert (local.flush_policies(), local.flush_tiers()) == ({}, {})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (replace(A, order=1.0), ("a", "b")),
        (replace(B, order=1.0), ("b", "a")),
        (None, ("b",)),
        (policy("a", "app == 'y'"), ("b",)),
        (replace(A, apply_on_forward=True), ("a", "b")),
    ],
    ids=["lower order", "other policy first", "gone", "other selector", "on forward"],
)
def test_a_policy_that_changes_otherwise_changes_its_endpoints(
    local: LocalPolicies, changed: object, expected: tuple[str, ...]
) -> None:
    name = "b" if getattr(changed, "name", "a") == "b" else "a"
    local.set_policy(name, changed)  # type: ignore[arg-type]
    found = local.flush_tiers()
    assert {key: found[key].normal for key in (POD, TWIN)} == dict.fromkeys((POD, TWIN), tiers(*expected).normal)


def test_of_policies_with_one_selector_each_stays_when_another_goes(local: LocalPolicies) -> None:
    twin = policy("c", "has(app)")
    local.set_policy("c", twin)
    assert local.flush_tiers()[POD] == tiers("a", "b", "c")
    local.set_policy("c", None)
    assert (local.flush_tiers()[POD], local.flush_policies()) == (tiers("a", "b"), {"c": None})
    local.set_policy("b", None)
    assert local.flush_tiers()[OTHER] == Tiers()
    local.set_policy("c", twin)
    assert (local.flush_tiers()[OTHER], local.flush_policies()) == (tiers("c"), {"b": None, "c": twin})


def test_a_policy_is_active_while_it_selects_something(local: LocalPolicies) -> None:
    local.set_endpoint(POD, {"app": "y"})
    assert local.flush_policies() == {}
    local.remove_endpoint(TWIN)
    assert local.flush_policies() == {"a": None}
    assert local.flush_tiers() == {POD: tiers("b")}
    local.set_endpoint(TWIN, {"app": "x"})
    assert local.flush_policies() == {"a": A}


def test_a_policy_follows_inherited_labels(local: LocalPolicies) -> None:
    local.set_endpoint(POD, {}, ("prof",))
    local.flush_tiers()
    local.set_parent("prof", {"app": "y"})
    assert local.flush_tiers() == {POD: tiers("b")}
