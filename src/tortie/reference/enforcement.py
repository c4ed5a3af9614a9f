"""What the policies and profiles of one endpoint say about one packet: a function for each kind of policy.

The kinds differ in what happens when policies apply and none has an answer, and in what Pass means (spec: model 6.3):

| Kind | No policy applies | None has an answer | Pass |
|---|---|---|---|
| normal | the profiles; denied if none has an answer | denied | the profiles |
| forward | allowed | denied | left to whoever comes next |
| untracked, pre-DNAT | left to whoever comes next | left to whoever comes next | left to whoever comes next |

Failsafe ports of a node stay open through normal, untracked and pre-DNAT policy; the packet goes on to the next kind.
Packets of known connections are let through by all but untracked policy, those that tracking calls invalid are denied.
"""

from __future__ import annotations

from typing import assert_never

from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.profile import Profile
from tortie.model.read import key_of
from tortie.model.rule import Action
from tortie.net.address import IPFamily
from tortie.net.protocol import IPENCAP, UDP
from tortie.reference.decision import (
    ByRule,
    Direction,
    FailsafePort,
    Finding,
    KnownConnection,
    NoConnection,
    NoForwardPolicy,
    NoProfile,
    NoRule,
    NoSuchProfile,
    Says,
    Stage,
    TunnelPacket,
)
from tortie.reference.flow import Flow, Tracking
from tortie.reference.policy import answer_of_policies, answer_of_profile
from tortie.reference.site import Site

Endpoint = WorkloadEndpoint | HostEndpoint


def untracked_policy(site: Site, endpoint: HostEndpoint, direction: Direction, flow: Flow) -> Finding | None:
    """What untracked policy says, None where there is none. It sees packets before tracking does, answers too."""
    failsafe = _untracked_failsafe(site, direction, flow)
    if failsafe is None:
        return _first_say(site, endpoint, Stage.UNTRACKED, direction, flow)
    if not site.policies(endpoint, Stage.UNTRACKED, direction):
        return None
    return Finding(Stage.UNTRACKED, Says.NOTHING, failsafe, direction, key_of(endpoint))


def pre_dnat_policy(site: Site, endpoint: HostEndpoint, flow: Flow) -> Finding | None:
    """What pre-DNAT policy says of a packet that enters, its destination as the sender wrote it."""
    place = (Direction.INGRESS, key_of(endpoint))
    if flow.tracking is Tracking.ESTABLISHED:
        return None
    if _is_invalid(site, flow):
        return Finding(Stage.PRE_DNAT, Says.DENY, NoConnection(), *place)
    if failsafe := _failsafe(site, Direction.INGRESS, flow):
        return Finding(Stage.PRE_DNAT, Says.NOTHING, failsafe, *place)
    return _first_say(site, endpoint, Stage.PRE_DNAT, Direction.INGRESS, flow)


def _first_say(site: Site, endpoint: HostEndpoint, stage: Stage, direction: Direction, flow: Flow) -> Finding | None:
    """What the kinds say that come before the others: allow and deny settle it, all else is left to those."""
    policies = site.policies(endpoint, stage, direction)
    if not policies:
        return None
    answer = answer_of_policies(policies, direction, flow, site.everybody)
    if answer is None:
        return Finding(stage, Says.NOTHING, NoRule(tuple(map(key_of, policies))), direction, key_of(endpoint))
    return Finding(stage, _says(answer), answer, direction, key_of(endpoint))


def forward_policy(site: Site, endpoint: HostEndpoint, direction: Direction, flow: Flow) -> Finding:
    """What a host endpoint says of traffic that passes through the node; profiles have no say in it."""
    if settled := _settled_by_tracking(site, Stage.FORWARD, endpoint, direction, flow):
        return settled
    policies = site.policies(endpoint, Stage.FORWARD, direction)
    place = (direction, key_of(endpoint))
    if not policies:
        return Finding(Stage.FORWARD, Says.ALLOW, NoForwardPolicy(), *place)
    answer = answer_of_policies(policies, direction, flow, site.everybody)
    if answer is None:
        return Finding(Stage.FORWARD, Says.DENY, NoRule(tuple(map(key_of, policies))), *place)
    return Finding(Stage.FORWARD, _says(answer), answer, *place)


