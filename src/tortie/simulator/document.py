"""A walk as a document of plain values (dicts, lists, numbers, text), ready for JSON.

The shape is promised: `docs/trace-schema.md` describes it, `docs/trace-schema.json` checks it, and `SCHEMA` counts its
versions. Fields may be added within a version; a field that goes or changes its meaning makes a new one.
Marks are numbers; addresses are text; what is not known is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily, format_address
from tortie.net.packet import Packet
from tortie.net.protocol import TCP, TCP_FLAGS, protocol_name
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import Goto, Target
from tortie.simulator.choice import Condition
from tortie.simulator.flow import Flow
from tortie.simulator.mark_layout import describe_mark
from tortie.simulator.summary import Naming, deciding_rule, describe_outcome
from tortie.simulator.trace import (
    ChainStep,
    ConntrackStep,
    DecidedBy,
    Egress,
    NatStep,
    NoteStep,
    RouteStep,
    RuleStep,
    Step,
    Trace,
    Walk,
)

SCHEMA = 1
"""Version of the documents' shape."""

Document = dict[str, Any]
_FLAGS = TCP_FLAGS | {"ECE": 64, "CWR": 128}


class LazySteps(list[Document]):
    """Documents of steps that are made when they are asked for, one after the other; nothing is in the list itself."""

    def __init__(self, steps: tuple[Step, ...], naming: Naming) -> None:
        super().__init__()
        self._steps, self._naming = steps, naming

    def __iter__(self) -> Iterator[Document]:
        return (step_document(step, self._naming) for step in self._steps)

    def __len__(self) -> int:
        return len(self._steps)


def walk_document(walk: Walk, naming: Naming, *, node: str | None = None, lazily: bool = False) -> Document:
    """The document of all outcomes; the first one's fields stand at the top, `outcomes` is empty when there is one.

    `lazily` makes each list of steps one that can only be iterated over.
    """
    first = walk.trace
    outcomes = walk.outcomes if len(walk.outcomes) > 1 else ()
    document: Document = {"schema": SCHEMA, "node": node} | trace_document(first, naming, lazily=lazily)
    document["verdict"] = walk.verdict.value
    if any(trace.disposition is not first.disposition for trace in outcomes):
        document["disposition"] = "unknown"
    document["outcomes"] = [trace_document(trace, naming, lazily=lazily) for trace in outcomes]
    document["complete"] = walk.complete
    document["assumptions"] = list(dict.fromkeys(text for trace in walk.outcomes for text in trace.assumptions))
    return document


def trace_document(trace: Trace, naming: Naming, *, lazily: bool = False) -> Document:
    """One outcome."""
    return {
        "verdict": trace.verdict.value,
        "disposition": trace.disposition.value,
        "summary": describe_outcome(trace, naming),
        "packet": packet_document(trace.packet),
        "in_iface": trace.in_iface,
        "decided_by": _decided(trace.decided_by, trace, naming),
        "steps": LazySteps(trace.steps, naming) if lazily else [step_document(step, naming) for step in trace.steps],
        "out": None if trace.out is None else _egress(trace.out),
        "conntrack": None if trace.connection is None else connection_document(trace.connection),
        "probability": outcome_probability(trace),
        "conditions": [_condition(condition) for condition in trace.conditions],
        "assumptions": list(trace.assumptions),
        "answers": [trace_document(answer, naming, lazily=lazily) for answer in trace.answers],
        "errno": trace.errno,
    }


def flow_document(flow: Flow, naming: Naming, *, lazily: bool = False) -> Document:
    """The rest of a conversation: the answer and the next packet, null where the conversation does not get there."""
    return {
        "works": flow.works,
        "text": flow.text,
        "reply": None if flow.reply is None else walk_document(flow.reply, naming, lazily=lazily),
        "next": None if flow.again is None else walk_document(flow.again, naming, lazily=lazily),
    }


def brief_document(walk: Walk, naming: Naming) -> Document:
    """A document without steps, for many packets."""
    first = walk.trace
    return {
        "schema": SCHEMA,
        "verdict": walk.verdict.value,
        "disposition": first.disposition.value,
        "summary": describe_outcome(first, naming),
        "packet": packet_document(first.packet),
        "in_iface": first.in_iface,
        "decided_by": _decided(first.decided_by, first, naming),
        "out": None if first.out is None else _egress(first.out),
        "outcomes": len(walk.outcomes),
    }


def packet_document(packet: Packet) -> Document:
    """A packet's fields; ports, flags and ICMP fields only where the packet has them."""
    document: Document = {
        "family": packet.family.value,
        "proto": protocol_name(packet.proto),
        "proto_number": packet.proto,
        "src": format_address(packet.family, packet.src),
        "dst": format_address(packet.family, packet.dst),
        "ttl": packet.ttl,
        "tos": packet.tos,
        "length": packet.length,
    }
    if packet.has_ports:
        document |= {"sport": packet.sport, "dport": packet.dport}
    if packet.has_ports and packet.proto == TCP:
        document["tcp_flags"] = [name for name, bit in _FLAGS.items() if packet.tcp_flags & bit]
    if packet.is_icmp:
        document |= {"icmp_type": packet.icmp_type, "icmp_code": packet.icmp_code, "icmp_id": packet.icmp_id}
    if packet.is_fragment:
        document |= {"fragment_offset": packet.fragment_offset * 8, "more_fragments": packet.more_fragments}
    return document


