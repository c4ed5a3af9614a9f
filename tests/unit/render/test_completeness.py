"""A view that names what it does not hold is refused, also when it is not the first that is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.render.test_ruleset import BUSY, RULES, workload
from tortie.calc.view import ActivePolicy, ActiveProfile, EndpointTier, NodeView
from tortie.render.completeness import Completeness

TIER = (EndpointTier(("absent",)),)
HOST, *OTHERS = BUSY.host_endpoints

INCOMPLETE: dict[str, tuple[NodeView, str]] = {
    "policy of a workload": (replace(BUSY, workloads=(workload("ns/a", "cali11", tiers=TIER),)), "policy 'absent'"),
    "egress policy": (
        replace(BUSY, workloads=(workload("ns/a", "cali11", tiers=(EndpointTier((), ("absent",)),)),)),
        "policy 'absent'",
    ),
    **{
        f"policy of a host endpoint: {field}": (
            replace(BUSY, host_endpoints=(replace(HOST, **{field: TIER}), *OTHERS)),
            "policy 'absent'",
        )
        for field in ("tiers", "untracked_tiers", "pre_dnat_tiers", "forward_tiers")
    },
    "profile of a workload": (
        replace(BUSY, workloads=(workload("ns/a", "cali11", profiles=("kns.ns", "gone")),)),
        "profile 'gone'",
    ),
    "profile of a host endpoint": (
        replace(BUSY, host_endpoints=(replace(HOST, profiles=("gone",)), *OTHERS)),
        "profile 'gone'",
    ),
    "set of a policy": (
        replace(BUSY, ip_sets=(), policies=(*BUSY.policies, ActivePolicy("more", RULES))),
        "ip set 's:a'",
    ),
    "set of a profile": (
        replace(BUSY, workloads=(), host_endpoints=(), policies=(), ip_sets=(), profiles=(ActiveProfile("p", (), RULES),)),
        "ip set 's:a'",
    ),
    "a policy went, its endpoints did not": (replace(BUSY, policies=BUSY.policies[:-1]), "policy 'ns/default.p'"),
    "a profile went, its endpoints did not": (replace(BUSY, profiles=()), "profile 'kns.ns'"),
    "a set went, its rules did not": (replace(BUSY, ip_sets=()), "ip set 's:a'"),
}


@pytest.mark.parametrize(("view", "what"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_view_that_names_more_than_it_holds_is_a_mistake(view: NodeView, what: str) -> None:
    fresh, used = Completeness(), Completeness()
    used.check(BUSY)
    for checks in (fresh, used, used):
        with pytest.raises(ValueError, match=f"^the view names {what} but does not contain it$"):
            checks.check(view)


def test_a_complete_view_is_complete_after_another_that_was_not() -> None:
    checks = Completeness()
    for view, _ in INCOMPLETE.values():
        with pytest.raises(ValueError, match="does not contain it"):
            checks.check(view)
        checks.check(BUSY)