def normal_policy(site: Site, endpoint: Endpoint, direction: Direction, flow: Flow) -> Finding:
    """What policies and profiles say of traffic from and to a workload, or from and to the node itself."""
    place = (direction, key_of(endpoint))
    if settled := _settled_by_tracking(site, Stage.NORMAL, endpoint, direction, flow):
        return settled
    if isinstance(endpoint, HostEndpoint):
        if failsafe := _failsafe(site, direction, flow):
            return Finding(Stage.NORMAL, Says.ALLOW, failsafe, *place)
    elif direction is Direction.EGRESS and (kind := _encapsulated(site, flow)):
        return Finding(Stage.NORMAL, Says.DENY, TunnelPacket(kind, "made by a workload"), *place)
    policies = site.policies(endpoint, Stage.NORMAL, direction)
    passed = None
    if policies:
        answer = answer_of_policies(policies, direction, flow, site.everybody)
        if answer is None:
            return Finding(Stage.NORMAL, Says.DENY, NoRule(tuple(map(key_of, policies))), *place)
        if answer.action is not Action.PASS:
            return Finding(Stage.NORMAL, _says(answer), answer, *place)
        passed = answer
    return _profiles(site, endpoint, direction, flow, passed)


def _profiles(site: Site, endpoint: Endpoint, direction: Direction, flow: Flow, passed: ByRule | None) -> Finding:
    """What the endpoint's profiles say, in the order in which it names them; a missing one denies everything."""
    place = (direction, key_of(endpoint))
    for name in endpoint.spec.profiles:
        profile = site.resources.get(Profile, name)
        if profile is None:
            return Finding(Stage.NORMAL, Says.DENY, NoSuchProfile(name), *place)
        answer = answer_of_profile(profile, direction, flow, site.everybody)
        if answer is not None and answer.action is not Action.PASS:
            return Finding(Stage.NORMAL, _says(answer), answer, *place)
    return Finding(Stage.NORMAL, Says.DENY, NoProfile(endpoint.spec.profiles, passed), *place)


def _says(answer: ByRule) -> Says:
    match answer.action:
        case Action.ALLOW:
            return Says.ALLOW
        case Action.DENY:
            return Says.DENY
        case Action.PASS:
            return Says.NOTHING
        case Action.LOG:
            raise ValueError("a rule that logs has no answer")
        case _:
            assert_never(answer.action)


# --- before the policies -----------------------------------------------------------------------------------------


def _settled_by_tracking(site: Site, stage: Stage, endpoint: Endpoint, direction: Direction, flow: Flow) -> Finding | None:
    if flow.tracking is Tracking.ESTABLISHED:
        return Finding(stage, Says.ALLOW, KnownConnection(), direction, key_of(endpoint))
    if _is_invalid(site, flow):
        return Finding(stage, Says.DENY, NoConnection(), direction, key_of(endpoint))
    return None


def _is_invalid(site: Site, flow: Flow) -> bool:
    return flow.tracking is Tracking.INVALID and site.configuration.drop_invalid


def _failsafe(site: Site, direction: Direction, flow: Flow) -> FailsafePort | None:
    """The failsafe port that a packet to or from the node goes to."""
    config = site.configuration
    ports = config.failsafe_inbound if direction is Direction.INGRESS else config.failsafe_outbound
    to = (flow.protocol, flow.destination_port)
    return FailsafePort(*to) if to in ports else None


def _untracked_failsafe(site: Site, direction: Direction, flow: Flow) -> FailsafePort | None:
    """Where tracking has not looked yet, answers of failsafe ports are told by the port that they come from."""
    config = site.configuration
    answers = config.failsafe_outbound if direction is Direction.INGRESS else config.failsafe_inbound
    back = (flow.protocol, flow.source_port)
    return _failsafe(site, direction, flow) or (FailsafePort(*back) if back in answers else None)


def _encapsulated(site: Site, flow: Flow) -> str:
    """The kind of tunnel that a workload's packet pretends to be of; workloads have no part in tunnels (spec: rules 6.3).

    VXLAN is looked for in IPv4 only (docs/felix-differences.md).
    """
    if flow.protocol == IPENCAP:
        return "IPIP"
    return "VXLAN" if flow.family is IPFamily.V4 and is_vxlan(site, flow) else ""


def is_vxlan(site: Site, flow: Flow) -> bool:
    """True for a packet of the cluster's VXLAN, by its port and network identifier."""
    config = site.configuration
    return flow.protocol == UDP and flow.destination_port == config.vxlan_port and flow.vni == config.vxlan_vni
