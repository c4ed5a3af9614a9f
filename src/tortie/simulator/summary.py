"""One sentence about a walk: what became of the packet, what decided it, and why, for somebody who has to act on it.

The sentence is made from the trace alone and says nothing that is not in it. Where the deciding rule stands in a chain with
a known role, its remark or its test is turned into words by a table; any other rule is quoted as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.net.packet import Packet, describe_packet
from tortie.netfilter.hook import TableName
from tortie.netfilter.match import CommentMatch, ConntrackMatch, CtState, StateMatch
from tortie.netfilter.rule import Rule, Ruleset
from tortie.netfilter.target import Drop, Jump, Reject
from tortie.simulator.mark_layout import MarkLayout, read_mark_layout
from tortie.simulator.role import Role, chain_role, remarks, service_names
from tortie.simulator.trace import Cause, DecidedBy, Disposition, RuleStep, Trace, Verdict


@dataclass(frozen=True, slots=True)
class Naming:
    """What names and bits mean on one node."""

    marks: MarkLayout = field(default_factory=MarkLayout)
    services: Mapping[str, str] = field(default_factory=dict)
    rulesets: tuple[Ruleset, ...] = ()
    origin: Callable[[RuleStep], Mapping[str, Any] | None] | None = None
    """Where a rule comes from, for documents, when somebody who knows is at hand."""

    def role(self, table: TableName, chain: str) -> Role | None:
        """The role of a chain, None when nobody well known made it."""
        return chain_role(table, chain, self.services)

    def rule(self, family: IPFamily, decided: DecidedBy) -> Rule | None:
        """The rule that decided, None when no rule did or the rules are not at hand."""
        if decided.cause is not Cause.RULE or decided.table is None or decided.chain is None or not decided.number:
            return None
        for ruleset in self.rulesets:
            if ruleset.family is family and decided.backend in (None, ruleset.backend):
                table = ruleset.tables.get(decided.table)
                chain = table.chains.get(decided.chain) if table is not None else None
                if chain is not None and decided.number <= len(chain.rules):
                    return chain.rules[decided.number - 1]
        return None


def read_naming(rulesets: Iterable[Ruleset]) -> Naming:
    """The naming that a node's rules show."""
    known = tuple(rulesets)
    return Naming(read_mark_layout(known), service_names(known), known)


def rule_text(rule: Rule, family: IPFamily) -> str:
    """The rule without its comments, which are shown beside it; `any packet` stands for an empty one."""
    bare = Rule(tuple(match for match in rule.matches if not isinstance(match, CommentMatch)), rule.target)
    return format_rule(bare, family) or "any packet"


_POLICY_KINDS = frozenset({"policy-in", "policy-out", "profile-in", "profile-out"})
_DIRECTIONS: Mapping[str, str] = {
    "to-workload": "ingress",
    "from-workload": "egress",
    "to-host": "egress",
    "from-host": "ingress",
    "to-host-forward": "egress",
    "from-host-forward": "ingress",
}
_WHOSE: Mapping[str, str] = {
    "to-workload": "workload {}",
    "from-workload": "workload {}",
    "to-host": "host endpoint {}",
    "from-host": "host endpoint {}",
    "to-host-forward": "host endpoint {}",
    "from-host-forward": "host endpoint {}",
}
_REMARK_REASONS: Mapping[str, str] = {
    "Drop if no profiles matched": "no {direction} policy or profile of {whose} allowed it"
    " (nothing set the accept mark {accept})",
    "Drop if no policies passed packet": "no {direction} policy of {whose} allowed it or passed it on to the profiles"
    " (nothing set the accept mark {accept} or the pass mark {passed})",
    "Configured DefaultEndpointToHostAction": "DefaultEndpointToHostAction, for what workloads send to the node itself",
    "Endpoint admin disabled": "{whose} is administratively down",
    "Unknown interface": "Calico knows no endpoint behind this interface, and drops what it does not know",
    "Unknown endpoint": "Calico knows no endpoint behind this interface, and drops what it does not know",
    "Drop IPIP packets from non-Calico hosts": "an IPIP packet from a host that is not one of Calico's",
    "Drop VXLAN packets from non-whitelisted hosts": "a VXLAN packet from a host that is not one of Calico's",
    "Drop VXLAN encapped packets originating in pods": "workloads may not send VXLAN packets themselves",
    "Drop IPinIP encapped packets originating in pods": "workloads may not send IPIP packets themselves",
    "kubernetes firewall for dropping marked packets": "it carries the drop mark of kube-proxy",
    "block incoming localnet connections": "packets to 127.0.0.0/8 may not come from outside",
    "Allow forwarded traffic by default": "no forward policy applies to the host endpoint",
}
"""Remarks that Felix 3.7 and kube-proxy put beside their rules, and what the rule means (spec: rules 3, 5, 6)."""
_ASKING = frozenset({"Drop if no profiles matched", "Drop if no policies passed packet"})
"""Remarks of rules that drop because all who were asked said nothing."""
_ROLE_DROPS: Mapping[str, str] = {
    "isolation": "traffic between two container networks is not let through",
    "firewall": "kube-proxy's firewall chain drops it",
}
_PLACES: Mapping[Cause, str] = {
    Cause.ROUTE: " by routing",
    Cause.RP_FILTER: " by the reverse-path filter",
    Cause.CONNTRACK: " by connection tracking",
    Cause.NAT: " by address translation",
}
_DONE: Mapping[Disposition, str] = {
    Disposition.FORWARDED: "FORWARDED",
    Disposition.DELIVERED: "DELIVERED to this node",
    Disposition.SENT: "SENT",
    Disposition.DROPPED: "DROPPED",
    Disposition.HELD: "HELD",
    Disposition.UNKNOWN: "UNKNOWN",
}


