"""The codec and the kernel agree: on what iptables-save prints, on what a rule means, and on what is refused.

Three sources of rules: the tables of tests/cases/rules, which hold every option in the user's spelling; rules drawn from
every option of every extension; and drawn rules respelt and spoilt. Each is asked of both families and both back-ends.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.cases.rule_table import (
    VARIANTS,
    Case,
    command_base,
    read_cases,
    read_commands,
    read_known_differences,
)
from tests.kernel.iptables_tools import Tools
from tests.strategies.rules import CHAINS, places, rules
from tests.strategies.spelling import is_misread, respelt
from tortie.codec.command import apply_command
from tortie.codec.rule import format_rule
from tortie.codec.save import SaveFile, format_save, parse_save
from tortie.codec.words import split_words
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.match import HashlimitMatch, Match, OpaqueMatch, RecentMatch
from tortie.netfilter.rule import Rule
from tortie.netfilter.target import OpaqueTarget

CASES = read_cases()
SECTIONS = sorted({(case.table, case.chain) for case in CASES}, key=str)
_NUMBERS = count()


@pytest.fixture(params=[pytest.param(v, id=f"v{v[0].value}-{v[1].value}") for v in VARIANTS], scope="module")
def tools(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    family, backend = request.param
    made = Tools.fresh(family, backend, tmp_path_factory.mktemp("xtables"))
    yield made
    made.close()


# --- the tables ---------------------------------------------------------------------------------------------------


def restore_text(table: TableName, chain: str, texts: Sequence[str], user_chains: Sequence[str] = ("x", "y")) -> str:
    """A table with empty user chains and these rules in one chain."""
    lines = [f"*{table.value}", *(f":{name} - [0:0]" for name in user_chains)]
    return "\n".join([*lines, *(f"-A {chain} {text}".rstrip() for text in texts), "COMMIT", ""])


def _cases_of(tools: Tools, section: tuple[TableName, str]) -> list[Case]:
    return [
        case for case in CASES if (case.table, case.chain) == section and (tools.family, tools.backend) in case.variants
    ]


def _rules_of(saved: str, chain: str) -> list[str]:
    head = f"-A {chain}"
    return [line.removeprefix(head).strip() for line in saved.splitlines() if line.startswith(f"{head} ") or line == head]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section[0].value}-{section[1]}")
def test_the_tools_save_what_the_tables_say(tools: Tools, section: tuple[TableName, str]) -> None:
    table, chain = section
    taken = [case for case in _cases_of(tools, section) if case.saved is not None]
    assert tools.restore(restore_text(table, chain, [case.rule for case in taken])) is None
    saved = tools.save(table.value)
    assert _rules_of(saved, chain) == [text for case in taken for text in case.saved or ()]
    assert format_save(parse_save(saved, tools.family)) == saved


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section[0].value}-{section[1]}")
def test_the_tools_refuse_what_the_tables_say(tools: Tools, section: tuple[TableName, str]) -> None:
    table, chain = section
    refused = [case.rule for case in _cases_of(tools, section) if case.saved is None]
    assert [rule for rule in refused if tools.restore(restore_text(table, chain, [rule])) is None] == []


def test_every_known_difference_still_is_one(tools: Tools) -> None:
    known = [case for case in read_known_differences() if (tools.family, tools.backend) in case.variants]
    for case in known:
        refused = tools.restore(restore_text(case.table, case.chain, [case.rule]))
        saved = None if refused else tuple(_rules_of(tools.save(case.table.value), case.chain))
        assert (case.rule, saved) == (case.rule, case.saved)


# --- commands -----------------------------------------------------------------------------------------------------

_TOOLS_ONLY: dict[str, str] = {
    "-L": "only prints; an edit that changes nothing is a mistake",
    "-S": "only prints; an edit that changes nothing is a mistake",
    "-AINPUT -ie0": "iptables 1.8.9 takes `-ie0` for the device's name",
    "-E INPUT z": "iptables-nft renames built-in chains, which takes them off their hook",
    "-I INPUT -c 7 8 -j DROP": "ip6tables-nft loses the counters",
    "-P INPUT DROP -c 5 6": "iptables-nft loses the counters",
    "-C INPUT -p tcp --dport 81 -j ACCEPT": "ip6tables-legacy finds rules that are not there",
}
"""Commands on which the codec differs, and why."""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line[:1] in ("*", ":", "-", "[")]


def _apply(before: SaveFile, table: TableName, words: Sequence[str]) -> tuple[SaveFile | None, str]:
    try:
        ruleset = apply_command(before.ruleset, shlex.join(["-t", table.value, *words]))
    except InvalidInput as error:
        return None, str(error)
    return replace(before, ruleset=ruleset), ""


def _run(tools: Tools, table: TableName, commands: Sequence[Sequence[str]]) -> str | None:
    """Runs the commands in the kernel and on the value; says where they part."""
    assert tools.restore(command_base(table, tools.family)) is None
    value = parse_save(tools.save(table.value, counters=True), tools.family)
    for words in commands:
        refused = tools.command(["-t", table.value, *words])
        changed, reason = _apply(value, table, words)
        if (refused is None) is not (changed is not None):
            return f"{shlex.join(words)}: tool {refused or 'takes it'}, codec {reason or 'takes it'}"
        if changed is None:
            return None
        value = changed
        real, mine = _lines(tools.save(table.value, counters=True)), _lines(format_save(value))
        if real != mine:
            return f"{shlex.join(words)}: tool {set(real) - set(mine)}, codec {set(mine) - set(real)}"
    return None


def test_commands_do_in_the_value_what_they_do_in_the_kernel(tools: Tools) -> None:
    parted = []
    for table, commands in read_commands():
        if commands[0] not in _TOOLS_ONLY:
            parted.append(_run(tools, table, [shlex.split(command) for command in commands]))
    assert [line for line in parted if line] == []


def test_nested_chains_are_refused_where_the_back_end_refuses_them(tools: Tools) -> None:
    chains = [f"c{number:02}" for number in range(17)]
    jumps = [f"-A {before} -j {after}" for before, after in zip(["INPUT", *chains], chains, strict=False)]
    for depth in (15, 16):
        text = "\n".join(["*filter", *(f":{name} -" for name in chains), *jumps[: depth - 1], "COMMIT", ""])
        assert tools.restore(text) is None
        value = parse_save(tools.save("filter"), tools.family, backend=tools.backend)
        words = jumps[depth - 1].split(" ")
        changed, _ = _apply(value, TableName.FILTER, words)
        assert (tools.command(["-t", "filter", *words]) is None) is (changed is not None)


def test_a_text_cut_inside_a_character_comes_back(tools: Tools) -> None:
    assert _run(tools, TableName.FILTER, [["-A", "INPUT", "-j", "LOG", "--log-prefix", f"{28 * 'x'}é"]]) is None


# --- drawn rules --------------------------------------------------------------------------------------------------


def _with_own_name(match: Match) -> Match:
    """Lists and tables of the kernel are shared by name, so every rule gets its own."""
    return replace(match, name=f"t{next(_NUMBERS)}") if isinstance(match, HashlimitMatch | RecentMatch) else match


def with_own_names(rule: Rule) -> Rule:
    """The rule with names that no other rule of this run has."""
    return replace(rule, matches=tuple(_with_own_name(match) for match in rule.matches))


def _is_opaque(rule: Rule) -> bool:
    return any(isinstance(part, OpaqueMatch | OpaqueTarget) for part in (*rule.matches, rule.target))


def load_and_compare(tools: Tools, table: TableName, chain: str, drawn: Sequence[Rule]) -> None:
    """Loads rules, and asserts that what is saved is what the codec prints and reads."""
    named = [with_own_names(rule) for rule in drawn]
    printed = [format_rule(rule, tools.family) for rule in named]
    assert tools.restore(restore_text(table, chain, printed, CHAINS)) is None
    saved = tools.save(table.value)
    assert _rules_of(saved, chain) == printed
    parsed = parse_save(saved, tools.family)
    assert format_save(parsed) == saved
    assert parsed.ruleset.backend is tools.backend
    assert list(parsed.ruleset.tables[table].chains[chain].rules) == named
    assert not any(_is_opaque(rule) for rule in named)


@settings(max_examples=10)
@given(data=st.data())
def test_drawn_rules_are_saved_as_the_codec_prints_them(tools: Tools, data: st.DataObject) -> None:
    table, chain = data.draw(places())
    some = st.lists(rules(tools.family, table, chain, tools.backend), min_size=1, max_size=30)
    load_and_compare(tools, table, chain, data.draw(some))


def respelt_commands(family: IPFamily, backend: Backend) -> st.SearchStrategy[tuple[TableName, list[str]]]:
    """A command that appends a drawn rule, in a spelling that may be wrong."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> tuple[TableName, list[str]]:
        table, chain = draw(places())
        rule = with_own_names(draw(rules(family, table, chain, backend)))
        words = split_words(format_rule(rule, family).replace("alpha", "x").replace("beta-2", "y"))
        return table, ["-A", chain, *draw(respelt(words))]

    return draw_one()


