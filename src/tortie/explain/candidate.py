"""Candidates for a change that lets a dropped packet through, from what policy says of it.

Three kinds of places are looked at: rules that ask just one thing which the packet does not have, rulebooks that are asked
and could have a rule more, and policies that would allow the packet and do not select the endpoint, or are not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tortie.explain.cause import CauseKind
from tortie.explain.change import Change, ChangeKind, Situation, as_calico_reads
from tortie.explain.label import apply_edit, describe_edit, smallest_edit
from tortie.explain.miss import Asked, End, misses
from tortie.explain.origin import INGRESS, ChainOrigin, Stage
from tortie.explain.party import Party
from tortie.explain.rulebook import (
    Rulebook,
    is_kubernetes,
    label_selector,
    own_net,
    rule_for,
    rule_size,
    rules_of,
    telling_label,
    with_more,
    with_net,
    with_port,
    with_rule,
)
from tortie.explain.title import policy_title, profile_title
from tortie.explain.verdict import OwnerSaid, RuleSaid, applied_policies
from tortie.explain.words import describe_asked, describe_traffic
from tortie.model import v1
from tortie.model.metadata import Metadata
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.policy import (
    GlobalNetworkPolicy,
    GlobalNetworkPolicySpec,
    NetworkPolicy,
    NetworkPolicySpec,
    PolicyType,
)
from tortie.model.profile import Profile, ProfileSpec
from tortie.model.rule import Action, PolicyRule
from tortie.model.scalar import supports_ports
from tortie.model.workload_name import NAMESPACE_PROFILE_PREFIX, SERVICE_ACCOUNT_PROFILE_PREFIX
from tortie.net.address import Address
from tortie.selector.evaluate import selects
from tortie.selector.tree import Selector

_FROM_KUBERNETES = (NAMESPACE_PROFILE_PREFIX, SERVICE_ACCOUNT_PROFILE_PREFIX)
_CLOSES = "with its first policy in this direction the endpoint is closed to everything else in it"
_CLOSES_ALL = "the endpoint has no label of its own, so the policy closes everything in its namespace to all else"
_COUNTS = "the label counts wherever else it is asked for"


def candidates(situation: Situation) -> Iterator[Change]:
    """Every change that may help, in no order."""
    endpoint = situation.verdict.endpoint
    if endpoint is None or endpoint.direction is None:
        return
    for change in _unchecked(situation, endpoint, endpoint.direction):
        checked = as_calico_reads(change.resource)
        if checked is not None:
            yield replace(change, resource=checked)


def _unchecked(situation: Situation, endpoint: ChainOrigin, direction: str) -> Iterator[Change]:
    verdict = situation.verdict
    if verdict.kind is CauseKind.NO_SUCH_PROFILE:
        yield from _missing_profile(situation, direction)
    for place, owner in enumerate(verdict.asked, 1):
        decider = verdict.denied_by if place == len(verdict.asked) else None
        for said in owner.rules[: None if decider is None else decider - 1]:
            if said.rule.action is Action.ALLOW:
                yield from _almost(situation, direction, owner, said)
        if owner.resource is not None:
            yield from _one_rule_more(situation, direction, owner, owner.resource)
    yield from _selected_too(situation, endpoint, direction)
    yield from _new_policy(situation, endpoint, direction)


# --- a rule that almost holds ------------------------------------------------------------------------------------


def _almost(situation: Situation, direction: str, owner: OwnerSaid, said: RuleSaid) -> Iterator[Change]:
    """What makes a rule hold that asks one thing which the packet does not have."""
    book = owner.resource
    if len(said.misses) != 1 or book is None:
        return
    (miss,) = said.misses
    end, packet = miss.end, situation.packet
    place = f"{owner.title}, {direction} rule {said.number}"
    if end is None or _is_of_kubernetes(book):
        return
    if miss.asked is Asked.PORTS:
        number = packet.dport if end is End.DESTINATION else packet.sport
        if number and supports_ports(said.rule.protocol):
            after = with_rule(book, direction, said.number, with_port(said.rule, end, number))
            which = "" if end is End.DESTINATION else "source "
            yield Change(ChangeKind.PORT, after, f"{place}: add {which}port {number}")
    elif miss.asked is Asked.NETS:
        net = own_net(packet, end)
        after = with_rule(book, direction, said.number, with_net(said.rule, end, net))
        yield Change(ChangeKind.NET, after, f"{place}: add the {end.value} net {net}")
    elif miss.asked is Asked.SELECTOR:
        yield from _whoever_is_selected(situation, said, end, place)


def _is_of_kubernetes(book: Rulebook) -> bool:
    """True for profiles that stand for something of Kubernetes', whose rules nobody can change."""
    return isinstance(book, Profile) and book.metadata.name.startswith(_FROM_KUBERNETES)


