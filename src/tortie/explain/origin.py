"""Where each rendered chain, rule and set comes from, and whether a rule in the kernel is one of them.

The way back is kept beside rendering and changes nothing of it: chains by the names that the renderer gives, rules by how
many rules of iptables each rule of a policy becomes (`render.policy`), sets by the selectors that rules ask for. One rule
of a policy may be none, one or many of iptables, blocks included. A rule is attributed only when it equals the rendered
one, hash and body: the hash is of the whole chain up to there, so an equal rule stands for the same resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from tortie.calc.rule import SetUse, set_uses
from tortie.calc.view import ActivePolicy, ActiveProfile
from tortie.explain.basis import Basis
from tortie.explain.title import full_name, policy_title, profile_title
from tortie.model import v1
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.profile import Profile
from tortie.model.read import Key, key_of
from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch, SetMatch
from tortie.netfilter.rule import Rule
from tortie.render import names
from tortie.render.endpoint import policy_chain, profile_chain
from tortie.render.host_endpoint import resolve_host_endpoints
from tortie.render.ipset import ip_sets
from tortie.render.policy import active_rule_rules, policy_rules, profile_rules
from tortie.render.state import render_context
from tortie.selector.canonical import format_selector
from tortie.selector.tree import All
from tortie.simulator.trace import RuleStep


class Owner(Enum):
    """The kinds of things that chains belong to; `value` is the word in documents."""

    POLICY = "policy"
    PROFILE = "profile"
    WORKLOAD = "workload"
    HOST_ENDPOINT = "host_endpoint"
    NODE = "node"
    """What every node has: entries, dispatch, failsafe ports."""


class Stage(Enum):
    """When policy is asked (spec: model 6.3); `value` is the word in documents."""

    NORMAL = "normal"
    FORWARD = "forward"
    UNTRACKED = "untracked"
    PRE_DNAT = "pre_dnat"


INGRESS, EGRESS = "ingress", "egress"


@dataclass(frozen=True, slots=True)
class ChainOrigin:
    """What a chain was made of; `name` is the policy's full name, the profile's, the interface or the chain's own."""

    owner: Owner
    name: str
    title: str
    key: Key | None = None
    direction: str | None = None
    stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class SetOrigin:
    """What a set holds: whom a selector selects, or the addresses with the port that they give a name."""

    name: str
    title: str
    selector: str | None = None
    port: str | None = None


@dataclass(frozen=True, slots=True)
class RuleOrigin:
    """Where a rule in the kernel comes from; `rule` counts the rules of its policy or profile in one direction from 1.

    `rendered` is false for a rule in a chain of ours that is not what the resources mean: then nothing else is known of it.
    """

    rendered: bool
    chain: ChainOrigin | None = None
    rule: int | None = None
    sets: tuple[SetOrigin, ...] = ()


_WELL_KNOWN: Mapping[str, str] = {
    names.ALL_POOLS_SET: "all IP pools",
    names.MASQUERADE_POOLS_SET: "IP pools with natOutgoing",
    names.THIS_HOST_SET: "addresses of this node",
    names.ALL_HOSTS_SET: "addresses of all nodes",
    names.ALL_VXLAN_SET: "addresses of the other nodes' VXLAN devices",
}
_STALE = RuleOrigin(rendered=False)


