"""What policy says of a dropped packet: who was asked, and why no rule of theirs lets it through.

The policies and profiles are those that apply to the endpoint where the packet was dropped, in the order in which they are
asked; of each all rules are told that could have decided, with everything in them that the packet does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from tortie.calc.view import EndpointTier, HostEndpoint, WorkloadEndpoint
from tortie.explain.basis import Basis
from tortie.explain.cause import POLICY_HELPS, CauseKind, DropCause
from tortie.explain.miss import Asked, End, Miss, misses
from tortie.explain.origin import INGRESS, ChainOrigin, Owner, Stage
from tortie.explain.party import Parties, Party
from tortie.explain.rulebook import Rulebook
from tortie.explain.title import full_name, policy_title, profile_title
from tortie.explain.words import describe_rule, describe_traffic
from tortie.model import v1
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.policy import Policy as PolicyResource
from tortie.model.profile import Profile
from tortie.model.read import Resources
from tortie.model.rule import PolicyRule
from tortie.net.address import Address
from tortie.net.packet import Packet
from tortie.net.protocol import protocol_name


@dataclass(frozen=True, slots=True)
class RuleSaid:
    """One rule that was asked: its number from 1 in its direction, what it is, and what of it the packet does not have."""

    number: int
    rule: PolicyRule
    enforced: v1.Rule
    misses: tuple[Miss, ...]
    why: tuple[str, ...]
    """The misses in words."""

    @property
    def text(self) -> str:
        """What the rule does."""
        return describe_rule(self.rule)


@dataclass(frozen=True, slots=True)
class OwnerSaid:
    """A policy or profile that was asked; `resource` is None for a profile that does not exist."""

    title: str
    resource: Rulebook | None
    rules: tuple[RuleSaid, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """Why a packet does not get through, in terms of policy; `endpoint` is None where none is involved."""

    kind: CauseKind
    text: str
    packet: Packet
    """As it was where it was dropped."""
    endpoint: ChainOrigin | None = None
    party: Party | None = None
    asked: tuple[OwnerSaid, ...] = ()
    denied_by: int | None = None
    """For DENIED, which rule of the last one asked denies, from 1."""
    missing_profile: str | None = None
    """For NO_SUCH_PROFILE, its name."""


def find_verdict(cause: DropCause, packet: Packet, basis: Basis, parties: Parties) -> PolicyVerdict:
    """What policy says of the packet; `packet` is as it came, for causes outside all rules."""
    seen = packet if cause.step is None else cause.step.packet
    endpoint = cause.endpoint
    party = None if endpoint is None else _party_of(endpoint, basis, parties)
    asked = tuple(_asked(cause, seen, basis, parties))
    denied_by = None if cause.by is None or cause.kind is not CauseKind.DENIED else cause.by.rule
    text = _text(cause, seen, asked, parties)
    by = None if cause.by is None else cause.by.chain
    missing = by.name if by is not None and cause.kind is CauseKind.NO_SUCH_PROFILE else None
    return PolicyVerdict(cause.kind, text, seen, endpoint, party, asked, denied_by, missing)


# --- who is asked ------------------------------------------------------------------------------------------------


def applied_policies(basis: Basis, endpoint: ChainOrigin) -> tuple[str, ...]:
    """The policies by full name that are asked at an endpoint in a direction and stage, in order."""
    tiers: Sequence[EndpointTier] = ()
    value = _view_of(basis, endpoint)
    match value:
        case WorkloadEndpoint():
            tiers = value.tiers
        case HostEndpoint():
            tiers = {
                Stage.NORMAL: value.tiers,
                Stage.FORWARD: value.forward_tiers,
                Stage.UNTRACKED: value.untracked_tiers,
                Stage.PRE_DNAT: value.pre_dnat_tiers,
            }[endpoint.stage or Stage.NORMAL]
        case None:
            pass
        case _:
            assert_never(value)
    if not tiers:
        return ()
    return tiers[0].ingress if endpoint.direction == INGRESS else tiers[0].egress


def applied_profiles(basis: Basis, endpoint: ChainOrigin) -> tuple[str, ...]:
    """The profiles that are asked where policies leave it to them: normal policy's alone."""
    value = _view_of(basis, endpoint)
    return value.profiles if value is not None and endpoint.stage is Stage.NORMAL else ()


