"""What is ours is told by looks, in any chain (spec: rules 10.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.table_text import FILTER, NAT, OURS, V4, V6, rules
from tortie.netfilter.hook import TableName


@pytest.mark.parametrize(
    ("table", "chain", "text", "ours"),
    [
        (FILTER, "our-x", "-j ACCEPT", True),
        (FILTER, "FORWARD", '-m comment --comment "our_abc" -j ACCEPT', True),
        (FILTER, "foreign", "-m comment --comment note -m comment --comment our_abc -j ACCEPT", True),
        (FILTER, "FORWARD", '-m comment --comment "our_abc and more" -j ACCEPT', True),
        (FILTER, "FORWARD", '-m comment --comment "our_" -j ACCEPT', False),
        (FILTER, "FORWARD", '-m comment --comment "not our_abc" -j ACCEPT', False),
        (FILTER, "FORWARD", "-i eth0 -j our-x", True),
        (FILTER, "FORWARD", "-i eth0 -j elder-x", True),
        (FILTER, "FORWARD", "-i eth0 -g our-x", False),
        (FILTER, "FORWARD", "-i eth0 -j DROP", False),
        (NAT, "POSTROUTING", "-m set --match-set elder-pools src -j MASQUERADE", True),
        (FILTER, "FORWARD", "-m set --match-set elder-pools src -j ACCEPT", False),
    ],
)
def test_rules(table: TableName, chain: str, text: str, ours: bool) -> None:
    assert OURS.owns_rule(table, chain, rules(text)[0], V4) is ours


def test_sets_belong_to_a_family() -> None:
    assert [OURS.owns_set(family, "our4x") for family in (V4, V6)] == [True, False]
    assert not OURS.owns_set(V4, "your4")


def test_what_is_made_must_be_known_again() -> None:
    with pytest.raises(ValueError, match="comment"):
        replace(OURS, fence_comment="fence")
    with pytest.raises(ValueError, match="set named t0"):
        replace(OURS, temporary_sets={V4: "t"})
