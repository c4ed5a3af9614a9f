"""The reference node's snapshot holds what the article shows of that node, byte for byte.

`reference_node/article.rules` are the lines of its iptables-save that the article prints, `article.ipsets` its two pool
sets as `ipset list` prints them. Chains that the article leaves out stand in the snapshot besides.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.save_text import read_tables

ARTICLE = Path(__file__).parent / "reference_node"
SNAPSHOT = Path(__file__).parents[2] / "examples" / "reference-node" / "snapshot"

SHOWN = read_tables((ARTICLE / "article.rules").read_text())
PRINTED = read_tables((SNAPSHOT / "iptables-save").read_text())


def test_the_article_shows_34_hashed_rules() -> None:
    """So that a cut in the file beside this test does not make the others easier."""
    assert sum(line.count("cali:") for lines in SHOWN.values() for line in lines) == 34


@pytest.mark.parametrize("table", SHOWN)
def test_every_line_of_the_article_stands_in_the_snapshot_in_its_order(table: str) -> None:
    shown = set(SHOWN[table])
    assert [line for line in PRINTED[table] if line in shown] == SHOWN[table]


@pytest.mark.parametrize("table", SHOWN)
def test_chains_that_the_article_shows_hold_nothing_else(table: str) -> None:
    """It shows whole chains or none of their rules."""
    chains = {line.split()[1] for line in SHOWN[table] if line.startswith("-A")}
    assert [line for line in PRINTED[table] if line.startswith("-A") and line.split()[1] in chains] == [
        line for line in SHOWN[table] if line.startswith("-A")
    ]


def test_the_pool_sets_hold_the_members_that_the_article_lists() -> None:
    listed = {
        lines[0].removeprefix("Name: "): set(lines[lines.index("Members:") + 1 :])
        for lines in (block.splitlines() for block in (ARTICLE / "article.ipsets").read_text().strip().split("\n\n"))
    }
    saved = [line.split() for line in (SNAPSHOT / "ipset-save").read_text().splitlines()]
    for name, members in listed.items():
        assert {words[2] for words in saved if words[:2] == ["add", name]} == members
        assert ["create", name, "hash:net", "family", "inet", "hashsize", "1024", "maxelem", "1048576"] in saved


def test_every_set_that_rules_name_is_there() -> None:
    rules = (SNAPSHOT / "iptables-save").read_text() + (SNAPSHOT / "ip6tables-save").read_text()
    named = {part.split()[0] for part in rules.split("--match-set ")[1:]}
    assert named <= {line.split()[1] for line in (SNAPSHOT / "ipset-save").read_text().splitlines()}
