"""An explanation as plain values, ready for JSON: fields of the trace document (docs/trace-schema.md)."""

from __future__ import annotations

from typing import Any

from tortie.explain.cause import POLICY_HELPS
from tortie.explain.change import Change
from tortie.explain.explanation import Allowed, EndSaid, Explanation
from tortie.explain.origin import ChainOrigin, RuleOrigin, SetOrigin
from tortie.explain.search import Solution
from tortie.explain.verdict import OwnerSaid, PolicyVerdict, RuleSaid
from tortie.model.read import Key, key_of
from tortie.model.writer import plain_resource
from tortie.simulator.document import packet_document

Document = dict[str, Any]


def policy_document(explanation: Explanation, remarks: tuple[str, ...] = ()) -> Document:
    """The field `policy` of a trace document."""
    verdict = explanation.verdict
    return {
        "node": explanation.node,
        "stale": None if not explanation.differences else str(explanation.differences),
        "remarks": list(remarks),
        "ends": [_end(end) for end in explanation.ends],
        "allowed": [_allowed(one) for one in explanation.allowed],
        "verdict": None if verdict is None else _verdict(verdict, explanation.which),
        "when": list(explanation.when),
        "passes_as_meant": explanation.passes_as_meant,
        "changes": [_solution(solution) for solution in explanation.solutions],
        "changes_complete": explanation.exhausted,
        "beyond": None if explanation.beyond is None else _verdict(explanation.beyond, explanation.which),
    }


def origin_document(origin: RuleOrigin | None) -> Document | None:
    """The field `origin` of a step; null for a rule that is none of Calico's."""
    if origin is None:
        return None
    return {
        "rendered": origin.rendered,
        "owner": None if origin.chain is None else _chain(origin.chain),
        "rule": origin.rule,
        "sets": [_set(found) for found in origin.sets],
    }


def _chain(chain: ChainOrigin) -> Document:
    return {
        "kind": chain.owner.value,
        "title": chain.title,
        "resource": None if chain.key is None else _key(chain.key),
        "name": chain.name,
        "direction": chain.direction,
        "stage": None if chain.stage is None else chain.stage.value,
    }


def _key(key: Key) -> Document:
    return {"kind": key.kind, "namespace": key.namespace or None, "name": key.name}


def _set(found: SetOrigin) -> Document:
    return {"name": found.name, "text": found.title, "selector": found.selector, "port": found.port}


def _end(end: EndSaid) -> Document:
    return {"what": end.what, "name": end.name, "who": list(end.who)}


def _allowed(one: Allowed) -> Document:
    return {
        "text": one.text,
        "endpoint": None if one.endpoint is None else _chain(one.endpoint),
        "by": None if one.by.chain is None else _chain(one.by.chain),
        "rule": one.by.rule,
    }


def _verdict(verdict: PolicyVerdict, which: str) -> Document:
    return {
        "packet": which,
        "cause": verdict.kind.value,
        "text": verdict.text,
        "policy_helps": verdict.kind in POLICY_HELPS,
        "as": packet_document(verdict.packet),
        "endpoint": None if verdict.endpoint is None else _chain(verdict.endpoint),
        "asked": [_asked(owner) for owner in verdict.asked],
        "denied_by": verdict.denied_by,
    }


def _asked(owner: OwnerSaid) -> Document:
    return {
        "title": owner.title,
        "resource": None if owner.resource is None else _key(key_of(owner.resource)),
        "rules": [_rule(said) for said in owner.rules],
    }


def _rule(said: RuleSaid) -> Document:
    return {
        "rule": said.number,
        "action": said.rule.action.value,
        "text": said.text,
        "misses": [str(miss) for miss in said.misses],
        "why": list(said.why),
    }


def _solution(solution: Solution) -> Document:
    return {
        "size": solution.size,
        "answered": solution.answered,
        "resources": [_change(change) for change in solution.changes],
    }


def _change(change: Change) -> Document:
    return {
        "kind": change.kind.word,
        "text": change.text,
        "remark": change.remark or None,
        "created": change.created,
        "resource": plain_resource(change.resource),
    }
