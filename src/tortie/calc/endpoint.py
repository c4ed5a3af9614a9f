"""Which policies apply to an endpoint, in which tier and in which order (spec: model 6.3).

Calico 3.7 has one tier, so an endpoint has it or, where no policy selects it, none. A host endpoint has it four times, for
each point at which policy acts; a policy that is both untracked and pre-DNAT acts as an untracked one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tortie.calc.view import EndpointTier, HostEndpoint, NatMapping, WorkloadEndpoint, WorkloadId
from tortie.model import v1


def order_key(policy: v1.Policy) -> tuple[float, bytes]:
    """What policies are sorted by: a lower order first, none last, then the name's bytes."""
    return math.inf if policy.order is None else policy.order, policy.name.encode()


def ordered(policies: Iterable[v1.Policy]) -> list[v1.Policy]:
    """The policies in the order in which they decide."""
    return sorted(policies, key=order_key)


def workload_id(workload: v1.Workload) -> WorkloadId:
    """What tells the endpoint from the others of its node."""
    return WorkloadId(workload.orchestrator, workload.workload, workload.endpoint)


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers of an endpoint, each of one tier or none; a workload has only the normal one."""

    normal: tuple[EndpointTier, ...] = ()
    forward: tuple[EndpointTier, ...] = ()
    untracked: tuple[EndpointTier, ...] = ()
    pre_dnat: tuple[EndpointTier, ...] = ()


def tiers_of(applied: Sequence[v1.Policy]) -> Tiers:
    """The tiers of an endpoint that these policies select, given in order."""
    normal = [policy for policy in applied if not policy.pre_dnat and not policy.untracked]
    return Tiers(
        normal=_tier(normal),
        forward=_tier(policy for policy in normal if policy.apply_on_forward),
        untracked=_tier(policy for policy in applied if policy.untracked),
        pre_dnat=_tier((policy for policy in applied if policy.pre_dnat and not policy.untracked), egress=False),
    )


def workload_view(workload: v1.Workload, tiers: Tiers) -> WorkloadEndpoint:
    """The endpoint as the node is told it."""
    return WorkloadEndpoint(
        id=workload_id(workload),
        interface=workload.interface,
        mac=workload.mac,
        profiles=workload.profiles,
        networks=workload.networks,
        tiers=tiers.normal,
        nats=tuple(NatMapping(nat.external, nat.internal) for nat in workload.nats),
    )


def host_view(endpoint: v1.HostEndpoint, tiers: Tiers) -> HostEndpoint:
    """The endpoint as the node is told it."""
    return HostEndpoint(
        id=endpoint.name,
        interface=endpoint.interface,
        expected_addresses=endpoint.expected_addresses,
        profiles=endpoint.profiles,
        tiers=tiers.normal,
        untracked_tiers=tiers.untracked,
        pre_dnat_tiers=tiers.pre_dnat,
        forward_tiers=tiers.forward,
    )


def _tier(policies: Iterable[v1.Policy], *, egress: bool = True) -> tuple[EndpointTier, ...]:
    """The one tier, or none if no policy is in either direction."""
    policies = list(policies)
    into = tuple([policy.name for policy in policies if policy.ingress])
    out = tuple([policy.name for policy in policies if policy.egress]) if egress else ()
    return (EndpointTier(into, out),) if into or out else ()
