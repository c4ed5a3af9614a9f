"""Whether a rule of a policy or profile holds for a packet (spec: model 1.8, 4.3, 4.5).

Everything that a rule says must hold. A list is a choice: of nets, one must hold the address; of ports, numbers and names
together, one must be the packet's. A negated list holds when none of its entries does.
"""

from __future__ import annotations

from collections.abc import Sequence

from tortie.model.endpoint import NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL
from tortie.model.rule import EntityRule, IcmpMatch, PolicyRule
from tortie.model.scalar import NamedPort, Port, Protocol
from tortie.net.address import Address, IPFamily, Prefix
from tortie.net.protocol import parse_protocol
from tortie.reference.flow import Flow
from tortie.reference.party import OF_NAMESPACE, OF_SERVICE_ACCOUNT, Party
from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector
from tortie.selector.tree import All, And, Not, Or, Selector


def rule_holds(rule: PolicyRule, namespace: str, flow: Flow, everybody: Sequence[Party]) -> bool:
    """True when a rule holds for a packet; `namespace` is that of the rule's policy, empty for the whole cluster's."""
    return (
        _is_for_family(rule, flow.family)
        and (rule.protocol is None or flow.protocol == _number(rule.protocol))
        and (rule.not_protocol is None or flow.protocol != _number(rule.not_protocol))
        and (rule.icmp is None or _icmp_holds(rule.icmp, flow, otherwise=True))
        and (rule.not_icmp is None or not _icmp_holds(rule.not_icmp, flow, otherwise=False))
        and _end_holds(rule.source, namespace, flow, flow.source, flow.source_port, everybody)
        and _end_holds(rule.destination, namespace, flow, flow.destination, flow.destination_port, everybody)
    )


def _is_for_family(rule: PolicyRule, family: IPFamily) -> bool:
    """A rule is for one family when it says so, names that family's ICMP, or has nets, negated or not, of that one only."""
    if rule.ip_version not in (None, family):
        return False
    if rule.ip_version is None and rule.protocol == "ICMP" and family is not IPFamily.V4:
        return False
    if rule.ip_version is None and rule.protocol == "ICMPv6" and family is not IPFamily.V6:
        return False
    lists = (rule.source.nets, rule.source.not_nets, rule.destination.nets, rule.destination.not_nets)
    return all(not nets or any(net.family is family for net in nets) for nets in lists)


def _number(protocol: Protocol) -> int:
    return protocol if isinstance(protocol, int) else parse_protocol(protocol)


def _icmp_holds(match: IcmpMatch, flow: Flow, *, otherwise: bool) -> bool:
    """What an ICMP match without a type says is `otherwise`: it asks nothing."""
    if match.type is None:
        return otherwise
    return flow.is_icmp and flow.icmp_type == match.type and match.code in (None, flow.icmp_code)


# --- one end -----------------------------------------------------------------------------------------------------


def _end_holds(
    end: EntityRule, namespace: str, flow: Flow, address: Address, port: int, everybody: Sequence[Party]
) -> bool:
    selected = [party for party in everybody if _is_selected(end, namespace, party)]
    if end.nets and not _lies_in(address, end.nets):
        return False
    if _lies_in(address, end.not_nets):
        return False
    if _asks_who(end, namespace):
        if not any(party.has(address) for party in selected):
            return False
    elif end.not_selector:
        unwanted = parse_selector(end.not_selector)
        if any(party.has(address) and selects(unwanted, party.labels) for party in everybody):
            return False
    if end.ports and not _has_port(end.ports, flow, address, port, selected):
        return False
    return not _has_port(end.not_ports, flow, address, port, selected)


def _lies_in(address: Address, nets: Sequence[Prefix]) -> bool:
    return any(net.family is address.family and net.contains(address.value) for net in nets)


def _has_port(ports: Sequence[Port], flow: Flow, address: Address, number: int, selected: Sequence[Party]) -> bool:
    """A port by number, or a port that one of the selected at this address gives a name in the list."""
    for port in ports:
        if isinstance(port, NamedPort):
            if any(party.has(address) and _calls(party, port.name, flow.protocol, number) for party in selected):
                return True
        elif port.first <= number <= port.last:
            return True
    return False


def _calls(party: Party, name: str, protocol: int, number: int) -> bool:
    return any(port.name == name and _number(port.protocol) == protocol and port.port == number for port in party.ports)


# --- who is selected ---------------------------------------------------------------------------------------------


def _asks_who(end: EntityRule, namespace: str) -> bool:
    """True when the end must be somebody: one that only excludes somebody is open to all others, strangers too.

    In a policy of a namespace whoever is excluded is so among the namespace's own, so that strangers are out as well.
    """
    return bool(
        end.selector
        or end.namespace_selector
        or (end.service_accounts is not None and (end.service_accounts.names or end.service_accounts.selector))
        or (namespace and end.not_selector)
    )


def _is_selected(end: EntityRule, namespace: str, party: Party) -> bool:
    """True for whom the end's selectors select; for everybody when there are none."""
    if not _asks_who(end, namespace):
        return True
    if end.namespace_selector:
        if not _is_in_namespaces(parse_selector(end.namespace_selector), party):
            return False
    elif namespace and party.labels.get(NAMESPACE_LABEL) != namespace:
        return False
    accounts = end.service_accounts
    if accounts is not None:
        if accounts.names and party.labels.get(SERVICE_ACCOUNT_LABEL) not in accounts.names:
            return False
        if accounts.selector and not selects(parse_selector(accounts.selector), party.handed_on(OF_SERVICE_ACCOUNT)):
            return False
    if end.selector and not selects(parse_selector(end.selector), party.labels):
        return False
    return not (end.not_selector and selects(parse_selector(end.not_selector), party.labels))


def _is_in_namespaces(tree: Selector, party: Party) -> bool:
    """A selector of namespaces, over the labels of the party's; `all()` is whoever is in one.

    One that asks for the absence of a label holds for those outside all namespaces too, as Calico has it.
    """
    match tree:
        case All():
            return NAMESPACE_LABEL in party.labels
        case Not(operand):
            return not _is_in_namespaces(operand, party)
        case And(operands):
            return all(_is_in_namespaces(operand, party) for operand in operands)
        case Or(operands):
            return any(_is_in_namespaces(operand, party) for operand in operands)
        case _:
            return selects(tree, party.handed_on(OF_NAMESPACE))
