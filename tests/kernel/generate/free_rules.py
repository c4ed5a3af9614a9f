"""Rulesets of no particular shape: any match and any target in any place the kernel allows, with chains that call chains.

A user chain is given the hooks it may be reached from; only chains whose own hooks are among them jump to it, and only
to later chains, so that there is no loop. Terminal rules stay rare enough that packets see a good part of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.kernel.generate.draw import Draw
from tests.kernel.generate.match import MatchDraw, NamedSet, draw_matches
from tests.kernel.generate.place import Place
from tests.kernel.generate.target import DrawnTarget, draw_target
from tests.kernel.generate.world import World
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, Hook, TableName


@dataclass(frozen=True, slots=True)
class _UserChain:
    name: str
    hooks: frozenset[Hook]


def draw_free_rules(draw: Draw, world: World, family: IPFamily, backend: Backend, sets: Sequence[NamedSet]) -> str:
    """Restore text of some tables of one family."""
    tables = [table for table, weight in _TABLE_CHANCES if draw.chance(weight)]
    return "".join(_draw_table(draw, world, family, backend, table, sets) for table in tables)


_TABLE_CHANCES = (
    (TableName.RAW, 0.4),
    (TableName.MANGLE, 0.65),
    (TableName.NAT, 0.65),
    (TableName.FILTER, 0.85),
    (TableName.SECURITY, 0.1),
)


def _draw_table(
    draw: Draw, world: World, family: IPFamily, backend: Backend, table: TableName, sets: Sequence[NamedSet]
) -> str:
    builtin = BUILTIN_CHAINS[table]
    users = []
    for number in range(draw.weighted([(0, 3), (1, 2), (2, 2), (4, 1)])):
        hooks = frozenset(draw.some(builtin, 1, len(builtin))) if draw.chance(0.5) else frozenset(builtin)
        users.append(_UserChain(draw.one(["u", "chain:", "cali-fw-", "X"]) + str(number), hooks))
    lines = [f"*{table.value}"]
    for hook in builtin:
        dropping = draw.chance(0.04 if table is TableName.NAT else 0.12 if table is TableName.FILTER else 0.02)
        lines.append(f":{hook.value} {'DROP' if dropping else 'ACCEPT'} [0:0]")
    lines += [f":{user.name} - [0:0]" for user in users]
    for hook in builtin:
        place = Place(family, backend, table, frozenset({hook}), builtin=True)
        lines += _draw_chain(MatchDraw(draw, world, place, sets), hook.value, users)
    for position, user in enumerate(users):
        place = Place(family, backend, table, user.hooks, builtin=False)
        lines += _draw_chain(MatchDraw(draw, world, place, sets), user.name, users[position + 1 :])
    return "".join(f"{line}\n" for line in (*lines, "COMMIT"))


def _draw_chain(of: MatchDraw, name: str, later: Sequence[_UserChain]) -> list[str]:
    draw = of.draw
    callable_chains = [user.name for user in later if of.place.hooks <= user.hooks]
    lines = []
    for _ in range(draw.weighted([(0, 2), (1, 3), (2, 4), (3, 3), (5, 2), (8, 1)])):
        if callable_chains and draw.chance(0.3):
            target = DrawnTarget(f"{draw.weighted([('-j', 4), ('-g', 1)])} {draw.one(callable_chains)}")
        else:
            target = draw_target(of)
        if target.protocol == 17:
            matches = f"-p udp {of.bang(0)}--dport {of.port_range()}"
        elif target.needs:
            matches = f"-p tcp {target.needs}"
        else:
            matches = draw_matches(of, protocol=target.protocol)
        lines.append(" ".join(part for part in (f"-A {name}", matches, target.words) if part))
    return lines
