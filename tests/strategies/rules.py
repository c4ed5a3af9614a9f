"""Whole rules that a table and chain accept, for tests that print, parse, load or walk them.

`rules(...)` draws a rule that fits its place (`tortie.codec.placement`), with every part from `matches` and `targets`.
`SETS` are the ip sets the rules name, as `ipset restore` makes them; `CHAINS` the user chains they jump to.
"""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from tests.strategies import matches as ms
from tests.strategies.matches import PROTOCOLS
from tests.strategies.targets import all_targets
from tortie.codec.placement import check_rule, check_table
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, Hook, TableName
from tortie.netfilter.match import (
    DestinationMatch,
    FragmentMatch,
    InInterfaceMatch,
    Match,
    OutInterfaceMatch,
    ProtocolMatch,
    SourceMatch,
)
from tortie.netfilter.rule import Chain, Rule, Table

SETS: dict[IPFamily, tuple[str, ...]] = {IPFamily.V4: ("four",), IPFamily.V6: ("six",)}
"""Names of the sets that rules of each family use."""
SET_COMMANDS = (
    "create four hash:ip,port,ip timeout 0 counters skbinfo\n"
    "create six hash:ip,port,ip family inet6 timeout 0 counters skbinfo\n"
)
"""What `ipset restore` reads to make them."""
CHAINS = ("alpha", "beta-2")
"""User chains that rules jump to; both stay empty."""

_COMING = ("PREROUTING", "INPUT")
_GOING = ("OUTPUT", "POSTROUTING")


@st.composite
def headers(draw: st.DrawFn, family: IPFamily, chain: str, proto: int | None) -> list[Match]:
    """Header tests in printed order that the chain may have."""
    tests = _header_tests(family)
    parts = draw(st.integers(0, 63))
    found: list[Match] = [draw(tests[letter]) for bit, letter in enumerate("sd") if parts >> bit & 1]
    if chain not in _GOING and parts >> 2 & 3 == 3:
        found.append(draw(tests["i"]))
    if chain not in _COMING and parts >> 3 & 3 == 3:
        found.append(draw(tests["o"]))
    if proto is not None:
        found.append(ProtocolMatch(proto))
    elif parts >> 4 & 3 == 3:
        found.append(draw(tests["p"]))
    if family is IPFamily.V4 and parts in (5, 21, 33):
        found.append(FragmentMatch(draw(ms.inverted)))
    return found


@cache
def _header_tests(family: IPFamily) -> dict[str, st.SearchStrategy[Match]]:
    nets = ms.nets(family)
    return {
        "s": st.builds(SourceMatch, nets, ms.inverted),
        "d": st.builds(DestinationMatch, nets, ms.inverted),
        "i": st.builds(InInterfaceMatch, ms.interface_names, ms.inverted),
        "o": st.builds(OutInterfaceMatch, ms.interface_names, ms.inverted),
        "p": st.builds(ProtocolMatch, st.sampled_from(PROTOCOLS), ms.inverted),
    }


@cache
def _others(family: IPFamily) -> st.SearchStrategy[list[Match]]:
    every = (*ms.network_matches(family), *ms.state_matches(family, SETS[family]), *ms.history_matches(family))
    return st.lists(st.one_of(*every), max_size=2)


def fits(rule: Rule, family: IPFamily, table: TableName, chain: str, backend: Backend) -> bool:
    """True when tools and kernel take the rule in this chain."""
    chains = {name: Chain(name) for name in CHAINS}
    chains |= {hook.value: Chain(hook.value, policy="ACCEPT") for hook in BUILTIN_CHAINS[table]}
    chains[chain] = Chain(chain, (rule,), chains[chain].policy)
    try:
        check_rule(rule, table, family, backend)
        check_table(Table(table, chains), family, backend)
    except InvalidInput:
        return False
    return True


_TARGETS_TRIED = 6


@st.composite
def rules(draw: st.DrawFn, family: IPFamily, table: TableName, chain: str, backend: Backend) -> Rule:
    """Rules that fit the chain; a part drawn that does not fit it is left out."""
    by_protocol = ms.PROTOCOL_MATCHES[family]
    proto = draw(st.none() | st.sampled_from(sorted(by_protocol)))
    wanted: list[Match] = [] if proto is None else draw(st.lists(by_protocol[proto], min_size=0, max_size=1))
    wanted += draw(_others(family))
    kept = tuple(draw(headers(family, chain, proto)))
    for match in wanted:
        if fits(Rule((*kept, match)), family, table, chain, backend):
            kept = (*kept, match)
    for target in draw(st.lists(all_targets(family, SETS[family], CHAINS), max_size=_TARGETS_TRIED)):
        if fits(Rule(kept, target), family, table, chain, backend):
            return Rule(kept, target)
    return Rule(kept)


def places() -> st.SearchStrategy[tuple[TableName, str]]:
    """A table and one of its built-in chains."""
    every: list[tuple[TableName, Hook]] = [(table, hook) for table, hooks in BUILTIN_CHAINS.items() for hook in hooks]
    return st.sampled_from(every).map(lambda place: (place[0], place[1].value))
