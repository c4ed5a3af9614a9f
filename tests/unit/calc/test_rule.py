"""Rules with the ids of their sets (spec: model 4.5, 6.4, 11)."""

from __future__ import annotations

import pytest

from tests.calc_builder import allow_from, allow_to_port
from tortie.calc.rule import active_profile, active_rule, set_uses
from tortie.calc.view import ActiveProfile, ActiveRule, IcmpTest, PortRange, RuleAction, RuleSide
from tortie.model import v1
from tortie.model.scalar import PortRange as ModelPortRange
from tortie.net.address import IPFamily, parse_prefix
from tortie.selector.parse import parse_selector

X, NOT_Y = parse_selector("has(x)"), parse_selector("has(y)")
NET, NOT_NET = parse_prefix("10.0.0.0/8"), parse_prefix("fd00::/8")


def named_port(name: str, protocol: str = "tcp", selector: str = "all()") -> v1.NamedPort:
    return v1.NamedPort(parse_selector(selector), protocol, name)


@pytest.mark.parametrize(
    ("selector", "set_id"),
    [
        ("all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"),
        ("has(a)", "s:JpRGrxZ4kdS6g7WoF-uG_g7qlh2ipw2zGYBMpQ"),
        ("role == 'db' && env != \"dev\"", "s:6bxNOv1u2rar4L57CFjb8CpE_pnmVqspUYbIXA"),
    ],
)
def test_id_of_a_selectors_set(selector: str, set_id: str) -> None:
    (use,) = set_uses([allow_from(selector)])
    assert (use.id, use.port) == (set_id, None)
    assert active_rule(allow_from(selector)).source.ip_sets == (set_id,)


@pytest.mark.parametrize(
    ("name", "protocol", "selector", "set_id"),
    [
        ("http", "tcp", "all()", "n:cl9_Kgeu4H0OGLbhovVR3NBLUOZscKeMK1Mu4A"),
        ("dns", "udp", "all()", "n:wBUuGT_s8isCYKpah3eXsbdmUcK81NRtDXrUEA"),
        ("psql", "tcp", 'role == "db"', "n:s4IebwKotj0fXDZc6DX1YxEZL-5QXvNpY1Zlgw"),
    ],
)
def test_id_of_a_named_ports_set(name: str, protocol: str, selector: str, set_id: str) -> None:
    rule = allow_to_port(name, protocol, selector)
    (use,) = set_uses([rule])
    assert (use.id, use.port) == (set_id, named_port(name, protocol, selector))
    assert active_rule(rule).destination.named_port_sets == (set_id,)


def test_a_rule_keeps_all_that_it_asks() -> None:
    side = v1.RuleSide(
        (NET,),
        (ModelPortRange(1, 2),),
        X,
        (named_port("p"),),
        (NOT_NET,),
        (ModelPortRange(3, 3),),
        NOT_Y,
        (named_port("q"),),
    )
    rule = v1.Rule("next-tier", IPFamily.V6, "tcp", 17, destination=side, icmp=v1.Icmp(8), not_icmp=v1.Icmp(3, 1))
    ids = [use.id for use in set_uses([rule])]
    assert active_rule(rule) == ActiveRule(
        RuleAction.NEXT_TIER,
        IPFamily.V6,
        "tcp",
        17,
        destination=RuleSide(
            nets=(NET,),
            ports=(PortRange(1, 2),),
            ip_sets=(ids[0],),
            named_port_sets=(ids[2],),
            not_nets=(NOT_NET,),
            not_ports=(PortRange(3, 3),),
            not_ip_sets=(ids[1],),
            not_named_port_sets=(ids[3],),
        ),
        icmp=IcmpTest(8),
        not_icmp=IcmpTest(3, 1),
    )
    assert len(set(ids)) == 4


def test_sets_of_both_sides_are_used() -> None:
    rule = v1.Rule("allow", source=v1.RuleSide(selector=X), destination=v1.RuleSide(not_selector=NOT_Y))
    assert [use.selector for use in set_uses([rule])] == [X, NOT_Y]


def test_a_profile_that_is_missing_denies() -> None:
    deny = (ActiveRule(RuleAction.DENY),)
    assert active_profile("p", None) == ActiveProfile("p", deny, deny)
    assert active_profile("p", v1.Profile("p")) == ActiveProfile("p")