def describe_outcome(trace: Trace, naming: Naming) -> str:
    """The whole sentence: `DROPPED in FORWARD by filter cali-tw-cali1 rule 9: no ingress policy …`."""
    reason = describe_reason(trace, naming)
    head = describe_fate(trace)
    return f"{head}: {reason}" if reason else head


def describe_fate(trace: Trace) -> str:
    """What became of the packet and where: `FORWARDED out of eth1 as …`, `DROPPED in FORWARD by filter X rule 9`."""
    head = "REJECTED" if trace.verdict is Verdict.REJECT else _DONE[trace.disposition]
    out = trace.out
    if out is not None:
        way = "on" if trace.disposition is Disposition.DELIVERED else "out of"
        return f"{head} {way} {describe_device(out.iface)}{_as_changed(trace.packet, out.packet)}"
    return head if trace.verdict is Verdict.ACCEPT else head + describe_place(trace.decided_by)


def describe_device(name: str) -> str:
    """A device in a sentence, also one that is not known."""
    return name or "a device that is not known"


def describe_place(decided: DecidedBy) -> str:
    """Where it was decided, with a leading blank: ` in FORWARD by filter cali-FORWARD rule 2`; may be empty."""
    text = f" in {decided.hook.value}" if decided.hook is not None else ""
    if decided.table is not None and decided.chain is not None:
        text += f" by {decided.table.value} {decided.chain}"
        text += f" rule {decided.number}" if decided.number is not None else ""
        if decided.cause is Cause.CHAIN_POLICY:
            text += "'s policy"
        return text
    return text + _PLACES.get(decided.cause, "")


def describe_reason(trace: Trace, naming: Naming) -> str:
    """Why, as a clause; for an accepted packet, who allowed it."""
    decided = trace.decided_by
    if trace.verdict is Verdict.ACCEPT:
        allowed = "; ".join(_allowances(trace, naming))
        if allowed:
            return allowed
    rule = deciding_rule(trace, naming)
    if rule is None or decided.table is None or decided.chain is None:
        decided_nothing = trace.verdict is Verdict.ACCEPT and decided.cause is Cause.CHAIN_POLICY
        return f"no rule decided, and the {decided.text}" if decided_nothing else decided.text
    place = _Place(rule, decided.table, decided.chain, _endpoint_at(trace, deciding_step(trace), naming))
    reason = _rule_reason(place, trace, naming)
    return f"accepted{describe_place(decided)}, {reason}" if trace.verdict is Verdict.ACCEPT else reason


def deciding_rule(trace: Trace, naming: Naming) -> Rule | None:
    """The rule that decided, from the trace's steps, or from the node's rules where steps were not kept."""
    step = deciding_step(trace)
    return step.rule if step is not None else naming.rule(trace.packet.family, trace.decided_by)


def deciding_step(trace: Trace) -> RuleStep | None:
    """The step of the rule that decided, None where no rule did or steps were not kept."""
    decided = trace.decided_by
    if decided.cause is not Cause.RULE:
        return None
    where = (decided.hook, decided.table, decided.chain, decided.number)
    for step in reversed(trace.steps):
        if isinstance(step, RuleStep) and step.matched and (step.hook, step.table, step.chain, step.number) == where:
            return step
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """A rule, where it stands, and the endpoint whose chain the packet was in when it got there."""

    rule: Rule
    table: TableName
    chain: str
    endpoint: Role | None

    def words(self, naming: Naming) -> dict[str, str]:
        """What the phrases need: whose rules these are, and the direction seen from there."""
        role = naming.role(self.table, self.chain)
        endpoint = role if role is not None and role.kind in _DIRECTIONS else self.endpoint
        kind, subject = (endpoint.kind, endpoint.subject) if endpoint is not None else ("", "")
        return {
            "whose": _WHOSE.get(kind, "the endpoint").format(subject),
            "direction": _DIRECTIONS.get(kind, ""),
            "accept": f"{naming.marks.accept:#x}",
            "passed": f"{naming.marks.passed:#x}",
        }


