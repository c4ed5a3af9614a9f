"""Endpoint chains: what each packet from or to one endpoint goes through.

Nine kinds of chain share one order of rules (spec: rules 6; Felix 3.7 rules/endpoints.go); `ChainKind` says where they
differ, as a table. A tenth kind gives packets their endpoint's mark. The rules that a policy or profile brings are the same
in every endpoint's chain, so an `EndpointRenderer` makes each once: a node with many endpoints spends its time in hashing
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tortie.calc.view import EndpointTier, HostEndpoint, PortRange, WorkloadEndpoint
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import Side
from tortie.render import names, text
from tortie.render.state import RenderContext
from tortie.render.text import ACCEPT, DROP, NOTRACK, RETURN, FelixRule, rule

_IPIP = 4
_UDP = 17


class Policies(Enum):
    """How the policies of a chain end: NORMAL with the profiles, FORWARD by default allowed, the others without a word."""

    NORMAL = "normal"
    FORWARD = "forward"
    UNTRACKED = "untracked"
    PRE_DNAT = "pre-DNAT"


@dataclass(frozen=True, slots=True)
class ChainKind:
    """One row of spec rules 6.1."""

    prefix: str
    table: TableName
    inbound: bool
    policies: Policies
    failsafe: str | None = None
    drop_tunnels: bool = False


TO_WORKLOAD = ChainKind(names.TO_WORKLOAD, TableName.FILTER, True, Policies.NORMAL)
FROM_WORKLOAD = ChainKind(names.FROM_WORKLOAD, TableName.FILTER, False, Policies.NORMAL, drop_tunnels=True)
TO_HOST = ChainKind(names.TO_HOST, TableName.FILTER, False, Policies.NORMAL, names.FAILSAFE_OUT)
FROM_HOST = ChainKind(names.FROM_HOST, TableName.FILTER, True, Policies.NORMAL, names.FAILSAFE_IN)
TO_HOST_FORWARDED = ChainKind(names.TO_HOST_FORWARDED, TableName.FILTER, False, Policies.FORWARD)
FROM_HOST_FORWARDED = ChainKind(names.FROM_HOST_FORWARDED, TableName.FILTER, True, Policies.FORWARD)
TO_HOST_UNTRACKED = ChainKind(names.TO_HOST, TableName.RAW, False, Policies.UNTRACKED, names.FAILSAFE_OUT)
FROM_HOST_UNTRACKED = ChainKind(names.FROM_HOST, TableName.RAW, True, Policies.UNTRACKED, names.FAILSAFE_IN)
FROM_HOST_PRE_DNAT = ChainKind(names.FROM_HOST, TableName.MANGLE, True, Policies.PRE_DNAT, names.FAILSAFE_IN)


@dataclass(frozen=True, slots=True)
class EndpointChain:
    """One chain of an endpoint, by all that it depends on; of an endpoint that is not `active` no policy counts."""

    kind: ChainKind
    interface: str
    policies: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    active: bool = True

    @property
    def name(self) -> str:
        """The chain's name."""
        return names.chain_name(self.kind.prefix, self.interface)


@dataclass(frozen=True, slots=True)
class MarkChain:
    """The chain that gives packets from an endpoint its mark; it is empty when there was none left."""

    interface: str
    mark: int | None

    @property
    def name(self) -> str:
        """The chain's name."""
        return names.chain_name(names.SET_MARK, self.interface)


def workload_chains(endpoint: WorkloadEndpoint) -> tuple[EndpointChain, ...]:
    """The filter chains of a workload, but for its mark."""
    if not endpoint.active:
        return tuple(EndpointChain(kind, endpoint.interface, active=False) for kind in (TO_WORKLOAD, FROM_WORKLOAD))
    return tuple(
        EndpointChain(kind, endpoint.interface, _policies(endpoint.tiers, kind), endpoint.profiles)
        for kind in (TO_WORKLOAD, FROM_WORKLOAD)
    )


def host_filter_chains(interface: str, endpoint: HostEndpoint) -> tuple[EndpointChain, ...]:
    """The filter chains of a host endpoint on one interface, but for its mark."""
    return (
        *(
            EndpointChain(kind, interface, _policies(endpoint.tiers, kind), endpoint.profiles)
            for kind in (TO_HOST, FROM_HOST)
        ),
        *(
            EndpointChain(kind, interface, _policies(endpoint.forward_tiers, kind))
            for kind in (TO_HOST_FORWARDED, FROM_HOST_FORWARDED)
        ),
    )


def host_raw_chains(interface: str, endpoint: HostEndpoint) -> tuple[EndpointChain, ...]:
    """The raw chains of a host endpoint with untracked policy, on one interface."""
    return tuple(
        EndpointChain(kind, interface, _policies(endpoint.untracked_tiers, kind))
        for kind in (TO_HOST_UNTRACKED, FROM_HOST_UNTRACKED)
    )


def host_mangle_chains(interface: str, endpoint: HostEndpoint) -> tuple[EndpointChain, ...]:
    """The mangle chain of a host endpoint with pre-DNAT policy, on one interface or the alias of all."""
    kind = FROM_HOST_PRE_DNAT
    return (EndpointChain(kind, interface, _policies(endpoint.pre_dnat_tiers, kind)),)


