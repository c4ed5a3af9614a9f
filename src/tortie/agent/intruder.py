"""Foreign rules where ours should be first: who fights over a place in the kernel's own chains.

Only a chain in which a rule of ours stands behind a foreign one tells of another program that put itself in front; a chain
without any rule of ours was flushed, or never had one. With hooks that are appended the mirror image counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.agent.report import Intruder
from tortie.codec.rule import format_rule
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.wanted import Held, WantedFamily


def intruders(wanted: Iterable[WantedFamily], held: Held, ownership: Ownership) -> Iterator[Intruder]:
    """The foreign rules in front of ours (behind ours where hooks are appended), in the chain's order."""
    for family in wanted:
        ruleset = held.rulesets.get(family.family)
        if ruleset is None:
            continue
        for name, table in family.tables.items():
            held_table = ruleset.tables.get(name)
            for chain, hooks in table.hooks.items():
                if held_table is None or not hooks or chain not in held_table.chains:
                    continue
                rules = held_table.chains[chain].rules
                rules = rules[::-1] if family.append_hooks else rules
                ours = [ownership.owns_rule(name, chain, rule, family.family) for rule in rules]
                for rule in rules[: ours.index(True)] if True in ours else ():
                    yield Intruder(family.family, name, chain, format_rule(rule, family.family))
