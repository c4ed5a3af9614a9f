"""The whole audit of a node: rules against their hashes, hooks, chains, back-ends, sets, and what was rendered.

Without a rendering everything is told from the kernel's state alone, by what Felix 3.7 does: names, hashes, hooks, the
chains that it always makes and how they end. So a rule that was edited, moved, added, doubled or left over is found though
its comment looks right. With a rendering what the node should have is known: each rule and set that differs is named, and
what the hashes say of it is told along with it, not a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tortie.audit.comparison import compare_chain
from tortie.audit.era import OLD_ERAS, Era, era_of
from tortie.audit.finding import Audit, AuditedChain, Finding, FindingKind, Place, Severity
from tortie.audit.hook import audit_shared_chain, missing_hooks
from tortie.audit.ip_set import audit_sets
from tortie.audit.judgement import Judged, Judgement, judge_chain
from tortie.audit.shape import ALWAYS_MADE, is_cut_off
from tortie.audit.words import tracking_hash
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Ruleset, Table
from tortie.netfilter.target import Goto, Jump
from tortie.render import names
from tortie.render.ruleset import RenderedFamily, RenderedTable, Rendering

_LEFT_UNREACHED = (names.POLICY_INBOUND, names.POLICY_OUTBOUND, names.FAILSAFE_IN, names.FAILSAFE_OUT)
"""Chains that Felix makes in every table whether or not something leads there (spec: rules 7.1, 12)."""


def audit_node(
    rulesets: Iterable[Ruleset], ip_sets: Mapping[str, IPSet] | None, rendering: Rendering | None = None
) -> Audit:
    """Audits the rules of all families and back-ends that are given, and the sets when they are known."""
    every = list(rulesets)
    given = [ruleset for ruleset in every if _holds_ours(ruleset)]
    findings: list[Finding] = [*_both_backends(given)]
    chains: list[AuditedChain] = []
    for ruleset in given:
        wanted = None if rendering is None else rendering.families.get(ruleset.family)
        for table in (*ruleset.tables.values(), *_absent_tables(ruleset)):
            found = _audit_table(ruleset, table, wanted)
            findings += found.findings
            chains += found.chains
    findings += _families_without_rules(given, every, rendering)
    if ip_sets is not None:
        findings += audit_sets(given, ip_sets, rendering)
    elif given:
        findings.append(Finding(FindingKind.UNJUDGED, Place(), "the ip sets were not read", Severity.NOTE))
    return Audit(tuple(findings), tuple(chains))


def _holds_ours(ruleset: Ruleset) -> bool:
    return any(_is_ours(chain) for table in ruleset.tables.values() for chain in table.chains)


def _is_ours(chain: str) -> bool:
    return chain.startswith(names.OUR_CHAIN_PREFIXES)


def _both_backends(rulesets: Iterable[Ruleset]) -> Iterator[Finding]:
    seen: dict[IPFamily, Backend] = {}
    for ruleset in rulesets:
        other = seen.setdefault(ruleset.family, ruleset.backend)
        if other is not ruleset.backend:
            text = "chains of ours are in both back-ends, and both act on every packet"
            yield Finding(FindingKind.BOTH_BACKENDS, Place(ruleset.family), text)


def _absent_tables(ruleset: Ruleset) -> Iterator[Table]:
    """Tables that Felix works in and the kernel does not have, as the empty tables that they are to packets."""
    return (Table(name, {}) for name in ALWAYS_MADE if name not in ruleset.tables)


def _families_without_rules(
    given: Collection[Ruleset], every: Collection[Ruleset], rendering: Rendering | None
) -> Iterator[Finding]:
    """Families whose rules were not read, and rendered ones of which nothing is there."""
    held = {ruleset.family for ruleset in given}
    known = {ruleset.family for ruleset in every}
    for family in IPFamily if rendering is None else rendering.families:
        if family not in known:
            yield Finding(FindingKind.UNJUDGED, Place(family), "its rules were not read", Severity.NOTE)
        elif rendering is not None and family not in held:
            yield Finding(FindingKind.DIFFERENCE, Place(family), "none of the rendered chains is there")


# --- one table ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """What the audit of one table brought."""

    findings: list[Finding]
    chains: list[AuditedChain]


def _audit_table(ruleset: Ruleset, table: Table, rendered: RenderedFamily | None) -> _Found:
    found = _Found([], [])
    wanted = None if rendered is None else rendered.tables.get(table.name)
    append_hooks = None if rendered is None else rendered.append_hooks
    reached = {
        rule.target.chain for chain in table.chains.values() for rule in chain.rules if isinstance(rule.target, Jump | Goto)
    }
    hashes = any(tracking_hash(rule) for chain in table.chains.values() if _is_ours(chain.name) for rule in chain.rules)
    for chain in table.chains.values():
        place = Place(ruleset.family, ruleset.backend, table.name, chain.name)
        if not _is_ours(chain.name):
            found.findings.extend(audit_shared_chain(chain, place, append_hooks=append_hooks))
            continue
        judged = judge_chain(chain.name, chain.rules, ruleset.family)
        fitting = sum(one.judgement is Judgement.FITS for one in judged)
        era = era_of(chain, judged, hashes_beside=hashes)
        found.chains.append(AuditedChain(place, len(judged), fitting, era))
        if wanted is None:
            found.findings.extend(_audit_chain(chain, judged, era, place, is_reached=chain.name in reached))
        else:
            found.findings.extend(_audit_against(wanted, chain, judged, era, place))
    found.findings.extend(_missing_chains(ruleset, table, wanted))
    found.findings.extend(missing_hooks(ruleset, table))
    return found


def _missing_chains(ruleset: Ruleset, table: Table, wanted: RenderedTable | None) -> Iterator[Finding]:
    """Chains that were rendered and are not there, or without a rendering those that Felix always makes."""
    place = Place(ruleset.family, ruleset.backend, table.name)
    if table.opaque is not None:
        yield Finding(FindingKind.UNJUDGED, place, "iptables cannot show its rules", Severity.NOTE)
        return
    kind = FindingKind.MISSING if wanted is None else FindingKind.DIFFERENCE
    expected = ALWAYS_MADE.get(table.name, ()) if wanted is None else tuple(wanted.chains)
    missing = [chain for chain in expected if chain not in table.chains]
    if missing and len(missing) == len(expected):
        yield Finding(kind, place, "none of Felix's chains is there")
        return
    for chain in missing:
        yield Finding(kind, replace(place, chain=chain), "the chain is missing")


# --- one chain ---------------------------------------------------------------------------------------------------


def _audit_chain(chain: Chain, judged: Sequence[Judged], era: Era, place: Place, *, is_reached: bool) -> Iterator[Finding]:
    """What the chain itself tells."""
    if era in OLD_ERAS:
        yield _old(era, place)
    if era in (Era.FELIX_1, Era.OLD_NAMES):
        return
    yield from _rule_findings(judged, place)
    tracked = [one for one in judged if one.judgement is not Judgement.UNTRACKED]
    ours = replace(chain, rules=tuple(one.rule for one in tracked))
    assert place.table is not None
    if all(one.judgement is Judgement.FITS for one in tracked) and is_cut_off(place.table, ours):
        text = "rules are missing at the end of the chain" if tracked else "rules of Felix are missing, all of them"
        yield Finding(FindingKind.MISSING, place, text)
    if not is_reached and not chain.name.startswith(_LEFT_UNREACHED):
        yield Finding(FindingKind.UNREACHED, place, "no rule leads to this chain", Severity.WARNING)


def _old(era: Era, place: Place) -> Finding:
    return Finding(FindingKind.OLD_VERSION, place, f"the chain is of {era.value}", Severity.WARNING)


def _rule_findings(judged: Sequence[Judged], place: Place) -> Iterator[Finding]:
    """A finding for each rule that does not fit; the one behind which nothing can be computed names those."""
    unjudged = [one.number for one in judged if one.judgement is Judgement.UNJUDGED]
    for one in judged:
        match one.judgement:
            case Judgement.FITS | Judgement.UNJUDGED:
                continue
            case Judgement.UNTRACKED:
                yield Finding(FindingKind.FOREIGN_RULE, replace(place, rule=one.number), _told(one, place))
            case Judgement.CUT:
                text = _told(one, place) + _hides(unjudged)
                yield Finding(FindingKind.UNJUDGED, replace(place, rule=one.number), text, Severity.NOTE)
            case Judgement.BROKEN | Judgement.UNREADABLE:
                text = _told(one, place) + _hides(unjudged)
                yield Finding(FindingKind.RULE, replace(place, rule=one.number), text)
            case _:
                yield Finding(FindingKind.RULE, replace(place, rule=one.number), _told(one, place))


def _hides(unjudged: Sequence[int]) -> str:
    if not unjudged:
        return ""
    which = f"rule {unjudged[0]}" if len(unjudged) == 1 else f"rules {unjudged[0]} to {unjudged[-1]}"
    return f"; so nothing can be said of {which}"


def _told(judged: Judged, place: Place) -> str:
    assert place.family is not None
    detail = f" ({judged.detail})" if judged.detail else ""
    return f"{judged.judgement.value}{detail}: {format_rule(judged.rule, place.family)}"


def _audit_against(
    wanted: RenderedTable, chain: Chain, judged: Sequence[Judged], era: Era, place: Place
) -> Iterator[Finding]:
    """What differs from the chain that was rendered."""
    should = wanted.chains.get(chain.name)
    if era in OLD_ERAS and (should is None or era is not Era.NO_HASHES):
        yield _old(era, place)
    elif should is None:
        yield Finding(FindingKind.DIFFERENCE, place, "the chain should not be there", Severity.WARNING)
    if should is not None and chain.rules != should.rules:
        yield from compare_chain(chain, should, judged, place)
