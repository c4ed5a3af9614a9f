"""The whole audit of a node: rules against their hashes, hooks, chains, back-ends, sets, and what was rendered.

Without a rendering everything is told from the kernel's state alone, by what Felix 3.7 does: names, hashes, hooks. So a
rule that was edited, moved, added, doubled or left over is found though its comment looks right. With a rendering, what
the node should have is known, and each chain and set that differs is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from tortie.audit.finding import Audit, Finding, FindingKind, Place
from tortie.audit.judgement import Judged, Judgement, judge_chain
from tortie.audit.words import tracking_hash
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.match import CommentMatch, SetMatch
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.netfilter.target import Goto, Jump
from tortie.reconcile.ipset import members
from tortie.render import names
from tortie.render.ruleset import RenderedFamily, Rendering
from tortie.render.static import HOOKS

NEARLY_FULL = 0.9
"""Part of its size from which a set is told to be nearly full."""
_LEFT_UNREACHED = (names.POLICY_INBOUND, names.POLICY_OUTBOUND, names.FAILSAFE_IN, names.FAILSAFE_OUT)
"""Chains that Felix makes in every table whether or not something leads there (spec: rules 7.1, 12)."""
_WELL_KNOWN_SETS = frozenset(
    names.ip_set_name(family, set_id)
    for family in IPFamily
    for set_id in (
        names.ALL_POOLS_SET,
        names.MASQUERADE_POOLS_SET,
        names.THIS_HOST_SET,
        names.ALL_HOSTS_SET,
        names.ALL_VXLAN_SET,
    )
)
_OLD_PREFIXES = tuple(prefix for prefix in names.OUR_CHAIN_PREFIXES if prefix != "cali-")
_OUR_SETS = {family: re.compile(pattern) for family, pattern in names.OUR_SET_PATTERNS.items()}
_TUNNEL_REMARK = "encapped packets originating in pods"


def audit_node(
    rulesets: Iterable[Ruleset], ip_sets: Mapping[str, IPSet] | None, rendering: Rendering | None = None
) -> Audit:
    """Audits the rules of all families and back-ends that are given, and the sets when they are known."""
    given = [ruleset for ruleset in rulesets if _holds_ours(ruleset)]
    findings: list[Finding] = [*_both_backends(given)]
    fitting = rules = 0
    for ruleset in given:
        for table in ruleset.tables.values():
            found, fits, count = _audit_table(ruleset, table)
            findings += found
            fitting, rules = fitting + fits, rules + count
        if rendering is not None and ruleset.family in rendering.families:
            findings += _differences(ruleset, rendering.families[ruleset.family])
    if ip_sets is not None:
        findings += _audit_sets(given, ip_sets)
        if rendering is not None:
            findings += _set_differences(ip_sets, rendering)
    return Audit(tuple(findings), fitting, rules)


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


# --- one table ---------------------------------------------------------------------------------------------------


def _audit_table(ruleset: Ruleset, table: Table) -> tuple[list[Finding], int, int]:
    findings: list[Finding] = []
    fitting = rules = 0
    reached = {rule.target.chain for rule in _rules(table) if isinstance(rule.target, Jump | Goto)}
    for chain in table.chains.values():
        place = Place(ruleset.family, ruleset.backend, table.name, chain.name)
        if not _is_ours(chain.name):
            findings += _audit_shared_chain(chain, place)
            continue
        if chain.name.startswith(_OLD_PREFIXES):
            findings.append(Finding(FindingKind.OLD_VERSION, place, _era_of_name(chain.name)))
            continue
        judged = judge_chain(chain.name, chain.rules, ruleset.family)
        fitting += sum(one.judgement is Judgement.FITS for one in judged)
        rules += len(judged)
        findings += _rule_findings(judged, place)
        findings += _version_of(chain, judged, place)
        if chain.name not in reached and not chain.name.startswith(_LEFT_UNREACHED):
            findings.append(Finding(FindingKind.UNREACHED, place, "no rule leads to this chain"))
    findings += _missing_hooks(ruleset, table)
    return findings, fitting, rules


def _rules(table: Table) -> Iterator[Rule]:
    return (rule for chain in table.chains.values() for rule in chain.rules)


def _rule_findings(judged: Iterable[Judged], place: Place) -> Iterator[Finding]:
    """A finding for each rule that does not fit; those that cannot be judged together."""
    unjudged = []
    for one in judged:
        match one.judgement:
            case Judgement.FITS:
                continue
            case Judgement.UNJUDGED:
                unjudged.append(one.number)
            case Judgement.UNTRACKED:
                yield Finding(FindingKind.FOREIGN_RULE, _at(place, one.number), _told(one, place))
            case _:
                yield Finding(FindingKind.RULE, _at(place, one.number), _told(one, place))
    if unjudged:
        text = f"rules {unjudged[0]} to {unjudged[-1]} cannot be judged: their hashes depend on rules in front of them"
        yield Finding(FindingKind.UNJUDGED, place, text)


def _at(place: Place, number: int) -> Place:
    return Place(place.family, place.backend, place.table, place.chain, number)


def _told(judged: Judged, place: Place) -> str:
    assert place.family is not None
    detail = f" ({judged.detail})" if judged.detail else ""
    return f"{judged.judgement.value}{detail}: {format_rule(judged.rule, place.family)}"


# --- versions ----------------------------------------------------------------------------------------------------


def _era_of_name(chain: str) -> str:
    if chain.startswith("felix-"):
        return "a chain of Felix 1"
    return "a chain of an older Felix: names of this form are no longer made"


def _version_of(chain: Chain, judged: list[Judged], place: Place) -> Iterator[Finding]:
    """Signs of another Felix than 3.7.4 and later: no hashes at all, or no drops of tunnel packets from workloads."""
    if chain.rules and all(one.judgement is Judgement.UNTRACKED for one in judged):
        yield Finding(FindingKind.OLD_VERSION, place, "no rule carries a hash: of a Felix before they were introduced")
        return
    if not chain.name.startswith(names.FROM_WORKLOAD) or len(chain.rules) <= 1:
        return
    fits = all(one.judgement is Judgement.FITS for one in judged)
    remarks = [match.text for rule in chain.rules for match in rule.matches if isinstance(match, CommentMatch)]
    if fits and not any(_TUNNEL_REMARK in remark for remark in remarks):
        yield Finding(FindingKind.OLD_VERSION, place, "of Felix 3.7.3 or older: no drops of tunnel packets from workloads")


# --- hooks -------------------------------------------------------------------------------------------------------


def _audit_shared_chain(chain: Chain, place: Place) -> Iterator[Finding]:
    """Rules of ours in a chain of the kernel's or of others."""
    assert place.table is not None and place.family is not None
    wanted = HOOKS.get(place.table, {}).get(chain.name)
    ours = [(n, rule) for n, rule in enumerate(chain.rules, 1) if _is_tracked_or_jumps(rule)]
    good = []
    for number, rule in ours:
        judged = judge_chain(chain.name, (rule,), place.family)[0].judgement
        if judged is Judgement.FITS and isinstance(rule.target, Jump) and rule.target.chain == wanted:
            good.append(number)
        else:
            what = judged.value if judged is Judgement.FENCE else "not a hook of Felix 3.7"
            yield Finding(FindingKind.HOOK, _at(place, number), f"{what}: {format_rule(rule, place.family)}")
    for number in good[1:]:
        yield Finding(FindingKind.HOOK, _at(place, number), "the hook stands here a second time")
    if good and good[0] not in (1, len(chain.rules)):
        yield Finding(FindingKind.HOOK, _at(place, good[0]), "the hook stands neither first nor last")
    elif good and good[0] > 1:
        text = "the hook stands behind foreign rules, which is right only with ChainInsertMode append"
        yield Finding(FindingKind.HOOK, _at(place, good[0]), text)


