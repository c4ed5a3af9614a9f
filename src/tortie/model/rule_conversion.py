"""A policy's or profile's rule as the user wrote it, to what nodes enforce: two steps of the original's in one.

The first puts selectors into the rule's namespace and takes service accounts into them (spec: model 4.3), the second says
what becomes a set (4.5). The original joins texts and reads them again; here trees are joined, which gives the same trees,
and so the same canonical text and ids, and cannot fail.
"""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

from tortie.model import v1
from tortie.model.endpoint import NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL
from tortie.model.kubernetes_conversion import NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX
from tortie.model.rule import Action, EntityRule, IcmpMatch, PolicyRule, ServiceAccountMatch
from tortie.model.scalar import NamedPort, Port, PortRange, Protocol, supports_ports
from tortie.net.address import IPFamily
from tortie.selector.parse import parse_selector
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

ACTIONS = {Action.ALLOW: "allow", Action.DENY: "deny", Action.LOG: "log", Action.PASS: "next-tier"}
"""What nodes call the actions."""
_VERSION_OF = {"icmp": IPFamily.V4, "icmpv6": IPFamily.V6}
"""Families that a protocol's name implies; its number implies none (spec: model 4.5)."""


def rule_to_v1(rule: PolicyRule, namespace: str = "") -> v1.Rule:
    """The rule as nodes enforce it; `namespace` is that of the rule's policy, empty for rules of the whole cluster."""
    protocol = _protocol(rule.protocol)
    named_protocol = "udp" if protocol in ("udp", 17) else "tcp"
    version = rule.ip_version
    if version is None and isinstance(protocol, str):
        version = _VERSION_OF.get(protocol)
    return v1.Rule(
        action=ACTIONS[rule.action],
        ip_version=version,
        protocol=protocol,
        not_protocol=_protocol(rule.not_protocol),
        source=_side(rule.source, namespace, named_protocol),
        destination=_side(rule.destination, namespace, named_protocol),
        icmp=_icmp(rule.icmp),
        not_icmp=_icmp(rule.not_icmp),
    )


def felix_refuses(rule: PolicyRule) -> bool:
    """True for a rule for which Felix 3.7 leaves out the whole policy or profile (spec: model 6.1, Q8): ports of SCTP.

    Everything else that it refuses is refused when resources are read.
    """
    if supports_ports(rule.protocol):
        return False
    return any((side.ports or side.not_ports) for side in (rule.source, rule.destination))


def _protocol(protocol: Protocol | None) -> Protocol | None:
    return protocol.lower() if isinstance(protocol, str) else protocol


def _icmp(match: IcmpMatch | None) -> v1.Icmp | None:
    """The type and code that are asked for; a match without a type asks nothing."""
    return None if match is None or match.type is None else v1.Icmp(match.type, match.code)


def _side(entity: EntityRule, namespace: str, protocol: str) -> v1.RuleSide:
    positive = rule_selector(entity, namespace)
    negative = _tree(entity.not_selector)
    if positive is not None and negative is not None:
        positive, negative = And((positive, Not(negative))), None
    ports, names = _split(entity.ports)
    not_ports, not_names = _split(entity.not_ports)
    holder = All() if positive is None else positive
    # The sets of named ports hold only what the selector selects, so without other ports it needs no set of its own.
    carried = bool(names) and not ports
    return v1.RuleSide(
        nets=tuple(net.network for net in entity.nets),
        ports=ports,
        selector=None if carried else positive,
        named_ports=tuple(v1.NamedPort(holder, protocol, name) for name in names),
        not_nets=tuple(net.network for net in entity.not_nets),
        not_ports=not_ports,
        not_selector=negative,
        not_named_ports=tuple(v1.NamedPort(holder, protocol, name) for name in not_names),
    )


def _split(ports: tuple[Port, ...]) -> tuple[tuple[PortRange, ...], tuple[str, ...]]:
    """Ports by number and ports by name."""
    numbers: list[PortRange] = []
    names: list[str] = []
    for port in ports:
        match port:
            case PortRange():
                numbers.append(port)
            case NamedPort(name):
                names.append(name)
            case _:
                assert_never(port)
    return tuple(numbers), tuple(names)


# --- selectors ---------------------------------------------------------------------------------------------------


def in_namespace(namespace: str) -> Selector:
    """What selects everything in a namespace."""
    return Compare(NAMESPACE_LABEL, Relation.EQUAL, namespace)


def rule_selector(entity: EntityRule, namespace: str) -> Selector | None:
    """What an end of a rule positively selects, or None where it asks no labels (spec: model 4.3).

    A rule of a namespace that asks only for addresses or ports is not limited to the namespace.
    """
    selected = _tree(entity.selector)
    if entity.service_accounts is not None:
        accounts = _accounts(entity.service_accounts)
        if accounts is not None:
            selected = accounts if selected is None else And((accounts, selected))
    if selected is None and not entity.not_selector and not entity.namespace_selector:
        return None
    if entity.namespace_selector:
        where = _of_namespaces(entity.namespace_selector)
    elif namespace:
        where = in_namespace(namespace)
    else:
        return selected
    return where if selected is None else And((where, selected))


def _tree(text: str) -> Selector | None:
    """The tree of a selector; None for none. Blanks alone are a selector of everything."""
    return parse_selector(text) if text else None


def _accounts(match: ServiceAccountMatch) -> Selector | None:
    named = Member(SERVICE_ACCOUNT_LABEL, frozenset(match.names)) if match.names else None
    labelled = _prefixed(parse_selector(match.selector), SERVICE_ACCOUNT_LABEL_PREFIX) if match.selector else None
    if named is not None and labelled is not None:
        return And((labelled, named))
    return labelled if named is None else named


@lru_cache(maxsize=4096)
def _of_namespaces(text: str) -> Selector:
    """A selector of namespaces as one of the endpoints in them; all namespaces are those that there are."""
    return _replaced_all(_prefixed(parse_selector(text), NAMESPACE_LABEL_PREFIX))


_ALL_TEXT = "all()"
_ANY_NAMESPACE = f"has({NAMESPACE_LABEL})"


def _replaced_all(tree: Selector) -> Selector:
    """The tree whose text has `has(projectcalico.org/namespace)` for `all()`: in values too, as in the original (Q12)."""
    match tree:
        case All():
            return Has(NAMESPACE_LABEL)
        case Has():
            return tree
        case Compare(label, relation, value):
            return Compare(label, relation, value.replace(_ALL_TEXT, _ANY_NAMESPACE))
        case Member(label, values, negated):
            return Member(label, frozenset(value.replace(_ALL_TEXT, _ANY_NAMESPACE) for value in values), negated)
        case Not(operand):
            return Not(_replaced_all(operand))
        case And(operands):
            return And(tuple(map(_replaced_all, operands)))
        case Or(operands):
            return Or(tuple(map(_replaced_all, operands)))
        case _:
            assert_never(tree)


def _prefixed(tree: Selector, prefix: str) -> Selector:
    """The tree with a prefix in front of every label."""
    match tree:
        case All():
            return tree
        case Has(label):
            return Has(prefix + label)
        case Compare(label, relation, value):
            return Compare(prefix + label, relation, value)
        case Member(label, values, negated):
            return Member(prefix + label, values, negated)
        case Not(operand):
            return Not(_prefixed(operand, prefix))
        case And(operands):
            return And(tuple(_prefixed(operand, prefix) for operand in operands))
        case Or(operands):
            return Or(tuple(_prefixed(operand, prefix) for operand in operands))
        case _:
            assert_never(tree)
