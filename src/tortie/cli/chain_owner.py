"""Whose a chain or a set is: policies, profiles, pods and interfaces by the names that people gave them.

Names of chains and sets hold digests where the real name is too long, so the way back goes by way of what was rendered:
every name that the resources can lead to is made, and looked up. What only the kernel holds is told from its name as far
as that goes, and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from tortie.calc.set_id import named_port_set_id, selector_set_id
from tortie.calc.view import NodeView, WorkloadEndpoint
from tortie.explain.title import policy_title, profile_title
from tortie.model import v1
from tortie.net.address import IPFamily
from tortie.render import names
from tortie.selector.canonical import format_selector
from tortie.selector.tree import All


class OwnerKind(Enum):
    """The kinds of things that chains and sets belong to, in the order in which they are shown."""

    POLICY = "policy"
    PROFILE = "profile"
    WORKLOAD = "workload"
    HOST_ENDPOINT = "host endpoint"
    SET = "set"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Owner:
    """What a chain or set belongs to, by the name that people know it by."""

    kind: OwnerKind
    name: str


@dataclass(frozen=True, slots=True)
class ChainUse:
    """A chain's owner, and for which part of it the chain is: a direction, or nothing."""

    owner: Owner
    part: str = ""


_NODE = ChainUse(Owner(OwnerKind.NODE, "every endpoint"))
_POLICY_CHAINS = ((names.POLICY_INBOUND, "ingress"), (names.POLICY_OUTBOUND, "egress"))
_PROFILE_CHAINS = ((names.PROFILE_INBOUND, "ingress"), (names.PROFILE_OUTBOUND, "egress"))
_WORKLOAD_CHAINS = ((names.TO_WORKLOAD, "ingress"), (names.FROM_WORKLOAD, "egress"), (names.SET_MARK, "mark"))
_HOST_CHAINS = (
    (names.FROM_HOST, "ingress"),
    (names.TO_HOST, "egress"),
    (names.FROM_HOST_FORWARDED, "forwarded ingress"),
    (names.TO_HOST_FORWARDED, "forwarded egress"),
)


def workload_title(endpoint: WorkloadEndpoint) -> str:
    """A workload with its interface: `pod ns/name (cali…)`."""
    what = "pod" if endpoint.id.orchestrator == "k8s" else f"{endpoint.id.orchestrator} workload"
    return f"{what} {endpoint.id.workload} ({endpoint.interface})"


class Owners:
    """Finds the owner of any chain and set; made from what the node should have."""

    def __init__(self, view: NodeView, cluster: v1.Cluster, hosts: Iterable[tuple[str, str]] = ()) -> None:
        """`hosts` are interfaces with the id of their host endpoint."""
        self._chains: dict[str, ChainUse] = {}
        for policy in view.policies:
            self._add(Owner(OwnerKind.POLICY, policy_title(policy.name)), policy.name, _POLICY_CHAINS)
        for profile in view.profiles:
            self._add(Owner(OwnerKind.PROFILE, profile_title(profile.name)), profile.name, _PROFILE_CHAINS)
        for interface, host in hosts:
            owner = Owner(OwnerKind.HOST_ENDPOINT, f"HostEndpoint {host} ({interface})")
            self._add(owner, interface, (*_HOST_CHAINS, (names.SET_MARK, "mark")))
        for endpoint in view.workloads:
            self._add(Owner(OwnerKind.WORKLOAD, workload_title(endpoint)), endpoint.interface, _WORKLOAD_CHAINS)
        self._sets = dict(_set_titles(cluster))

    def _add(self, owner: Owner, name: str, chains: Iterable[tuple[str, str]]) -> None:
        for prefix, part in chains:
            if name:
                self._chains[names.limited_name(prefix, name)] = ChainUse(owner, part)

    def of_chain(self, chain: str) -> ChainUse:
        """Whose a chain is; of one that only the kernel holds as much as its name tells."""
        return self._chains.get(chain) or _use_by_name(chain)

    def of_set(self, name: str) -> Owner:
        """What a set is of: the selector, the named port, or what Calico always has."""
        return Owner(OwnerKind.SET, self._sets.get(name, name))


def _use_by_name(chain: str) -> ChainUse:
    """From the name alone; what a digest stands for cannot be told."""
    for kind, what, rows in (
        (OwnerKind.POLICY, "", _POLICY_CHAINS),
        (OwnerKind.PROFILE, "", _PROFILE_CHAINS),
        (OwnerKind.WORKLOAD, "interface ", _WORKLOAD_CHAINS),
        (OwnerKind.HOST_ENDPOINT, "interface ", _HOST_CHAINS),
    ):
        for prefix, part in rows:
            if not chain.startswith(prefix):
                continue
            rest = chain.removeprefix(prefix)
            if rest.startswith("_") and len(chain) == names.MAX_CHAIN_NAME:
                return ChainUse(Owner(kind, f"{kind.value} with the digest {rest}"), part)
            return ChainUse(Owner(kind, _title_of_rest(kind, what, rest)), part)
    return _NODE


def _title_of_rest(kind: OwnerKind, what: str, rest: str) -> str:
    if kind is OwnerKind.POLICY:
        return policy_title(rest)
    if kind is OwnerKind.PROFILE:
        return profile_title(rest)
    return what + rest


# --- sets --------------------------------------------------------------------------------------------------------

_WELL_KNOWN = {
    names.ALL_POOLS_SET: "all IP pools",
    names.MASQUERADE_POOLS_SET: "IP pools with natOutgoing",
    names.THIS_HOST_SET: "addresses of this node",
    names.ALL_HOSTS_SET: "addresses of all nodes",
    names.ALL_VXLAN_SET: "addresses of the other nodes' VXLAN devices",
}


def _set_titles(cluster: v1.Cluster) -> Iterator[tuple[str, str]]:
    """The kernel's name of every set that a rule of the cluster can ask for, and what it is of."""
    titles = dict(_WELL_KNOWN)
    owners: tuple[v1.Policy | v1.Profile, ...] = (*cluster.policies, *cluster.profiles)
    lists = [rules for owner in owners for rules in (owner.inbound, owner.outbound)]
    for rule in (rule for rules in lists for rule in rules):
        for side in (rule.source, rule.destination):
            for selector in side.selectors:
                text = format_selector(selector)
                titles[selector_set_id(text)] = text
            for port in (*side.named_ports, *side.not_named_ports):
                text = format_selector(port.selector)
                set_id = named_port_set_id(selector_set_id(text), port.protocol, port.name)
                of = "" if isinstance(port.selector, All) else f" of {text}"
                titles[set_id] = f"port {port.protocol}/{port.name}{of}"
    for set_id, title in titles.items():
        for family in IPFamily:
            yield names.ip_set_name(family, set_id), title