def _view_of(basis: Basis, endpoint: ChainOrigin) -> WorkloadEndpoint | HostEndpoint | None:
    if endpoint.owner is Owner.WORKLOAD:
        ordered = sorted(basis.view.workloads, key=lambda one: one.id)
        return next((one for one in ordered if one.interface == endpoint.name), None)
    hosts = basis.view.host_endpoints
    return next((one for one in hosts if endpoint.key is not None and one.id == endpoint.key.name), None)


def _party_of(endpoint: ChainOrigin, basis: Basis, parties: Parties) -> Party | None:
    if endpoint.owner is Owner.WORKLOAD:
        return parties.workload_at(basis.node, endpoint.name)
    return None if endpoint.key is None else parties.host_endpoint(basis.node, endpoint.key.name)


def policy_resources(resources: Resources) -> dict[str, PolicyResource]:
    """Policies by full name."""
    every: list[PolicyResource] = [*resources.of(NetworkPolicy), *resources.of(GlobalNetworkPolicy)]
    return {full_name(one): one for one in every}


def _asked(cause: DropCause, packet: Packet, basis: Basis, parties: Parties) -> Iterator[OwnerSaid]:
    endpoint = cause.endpoint
    if endpoint is None or cause.kind not in POLICY_HELPS:
        return
    ingress = endpoint.direction == INGRESS
    by = None if cause.by is None else cause.by.chain
    resources = policy_resources(basis.resources)
    enforced = {policy.name: policy for policy in basis.cluster.policies}
    for name in applied_policies(basis, endpoint):
        policy = resources.get(name)
        if policy is not None and name in enforced:
            rules = policy.spec.ingress if ingress else policy.spec.egress
            made = enforced[name].inbound if ingress else enforced[name].outbound
            yield OwnerSaid(policy_title(name), policy, _said(rules, made, packet, parties))
        if by is not None and by.owner is Owner.POLICY and by.name == name:
            return
    if cause.kind in (CauseKind.NO_POLICY, CauseKind.UNTRACKED_ANSWER):
        return
    profiles = {profile.name: profile for profile in basis.cluster.profiles}
    for name in applied_profiles(basis, endpoint):
        profile = basis.resources.get(Profile, name)
        if profile is None or name not in profiles:
            yield OwnerSaid(profile_title(name), None)
        else:
            rules = profile.spec.ingress if ingress else profile.spec.egress
            made = profiles[name].inbound if ingress else profiles[name].outbound
            yield OwnerSaid(profile_title(name), profile, _said(rules, made, packet, parties))
        if by is not None and by.owner is Owner.PROFILE and by.name == name:
            return


def _said(
    rules: Iterable[PolicyRule], enforced: Iterable[v1.Rule], packet: Packet, parties: Parties
) -> tuple[RuleSaid, ...]:
    said = []
    for number, (rule, made) in enumerate(zip(rules, enforced, strict=True), 1):
        missed = misses(made, packet, parties)
        plain = any(miss.asked in (Asked.PROTOCOL, Asked.FAMILY) for miss in missed)
        told = (miss for miss in missed if not (plain and miss.asked is Asked.ICMP))
        why = tuple(describe_miss(miss, packet, parties) for miss in told)
        said.append(RuleSaid(number, rule, made, missed, why))
    return tuple(said)


# --- words -------------------------------------------------------------------------------------------------------


def describe_miss(miss: Miss, packet: Packet, parties: Parties) -> str:
    """What the packet has instead of what was asked."""
    match miss.asked:
        case Asked.FAMILY:
            return f"it is IPv{packet.family.value}"
        case Asked.PROTOCOL | Asked.NOT_PROTOCOL:
            return f"it is {protocol_name(packet.proto)}"
        case Asked.ICMP | Asked.NOT_ICMP:
            return f"it is {describe_traffic(packet)} code {packet.icmp_code}" if packet.is_icmp else "it is no ICMP"
        case Asked.PORTS | Asked.NOT_PORTS:
            return f"the {_end(miss)} port is {packet.sport if miss.end is End.SOURCE else packet.dport}"
        case Asked.NETS | Asked.NOT_NETS:
            return f"the {_end(miss)} is {_address(miss, packet)}"
        case Asked.SELECTOR:
            return f"the {_end(miss)}, {describe_address(_address(miss, packet), parties)}, is not selected"
        case Asked.NOT_SELECTOR:
            return f"the {_end(miss)}, {describe_address(_address(miss, packet), parties)}, is excluded"
        case _:
            assert_never(miss.asked)


