"""Where a node's rules and sets are not what the resources mean: whoever explains the ones by the others has to know.

Only whether something differs is told here, and where; what exactly is the audit's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tortie.explain.origin import tracked
from tortie.explain.world import holds_ours
from tortie.netfilter.rule import Chain, Ruleset
from tortie.netfilter.snapshot import Snapshot
from tortie.render import names
from tortie.render.ruleset import RenderedTable, Rendering

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Differences:
    """Chains and sets that differ, each by where it is and its name; `absent` when the node has no rules of ours at all."""

    chains: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    absent: bool = False

    def __bool__(self) -> bool:
        return bool(self.chains or self.sets or self.absent)

    def __str__(self) -> str:
        if self.absent:
            return "the node has no rules of Calico's"
        told = [_told(some, what) for some, what in ((self.chains, "chain"), (self.sets, "set")) if some]
        return f"{' and '.join(told)} of the node {'is' if self._count() == 1 else 'are'} not as these resources have it"

    def _count(self) -> int:
        return len(self.chains) + len(self.sets)


def _told(some: tuple[str, ...], what: str) -> str:
    shown = ", ".join(some[:_SHOWN]) + (", …" if len(some) > _SHOWN else "")
    return f"{len(some)} {what}{'' if len(some) == 1 else 's'} ({shown})"


def find_differences(rendering: Rendering, snapshot: Snapshot) -> Differences:
    """Every chain and set of ours that is missing, left over or not as it was rendered."""
    ours = [ruleset for ruleset in snapshot.rulesets if holds_ours(ruleset)]
    if not ours:
        return Differences(absent=True)
    chains = [place for ruleset in ours for place in _chains(ruleset, rendering)]
    return Differences(tuple(dict.fromkeys(chains)), tuple(_sets(rendering, snapshot)))


def _chains(ruleset: Ruleset, rendering: Rendering) -> Iterator[str]:
    made = rendering.families.get(ruleset.family)
    for name, table in ruleset.tables.items():
        wanted = None if made is None else made.tables.get(name)
        for chain in table.chains.values():
            if _differs(chain, wanted):
                yield f"{name.value} {chain.name}"
        for missing in () if wanted is None else wanted.chains.keys() - table.chains.keys():
            yield f"{name.value} {missing}"


def _differs(chain: Chain, wanted: RenderedTable | None) -> bool:
    if chain.name.startswith(names.OUR_CHAIN_PREFIXES):
        should = None if wanted is None else wanted.chains.get(chain.name)
        return should is None or chain.rules != should.rules
    return tracked(chain.rules) != (() if wanted is None else wanted.hooks.get(chain.name, ()))


def _sets(rendering: Rendering, snapshot: Snapshot) -> Iterator[str]:
    held = snapshot.ip_sets
    if held is None:
        return
    for family in rendering.families.values():
        for name, wanted in family.ip_sets.items():
            is_ = held.get(name)
            if is_ is None or {entry.parts for entry in is_.entries} != {entry.parts for entry in wanted.entries}:
                yield name
