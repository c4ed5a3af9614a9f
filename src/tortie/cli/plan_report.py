"""Everything that a plan has to say: changes, steps, conversations, who is locked out; as a value, and for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tortie.cli.change import Changes, Kind, find_changes
from tortie.cli.consequence import Change, Conversation, Conversations, Fate, Probe
from tortie.cli.programming import CALICO, wanted_families
from tortie.cli.rendered_document import owner_document, owners_of
from tortie.net.packet import describe_packet
from tortie.netfilter.hook import Backend
from tortie.netfilter.snapshot import Snapshot
from tortie.reconcile.plan import plan
from tortie.reconcile.step import Plan, SetEdit
from tortie.reconcile.text import ipset_line, restore_lines
from tortie.reconcile.wanted import Held, WantedFamily
from tortie.render import names

if TYPE_CHECKING:
    from tortie.cli.desired import Desired
    from tortie.render.ruleset import Rendering

SCHEMA = 1
"""Version of the document; fields may be added within one."""
_WORDS = {Kind.NEW: "new", Kind.GONE: "gone", Kind.CHANGED: "changed"}
_HOST_CHAINS = (names.FROM_HOST, names.TO_HOST)


@dataclass(frozen=True, slots=True)
class PlanReport:
    """What programming would do to a node; `plan` is empty when there is nothing to do."""

    node: str
    backend: Backend
    changes: Changes
    plan: Plan
    conversations: Conversations
    locked_out: tuple[tuple[Probe, str], ...] = ()
    remarks: tuple[str, ...] = ()


def make_report(
    desired: Desired, snapshot: Snapshot, held: Held, backend: Backend, remarks: Iterable[str] = (), ssh: str = ""
) -> PlanReport:
    """Plans and looks at what follows; `ssh` is SSH_CONNECTION of who asks. Raises `InvalidInput`."""
    changes = find_changes(_known(desired.rendering, held), held, owners_of(desired))
    planned = plan(wanted_of(desired.rendering, held), held, CALICO)
    told = (*remarks, *desired.remarks, *planned.remarks)
    if not planned.steps:
        return PlanReport(desired.node, backend, changes, planned, Conversations((), 0, 0), (), told)
    change = Change(snapshot, changes.after)
    locked = lock_outs(desired, change, ssh)
    return PlanReport(desired.node, backend, changes, planned, change.conversations(), locked, told)


def wanted_of(rendering: Rendering, held: Held) -> tuple[WantedFamily, ...]:
    """What is wanted of the families of which it is known what is held."""
    return tuple(one for one in wanted_families(rendering) if one.family in held.rulesets)


def _known(rendering: Rendering, held: Held) -> Rendering:
    from dataclasses import replace

    families = {family: one for family, one in rendering.families.items() if family in held.rulesets}
    return replace(rendering, families=families)


def lock_outs(desired: Desired, change: Change, ssh: str) -> tuple[tuple[Probe, str], ...]:
    """Who could no longer reach the node."""
    if not may_lock_out(desired.rendering):
        return ()
    return change.locked_out(change.probes(desired.config.interface_prefixes, ssh))


def may_lock_out(rendering: Rendering) -> bool:
    """False when nothing that is rendered can drop what others send to the node's own ports, or the node to theirs.

    Without host endpoints our rules for such packets drop only what comes from workloads and what claims to be of a
    tunnel (spec: rules 3.6, 3.7).
    """
    return any(
        chain.startswith(_HOST_CHAINS)
        for family in rendering.families.values()
        for table in family.tables.values()
        for chain in table.chains
    )


# --- as a document -----------------------------------------------------------------------------------------------


def report_document(report: PlanReport) -> dict[str, Any]:
    """The report as plain values; docs/plan-schema.json promises the shape."""
    return {
        "schema": SCHEMA,
        "node": report.node,
        "backend": report.backend.value,
        "changes": bool(report.plan.steps),
        "remarks": list(report.remarks),
        "owners": [
            {
                "kind": one.owner.kind.value,
                "name": one.owner.name,
                "change": _WORDS[one.kind],
                "details": list(one.details),
            }
            for one in report.changes.owners
        ],
        "chains": [
            {
                "ip_version": one.family.value,
                "table": one.table.value,
                "chain": one.chain,
                "owner": owner_document(one.use),
                "change": _WORDS[one.kind],
                "lines": list(one.lines),
                "renumbered": one.renumbered,
            }
            for one in report.changes.chains
        ],
        "ip_sets": [
            {
                "ip_version": one.family.value,
                "name": one.name,
                "of": one.owner.name,
                "change": _WORDS[one.kind],
                "added": list(one.added),
                "removed": list(one.removed),
                "remade": one.remade,
            }
            for one in report.changes.sets
        ],
        "steps": [_step(step) for step in report.plan.steps],
        "conversations": _conversations(report.conversations),
        "locks_out": [
            {"what": probe.what, "packet": describe_packet(probe.arrival.packet), "why": why}
            for probe, why in report.locked_out
        ],
    }


def _step(step: object) -> dict[str, Any]:
    from tortie.reconcile.step import TableEdit

    if isinstance(step, SetEdit):
        return {"kind": "ip sets", "lines": [ipset_line(command) for command in step.commands]}
    assert isinstance(step, TableEdit)
    return {
        "kind": "table",
        "ip_version": step.family.value,
        "table": step.table.value,
        "fence": step.fence,
        "lines": list(restore_lines(step)),
    }


def _conversations(found: Conversations) -> dict[str, Any]:
    return {
        "known": found.known,
        "walked": found.walked,
        "cut": [_conversation(one) for one in found.of(Fate.CUT)],
        "not_again": [_conversation(one) for one in found.of(Fate.NOT_AGAIN)],
        "unknown": [_conversation(one) for one in found.of(Fate.UNKNOWN)],
    }


def _conversation(one: Conversation) -> dict[str, Any]:
    return {"first": one.text, "count": one.count, "why": one.why}
