"""An audit as lines for people, gravest first, and as a document; docs/audit-schema.md promises the document's shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tortie.audit.finding import Audit, Finding, Place, Severity, gravest_first
from tortie.calc.view import NodeView
from tortie.cli.chain_owner import Owner, OwnerKind, Owners
from tortie.cli.terminal import Line, Style, plain
from tortie.model import v1

if TYPE_CHECKING:
    from tortie.cli.desired import Desired
    from tortie.netfilter.snapshot import Snapshot

SCHEMA = 1
"""Version of the document; fields may be added within one."""
_STYLES = {Severity.ERROR: Style.BAD, Severity.WARNING: Style.DOUBT, Severity.NOTE: Style.FAINT}
_WIDEST = max(len(severity.value) for severity in Severity)


def find_owners(desired: Desired | None) -> Owners:
    """Who owns which chain; without resources as far as names tell."""
    if desired is None:
        return Owners(NodeView(""), v1.Cluster())
    from tortie.cli.rendered_document import owners_of

    return owners_of(desired)


def finding_owner(finding: Finding, owners: Owners) -> tuple[Owner, str] | None:
    """What a finding is about and which part of it; None for what is nobody's."""
    place = finding.place
    if place.ip_set is not None:
        owner = owners.of_set(place.ip_set)
        return None if owner.name == place.ip_set else (owner, "")
    if place.chain is None:
        return None
    use = owners.of_chain(place.chain)
    return None if use.owner.kind is OwnerKind.NODE else (use.owner, use.part)


# --- text --------------------------------------------------------------------------------------------------------


def audit_lines(found: Audit, owners: Owners) -> Iterator[Line]:
    """A line for each finding, those that say the same of one chain in several tables together; then what was looked at."""
    for alike in _alike(gravest_first(found.findings)):
        yield _finding_line(alike, owners)
    if found.findings:
        yield plain("")
    yield plain(_verdict(found), style=Style.PLAIN if found.findings else Style.GOOD)
    if found.chains:
        eras = ", ".join(f"{count} {era.value}" for era, count in found.eras.items())
        yield plain(f"chains by who made them: {eras}", style=Style.FAINT)


def _alike(findings: Iterable[Finding]) -> Iterable[list[Finding]]:
    """Findings with those that say the same of the same chain and rule: Felix has policies in three tables, twice."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        everywhere = replace(finding.place, family=None, table=None)
        groups.setdefault((finding.severity, finding.kind, everywhere, finding.text), []).append(finding)
    return groups.values()


def _where(places: list[Place]) -> str:
    """A place, or several that differ in family and table: `IPv4 and IPv6 raw, mangle, filter cali-pi-x rule 1 (nft)`."""
    if len(places) == 1:
        return str(places[0])
    tables: dict[str, list[str]] = {}
    for place in places:
        family = "" if place.family is None else f"IPv{place.family.value}"
        tables.setdefault(family, []).append("" if place.table is None else place.table.value)
    families: dict[str, list[str]] = {}
    for family, names in tables.items():
        families.setdefault(", ".join(names), []).append(family)
    parts = [f"{' and '.join(some)} {names}".strip() for names, some in families.items()]
    return f"{'; '.join(parts)} {replace(places[0], family=None, table=None)}".strip()


def _finding_line(alike: list[Finding], owners: Owners) -> Line:
    finding = alike[0]
    pieces = [(f"{finding.severity.value:{_WIDEST}}  ", _STYLES[finding.severity])]
    owned = finding_owner(finding, owners)
    if owned is not None:
        owner, part = owned
        pieces.append((f"{owner.name}{f', {part}' if part else ''}: ", Style.HEAD))
    place = _where([one.place for one in alike])
    if place:
        pieces.append((f"{place}: ", Style.NAME))
    return Line((*pieces, (finding.text, Style.PLAIN)), hang=_WIDEST + 2)


def _verdict(found: Audit) -> str:
    """How many findings there are, and what was looked at."""
    if not found.chains:
        looked = "no chain of Calico's is on this node"
        return f"{_counts(found)}; {looked}" if found.findings else f"{looked}: nothing could be audited"
    looked = f"{found.fitting} of {found.rules} rules in {len(found.chains)} chains fit their hashes"
    if found.fitting * 2 < found.rules:
        looked += "; most do not, so another version of Felix than 3.7 may have made them"
    return f"{_counts(found)}; {looked}" if found.findings else f"nothing is wrong: {looked}"


def _counts(found: Audit) -> str:
    parts = []
    for severity in Severity:
        count = sum(finding.severity is severity for finding in found.findings)
        if count:
            parts.append(f"{count} {severity.value}{'' if count == 1 else 's'}")
    return ", ".join(parts)


# --- document ----------------------------------------------------------------------------------------------------


def audit_document(found: Audit, owners: Owners, held: Snapshot, desired: Desired | None) -> dict[str, Any]:
    """The audit as plain values for JSON."""
    return {
        "schema": SCHEMA,
        "snapshot": held.name,
        "node": None if desired is None else desired.node,
        "compared": desired is not None,
        "counts": {
            severity.value: sum(finding.severity is severity for finding in found.findings) for severity in Severity
        },
        "rules": found.rules,
        "fitting": found.fitting,
        "findings": [_finding(finding, owners) for finding in gravest_first(found.findings)],
        "chains": [
            _place(chain.place) | {"rules": chain.rules, "fitting": chain.fitting, "era": chain.era.name.lower()}
            for chain in found.chains
        ],
        "notes": [*held.unreadable, *(() if desired is None else desired.remarks)],
    }


def _finding(finding: Finding, owners: Owners) -> dict[str, Any]:
    owned = finding_owner(finding, owners)
    owner = None
    if owned is not None:
        owner = {"kind": owned[0].kind.value, "name": owned[0].name, "part": owned[1] or None}
    return {
        "severity": finding.severity.value,
        "kind": finding.kind.value,
        "owner": owner,
        **_place(finding.place),
        "rule": finding.place.rule,
        "ip_set": finding.place.ip_set,
        "text": finding.text,
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "family": None if place.family is None else place.family.value,
        "backend": None if place.backend is None else place.backend.value,
        "table": None if place.table is None else place.table.value,
        "chain": place.chain,
    }
