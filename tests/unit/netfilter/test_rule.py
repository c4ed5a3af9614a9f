"""The order in which iptables-save prints a rule's header tests (spec: netfilter 9.2)."""

from __future__ import annotations

from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter.rule import Counters, Rule, canonical_rule


def test_header_tests_come_first_in_their_order_and_the_others_as_they_stand() -> None:
    rule = parse_rule(
        "-m mark --mark 0x1/0x1 -p tcp -o eth1 -m comment --comment a -i eth0 -d 10.0.0.2 -s 10.0.0.1", IPFamily.V4
    )
    shuffled = Rule(tuple(reversed(rule.matches)), rule.target)
    names = [type(match).__name__ for match in canonical_rule(shuffled).matches]
    assert names[:5] == ["SourceMatch", "DestinationMatch", "InInterfaceMatch", "OutInterfaceMatch", "ProtocolMatch"]
    assert names[5:] == ["CommentMatch", "MarkMatch"]


def test_counters_are_no_part_of_a_rules_meaning() -> None:
    assert Rule(counters=Counters(1, 60)) == Rule()
