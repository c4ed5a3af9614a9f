"""The order of policies (spec: model 6.3); what endpoints make of it: test_calculation.py."""

from __future__ import annotations

import itertools

from tests.calc_builder import policy
from tortie.calc.endpoint import ordered


def test_order_then_name_and_without_an_order_last() -> None:
    given = (policy("c", order=-1), policy("b", order=0), policy("a", order=2.5), policy("A"), policy("a/b"), policy("é"))
    for shuffled in itertools.permutations(given):
        assert tuple(ordered(shuffled)) == given
