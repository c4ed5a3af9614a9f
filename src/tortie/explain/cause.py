"""What kind of thing dropped a packet, and at which endpoint, in terms of policy.

Told from the rule that decided and from where it comes: only a rule that equals the rendered one is taken at its word.
What is not Calico's, or not of these resources, is told as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from tortie.explain.origin import ChainOrigin, Origins, Owner, RuleOrigin, Stage
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import ConntrackMatch, CtState, RpfilterMatch
from tortie.netfilter.rule import Rule
from tortie.render import names
from tortie.simulator.role import remarks
from tortie.simulator.summary import Naming, deciding_step
from tortie.simulator.trace import Cause, RuleStep, Trace


class CauseKind(Enum):
    """Why a packet does not get through; `value` is the word in documents."""

    NO_POLICY = "no_policy_allows"
    """Policies select the endpoint and none allows the packet or passes it on."""
    NO_PROFILE = "no_profile_allows"
    """It is left to the profiles, and none allows it."""
    DENIED = "rule_denies"
    NO_SUCH_PROFILE = "missing_profile"
    ENDPOINT_DOWN = "endpoint_down"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    """No endpoint is known at a workload's interface."""
    TO_HOST = "workload_to_host"
    """DefaultEndpointToHostAction."""
    NO_CONNECTION = "no_connection"
    """Connection tracking knows no connection that the packet belongs to, nor can it begin one."""
    UNTRACKED_ANSWER = "untracked_answer"
    """The same, and it answers a packet that untracked policy let through: nothing but untracked policy can let it pass."""
    FOREIGN_SOURCE = "foreign_source"
    """A workload sends from an address that is not its own."""
    TUNNEL = "tunnel"
    """A packet of the tunnels between nodes, from or by somebody who may not send such."""
    NOT_RENDERED = "not_rendered"
    """A rule in a chain of Calico's that is not what the resources mean."""
    FOREIGN_RULE = "foreign_rule"
    """A rule, or a chain's policy, of somebody else."""
    OUTSIDE = "outside_rules"
    """Routing, a sysctl, the packet's own header."""


POLICY_HELPS = frozenset(
    (
        CauseKind.NO_POLICY,
        CauseKind.NO_PROFILE,
        CauseKind.DENIED,
        CauseKind.NO_SUCH_PROFILE,
        CauseKind.UNTRACKED_ANSWER,
    )
)
"""Causes that a change of policy can take away."""
_REMARKS = {
    "Drop if no policies passed packet": CauseKind.NO_POLICY,
    "Drop if no profiles matched": CauseKind.NO_PROFILE,
    "Endpoint admin disabled": CauseKind.ENDPOINT_DOWN,
    "Unknown interface": CauseKind.UNKNOWN_ENDPOINT,
    "Unknown endpoint": CauseKind.UNKNOWN_ENDPOINT,
    "Configured DefaultEndpointToHostAction": CauseKind.TO_HOST,
}
"""Remarks that Felix 3.7 puts beside its rules, and what they mean (spec: rules 3, 5, 6)."""


@dataclass(frozen=True, slots=True)
class DropCause:
    """Why a packet was dropped: `endpoint` is the chain of the endpoint it was in, `by` where the deciding rule is from."""

    kind: CauseKind
    step: RuleStep | None = None
    endpoint: ChainOrigin | None = None
    by: RuleOrigin | None = None


def find_cause(trace: Trace, origins: Origins) -> DropCause:
    """Why the packet of a trace, which holds its steps, was dropped."""
    decided = trace.decided_by
    if decided.cause is Cause.CHAIN_POLICY:
        return DropCause(CauseKind.FOREIGN_RULE)
    step = deciding_step(trace)
    if step is None:
        return DropCause(CauseKind.OUTSIDE)
    origin = origins.of_step(step)
    if origin is None:
        return DropCause(CauseKind.FOREIGN_RULE, step)
    if not origin.rendered or origin.chain is None:
        return DropCause(CauseKind.NOT_RENDERED, step, by=origin)
    endpoint = _endpoint_of(trace, step, origins)
    return DropCause(_kind(step.rule, origin.chain, origins), step, endpoint, origin)


def find_answer_cause(answer: Trace, first: Trace, origins: Origins, naming: Naming) -> DropCause:
    """Why the answer to a packet was dropped: as `find_cause`, but for what untracked policy has to do with it."""
    cause = find_cause(answer, origins)
    untracked = any(
        origin.chain is not None and origin.chain.stage is Stage.UNTRACKED
        for _, origin in allowances(first, origins, naming)
    )
    if cause.kind is not CauseKind.NO_CONNECTION or not untracked:
        return cause
    prefix, interface = (names.TO_HOST, first.in_iface) if answer.in_iface is None else (names.FROM_HOST, answer.in_iface)
    if not interface:
        return cause
    endpoint = origins.of_chain(TableName.RAW, names.limited_name(prefix, interface))
    if endpoint.owner is not Owner.HOST_ENDPOINT:
        return cause
    return replace(cause, kind=CauseKind.UNTRACKED_ANSWER, endpoint=endpoint)


def _kind(rule: Rule, chain: ChainOrigin, origins: Origins) -> CauseKind:
    if chain.owner is Owner.POLICY:
        return CauseKind.DENIED
    if chain.owner is Owner.PROFILE:
        return CauseKind.DENIED if origins.has_profile(chain.name) else CauseKind.NO_SUCH_PROFILE
    for remark in remarks(rule):
        if remark in _REMARKS:
            return _REMARKS[remark]
    for match in rule.matches:
        if isinstance(match, ConntrackMatch) and match.states is not None and CtState.INVALID in match.states.value:
            return CauseKind.NO_CONNECTION
        if isinstance(match, RpfilterMatch):
            return CauseKind.FOREIGN_SOURCE
    return CauseKind.TUNNEL


def _endpoint_of(trace: Trace, until: RuleStep, origins: Origins) -> ChainOrigin | None:
    """The endpoint's chain in which the packet is at a step: the last one entered in the same table at the same hook."""
    found = None
    for step, origin in rule_origins(trace, origins):
        if (step.hook, step.table) == (until.hook, until.table) and origin.chain is not None:
            if origin.chain.owner in (Owner.WORKLOAD, Owner.HOST_ENDPOINT):
                found = origin.chain
        if step is until:
            break
    return found


def rule_origins(trace: Trace, origins: Origins) -> Iterator[tuple[RuleStep, RuleOrigin]]:
    """Every rule of Calico's that held for a packet, with where it comes from."""
    for step in trace.steps:
        if isinstance(step, RuleStep) and step.matched:
            origin = origins.of_step(step)
            if origin is not None:
                yield step, origin


def allowances(trace: Trace, origins: Origins, naming: Naming) -> Iterator[tuple[ChainOrigin | None, RuleOrigin]]:
    """Who set the accept mark, in order: the endpoint whose chain it was in, and the rule."""
    accept = naming.marks.accept
    for step, origin in rule_origins(trace, origins):
        if accept and not step.mark_before & accept and step.mark & accept and origin.chain is not None:
            yield _endpoint_of(trace, step, origins), origin
