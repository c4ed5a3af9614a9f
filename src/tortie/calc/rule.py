"""Rules of active policies and profiles as the view has them, and the sets that they name (spec: model 4.5, 6.4).

The model has already said what becomes a set; here sets get their ids, and a set is told from others by its id alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from tortie.calc.set_id import named_port_set_id, selector_set_id
from tortie.calc.view import ActivePolicy, ActiveProfile, ActiveRule, IcmpTest, PortRange, RuleAction, RuleSide
from tortie.model import v1
from tortie.model.scalar import PortRange as ModelPortRange
from tortie.selector.canonical import format_selector
from tortie.selector.tree import Selector

_DENY = (ActiveRule(RuleAction.DENY),)


@dataclass(frozen=True, slots=True)
class SetUse:
    """A set that some rule names: the addresses of what `selector` selects, or those with the numbers of a named `port`."""

    id: str
    selector: Selector
    port: v1.NamedPort | None = None


def active_policy(policy: v1.Policy) -> ActivePolicy:
    """The policy as the node is told it; rules of both directions, whichever it is for."""
    return ActivePolicy(
        name=policy.name,
        inbound=tuple(map(active_rule, policy.inbound)),
        outbound=tuple(map(active_rule, policy.outbound)),
        namespace=policy.namespace,
        untracked=policy.untracked,
        pre_dnat=policy.pre_dnat,
    )


def active_profile(name: str, profile: v1.Profile | None) -> ActiveProfile:
    """The profile as the node is told it: one that does not exist denies everything (spec: model 6.2)."""
    if profile is None:
        return ActiveProfile(name, _DENY, _DENY)
    return ActiveProfile(name, tuple(map(active_rule, profile.inbound)), tuple(map(active_rule, profile.outbound)))


def active_rule(rule: v1.Rule) -> ActiveRule:
    """The rule with ids where the model has selectors."""
    return ActiveRule(
        action=RuleAction(rule.action),
        ip_version=rule.ip_version,
        protocol=rule.protocol,
        not_protocol=rule.not_protocol,
        source=_side(rule.source),
        destination=_side(rule.destination),
        icmp=_icmp(rule.icmp),
        not_icmp=_icmp(rule.not_icmp),
    )


def set_uses(rules: Iterable[v1.Rule]) -> Iterator[SetUse]:
    """Every set that the rules name, as often as they name it."""
    for rule in rules:
        for side in (rule.source, rule.destination):
            for selector in side.selectors:
                yield SetUse(selector_id(selector), selector)
            for port in (*side.named_ports, *side.not_named_ports):
                yield SetUse(named_port_id(port), port.selector, port)


@lru_cache(maxsize=65536)
def selector_id(selector: Selector) -> str:
    """The id of the set of everything that the selector selects."""
    return selector_set_id(format_selector(selector))


def named_port_id(port: v1.NamedPort) -> str:
    """The id of a named port's set."""
    return named_port_set_id(selector_id(port.selector), port.protocol, port.name)


_NOTHING_ASKED = v1.RuleSide()
_EVERYTHING = RuleSide()


def _side(side: v1.RuleSide) -> RuleSide:
    if side == _NOTHING_ASKED:
        return _EVERYTHING
    return RuleSide(
        nets=side.nets,
        ports=_ports(side.ports),
        ip_sets=_ids(side.selector),
        named_port_sets=tuple(map(named_port_id, side.named_ports)),
        not_nets=side.not_nets,
        not_ports=_ports(side.not_ports),
        not_ip_sets=_ids(side.not_selector),
        not_named_port_sets=tuple(map(named_port_id, side.not_named_ports)),
    )


def _ids(selector: Selector | None) -> tuple[str, ...]:
    return () if selector is None else (selector_id(selector),)


def _ports(ports: tuple[ModelPortRange, ...]) -> tuple[PortRange, ...]:
    return tuple(PortRange(port.first, port.last) for port in ports)


def _icmp(icmp: v1.Icmp | None) -> IcmpTest | None:
    return None if icmp is None else IcmpTest(icmp.type, icmp.code)