def _whoever_is_selected(situation: Situation, said: RuleSaid, end: End, place: str) -> Iterator[Change]:
    """Labels for whoever has the address, or a member more for a set that is selected."""
    side = said.enforced.source if end is End.SOURCE else said.enforced.destination
    wanted: list[Selector] = [port.selector for port in side.named_ports] if side.selector is None else [side.selector]
    net = own_net(situation.packet, end)
    for selector in dict.fromkeys(wanted):
        for party in situation.parties.at(Address(net.family, net.address)):
            if party.is_endpoint:
                yield from _labelled(party, selector, f"so that {place} is for it")
        if side.selector is None:
            continue
        for party in situation.parties.every():
            resource = party.resource
            if isinstance(resource, NetworkSet | GlobalNetworkSet) and selects(selector, party.labels):
                spec = replace(resource.spec, nets=(*resource.spec.nets, net))
                text = f"{party.title}: add {net}, which {place} is for"
                yield Change(ChangeKind.MEMBER, replace(resource, spec=spec), text)


def _labelled(party: Party, selector: Selector, why: str, remark: str = _COUNTS) -> Iterator[Change]:
    edit = smallest_edit(selector, party.own, party.inherited)
    resource = party.resource
    labels = None if edit is None else apply_edit(resource.metadata.labels, edit)
    if edit is not None and labels is not None:
        after = replace(resource, metadata=replace(resource.metadata, labels=labels))
        yield Change(ChangeKind.LABEL, after, f"{party.title}: {describe_edit(edit)}, {why}", len(edit), remark=remark)


# --- a rule more -------------------------------------------------------------------------------------------------


def _one_rule_more(situation: Situation, direction: str, owner: OwnerSaid, book: Rulebook) -> Iterator[Change]:
    """The rule for the packet, at the end, or in front of the rule that decides otherwise."""
    if _is_of_kubernetes(book):
        return
    decides = (said.number for said in owner.rules if not said.misses and said.rule.action in _DECIDES)
    count = len(rules_of(book, direction))
    before = next(decides, count + 1)
    if before <= count and is_kubernetes(book):
        return
    rule = rule_for(situation.packet, direction, situation.parties, book, answers=situation.answers)
    where = "" if before > count else f" in front of rule {before}"
    text = f"{owner.title}: add an {direction} rule{where} that allows {describe_asked(rule)}"
    yield Change(ChangeKind.RULE, with_more(book, direction, before, rule), text, rule_size(rule))


_DECIDES = (Action.ALLOW, Action.DENY, Action.PASS)


def _missing_profile(situation: Situation, direction: str) -> Iterator[Change]:
    """The profile that an endpoint names and nobody has made, as it usually is (spec: model 5.2, 5.3)."""
    name = situation.verdict.missing_profile
    if name is None:
        return
    if name.startswith(NAMESPACE_PROFILE_PREFIX):
        allow = (PolicyRule(Action.ALLOW),)
        profile = Profile(Metadata(name=name), ProfileSpec(ingress=allow, egress=allow))
    elif name.startswith(SERVICE_ACCOUNT_PROFILE_PREFIX):
        profile = Profile(Metadata(name=name))
    else:
        rule = rule_for(situation.packet, direction, situation.parties, None, answers=situation.answers)
        spec = ProfileSpec(ingress=(rule,)) if direction == INGRESS else ProfileSpec(egress=(rule,))
        profile = Profile(Metadata(name=name), spec)
    text = f"{profile_title(name)}: is not among the resources, and the profile {name} is made of it; add it"
    if not name.startswith(_FROM_KUBERNETES):
        allowed = describe_asked(rules_of(profile, direction)[0])
        text = f"Profile {name}: is not among the resources; add it, with an {direction} rule that allows {allowed}"
    yield Change(ChangeKind.PROFILE, profile, text, 2, created=True)


# --- another policy ----------------------------------------------------------------------------------------------


