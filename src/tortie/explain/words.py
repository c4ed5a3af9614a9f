"""A rule of a policy as a clause: `allows tcp/80 from app == 'api'`, in the user's own selectors and names."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.model.rule import Action, EntityRule, IcmpMatch, PolicyRule
from tortie.model.scalar import Port, format_port
from tortie.net.packet import Packet
from tortie.net.protocol import protocol_name

_ACTIONS = {Action.ALLOW: "allows", Action.DENY: "denies", Action.LOG: "logs", Action.PASS: "passes"}


def describe_rule(rule: PolicyRule) -> str:
    """What a rule does and to what."""
    return f"{_ACTIONS[rule.action]} {describe_asked(rule)}"


def describe_asked(rule: PolicyRule) -> str:
    """What a rule is about, without what it does; `everything` for one that asks nothing."""
    words = [_protocol(rule)]
    for preposition, entity in (("from", rule.source), ("to", rule.destination)):
        ports = () if preposition == "to" else entity.ports
        who = " and ".join(_entity(entity, ports))
        if who:
            words.append(f"{preposition} {who}")
    if rule.ip_version is not None:
        words.append(f"in IPv{rule.ip_version.value}")
    return " ".join(words)


def describe_traffic(packet: Packet) -> str:
    """What a rule for a packet would have to be about: `tcp/8080`, `icmp type 8`."""
    name = protocol_name(packet.proto)
    if packet.is_icmp:
        return f"{name} type {packet.icmp_type}"
    return f"{name}/{packet.dport}" if packet.has_ports else name


def _protocol(rule: PolicyRule) -> str:
    words = []
    ports = _ports(rule.destination.ports)
    if rule.protocol is not None:
        name = protocol_name(rule.protocol) if isinstance(rule.protocol, int) else rule.protocol.lower()
        words.append(f"{name}/{ports}" if ports else name)
    elif rule.not_protocol is None:
        words.append("everything")
    if rule.not_protocol is not None:
        name = protocol_name(rule.not_protocol) if isinstance(rule.not_protocol, int) else rule.not_protocol.lower()
        words.append(f"all but {name}")
    if rule.icmp is not None and rule.icmp.type is not None:
        words.append(_icmp(rule.icmp))
    if rule.not_icmp is not None and rule.not_icmp.type is not None:
        words.append(f"but not {_icmp(rule.not_icmp)}")
    return " ".join(words)


def _icmp(match: IcmpMatch) -> str:
    return f"type {match.type}" if match.code is None else f"type {match.type} code {match.code}"


def _ports(ports: Iterable[Port]) -> str:
    return ",".join(map(format_port, ports))


def _entity(entity: EntityRule, ports: tuple[Port, ...]) -> Iterable[str]:
    """What is asked of one end, clause by clause."""
    if entity.nets:
        yield ", ".join(map(str, entity.nets))
    if entity.namespace_selector:
        every = entity.namespace_selector == "all()"
        yield "any namespace" if every else f"namespaces with {entity.namespace_selector}"
    if entity.selector:
        yield entity.selector
    if entity.service_accounts is not None:
        accounts = entity.service_accounts
        told = [*([f"of {', '.join(accounts.names)}"] if accounts.names else []), *filter(None, [accounts.selector])]
        yield f"service accounts {' and '.join(told)}" if told else "any service account"
    if ports:
        yield f"port {_ports(ports)}"
    if entity.not_nets:
        yield f"not {', '.join(map(str, entity.not_nets))}"
    if entity.not_selector:
        yield f"not {entity.not_selector}"
    if entity.not_ports:
        yield f"not port {_ports(entity.not_ports)}"