def _rule_reason(place: _Place, trace: Trace, naming: Naming) -> str:
    """What the deciding rule means; a rule nobody knows is quoted."""
    words = place.words(naming)
    for remark in remarks(place.rule):
        if remark in _REMARK_REASONS:
            asked = ", ".join(_asked(place, trace, naming)) if remark in _ASKING else ""
            return _REMARK_REASONS[remark].format_map(words) + (f"; asked: {asked}" if asked else "")
        if remark.endswith("has no endpoints"):
            return f"service {remark}"
    known = _role_reason(place, trace, naming, words)
    if known is not None:
        return known
    remark = "; ".join(f'"{text}"' for text in remarks(place.rule))
    quoted = f"`{rule_text(place.rule, trace.packet.family)}`"
    return f"{quoted} {remark}" if remark else quoted


def _asked(place: _Place, trace: Trace, naming: Naming) -> Iterator[str]:
    """Policies and profiles that the deciding rule's chain jumped to, in order."""
    for step in trace.steps:
        if isinstance(step, RuleStep) and step.matched and (step.table, step.chain) == (place.table, place.chain):
            role = naming.role(step.table, step.rule.target.chain) if isinstance(step.rule.target, Jump) else None
            if role is not None and role.kind in _POLICY_KINDS:
                yield role.subject


def _role_reason(place: _Place, trace: Trace, naming: Naming, words: Mapping[str, str]) -> str | None:
    """What the rule means because of the chain it stands in, or because of the connection state it tests."""
    role = naming.role(place.table, place.chain)
    kind = role.kind if role is not None else ""
    refuses = isinstance(place.rule.target, Drop | Reject)
    if role is not None and kind in _POLICY_KINDS and refuses:
        return f"{role.subject} denies it" + (f" ({words['direction']} of {words['whose']})" if words["direction"] else "")
    if kind.startswith("failsafe"):
        return "a failsafe port, which policy never closes"
    if kind in _ROLE_DROPS and refuses:
        return _ROLE_DROPS[kind]
    states = _tested_states(place.rule)
    if states == {CtState.INVALID}:
        return "conntrack calls the packet INVALID"
    if states and states <= {CtState.ESTABLISHED, CtState.RELATED} and trace.verdict is Verdict.ACCEPT:
        return "it belongs to a connection that was let through before"
    return None


def _endpoint_at(trace: Trace, step: RuleStep | None, naming: Naming) -> Role | None:
    """The endpoint chain the packet is in at a step: the last one entered in the same table at the same hook."""
    found: Role | None = None
    for other in trace.steps if step is not None else ():
        if step is not None and isinstance(other, RuleStep) and (other.hook, other.table) == (step.hook, step.table):
            role = naming.role(other.table, other.chain)
            if role is not None and role.kind in _DIRECTIONS:
                found = role
        if other is step:
            break
    return found


def _allowances(trace: Trace, naming: Naming) -> Iterator[str]:
    """Which policies and profiles set Calico's accept mark, in the order they did."""
    accept = naming.marks.accept
    for step in trace.steps:
        if not isinstance(step, RuleStep) or not accept or step.mark_before & accept or not step.mark & accept:
            continue
        role = naming.role(step.table, step.chain)
        if role is None:
            continue
        words = _Place(step.rule, step.table, step.chain, _endpoint_at(trace, step, naming)).words(naming)
        where = f"{step.chain} rule {step.number}"
        if role.kind in _POLICY_KINDS:
            yield f"allowed by {role.subject} ({words['direction']} of {words['whose']}, {where})"
        elif "Allow forwarded traffic by default" in remarks(step.rule):
            yield f"{words['whose']} has no policy for forwarded traffic, so it passes ({where})"


def _tested_states(rule: Rule) -> frozenset[CtState]:
    """The conntrack states that a rule asks for, empty without such a test or with an inverted one."""
    for match in rule.matches:
        match match:
            case ConntrackMatch(states=states) if states is not None and not states.inverted:
                return states.value
            case StateMatch(states, inverted) if not inverted:
                return states
            case _:
                pass
    return frozenset()


def _as_changed(before: Packet, after: Packet) -> str:
    """` as …` when addresses or ports are no longer those it came with, else nothing."""
    ends = [(packet.src, packet.dst, packet.sport, packet.dport) for packet in (before, after)]
    return "" if ends[0] == ends[1] else f" as {describe_ends(after)}"


def describe_ends(packet: Packet) -> str:
    """`10.0.0.5:40000 > 10.0.0.1:80`: the packet's description without protocol, flags and hop limit."""
    return " ".join(describe_packet(packet).split(" ")[1:4])
