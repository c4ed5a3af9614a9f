"""A rendering as text: as the tools print it once it is programmed, and as they read it.

`save` is byte for byte what iptables-save prints, without its comment lines, of a node that held nothing before, and
what `ipset save` prints of its sets but for what the kernel draws by lot: the seed of the hash (`initval`) and with it the
order of members, which are sorted here, and the size of the hash table, which grows as members come.

The kernel's order, as it was found on iptables 1.8.9: chains of the kernel first, then others by
name. nft tables come in the order of iptables' own list (iptables 1.8, nft.h, enum nft_table_type), legacy tables with
the one that was made last in front, so that it follows from the order of the first restores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tortie.cli.programming import CALICO, wanted_families
from tortie.codec.ipset import format_ipset_save
from tortie.codec.rule import format_rule
from tortie.codec.save import SaveFile, format_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Chain, Counters, Rule, Ruleset, Table
from tortie.reconcile.plan import plan
from tortie.reconcile.step import TableEdit
from tortie.reconcile.wanted import Held
from tortie.render.ruleset import RenderedFamily, Rendering, complete_ruleset

NFT_ORDER = (TableName.MANGLE, TableName.SECURITY, TableName.RAW, TableName.FILTER, TableName.NAT)
PROGRAMS = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}
_ZERO = Counters(0, 0)


# --- as it is printed --------------------------------------------------------------------------------------------


def save_text(rendering: Rendering, family: IPFamily, backend: Backend) -> str:
    """What iptables-save, or ip6tables-save, prints once this was programmed into an empty kernel."""
    rendered = rendering.families[family]
    order = NFT_ORDER if backend is Backend.NFT else legacy_order(rendering, family)
    tables = complete_ruleset(rendered, backend).tables
    ordered = {name: _as_printed(tables[name]) for name in order if name in tables}
    return format_save(SaveFile(Ruleset(family, backend, ordered)))


def legacy_order(rendering: Rendering, family: IPFamily) -> tuple[TableName, ...]:
    """The tables in the order in which a legacy kernel lists them: the one that was touched last is the first."""
    families = wanted_families(rendering)
    empty = Held({one.family: Ruleset(one.family, Backend.LEGACY, {}) for one in families}, {})
    touched = [
        step.table
        for step in plan((one for one in families if one.family is family), empty, CALICO).steps
        if isinstance(step, TableEdit)
    ]
    return tuple(dict.fromkeys(touched))[::-1]


def _as_printed(table: Table) -> Table:
    builtin = {hook.value for hook in BUILTIN_CHAINS[table.name]}
    names = [hook.value for hook in BUILTIN_CHAINS[table.name]]
    names += sorted((name for name in table.chains if name not in builtin), key=str.encode)
    return replace(table, chains={name: replace(table.chains[name], counters=_ZERO) for name in names})


def sets_text(families: Iterable[RenderedFamily]) -> str:
    """The sets as `ipset save` prints them, members sorted, without the words that the kernel adds by itself."""
    return format_ipset_save({name: one for family in families for name, one in family.ip_sets.items()})


# --- as it is read -----------------------------------------------------------------------------------------------


def restore_text(rendered: RenderedFamily) -> str:
    """Input of `iptables-restore --noflush` that puts the family's rules beside what others have in an empty place."""
    return "".join(f"{line}\n" for name, table in rendered.tables.items() for line in _restore_lines(rendered, name))


def _restore_lines(rendered: RenderedFamily, name: TableName) -> Iterator[str]:
    table, family = rendered.tables[name], rendered.family
    yield f"*{name.value}"
    yield from (f":{chain} - -" for chain in table.chains)
    for chain in table.chains.values():
        yield from _rules("-A", chain, family)
    for hooked, rules in table.hooks.items():
        if rendered.append_hooks:
            yield from _rules("-A", Chain(hooked, rules), family)
        else:
            yield from _rules("-I", Chain(hooked, tuple(reversed(rules))), family)
    yield "COMMIT"


def _rules(command: str, chain: Chain, family: IPFamily) -> Iterator[str]:
    return (f"{command} {chain.name} {format_rule(rule, family)}" for rule in chain.rules)


def shown_rule(rule: Rule, family: IPFamily) -> str:
    """A rule's text as iptables-save prints it, without the `-A CHAIN` in front."""
    return format_rule(rule, family)


def sets_by_name(families: Iterable[RenderedFamily]) -> dict[str, IPSet]:
    """All sets of some families."""
    return {name: one for family in families for name, one in family.ip_sets.items()}
