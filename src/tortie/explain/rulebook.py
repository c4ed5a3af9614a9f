"""Rules of policies and profiles: one in place of another, one more, and the rule that a packet asks for.

The rule for a packet asks as much as users write by hand: the protocol with the port or ICMP type, and the other end by the
label that tells most, or by its address where it has none that the policy could ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from tortie.explain.miss import End
from tortie.explain.origin import INGRESS
from tortie.explain.party import Parties, Party
from tortie.model import v1
from tortie.model.endpoint import NAMESPACE_LABEL
from tortie.model.kubernetes_conversion import NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX
from tortie.model.policy import KUBERNETES_PREFIX, GlobalNetworkPolicy, NetworkPolicy
from tortie.model.profile import Profile
from tortie.model.rule import Action, EntityRule, IcmpMatch, PolicyRule
from tortie.model.scalar import PortRange, Protocol
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.packet import Packet
from tortie.net.protocol import SCTP, TCP, UDP

Rulebook: TypeAlias = NetworkPolicy | GlobalNetworkPolicy | Profile
"""What has rules."""

_TELLING = ("app.kubernetes.io/name", "k8s-app", "app", "run", "name", "role", "tier", "component")
"""Labels that usually say what something is."""
_GIVEN = ("projectcalico.org/", NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX)
_NAMES: Mapping[int, Protocol] = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP"}


def rules_of(book: Rulebook, direction: str) -> tuple[PolicyRule, ...]:
    """The rules of a direction."""
    return book.spec.ingress if direction == INGRESS else book.spec.egress


def with_rules(book: Rulebook, direction: str, rules: tuple[PolicyRule, ...]) -> Rulebook:
    """The same with other rules in a direction."""
    match book:
        case NetworkPolicy():
            spec = book.spec
            ours = replace(spec, ingress=rules) if direction == INGRESS else replace(spec, egress=rules)
            return replace(book, spec=ours)
        case GlobalNetworkPolicy():
            of_all = book.spec
            every = replace(of_all, ingress=rules) if direction == INGRESS else replace(of_all, egress=rules)
            return replace(book, spec=every)
        case Profile():
            shared = book.spec
            both = replace(shared, ingress=rules) if direction == INGRESS else replace(shared, egress=rules)
            return replace(book, spec=both)


def with_rule(book: Rulebook, direction: str, number: int, rule: PolicyRule) -> Rulebook:
    """The same with another rule in place of one, counted from 1."""
    rules = rules_of(book, direction)
    return with_rules(book, direction, (*rules[: number - 1], rule, *rules[number:]))


def with_more(book: Rulebook, direction: str, before: int, rule: PolicyRule) -> Rulebook:
    """The same with a rule more, in front of the one with this number, which may be one more than there are."""
    rules = rules_of(book, direction)
    return with_rules(book, direction, (*rules[: before - 1], rule, *rules[before - 1 :]))


def with_port(rule: PolicyRule, end: End, port: int) -> PolicyRule:
    """The rule with a port more at one end."""
    given = rule.source if end is End.SOURCE else rule.destination
    return _with_end(rule, end, replace(given, ports=(*given.ports, PortRange(port, port))))


def with_net(rule: PolicyRule, end: End, net: Prefix) -> PolicyRule:
    """The rule with a net more at one end."""
    given = rule.source if end is End.SOURCE else rule.destination
    return _with_end(rule, end, replace(given, nets=(*given.nets, net)))


def _with_end(rule: PolicyRule, end: End, entity: EntityRule) -> PolicyRule:
    return replace(rule, source=entity) if end is End.SOURCE else replace(rule, destination=entity)


# --- the rule for a packet ---------------------------------------------------------------------------------------


def own_net(packet: Packet, end: End) -> Prefix:
    """One end's address as a net."""
    value = packet.src if end is End.SOURCE else packet.dst
    return Prefix(packet.family, value, packet.family.bits)


def rule_for(packet: Packet, direction: str, parties: Parties, book: Rulebook | None, *, answers: bool) -> PolicyRule:
    """The rule that allows a packet, as a rulebook can have it; None stands for a policy of the whole cluster.

    An answer is known by the port that it comes from.
    """
    end = End.SOURCE if direction == INGRESS else End.DESTINATION
    net = own_net(packet, end)
    peer = _peer(parties.at(Address(net.family, net.address)), net, book)
    source, destination = (peer, EntityRule()) if end is End.SOURCE else (EntityRule(), peer)
    number = packet.sport if answers else packet.dport
    if packet.proto in (TCP, UDP) and packet.has_ports and number:
        port = (PortRange(number, number),)
        source, destination = (
            (replace(source, ports=port), destination) if answers else (source, replace(destination, ports=port))
        )
    icmp = None
    protocol = _NAMES.get(packet.proto, packet.proto)
    if packet.is_icmp:
        protocol = "ICMP" if packet.family is IPFamily.V4 else "ICMPv6"
        icmp = IcmpMatch(packet.icmp_type) if packet.icmp_type < 255 else None
    return PolicyRule(Action.ALLOW, protocol=protocol, icmp=icmp, source=source, destination=destination)


def rule_size(rule: PolicyRule) -> int:
    """How many values a rule has."""
    ends = (rule.source, rule.destination)
    asked = [rule.protocol, rule.icmp, *(one for end in ends for one in (end.nets, end.selector, end.ports))]
    return 1 + sum(bool(one) for one in asked) + sum(bool(end.namespace_selector) for end in ends)


def _peer(found: tuple[Party, ...], net: Prefix, book: Rulebook | None) -> EntityRule:
    """The other end of a packet as a rule of a rulebook can ask for it."""
    address = EntityRule(nets=(net,))
    endpoint = next((party for party in found if party.is_endpoint), None)
    told = None if endpoint is None else telling_label(endpoint.own)
    if endpoint is None or told is None:
        return address
    selector = label_selector(*told)
    theirs = endpoint.labels.get(NAMESPACE_LABEL)
    if not isinstance(book, NetworkPolicy):
        where = "" if theirs is None else f"{label_selector(NAMESPACE_LABEL, theirs)} && "
        return EntityRule(selector=where + selector)
    if theirs == book.metadata.namespace:
        return EntityRule(selector=selector)
    if not isinstance(endpoint.value, v1.Workload) or theirs is None:
        return address
    of_namespace = {
        label.removeprefix(NAMESPACE_LABEL_PREFIX): value
        for label, value in endpoint.labels.items()
        if label.startswith(NAMESPACE_LABEL_PREFIX)
    }
    where_told = telling_label(of_namespace)
    if where_told is not None:
        return EntityRule(selector=selector, namespace_selector=label_selector(*where_told))
    if is_kubernetes(book):
        return address
    return EntityRule(selector=f"{label_selector(NAMESPACE_LABEL, theirs)} && {selector}", namespace_selector="all()")


def telling_label(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """The label that says most about what has it; None where there is none that was given by a user."""
    own = {label: value for label, value in labels.items() if not label.startswith(_GIVEN)}
    if not own:
        return None
    first = next((label for label in _TELLING if label in own), min(own))
    return first, own[first]


def label_selector(label: str, value: str) -> str:
    """What selects a label's value; label values have no quotes (spec: model 1.1)."""
    return f"{label} == '{value}'"


def is_kubernetes(book: Rulebook) -> bool:
    """True for what Calico makes of an object of Kubernetes' own, which is where it has to be changed."""
    return isinstance(book, NetworkPolicy) and book.metadata.name.startswith(KUBERNETES_PREFIX)
