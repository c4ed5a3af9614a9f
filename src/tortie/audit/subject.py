"""What a chain or a set is about, in the user's words: the policy, profile or endpoint that it was made of.

Only what a view holds is named; static and dispatch chains are nobody's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tortie.calc.view import ActivePolicy, ActiveProfile, NodeView
from tortie.net.address import IPFamily
from tortie.render import names
from tortie.render.config import RenderConfig
from tortie.render.endpoint import policy_chain, profile_chain
from tortie.render.host_endpoint import resolve_host_endpoints
from tortie.render.state import NodeState

_OF_WORKLOADS = {
    names.TO_WORKLOAD: "ingress",
    names.FROM_WORKLOAD: "egress",
    names.SET_MARK: "endpoint mark",
}
_OF_HOSTS = {
    names.FROM_HOST: "ingress",
    names.TO_HOST: "egress",
    names.FROM_HOST_FORWARDED: "forwarded ingress",
    names.TO_HOST_FORWARDED: "forwarded egress",
    names.SET_MARK: "endpoint mark",
}
_MOST_USERS = 3


@dataclass(frozen=True, slots=True)
class Subjects:
    """What chains and sets are about, by name."""

    chains: Mapping[str, str] = field(default_factory=dict)
    ip_sets: Mapping[str, str] = field(default_factory=dict)


def name_subjects(view: NodeView, state: NodeState, config: RenderConfig) -> Subjects:
    """What everything that is rendered from these is about."""
    chains = dict(_of_rules(view))
    for workload in view.workloads:
        for prefix, what in _OF_WORKLOADS.items():
            name = f"workload {workload.id.workload} ({workload.interface})"
            chains[names.limited_name(prefix, workload.interface)] = f"{name}, {what}"
    hosts = resolve_host_endpoints(view.host_endpoints, state.interfaces, config)
    named = dict(hosts.by_interface)
    if hosts.all_interfaces is not None:
        named[names.ALL_INTERFACES_ALIAS] = hosts.all_interfaces
    for interface, host in named.items():
        for prefix, what in _OF_HOSTS.items():
            chains[names.limited_name(prefix, interface)] = f"host endpoint {host.id} ({interface}), {what}"
    return Subjects(chains, dict(_of_sets(view)))


def _of_rules(view: NodeView) -> Iterator[tuple[str, str]]:
    for policy in view.policies:
        for inbound, what in ((True, "ingress"), (False, "egress")):
            yield policy_chain(policy.name, inbound=inbound), f"{_title(policy)}, {what}"
    for profile in view.profiles:
        for inbound, what in ((True, "ingress"), (False, "egress")):
            yield profile_chain(profile.name, inbound=inbound), f"{_title(profile)}, {what}"


def _title(owner: ActivePolicy | ActiveProfile) -> str:
    return f"{'policy' if isinstance(owner, ActivePolicy) else 'profile'} {owner.name}"


def _of_sets(view: NodeView) -> Iterator[tuple[str, str]]:
    """Each set and the policies and profiles whose rules look into it."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    owners: list[ActivePolicy | ActiveProfile] = [*view.policies, *view.profiles]
    for owner in owners:
        ids = {
            set_id
            for rule in (*owner.inbound, *owner.outbound)
            for side in (rule.source, rule.destination)
            for set_id in side.set_ids
        }
        for set_id in ids:
            users[set_id].append(_title(owner))
    for set_id, titles in users.items():
        for family in IPFamily:
            yield names.ip_set_name(family, set_id), _few(titles)


def _few(titles: Iterable[str]) -> str:
    ordered = sorted(titles)
    more = f" and {len(ordered) - _MOST_USERS} more" if len(ordered) > _MOST_USERS else ""
    return f"{', '.join(ordered[:_MOST_USERS])}{more}"