def _end(miss: Miss) -> str:
    return "packet" if miss.end is None else miss.end.value


def _address(miss: Miss, packet: Packet) -> Address:
    return Address(packet.family, packet.src if miss.end is End.SOURCE else packet.dst)


def describe_address(address: Address, parties: Parties) -> str:
    """Who has an address, as far as the resources tell; else the address itself."""
    endpoints = [party.title for party in parties.at(address) if party.is_endpoint]
    return endpoints[0] if endpoints else str(address)


def place_text(endpoint: ChainOrigin) -> str:
    """An endpoint with the direction and, where it is not the usual one, the stage: `ingress of pod shop/web`."""
    stage = {
        Stage.FORWARD: " for forwarded traffic",
        Stage.UNTRACKED: ", untracked",
        Stage.PRE_DNAT: ", before destination NAT",
    }.get(endpoint.stage or Stage.NORMAL, "")
    where = f" ({endpoint.name})" if endpoint.owner is Owner.HOST_ENDPOINT else ""
    return f"{endpoint.direction} of {endpoint.title}{where}{stage}"


def _text(cause: DropCause, packet: Packet, asked: Sequence[OwnerSaid], parties: Parties) -> str:
    place = "" if cause.endpoint is None else f"{place_text(cause.endpoint)}: "
    source, destination = (describe_address(Address(packet.family, value), parties) for value in (packet.src, packet.dst))
    traffic = f"{describe_traffic(packet)} from {source} to {destination}"
    match cause.kind:
        case CauseKind.NO_POLICY:
            which = {1: "1 policy, which does not allow", 2: "2 policies, neither of which allows"}
            told = which.get(len(asked), f"{len(asked)} policies, none of which allows")
            return f"{place}selected by {told} {traffic}"
        case CauseKind.NO_PROFILE:
            passed = any(isinstance(one.resource, NetworkPolicy | GlobalNetworkPolicy) for one in asked)
            first = "policy passes it on to the profiles" if passed else "no policy selects it"
            profiles = [one for one in asked if not isinstance(one.resource, NetworkPolicy | GlobalNetworkPolicy)]
            then = f"none of its {len(profiles)} profiles allows {traffic}" if len(profiles) > 1 else (
                f"its profile does not allow {traffic}" if profiles else f"it has no profile to allow {traffic}"
            )  # fmt: skip
            return f"{place}{first}, and {then}"
        case CauseKind.DENIED:
            assert cause.by is not None and cause.by.chain is not None
            return f"{place}{cause.by.chain.title} rule {cause.by.rule} denies {traffic}"
        case CauseKind.NO_SUCH_PROFILE:
            assert cause.by is not None and cause.by.chain is not None
            name = cause.by.chain.name
            return f"{place}the profile {name}, which the endpoint names, does not exist, and so denies everything"
        case _:
            return f"{place}{_OTHER[cause.kind]}"


_OTHER = {
    CauseKind.ENDPOINT_DOWN: "the endpoint is administratively down, whatever policy says",
    CauseKind.UNKNOWN_ENDPOINT: "no endpoint is known behind this interface, and Calico drops what it does not know:"
    " no policy can allow it",
    CauseKind.TO_HOST: "DefaultEndpointToHostAction drops what workloads send to their host after their own policy let it"
    " out: no policy can allow it, only FelixConfiguration",
    CauseKind.NO_CONNECTION: "it belongs to no connection that is known and cannot begin one: no policy can allow it",
    CauseKind.UNTRACKED_ANSWER: "untracked policy let the first packet through, so connection tracking does not know its"
    " answer; untracked policy has to allow that too",
    CauseKind.FOREIGN_SOURCE: "the workload sends from an address that is not its own: no policy can allow it",
    CauseKind.TUNNEL: "a packet of the tunnels between nodes from somebody who may not send such: no policy can allow it",
    CauseKind.NOT_RENDERED: "the rule that decided is not one that these resources mean",
    CauseKind.FOREIGN_RULE: "not Calico's rule: no change of policy helps",
    CauseKind.OUTSIDE: "no rule decided: no change of policy helps",
}