class EndpointRenderer:
    """Renders endpoint chains of one node; everything that chains have in common is made once."""

    def __init__(self, context: RenderContext) -> None:
        self._context = context
        bits = context.bits
        self._accepted = text.mark_single_set(bits.accept)
        self._not_passed = text.mark_clear(bits.passed)
        self._start = rule(text.clear_mark(bits.passed), comment="Start of policies")
        self._clear_accept = rule(text.clear_mark(bits.accept))
        self._no_policy = rule(DROP, self._not_passed, comment="Drop if no policies passed packet")
        self._no_profile = rule(DROP, comment="Drop if no profiles matched")
        self._policy_return = rule(RETURN, self._accepted, comment="Return if policy accepted")
        self._profile_return = rule(RETURN, self._accepted, comment="Return if profile accepted")
        self._notrack = rule(NOTRACK, self._accepted)
        self._forward_default = [
            rule(text.set_mark(bits.accept), comment="Allow forwarded traffic by default"),
            rule(RETURN, comment="Return for accepted forward traffic"),
        ]
        self._heads: dict[ChainKind, list[FelixRule]] = {}
        self._policy_rules: dict[tuple[str, bool, bool], list[FelixRule]] = {}
        self._profile_rules: dict[tuple[str, bool], list[FelixRule]] = {}

    def rules(self, chain: EndpointChain | MarkChain) -> list[FelixRule]:
        """The rules of one chain."""
        if isinstance(chain, MarkChain):
            return [] if chain.mark is None else [rule(text.set_masked_mark(chain.mark, self._context.bits.endpoint))]
        if not chain.active:
            return [rule(DROP, comment="Endpoint admin disabled")]
        return self.endpoint_rules(chain.kind, chain.policies, chain.profiles)

    def endpoint_rules(self, kind: ChainKind, policies: Sequence[str], profiles: Sequence[str] = ()) -> list[FelixRule]:
        """The rules of one chain of an endpoint that is up (spec: rules 6.2)."""
        rules = list(self._head(kind))
        if policies:
            rules.append(self._start)
            untracked = kind.policies is Policies.UNTRACKED
            for name in policies:
                rules += self._of_policy(name, kind.inbound, untracked)
            if kind.policies in (Policies.NORMAL, Policies.FORWARD):
                rules.append(self._no_policy)
        elif kind.policies is Policies.FORWARD:
            rules += self._forward_default
        if kind.policies is Policies.NORMAL:
            for name in profiles:
                rules += self._of_profile(name, kind.inbound)
            rules.append(self._no_profile)
        return rules

    def _head(self, kind: ChainKind) -> list[FelixRule]:
        if kind not in self._heads:
            tracked = [] if kind.policies is Policies.UNTRACKED else self._tracked(kind)
            failsafe = [] if kind.failsafe is None else [rule(text.jump(kind.failsafe))]
            tunnels = self._tunnel_drops() if kind.drop_tunnels else []
            self._heads[kind] = [*tracked, *failsafe, self._clear_accept, *tunnels]
        return self._heads[kind]

    def _tracked(self, kind: ChainKind) -> list[FelixRule]:
        """What happens to packets of known connections, and to those of none."""
        allow = self._context.allow(kind.table)
        rules = []
        if allow is not ACCEPT:
            rules.append(rule(text.set_mark(self._context.bits.accept), text.CT_ESTABLISHED))
        rules.append(rule(allow, text.CT_ESTABLISHED))
        if not self._context.config.disable_conntrack_invalid_check:
            rules.append(rule(DROP, text.CT_INVALID))
        return rules

    def _tunnel_drops(self) -> list[FelixRule]:
        """No workload may speak to other nodes' tunnels (spec: rules 6.3); the same words in both families."""
        config = self._context.config
        port = config.vxlan_port & 0xFFFF
        return [
            rule(
                DROP,
                text.protocol(_UDP),
                text.ports(Side.DST, (PortRange(port, port),)),
                text.vxlan_vni(config.vxlan_vni),
                comment="Drop VXLAN encapped packets originating in pods",
            ),
            rule(DROP, text.protocol(_IPIP), comment="Drop IPinIP encapped packets originating in pods"),
        ]

    def _of_policy(self, name: str, inbound: bool, untracked: bool) -> list[FelixRule]:
        key = (name, inbound, untracked)
        found = self._policy_rules.get(key)
        if found is None:
            chain = policy_chain(name, inbound=inbound)
            notrack = [self._notrack] if untracked else []
            found = [rule(text.jump(chain), self._not_passed), *notrack, self._policy_return]
            self._policy_rules[key] = found
        return found

    def _of_profile(self, name: str, inbound: bool) -> list[FelixRule]:
        key = (name, inbound)
        found = self._profile_rules.get(key)
        if found is None:
            found = [rule(text.jump(profile_chain(name, inbound=inbound))), self._profile_return]
            self._profile_rules[key] = found
        return found


def policy_chain(name: str, *, inbound: bool) -> str:
    """The chain of a policy's rules of one direction."""
    return names.chain_name(names.POLICY_INBOUND if inbound else names.POLICY_OUTBOUND, name)


def profile_chain(name: str, *, inbound: bool) -> str:
    """The chain of a profile's rules of one direction."""
    return names.chain_name(names.PROFILE_INBOUND if inbound else names.PROFILE_OUTBOUND, name)


def _policies(tiers: Sequence[EndpointTier], kind: ChainKind) -> tuple[str, ...]:
    """The policies of the first tier in a chain's direction; there is only one tier (spec: rules 6.4)."""
    if not tiers:
        return ()
    return tiers[0].ingress if kind.inbound else tiers[0].egress
