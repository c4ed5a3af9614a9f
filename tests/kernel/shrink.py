"""Makes a scenario that shows a mismatch as small as it gets: fewer packets, rules, sets, settings and routes.

Everything that can be left out alone is an atom. Atoms are left out in halves, quarters and so on down to single ones, as
long as the same kind of mismatch stays; what the tools refuse does not count as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum

from tests.kernel.scenario import Scenario, Topology
from tortie.netfilter.hook import Hook

MOST_TRIALS = 400


class Part(Enum):
    """Where an atom is."""

    SHOT = "shot"
    RULE = "rule"
    SET = "set"
    SYSCTL = "sysctl"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Atom:
    """One thing to leave out: `place` is a family's number or 0, `position` the line or key."""

    part: Part
    place: int
    position: int


def mismatch_kind(remark: str) -> str:
    """What stays of a remark when its numbers are taken out: mismatches of one kind have the same."""
    return re.sub(r"0x[0-9a-f]+|[0-9a-f]*:[0-9a-f:]+|\d+", "#", remark)[:60]


def shrink(scenario: Scenario, still_fails: Callable[[Scenario], bool], most: int = MOST_TRIALS) -> Scenario:
    """The smallest scenario found that still fails, after at most `most` trials."""
    atoms = list(_atoms(scenario))
    gone: frozenset[Atom] = frozenset()
    trials = 0
    size = max(len(atoms) // 2, 1)
    while size:
        progress = False
        start = 0
        while start < len(atoms) and trials < most:
            chunk = frozenset(atoms[start : start + size])
            trials += 1
            if still_fails(without(scenario, gone | chunk)):
                gone |= chunk
                del atoms[start : start + size]
                progress = True
            else:
                start += size
        if trials >= most:
            break
        size = size if progress and size == 1 else size // 2
    return _tidy(without(scenario, gone))


def _atoms(scenario: Scenario) -> Iterable[Atom]:
    for shot in reversed(scenario.shots):
        yield Atom(Part.SHOT, 0, shot.key)
    for family, text in scenario.rules.items():
        for position, line in enumerate(text.splitlines()):
            if line.startswith("-A") or (line.startswith(":") and line.split()[0][1:] not in Hook.__members__):
                yield Atom(Part.RULE, family.value, position)
    for position, _ in enumerate(scenario.ip_sets.splitlines()):
        yield Atom(Part.SET, 0, position)
    for position, _ in enumerate(scenario.sysctls):
        yield Atom(Part.SYSCTL, 0, position)
    for family, commands in scenario.topology.commands.items():
        for position, _ in enumerate(commands):
            yield Atom(Part.COMMAND, family.value, position)


def without(scenario: Scenario, gone: frozenset[Atom]) -> Scenario:
    """The scenario without some of its atoms."""
    rules = {
        family: _lines(
            line for position, line in enumerate(text.splitlines()) if Atom(Part.RULE, family.value, position) not in gone
        )
        for family, text in scenario.rules.items()
    }
    commands = {
        family: tuple(line for position, line in enumerate(lines) if Atom(Part.COMMAND, family.value, position) not in gone)
        for family, lines in scenario.topology.commands.items()
    }
    sets = (line for position, line in enumerate(scenario.ip_sets.splitlines()) if Atom(Part.SET, 0, position) not in gone)
    return replace(
        scenario,
        rules=rules,
        topology=Topology(scenario.topology.interfaces, commands),
        ip_sets=_lines(sets),
        sysctls=tuple(pair for position, pair in enumerate(scenario.sysctls) if Atom(Part.SYSCTL, 0, position) not in gone),
        shots=tuple(shot for shot in scenario.shots if Atom(Part.SHOT, 0, shot.key) not in gone),
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


_EMPTY_TABLE = re.compile(r"\*\w+\n(:[A-Z]+ ACCEPT \[0:0\]\n)+COMMIT\n")


def _tidy(scenario: Scenario) -> Scenario:
    """Without tables that hold nothing, unless the mismatch is about them: the caller's last trial was with them."""
    return replace(scenario, rules={family: _EMPTY_TABLE.sub("", text) for family, text in scenario.rules.items()})
