"""Rules of ours in chains of the kernel or of others: the hooks, and what should not be there.

Felix keeps one rule in each kernel chain that it works from, in front of all others or behind them (spec: rules 4). The
kernel's state alone does not say which of the two is configured, so a hook that stands last behind others is a warning
unless `append_hooks` says so; where it does, one that stands first in front of others is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tortie.audit.finding import Finding, FindingKind, Place, Severity
from tortie.audit.judgement import Judgement, judge_chain
from tortie.audit.words import tracking_hash
from tortie.codec.rule import format_rule
from tortie.netfilter.hook import TableName
from tortie.netfilter.rule import Chain, Rule, Ruleset, Table
from tortie.netfilter.target import Goto, Jump
from tortie.render import names
from tortie.render.static import HOOKS

_OLD_NAT_RULES = tuple(map(re.compile, names.OLD_NAT_RULES))


def audit_shared_chain(chain: Chain, place: Place, *, append_hooks: bool | None = None) -> Iterator[Finding]:
    """Findings about our rules in a chain that is not ours; `append_hooks` is None when it is not known."""
    assert place.table is not None and place.family is not None
    wanted = HOOKS.get(place.table, {}).get(chain.name)
    good = []
    for number, rule in enumerate(chain.rules, 1):
        here = replace(place, rule=number)
        if _is_old(chain.name, rule, place):
            text = f"a rule that an older Felix left: {format_rule(rule, place.family)}"
            yield Finding(FindingKind.OLD_VERSION, here, text, Severity.WARNING)
            continue
        if not _is_tracked_or_jumps(rule):
            continue
        judged = judge_chain(chain.name, (rule,), place.family)[0].judgement
        if judged is Judgement.FITS and isinstance(rule.target, Jump) and rule.target.chain == wanted:
            good.append(number)
        else:
            what = judged.value if judged is Judgement.FENCE else "not a hook of Felix 3.7"
            yield Finding(FindingKind.HOOK, here, f"{what}: {format_rule(rule, place.family)}")
    for number in good[1:]:
        text = "the hook stands here a second time"
        yield Finding(FindingKind.HOOK, replace(place, rule=number), text, Severity.WARNING)
    if good:
        yield from _misplaced(good[0], len(chain.rules), place, append_hooks)


def _misplaced(number: int, rules: int, place: Place, append_hooks: bool | None) -> Iterator[Finding]:
    first, last = number == 1, number == rules
    if not (last if append_hooks else first if append_hooks is False else first or last):
        where = {None: "neither the first rule nor the last", True: "not the last rule", False: "not the first rule"}[
            append_hooks
        ]
        yield Finding(FindingKind.HOOK, replace(place, rule=number), f"the hook is {where}")
    elif append_hooks is None and not first:
        text = "the hook stands behind foreign rules, which is right only with ChainInsertMode append"
        yield Finding(FindingKind.HOOK, replace(place, rule=number), text, Severity.WARNING)


def _is_tracked_or_jumps(rule: Rule) -> bool:
    jumps = isinstance(rule.target, Jump | Goto) and rule.target.chain.startswith(names.OUR_CHAIN_PREFIXES)
    return jumps or tracking_hash(rule) is not None


def _is_old(chain: str, rule: Rule, place: Place) -> bool:
    if place.table is not TableName.NAT or chain != "POSTROUTING" or tracking_hash(rule) is not None:
        return False
    assert place.family is not None
    line = f"-A {chain} {format_rule(rule, place.family)}"
    return any(pattern.search(line) for pattern in _OLD_NAT_RULES)


def missing_hooks(ruleset: Ruleset, table: Table) -> Iterator[Finding]:
    """A finding for each chain of ours that the kernel should jump to and does not."""
    for chain, ours in HOOKS.get(table.name, {}).items():
        held = table.chains.get(chain)
        hooked = held is not None and any(isinstance(r.target, Jump) and r.target.chain == ours for r in held.rules)
        if ours in table.chains and not hooked:
            place = Place(ruleset.family, ruleset.backend, table.name, chain)
            yield Finding(FindingKind.HOOK, place, f"no rule jumps to {ours}: it sees no packet")