def _is_tracked_or_jumps(rule: Rule) -> bool:
    jumps = isinstance(rule.target, Jump | Goto) and _is_ours(rule.target.chain)
    return jumps or tracking_hash(rule) is not None


def _missing_hooks(ruleset: Ruleset, table: Table) -> Iterator[Finding]:
    for chain, ours in HOOKS.get(table.name, {}).items():
        held = table.chains.get(chain)
        hooked = held is not None and any(isinstance(r.target, Jump) and r.target.chain == ours for r in held.rules)
        if ours in table.chains and not hooked:
            place = Place(ruleset.family, ruleset.backend, table.name, chain)
            yield Finding(FindingKind.HOOK, place, f"no rule jumps to {ours}: it sees no packet")


# --- sets --------------------------------------------------------------------------------------------------------


def _audit_sets(rulesets: Iterable[Ruleset], ip_sets: Mapping[str, IPSet]) -> Iterator[Finding]:
    used: dict[str, Place] = {}
    for ruleset in rulesets:
        for table in ruleset.tables.values():
            for chain in table.chains.values():
                for number, rule in enumerate(chain.rules, 1):
                    for match in rule.matches:
                        if isinstance(match, SetMatch):
                            place = Place(ruleset.family, ruleset.backend, table.name, chain.name, number)
                            used.setdefault(match.name, place)
    for name, place in used.items():
        if name not in ip_sets:
            yield Finding(FindingKind.SET, place, f"set {name} is missing")
    for name, one in ip_sets.items():
        if _is_our_set(name):
            yield from _audit_set(one, used)