class Origins:
    """Finds where chains, rules and sets of a node come from."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._context = render_context(basis.config, basis.state)
        self._owners: dict[str, tuple[ActivePolicy | ActiveProfile, bool]] = {}
        self._numbers: dict[tuple[str, IPFamily], tuple[int | None, ...]] = {}
        self._keys = {full_name(one): key_of(one) for one in basis.resources.of(NetworkPolicy)}
        self._keys |= {full_name(one): key_of(one) for one in basis.resources.of(GlobalNetworkPolicy)}
        self._chains = dict(self._named_chains())

    def of_step(self, step: RuleStep) -> RuleOrigin | None:
        """Where the rule of a step comes from; None for a rule that is none of Calico's."""
        return self.of_rule(step.packet.family, step.table, step.chain, step.number, step.rule)

    def of_rule(self, family: IPFamily, table: TableName, chain: str, number: int, rule: Rule) -> RuleOrigin | None:
        """Where a rule that stands in a chain of the kernel comes from; None for a rule that is none of Calico's."""
        position = _position(self._rendered(family, table, chain), number, rule)
        if position is None:
            return _STALE if chain.startswith(names.OUR_CHAIN_PREFIXES) or _is_tracked(rule) else None
        origin = self.of_chain(table, chain)
        return RuleOrigin(True, origin, self._rule_number(chain, family, position), tuple(self._sets_of(rule)))

    def of_chain(self, table: TableName, chain: str) -> ChainOrigin:
        """What a chain that was rendered was made of."""
        found = self._chains.get((table, chain)) or self._chains.get((None, chain))
        return found or ChainOrigin(Owner.NODE, chain, "every node")

    def of_set(self, name: str) -> SetOrigin | None:
        """What a set holds; None for a set that is not among the rendered ones."""
        return self._sets.get(name)

    def has_profile(self, name: str) -> bool:
        """False for a profile that endpoints list and nobody has made, which denies everything (spec: model 6.2)."""
        return self._basis.resources.get(Profile, name) is not None

    def _rendered(self, family: IPFamily, table: TableName, chain: str) -> tuple[Rule, ...]:
        made = self._basis.rendering.families.get(family)
        rendered = None if made is None else made.tables.get(table)
        if rendered is None:
            return ()
        if chain in rendered.chains:
            return rendered.chains[chain].rules
        return rendered.hooks.get(chain, ())

    # --- chains --------------------------------------------------------------------------------------------------

    def _named_chains(self) -> Iterator[tuple[tuple[TableName | None, str], ChainOrigin]]:
        view = self._basis.view
        for policy in view.policies:
            stage = Stage.UNTRACKED if policy.untracked else Stage.PRE_DNAT if policy.pre_dnat else None
            for inbound, direction in ((True, INGRESS), (False, EGRESS)):
                name = policy_chain(policy.name, inbound=inbound)
                self._owners[name] = policy, inbound
                title = policy_title(policy.name)
                origin = ChainOrigin(Owner.POLICY, policy.name, title, self._keys.get(policy.name), direction, stage)
                yield (None, name), origin
        for profile in view.profiles:
            for inbound, direction in ((True, INGRESS), (False, EGRESS)):
                name = profile_chain(profile.name, inbound=inbound)
                self._owners[name] = profile, inbound
                key = Key("Profile", "", profile.name)
                yield (None, name), ChainOrigin(Owner.PROFILE, profile.name, profile_title(profile.name), key, direction)
        yield from self._workload_chains()
        yield from self._host_chains()

    def _workload_chains(self) -> Iterator[tuple[tuple[TableName | None, str], ChainOrigin]]:
        taken: set[str] = set()
        for endpoint in sorted(self._basis.view.workloads, key=lambda endpoint: endpoint.id):
            if endpoint.interface in taken or not endpoint.interface:
                continue
            taken.add(endpoint.interface)
            what = "pod" if endpoint.id.orchestrator == "k8s" else f"{endpoint.id.orchestrator} workload"
            title = f"{what} {endpoint.id.workload}"
            for prefix, direction in (
                (names.TO_WORKLOAD, INGRESS),
                (names.FROM_WORKLOAD, EGRESS),
                (names.SET_MARK, None),
            ):
                stage = None if direction is None else Stage.NORMAL
                origin = ChainOrigin(Owner.WORKLOAD, endpoint.interface, title, None, direction, stage)
                yield (None, names.limited_name(prefix, endpoint.interface)), origin

    def _host_chains(self) -> Iterator[tuple[tuple[TableName | None, str], ChainOrigin]]:
        basis = self._basis
        hosts = resolve_host_endpoints(basis.view.host_endpoints, basis.state.interfaces, basis.config)
        every = hosts.all_interfaces
        named = [*hosts.by_interface.items()] + ([] if every is None else [(names.ALL_INTERFACES_ALIAS, every)])
        for interface, endpoint in named:
            title = f"HostEndpoint {endpoint.id}"
            key = Key("HostEndpoint", "", endpoint.id)
            for table, prefix, direction, stage in _HOST_CHAINS:
                name = names.limited_name(prefix, interface)
                yield (table, name), ChainOrigin(Owner.HOST_ENDPOINT, interface, title, key, direction, stage)

    # --- rules ---------------------------------------------------------------------------------------------------

    def _rule_number(self, chain: str, family: IPFamily, position: int) -> int | None:
        """Which rule of its policy or profile the rule at a position of a chain is of; None where it is of none."""
        if chain not in self._owners:
            return None
        key = chain, family
        if key not in self._numbers:
            owner, inbound = self._owners[chain]
            given = owner.inbound if inbound else owner.outbound
            counts = [
                number
                for number, one in enumerate(given, 1)
                for _ in range(len(active_rule_rules(one, family, self._context)))
            ]
            make = policy_rules if isinstance(owner, ActivePolicy) else profile_rules
            extra = len(make(given, family, self._context)) - len(counts)
            self._numbers[key] = (*[None] * extra, *counts)
        return self._numbers[key][position]

    # --- sets ----------------------------------------------------------------------------------------------------

    def _sets_of(self, rule: Rule) -> Iterator[SetOrigin]:
        for match in rule.matches:
            if isinstance(match, SetMatch):
                found = self.of_set(match.name)
                if found is not None:
                    yield found

    @cached_property
    def _sets(self) -> dict[str, SetOrigin]:
        basis = self._basis
        titles = dict(_WELL_KNOWN)
        uses = {use.id: use for use in self._set_uses()}
        found: dict[str, SetOrigin] = {}
        for family in basis.rendering.families:
            for set_id, title in titles.items():
                name = names.ip_set_name(family, set_id)
                found[name] = SetOrigin(name, title)
            for set_id, use in uses.items():
                name = names.ip_set_name(family, set_id)
                found[name] = _set_origin(name, use)
        made = [ip_sets(basis.view, basis.state, basis.config, family) for family in basis.rendering.families]
        there = {name for sets in made for name in sets}
        return {name: origin for name, origin in found.items() if name in there}

    def _set_uses(self) -> Iterator[SetUse]:
        active = {policy.name for policy in self._basis.view.policies} | {one.name for one in self._basis.view.profiles}
        cluster = self._basis.cluster
        owners: list[v1.Policy | v1.Profile] = [*cluster.policies, *cluster.profiles]
        for owner in owners:
            if owner.name in active:
                yield from set_uses((*owner.inbound, *owner.outbound))


