"""Whole views of one small node, in pairs: what it was told before and what it is told now.

The two differ in some parts and agree in others, so that rules and sets change together and apart. Addresses and sets are
those of `view`, but the members of each set are drawn, and two more workloads, a host endpoint and floating addresses join.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import strategies as st

from tests.strategies.view import NETS, SETS, active_rules, crowded_rules
from tortie.calc.view import (
    ActivePolicy,
    ActiveProfile,
    ActiveRule,
    ActiveSet,
    EndpointTier,
    HostEndpoint,
    IPPool,
    NatMapping,
    NetSet,
    NodeView,
    PortMember,
    PortSet,
    RuleAction,
    RuleSide,
    WorkloadEndpoint,
    WorkloadId,
)
from tortie.net.address import IPFamily, parse_address, parse_prefix
from tortie.render.config import RenderConfig

T = TypeVar("T")

PODS = {"cali1": "10.65.0.2", "cali12": "10.65.0.3", "cali2": "10.65.0.4"}
FLOATING = ("10.1.0.130", "10.7.0.1")
ROUTES = {f"{address}/32": name for name, address in PODS.items()}
POLICIES = ("default.a", "default.b", "default.c")
PROFILE = "kns.ns"
CONFIG = RenderConfig(disable_conntrack_invalid_check=True, ipv6_support=False)
FAMILY = IPFamily.V4

_MEMBERS = tuple(net for net in NETS if net.family is FAMILY and net.length)
_ADDRESSES = tuple(parse_address(text) for text in ("10.0.0.1", "10.65.0.2", "10.65.0.3", "10.1.0.1"))
_PORT_MEMBERS = tuple(
    PortMember(address, protocol, port) for address in _ADDRESSES for protocol in ("tcp", "udp") for port in (2, 3)
)
_HOSTS = tuple(parse_prefix(f"{text}/32") for text in ("10.0.0.1", "10.1.0.1", PODS["cali1"]))
_SET_NAMES = tuple(name for name in SETS if name.startswith("s:"))


@dataclass(frozen=True)
class Told:
    """A view and the configuration that goes with it."""

    view: NodeView
    config: RenderConfig


def _set_rules() -> st.SearchStrategy[ActiveRule]:
    """Plain rules that look into sets, in both directions of meaning."""
    sides = st.builds(
        RuleSide,
        ip_sets=st.lists(st.sampled_from(_SET_NAMES), max_size=1).map(tuple),
        not_ip_sets=st.lists(st.sampled_from(_SET_NAMES), max_size=1).map(tuple),
    )
    actions = st.sampled_from([RuleAction.ALLOW, RuleAction.ALLOW, RuleAction.DENY, RuleAction.NEXT_TIER])
    return st.builds(ActiveRule, actions, source=sides, destination=sides)


def _rules() -> st.SearchStrategy[tuple[ActiveRule, ...]]:
    one = _set_rules() | _set_rules() | active_rules(FAMILY) | crowded_rules(FAMILY)
    return st.lists(one, max_size=3).map(tuple)


@st.composite
def _sets(draw: st.DrawFn, name: str) -> ActiveSet:
    if name.startswith("s:"):
        return NetSet(name, draw(st.frozensets(st.sampled_from(_MEMBERS), max_size=4)))
    return PortSet(name, draw(st.frozensets(st.sampled_from(_PORT_MEMBERS), max_size=4)))


def _tiers() -> st.SearchStrategy[tuple[EndpointTier, ...]]:
    some = st.lists(st.sampled_from(POLICIES), max_size=2, unique=True).map(tuple)
    return st.builds(EndpointTier, some, some).map(lambda tier: (tier,)) | st.just(())


@st.composite
def _workload(draw: st.DrawFn, name: str) -> WorkloadEndpoint | None:
    if draw(st.integers(0, 4)) == 0:
        return None
    nats = draw(st.lists(st.sampled_from(FLOATING), max_size=1))
    return WorkloadEndpoint(
        WorkloadId("k8s", f"ns/{name}", "eth0"),
        name,
        active=draw(st.integers(0, 9)) > 0,
        profiles=(PROFILE,) if draw(st.booleans()) else (),
        tiers=draw(_tiers()),
        nats=tuple(NatMapping(parse_address(text), parse_address(PODS[name])) for text in nats),
    )


@st.composite
def _host(draw: st.DrawFn) -> HostEndpoint | None:
    if draw(st.integers(0, 2)) == 0:
        return None
    rarely = st.just(()) | st.just(()) | _tiers()
    return HostEndpoint(
        "host", "eth0", tiers=draw(_tiers()), untracked_tiers=draw(rarely), pre_dnat_tiers=draw(rarely),
        forward_tiers=draw(rarely),
    )  # fmt: skip


@st.composite
def _config(draw: st.DrawFn) -> RenderConfig:
    if draw(st.integers(0, 3)):
        return CONFIG
    return replace(
        CONFIG,
        filter_allow_action=draw(st.sampled_from(["ACCEPT", "RETURN"])),
        mark_mask=draw(st.sampled_from([0xFFFF0000, 0x0FF00000])),
        max_ipset_size=draw(st.sampled_from([1000, 2000])),
        endpoint_to_host_action=draw(st.sampled_from(["DROP", "ACCEPT", "RETURN"])),
    )


@st.composite
def sets_and_policies_twice(draw: st.DrawFn) -> tuple[Told, Told]:
    """One workload, short policies that hang on sets, and sets of a few addresses: nearly every change shows."""
    rules = st.lists(_set_rules(), min_size=1, max_size=3).map(tuple)
    hosts = st.sets(st.sampled_from(_HOSTS), max_size=2).map(frozenset)
    tier = (EndpointTier(POLICIES[:2], POLICIES[:2]),)
    pod = WorkloadEndpoint(WorkloadId("k8s", "ns/cali1", "eth0"), "cali1", profiles=(PROFILE,), tiers=tier)
    policies = {name: draw(rules) for name in POLICIES[:2]}
    made = []
    for _ in range(2):
        policies |= {name: draw(rules) for name in POLICIES[:2] if draw(st.integers(0, 2)) == 0}
        view = NodeView(
            "node-1",
            workloads=(pod,),
            policies=tuple(ActivePolicy(name, given, given) for name, given in policies.items()),
            profiles=(ActiveProfile(PROFILE),),
            ip_sets=tuple(NetSet(name, draw(hosts)) for name in _SET_NAMES),
        )
        made.append(Told(view, CONFIG))
    return made[0], made[1]


@st.composite
def told_twice(draw: st.DrawFn) -> tuple[Told, Told]:
    """What a node was told before and is told now."""

    def both(strategy: st.SearchStrategy[T]) -> tuple[T, T]:
        before = draw(strategy)
        return before, (draw(strategy) if draw(st.booleans()) else before)

    pools = both(st.lists(st.builds(IPPool, st.just(parse_prefix("10.65.0.0/16")), st.booleans()), max_size=1))
    hosts = both(_host())
    configs = both(_config())
    sets = [both(_sets(name)) for name in SETS]
    workloads = [both(_workload(name)) for name in PODS]
    policies = [both(st.builds(ActivePolicy, st.just(name), _rules(), _rules())) for name in POLICIES]
    profiles = both(st.builds(ActiveProfile, st.just(PROFILE), _rules(), _rules()))
    made = []
    for at in (0, 1):
        host = hosts[at]
        view = NodeView(
            "node-1",
            workloads=tuple(pair[at] for pair in workloads if pair[at] is not None),  # type: ignore[misc]
            host_endpoints=() if host is None else (host,),
            policies=tuple(pair[at] for pair in policies),
            profiles=(profiles[at],),
            ip_sets=tuple(pair[at] for pair in sets),
            pools=tuple(pools[at]),
        )
        made.append(Told(view, configs[at]))
    return made[0], made[1]