def step_document(step: Step, naming: Naming) -> Document:
    """One step; `kind` says which fields there are."""
    match step:
        case RuleStep():
            return _rule_step(step, naming)
        case ChainStep():
            return _place(step, naming) | {
                "kind": "chain",
                "rule": step.number,
                "policy": step.policy,
                "mark": step.mark,
                "text": f"policy {step.policy}" if step.policy is not None else f"end of {step.chain}",
            }
        case ConntrackStep():
            return {
                "kind": "conntrack",
                "hook": step.hook.value,
                "state": None if step.state is None else step.state.value,
                "direction": None if step.direction is None else step.direction.value,
                "connection": None if step.connection is None else connection_document(step.connection),
                "mark": step.mark,
                "text": step.text,
            }
        case NatStep():
            return {
                "kind": "nat",
                "hook": step.hook.value,
                "before": _ends(step.before),
                "after": _ends(step.after),
                "random_ports": None if step.random_ports is None else list(step.random_ports),
                "mark": step.mark,
                "text": step.text,
            }
        case RouteStep():
            return _route_step(step)
        case NoteStep():
            return {
                "kind": "note",
                "hook": None if step.hook is None else step.hook.value,
                "mark": step.mark,
                "text": step.text,
            }


def connection_document(entry: ConnEntry) -> Document:
    """A connection tracking entry."""
    return {
        "original": _tuple(entry.original),
        "reply": _tuple(entry.reply),
        "state": entry.state,
        "mark": entry.mark,
        "zone_original": entry.zone_original,
        "zone_reply": entry.zone_reply,
        "seen_reply": entry.seen_reply,
        "assured": entry.assured,
        "confirmed": entry.confirmed,
        "expected": entry.expected,
        "src_nat": entry.src_nat,
        "dst_nat": entry.dst_nat,
    }


def outcome_probability(trace: Trace) -> float | None:
    """The probability of an outcome when all that it depends on has one, else None; 1 when it depends on nothing."""
    product = 1.0
    for condition in trace.conditions:
        if condition.assumed:
            continue
        if condition.probability is None:
            return None
        product *= condition.probability
    return product


_rule_text = lru_cache(maxsize=65536)(format_rule)
"""Many packets meet the same rules."""


@lru_cache(maxsize=4096)
def target_name(target: Target | None, family: IPFamily) -> str | None:
    """The target's name as iptables prints it after -j, or the chain's; None for a rule without one."""
    if target is None:
        return None
    return format_rule(Rule((), target), family).split(" ")[1]


def _rule_step(step: RuleStep, naming: Naming) -> Document:
    family = step.packet.family
    origin = {} if naming.origin is None else {"origin": naming.origin(step)}
    return (
        _place(step, naming)
        | origin
        | {
            "kind": "rule",
            "rule": step.number,
            "matched": step.matched,
            "certain": not step.maybe,
            "target": target_name(step.rule.target, family),
            "goto": isinstance(step.rule.target, Goto),
            "text": _rule_text(step.rule, family),
            "reason": step.reason,
            "effect": step.effect,
            "mark_before": step.mark_before,
            "mark": step.mark,
            "packet": _ends(step.packet),
        }
    )


def _route_step(step: RouteStep) -> Document:
    decision = step.decision
    return {
        "kind": "route",
        "stage": step.stage,
        "route": decision.kind.value,
        "iface": decision.iface,
        "gateway": None if decision.gateway is None else str(decision.gateway),
        "routing_table": decision.table,
        "mark": step.mark,
        "text": decision.why,
    }


def _place(step: RuleStep | ChainStep, naming: Naming) -> Document:
    role = naming.role(step.table, step.chain)
    return {
        "hook": step.hook.value,
        "table": step.table.value,
        "chain": step.chain,
        "role": None if role is None else str(role),
        "mark_meaning": describe_mark(step.mark, naming.marks, step.table),
        "depth": step.depth,
        "backend": step.backend.value,
    }


def _decided(decided: DecidedBy, trace: Trace, naming: Naming) -> Document:
    rule = deciding_rule(trace, naming)
    return {
        "cause": decided.cause.value,
        "text": decided.text,
        "hook": None if decided.hook is None else decided.hook.value,
        "table": None if decided.table is None else decided.table.value,
        "chain": decided.chain,
        "rule": decided.number,
        "backend": None if decided.backend is None else decided.backend.value,
        "rule_text": None if rule is None else _rule_text(rule, trace.packet.family),
    }


def _egress(out: Egress) -> Document:
    document: Document = {"iface": out.iface or None, "mark": out.mark} | packet_document(out.packet)
    if not out.source_known:
        document["src"] = None
    document["source_known"] = out.source_known
    document["sport_range"] = None if out.random_sport is None else list(out.random_sport)
    document["dport_range"] = None if out.random_dport is None else list(out.random_dport)
    return document


def _condition(condition: Condition) -> Document:
    return {
        "kind": condition.kind.value,
        "subject": condition.subject,
        "option": condition.option,
        "text": condition.text,
        "probability": condition.probability,
        "assumed": condition.assumed,
    }


def _ends(packet: Packet) -> Document:
    document: Document = {
        "src": format_address(packet.family, packet.src),
        "dst": format_address(packet.family, packet.dst),
    }
    if packet.has_ports:
        document |= {"sport": packet.sport, "dport": packet.dport}
    return document


def _tuple(side: ConnTuple) -> Document:
    return {
        "proto": protocol_name(side.proto),
        "src": format_address(side.family, side.src),
        "dst": format_address(side.family, side.dst),
        "src_key": side.src_key,
        "dst_key": side.dst_key,
    }
