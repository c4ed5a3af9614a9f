"""Which policies apply to an endpoint, in which order, and what their and its profiles' rules say (spec: model 6.3).

Policies are asked by order, lowest first, those without one last, and by name where orders are equal. In each policy the
rules are asked in their order, and the first that holds and does not merely log has the answer. Pass leaves the rest to
the profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tortie.model.endpoint import NAMESPACE_LABEL
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy, Policy, PolicyType, stored_name
from tortie.model.profile import Profile
from tortie.model.read import Key, Resources, key_of
from tortie.model.rule import Action, PolicyRule
from tortie.reference.decision import ByRule, Direction, Stage
from tortie.reference.flow import Flow
from tortie.reference.party import Party
from tortie.reference.rule import rule_holds
from tortie.selector.evaluate import selects
from tortie.selector.parse import parse_selector

_TYPES = {Direction.INGRESS: PolicyType.INGRESS, Direction.EGRESS: PolicyType.EGRESS}


def policies_in_order(resources: Resources) -> list[Policy]:
    """All policies of the cluster, in the order in which they are asked."""
    every: list[Policy] = [*resources.of(NetworkPolicy), *resources.of(GlobalNetworkPolicy)]
    return sorted(every, key=_order)


def _order(policy: Policy) -> tuple[float, bytes]:
    namespace, name = policy.metadata.namespace, stored_name(policy.metadata.name)
    full = f"{namespace}/{name}" if namespace else name
    return (float("inf") if policy.spec.order is None else policy.spec.order), full.encode()


def policies_for(resources: Resources, labels: Mapping[str, str], stage: Stage, direction: Direction) -> list[Policy]:
    """The policies that apply to an endpoint with these labels, of one kind and direction, in order."""
    return [
        policy
        for policy in policies_in_order(resources)
        if _is_of(policy, stage) and _has_direction(policy, direction) and _applies(policy, labels)
    ]


def _applies(policy: Policy, labels: Mapping[str, str]) -> bool:
    namespace = policy.metadata.namespace
    if namespace and labels.get(NAMESPACE_LABEL) != namespace:
        return False
    return selects(parse_selector(policy.spec.selector), labels)


def _has_direction(policy: Policy, direction: Direction) -> bool:
    return not policy.spec.types or _TYPES[direction] in policy.spec.types


def _is_of(policy: Policy, stage: Stage) -> bool:
    """A policy is of one kind, but normal ones that apply on forward are asked about forwarded traffic too.

    Policies of namespaces always apply on forward (spec: model Q13).
    """
    if isinstance(policy, NetworkPolicy):
        return stage in (Stage.NORMAL, Stage.FORWARD)
    if policy.spec.do_not_track:
        return stage is Stage.UNTRACKED
    if policy.spec.pre_dnat:
        return stage is Stage.PRE_DNAT
    return stage is Stage.NORMAL or (stage is Stage.FORWARD and policy.spec.apply_on_forward)


def answer_of_policies(
    policies: Sequence[Policy], direction: Direction, flow: Flow, everybody: Sequence[Party]
) -> ByRule | None:
    """The first answer among policies: allow, deny or pass."""
    for policy in policies:
        rules = policy.spec.ingress if direction is Direction.INGRESS else policy.spec.egress
        answer = _answer(key_of(policy), rules, policy.metadata.namespace, flow, everybody)
        if answer is not None:
            return answer
    return None


def answer_of_profile(profile: Profile, direction: Direction, flow: Flow, everybody: Sequence[Party]) -> ByRule | None:
    """The first answer among a profile's rules; Pass leaves it to the next profile."""
    rules = profile.spec.ingress if direction is Direction.INGRESS else profile.spec.egress
    return _answer(key_of(profile), rules, "", flow, everybody)


def _answer(
    owner: Key, rules: Sequence[PolicyRule], namespace: str, flow: Flow, everybody: Sequence[Party]
) -> ByRule | None:
    for number, rule in enumerate(rules, 1):
        if rule.action is not Action.LOG and rule_holds(rule, namespace, flow, everybody):
            return ByRule(owner, number, rule.action, unseen_http=rule.http is not None)
    return None