def _selected_too(situation: Situation, endpoint: ChainOrigin, direction: str) -> Iterator[Change]:
    """Labels with which a policy that would allow the packet selects the endpoint too."""
    party = situation.verdict.party
    if party is None:
        return
    applied = set(applied_policies(situation.basis, endpoint))
    remark = _COUNTS if applied else f"{_COUNTS}; {_CLOSES}"
    for policy in situation.basis.cluster.policies:
        if policy.name in applied or not _is_asked(policy, endpoint, direction):
            continue
        number = _allowing(situation, policy.inbound if direction == INGRESS else policy.outbound)
        if number is not None:
            why = f"so that {policy_title(policy.name)}, whose {direction} rule {number} allows it, selects it"
            yield from _labelled(party, policy.selector, why, remark)


def _is_asked(policy: v1.Policy, endpoint: ChainOrigin, direction: str) -> bool:
    """True for a policy that would be asked at the endpoint if it selected it (spec: model 6.3)."""
    if not (policy.ingress if direction == INGRESS else policy.egress):
        return False
    match endpoint.stage:
        case Stage.UNTRACKED:
            return policy.untracked
        case Stage.PRE_DNAT:
            return policy.pre_dnat and not policy.untracked
        case _:
            usual = not (policy.untracked or policy.pre_dnat)
            return usual and (endpoint.stage is not Stage.FORWARD or policy.apply_on_forward)


def _allowing(situation: Situation, rules: tuple[v1.Rule, ...]) -> int | None:
    """The number of the rule that allows the packet, if that is the first to decide about it."""
    for number, rule in enumerate(rules, 1):
        if rule.action != "log" and not misses(rule, situation.packet, situation.parties):
            return number if rule.action == "allow" else None
    return None


def _new_policy(situation: Situation, endpoint: ChainOrigin, direction: str) -> Iterator[Change]:
    """A policy for the endpoint with the rule for the packet, in front of what decides otherwise."""
    party = situation.verdict.party
    told = None if party is None else telling_label(party.own)
    if party is None or (told is None and not isinstance(party.value, v1.Workload)):
        return
    order, types = _order(situation), (PolicyType(direction.capitalize()),)
    name = _new_name(situation, direction)
    selector = "all()" if told is None else label_selector(*told)
    policy: NetworkPolicy | GlobalNetworkPolicy
    if isinstance(party.value, v1.Workload):
        namespace = party.resource.metadata.namespace
        shell = NetworkPolicy(Metadata(name=name, namespace=namespace))
        rule = rule_for(situation.packet, direction, situation.parties, shell, answers=situation.answers)
        rules = {direction: (rule,)}
        policy = replace(shell, spec=NetworkPolicySpec(order=order, selector=selector, types=types, **rules))
        title = f"NetworkPolicy {namespace}/{name}"
    else:
        rule = rule_for(situation.packet, direction, situation.parties, None, answers=situation.answers)
        spec = GlobalNetworkPolicySpec(
            order=order,
            selector=selector,
            types=types,
            do_not_track=endpoint.stage is Stage.UNTRACKED,
            pre_dnat=endpoint.stage is Stage.PRE_DNAT,
            apply_on_forward=endpoint.stage is not Stage.NORMAL,
            **{direction: (rule,)},
        )
        policy = GlobalNetworkPolicy(Metadata(name=name), spec)
        title = f"GlobalNetworkPolicy {name}"
    remark = _CLOSES_ALL if told is None else "" if applied_policies(situation.basis, endpoint) else _CLOSES
    first = "" if order is None else f" of order {order:g}"
    text = f"a new {title}{first} for {selector}, whose {direction} rule allows {describe_asked(rule)}"
    yield Change(ChangeKind.POLICY, policy, text, rule_size(rule) + (4 if told is None else 3), created=True, remark=remark)


def _order(situation: Situation) -> float | None:
    """An order in front of the policies that were asked, where one of them, or what comes behind them, decides."""
    if situation.verdict.kind is CauseKind.NO_POLICY:
        return None
    books = [owner.resource for owner in situation.verdict.asked]
    orders = [book.spec.order for book in books if isinstance(book, NetworkPolicy | GlobalNetworkPolicy)]
    if not orders:
        return None
    known = [order for order in orders if order is not None]
    return min(known) - 1 if known else 1000.0


def _new_name(situation: Situation, direction: str) -> str:
    traffic = describe_traffic(situation.packet).replace("/", "-").replace(" ", "-").lower()
    taken = {policy.name.rpartition(".")[2] for policy in situation.basis.cluster.policies}
    base = f"allow-{traffic}-{direction}"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name