@settings(max_examples=60)
@given(data=st.data())
def test_respelt_rules_mean_and_fail_the_same(tools: Tools, data: st.DataObject) -> None:
    table, words = data.draw(respelt_commands(tools.family, tools.backend))
    assume(not is_misread(words))
    assert append_and_compare(tools, table, words) is None


def append_and_compare(tools: Tools, table: TableName, words: list[str]) -> str | None:
    """Runs one command on the table the commands are tried on; says where kernel and codec part."""
    return _run(tools, table, [words])


# --- other texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counters", [False, True], ids=["-S", "-S -v"])
@pytest.mark.parametrize("table", list(TableName), ids=lambda table: table.value)
def test_listings_print_back(tools: Tools, table: TableName, counters: bool) -> None:
    assert tools.restore(command_base(table, tools.family)) is None
    text = tools.list_rules(table.value, counters=counters)
    parsed = parse_save(text, tools.family, table=table)
    assert format_save(parsed) == text
    saved = parse_save(tools.save(table.value), tools.family).ruleset.tables[table]
    assert parsed.ruleset.tables == {table: saved}


def test_comments_of_any_content_come_back(tools: Tools) -> None:
    comments = [
        "a b",
        "-j DROP",
        "-m",
        "!",
        "it's",
        'q"q',
        "b\\s",
        "ä€",
        'two\nlines "q" -j',
        "\t",
        " ",
        "#",
        "a;b",
        "\u00a0",
    ]
    assert tools.restore("*filter\nCOMMIT\n") is None
    for comment in comments:
        assert tools.command(["-A", "INPUT", "-m", "comment", "--comment", comment, "-j", "ACCEPT"]) is None
    saved = tools.save("filter")
    parsed = parse_save(saved, tools.family)
    assert format_save(parsed) == saved
    found = [rule.matches[0] for rule in parsed.ruleset.tables[TableName.FILTER].chains["INPUT"].rules]
    assert [getattr(match, "text", None) for match in found] == comments


def test_rate_estimators_come_back(tools: Tools) -> None:
    estimators = [
        f"-j RATEEST --rateest-name {name} --rateest-interval 250.0ms --rateest-ewmalog 1.0s" for name in ("r1", "r2")
    ]
    matches = [
        "--rateest r1 --rateest-gt --rateest-bps 1000Kbit",
        "--rateest r1 ! --rateest-lt --rateest-pps 5",
        "--rateest1 r1 --rateest-lt --rateest-bps --rateest2 r2",
        "--rateest-delta --rateest1 r1 --rateest-bps1 1000Kbit --rateest-gt --rateest-bps2 2000Kbit --rateest2 r2",
    ]
    texts = [*estimators, *(f"-m rateest {text} -j DROP" for text in matches)]
    assert tools.restore(restore_text(TableName.MANGLE, "FORWARD", texts)) is None
    saved = tools.save("mangle")
    assert _rules_of(saved, "FORWARD") == texts
    parsed = parse_save(saved, tools.family)
    assert format_save(parsed) == saved
    assert not any(_is_opaque(rule) for rule in parsed.ruleset.tables[TableName.MANGLE].chains["FORWARD"].rules)