def _is_our_set(name: str) -> bool:
    return any(pattern.match(name) for pattern in _OUR_SETS.values())


def _audit_set(one: IPSet, used: Mapping[str, Place]) -> Iterator[Finding]:
    place = Place(one.family)
    if any(one.name.startswith(names.temporary_set_name(family, 0)[:-1]) for family in IPFamily):
        yield Finding(FindingKind.SET, place, f"set {one.name} is a temporary one that an interrupted write left")
    elif one.name not in used and one.name not in _WELL_KNOWN_SETS:
        yield Finding(FindingKind.SET, place, f"no rule looks into set {one.name}")
    size = one.options.get("maxelem")
    if size is not None and size.isdigit() and len(one.entries) >= int(size) * NEARLY_FULL:
        text = f"set {one.name} is {'full' if len(one.entries) >= int(size) else 'nearly full'}"
        yield Finding(FindingKind.SET, place, f"{text}: {len(one.entries)} members of {size}")


# --- against a rendering -----------------------------------------------------------------------------------------


def _differences(ruleset: Ruleset, rendered: RenderedFamily) -> Iterator[Finding]:
    for name, wanted in rendered.tables.items():
        table = ruleset.tables.get(name, Table(name, {}))
        for chain in wanted.chains.values():
            place = Place(ruleset.family, ruleset.backend, name, chain.name)
            held = table.chains.get(chain.name)
            if held is None:
                yield Finding(FindingKind.DIFFERENCE, place, "the chain is missing")
            elif held.rules != chain.rules:
                yield from _first_difference(held, chain, place)
        for chain_name in table.chains:
            if _is_ours(chain_name) and chain_name not in wanted.chains:
                place = Place(ruleset.family, ruleset.backend, name, chain_name)
                yield Finding(FindingKind.DIFFERENCE, place, "the chain should not be there")


def _first_difference(held: Chain, wanted: Chain, place: Place) -> Iterator[Finding]:
    assert place.family is not None
    old = [format_rule(rule, place.family) for rule in held.rules]
    new = [format_rule(rule, place.family) for rule in wanted.rules]
    for number in range(max(len(old), len(new))):
        is_, should = (given[number] if number < len(given) else "nothing" for given in (old, new))
        if is_ != should:
            text = f"the first of the rules that differ is `{is_}` and should be `{should}`"
            yield Finding(FindingKind.DIFFERENCE, _at(place, number + 1), text)
            return


def _set_differences(ip_sets: Mapping[str, IPSet], rendering: Rendering) -> Iterator[Finding]:
    for family, rendered in rendering.families.items():
        place = Place(family)
        for name, wanted in rendered.ip_sets.items():
            held = ip_sets.get(name)
            if held is None:
                yield Finding(FindingKind.DIFFERENCE, place, f"set {name} is missing")
                continue
            if (held.type, held.family) != (wanted.type, wanted.family):
                yield Finding(FindingKind.DIFFERENCE, place, f"set {name} is a {held.type}, not a {wanted.type}")
                continue
            is_, should = members(held), members(wanted)
            if is_ != should:
                text = f"set {name} has {len(is_ - should)} members too many and lacks {len(should - is_)}"
                yield Finding(FindingKind.DIFFERENCE, place, text)
        for name in ip_sets:
            if _OUR_SETS[family].match(name) and name not in rendered.ip_sets:
                yield Finding(FindingKind.DIFFERENCE, place, f"set {name} should not be there")