_HOST_CHAINS: tuple[tuple[TableName | None, str, str | None, Stage | None], ...] = (
    (TableName.RAW, names.FROM_HOST, INGRESS, Stage.UNTRACKED),
    (TableName.RAW, names.TO_HOST, EGRESS, Stage.UNTRACKED),
    (TableName.MANGLE, names.FROM_HOST, INGRESS, Stage.PRE_DNAT),
    (TableName.FILTER, names.FROM_HOST, INGRESS, Stage.NORMAL),
    (TableName.FILTER, names.TO_HOST, EGRESS, Stage.NORMAL),
    (TableName.FILTER, names.FROM_HOST_FORWARDED, INGRESS, Stage.FORWARD),
    (TableName.FILTER, names.TO_HOST_FORWARDED, EGRESS, Stage.FORWARD),
    (None, names.SET_MARK, None, None),
)
"""The chains of a host endpoint (spec: rules 6.1)."""


def _set_origin(name: str, use: SetUse) -> SetOrigin:
    text = format_selector(use.selector)
    if use.port is None:
        return SetOrigin(name, text, text)
    port = f"{use.port.protocol}/{use.port.name}"
    of = "" if isinstance(use.selector, All) else f" of {text}"
    return SetOrigin(name, f"port {port}{of}", text, port)


def _position(rendered: tuple[Rule, ...], number: int, rule: Rule) -> int | None:
    """Where a rule of the kernel stands among the rendered ones; its own place is looked at first."""
    if number <= len(rendered) and rendered[number - 1] == rule:
        return number - 1
    return next((index for index, one in enumerate(rendered) if one == rule), None)


def _is_tracked(rule: Rule) -> bool:
    return any(isinstance(match, CommentMatch) and match.text.startswith(names.TRACKING_COMMENT) for match in rule.matches)


def tracked(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules that carry a tracking comment of ours."""
    return tuple(rule for rule in rules if _is_tracked(rule))
