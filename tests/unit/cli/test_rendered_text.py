"""A rendering as the tools print and read it; that the kernel agrees is in tests/kernel/test_render_command.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.render.test_ruleset import BUSY, CONFIG, EMPTY, rendered
from tortie.cli.rendered_text import legacy_order, restore_text, save_text, sets_text
from tortie.codec.ipset import parse_ipsets
from tortie.codec.save import parse_save
from tortie.net.address import IPFamily
from tortie.netfilter.hook import BUILTIN_CHAINS, Backend, TableName
from tortie.netfilter.rule import Chain
from tortie.render.ruleset import complete_ruleset

MADE = rendered(BUSY)
V4 = IPFamily.V4


@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize("family", IPFamily)
def test_what_is_printed_is_the_rendering(family: IPFamily, backend: Backend) -> None:
    printed = parse_save(save_text(MADE, family, backend), family, backend=backend).ruleset
    assert printed == complete_ruleset(MADE.families[family], backend)


def test_chains_of_the_kernel_come_first_then_others_by_name() -> None:
    lines = save_text(MADE, V4, Backend.NFT).splitlines()
    names = [line[1:].split()[0] for line in lines[lines.index("*filter") :] if line.startswith(":")]
    builtin = [hook.value for hook in BUILTIN_CHAINS[TableName.FILTER]]
    chains = names[: names.index("PREROUTING")]
    assert chains == [*builtin, *sorted(chains[len(builtin) :])]


def test_nft_tables_come_in_the_order_of_the_tool() -> None:
    lines = save_text(MADE, V4, Backend.NFT).splitlines()
    assert [line for line in lines if line.startswith("*")] == ["*mangle", "*raw", "*filter", "*nat"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [(EMPTY, "filter nat mangle raw"), (BUSY, "filter nat raw mangle")],
    ids=["as packets meet them, backwards", "a fence in mangle comes first"],
)
def test_legacy_tables_come_with_the_last_one_made_in_front(view: object, expected: str) -> None:
    made = rendered(view)  # type: ignore[arg-type]
    assert [name.value for name in legacy_order(made, V4)] == expected.split()


def test_sets_can_be_read_back() -> None:
    text = sets_text(MADE.families.values())
    wanted = {name: one for family in MADE.families.values() for name, one in family.ip_sets.items()}
    assert {name: one.entries for name, one in parse_ipsets(text).items()} == {n: one.entries for n, one in wanted.items()}


@pytest.mark.parametrize("mode", ["insert", "append"])
def test_restored_rules_stand_in_front_of_others_or_behind_them(mode: str) -> None:
    made = rendered(BUSY, config=replace(CONFIG, chain_insert_mode=mode)).families[V4]
    text = restore_text(made)
    command = "-I" if mode == "insert" else "-A"
    assert f"\n{command} FORWARD -m comment" in text
    assert text.count("COMMIT\n") == 4


def test_restored_rules_are_the_rendering() -> None:
    made = MADE.families[V4]
    read = parse_save(restore_text(made), V4).ruleset
    for name, table in made.tables.items():
        chains = read.tables[name].chains
        assert {chain: chains[chain].rules for chain in table.chains} == {n: c.rules for n, c in table.chains.items()}
        for hooked, rules in table.hooks.items():
            assert chains[hooked] == Chain(hooked, rules, "ACCEPT")
