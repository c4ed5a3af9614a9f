"""Commands in the user's spelling applied to a ruleset value; the kernel tests run the same tables on the real tools."""

from __future__ import annotations

import shlex

import pytest

from tests.cases.rule_table import (
    VARIANTS,
    Variant,
    command_base,
    read_cases,
    read_known_differences,
)
from tortie.codec.command import apply_command
from tortie.codec.save import SaveFile, format_save, parse_save
from tortie.codec.words import split_words
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Counters, Ruleset

V4 = IPFamily.V4
CASES = read_cases()
EACH_VARIANT = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"v{v[0].value}-{v[1].value}")


def _with_empty_chains(variant: Variant, table: TableName) -> Ruleset:
    family, backend = variant
    return parse_save(f"*{table.value}\n:x - [0:0]\n:y - [0:0]\nCOMMIT\n", family, backend=backend).ruleset


def _append(ruleset: Ruleset, table: TableName, chain: str, rule: str) -> tuple[str, ...] | None:
    """What -save would print of the rules after the command; None when it is refused."""
    try:
        after = apply_command(ruleset, shlex.join(["-t", table.value, "-A", chain, *split_words(rule)]))
    except InvalidInput:
        return None
    head = f"-A {chain}"
    lines = format_save(SaveFile(after)).splitlines()
    return tuple(line.removeprefix(head).strip() for line in lines if line.startswith(f"{head} ") or line == head)


@EACH_VARIANT
@pytest.mark.parametrize("table", list(TableName), ids=lambda table: table.value)
def test_an_appended_rule_is_kept_or_refused_as_the_table_says(variant: Variant, table: TableName) -> None:
    ruleset = _with_empty_chains(variant, table)
    wrong = []
    for case in CASES:
        if case.table is table and variant in case.variants:
            kept = _append(ruleset, table, case.chain, case.rule)
            if kept != case.saved:
                wrong.append((case.rule, case.saved, kept))
    assert wrong == []


@EACH_VARIANT
def test_known_differences_differ(variant: Variant) -> None:
    same = []
    for case in read_known_differences():
        if variant in case.variants:
            kept = _append(_with_empty_chains(variant, case.table), case.table, case.chain, case.rule)
            if kept == case.saved:
                same.append(case.rule)
    assert same == []


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ruleset() -> Ruleset:
    return parse_save(command_base(TableName.FILTER, V4), V4).ruleset


def _rules(ruleset: Ruleset, chain: str) -> list[str]:
    lines = format_save(SaveFile(ruleset)).splitlines()
    return [line.removeprefix(f"-A {chain} ") for line in lines if line.startswith(f"-A {chain} ")]


OLD = ["-s 10.0.0.1/32 -j x", "-p tcp -m tcp --dport 80 -j ACCEPT", "-p tcp -m tcp --dport 80 -j ACCEPT"]
CHANGED: dict[str, list[str]] = {
    "-A INPUT -j DROP": [*OLD, "-j DROP"],
    "iptables -A INPUT -j DROP": [*OLD, "-j DROP"],
    "/usr/sbin/iptables-legacy --append INPUT --jump DROP": [*OLD, "-j DROP"],
    "-t filter -I INPUT -j DROP": ["-j DROP", *OLD],
    "-I INPUT 2 -j DROP": [OLD[0], "-j DROP", *OLD[1:]],
    "-I INPUT 4 -j DROP": [*OLD, "-j DROP"],
    "-I INPUT -s 1.1.1.1,2.2.2.2 -j DROP": ["-s 2.2.2.2/32 -j DROP", "-s 1.1.1.1/32 -j DROP", *OLD],
    "-A INPUT -s 1.1.1.1,2.2.2.2 -j DROP": [*OLD, "-s 1.1.1.1/32 -j DROP", "-s 2.2.2.2/32 -j DROP"],
    "-D INPUT 1": OLD[1:],
    "-D INPUT -p tcp --dport http -j ACCEPT": OLD[:2],
    "-R INPUT 2 -j DROP": [OLD[0], "-j DROP", OLD[2]],
    "-F INPUT": [],
    "-F": [],
    "-C INPUT -s 10.0.0.1 -j x": OLD,
    "-A INPUT -m comment --comment 'a b' -j x": [*OLD, '-m comment --comment "a b" -j x'],
    "-E x long-name": ["-s 10.0.0.1/32 -j long-name", *OLD[1:]],
}


@pytest.mark.parametrize(("command", "rules"), CHANGED.items(), ids=CHANGED.keys())
def test_a_command_changes_the_rules_as_the_tools_do(ruleset: Ruleset, command: str, rules: list[str]) -> None:
    assert _rules(apply_command(ruleset, command), "INPUT") == rules


def test_the_ruleset_given_is_left_alone(ruleset: Ruleset) -> None:
    before = format_save(SaveFile(ruleset))
    apply_command(ruleset, "-F")
    assert format_save(SaveFile(ruleset)) == before


def test_chains_that_are_not_touched_stay_the_same_values(ruleset: Ruleset) -> None:
    before = ruleset.tables[TableName.FILTER].chains
    after = apply_command(ruleset, "-A y -j RETURN").tables[TableName.FILTER].chains
    assert after["INPUT"] is before["INPUT"]
    assert after["y"] is not before["y"]


def test_new_chains_stand_in_the_order_of_their_names(ruleset: Ruleset) -> None:
    for name in ("m", "xa", "z", "A"):
        ruleset = apply_command(ruleset, f"-N {name}")
    assert list(ruleset.tables[TableName.FILTER].chains) == ["INPUT", "FORWARD", "OUTPUT", "A", "m", "x", "xa", "y", "z"]


def test_a_table_that_does_not_exist_is_made_first(ruleset: Ruleset) -> None:
    after = apply_command(ruleset, "-t raw -A PREROUTING -j CT --notrack")
    assert {name: chain.policy for name, chain in after.tables[TableName.RAW].chains.items()} == {
        "PREROUTING": "ACCEPT",
        "OUTPUT": "ACCEPT",
    }


def test_a_new_rule_counts_from_zero_among_counted_ones() -> None:
    ruleset = parse_save("*filter\n:INPUT ACCEPT [0:0]\n[5:6] -A INPUT -j ACCEPT\nCOMMIT\n", V4).ruleset
    rules = apply_command(ruleset, "-A INPUT -j DROP").tables[TableName.FILTER].chains["INPUT"].rules
    assert [rule.counters for rule in rules] == [Counters(5, 6), Counters(0, 0)]
    zeroed = apply_command(ruleset, "-Z INPUT").tables[TableName.FILTER].chains["INPUT"].rules
    assert zeroed[0].counters == Counters(0, 0)


REFUSED: dict[str, str] = {
    "-A nosuch -j DROP": "no chain nosuch",
    "-A INPUT -j nosuch": "neither a chain",
    "-A INPUT -g nosuch": "neither a chain",
    "-A INPUT -j OUTPUT": "built-in",
    "-A x -j x": "loop",
    "-A y -j x": "loop",
    "-I INPUT 5 -j DROP": "insertion",
    "-D INPUT 4": "no rule number 4",
    "-D INPUT -j DROP": "no such rule",
    "-R INPUT 4 -j DROP": "no rule number 4",
    "-R INPUT 1 -s 1.1.1.1,2.2.2.2 -j DROP": "one rule",
    "-N x": "exists already",
    "-N DROP": "target",
    "-N -x": "chain name",
    f"-N {'x' * 29}": "name",
    "-X INPUT": "built in",
    "-X x": "not empty",
    "-X y": "in use",
    "-E INPUT z": "built in",
    "-E x y": "exists already",
    "-P x DROP": "policy",
    "-P INPUT REJECT": "policy",
    "-F nosuch": "no chain nosuch",
    "-A INPUT -o eth0 -j DROP": "-o",
    "-A INPUT -p tcp -j MASQUERADE": "table",
    "-t nat -A PREROUTING -j MASQUERADE": "not allowed in PREROUTING",
    "-t nat -A PREROUTING -j DROP": "refused",
    "-t nat -P PREROUTING DROP": "refused",
    "-t mangle -A INPUT -p tcp -j TPROXY --on-port 5": "not allowed in INPUT",
    "-A INPUT --dport 80 -j DROP": "--dport",
    "-A INPUT -m tcp --dport 80 -j DROP": "-p",
    "-A INPUT -j REJECT --reject-with tcp-reset": "-p",
    "-A INPUT -m owner --uid-owner 0": "not allowed in INPUT",
    "-L": "only prints",
    "-j DROP": "no command",
    "-t foo -A INPUT -j DROP": "unknown table",
    "ip6tables -A INPUT -j DROP": "ip6tables",
    "iptables-nft -A INPUT -j DROP": "iptables-nft",
    "rm -rf /": "not an iptables command",
    "-A INPUT -m comment --comment 'a": "quotes",
}


@pytest.mark.parametrize(("command", "words"), REFUSED.items(), ids=REFUSED.keys())
def test_what_the_tools_refuse_is_refused_with_the_reason(ruleset: Ruleset, command: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        apply_command(ruleset, command)
    assert words in str(caught.value)


def test_a_table_of_unknown_content_cannot_be_changed() -> None:
    ruleset = parse_save("# Table `nat' is incompatible, use 'nft' tool.\n", V4).ruleset
    with pytest.raises(InvalidInput, match="another tool"):
        apply_command(ruleset, "-t nat -A PREROUTING -j ACCEPT")


def test_opaque_rules_stay_and_can_be_deleted_by_number() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m geoip --src-cc DE -j DROP\nCOMMIT\n"
    ruleset = parse_save(text, V4).ruleset
    assert _rules(apply_command(ruleset, "-A INPUT -j DROP"), "INPUT") == ["-m geoip --src-cc DE -j DROP", "-j DROP"]
    assert _rules(apply_command(ruleset, "-D INPUT 1"), "INPUT") == []


DEEP = [(Backend.LEGACY, True), (Backend.NFT, False)]


@pytest.mark.parametrize(("backend", "taken"), DEEP, ids=["legacy", "nft"])
def test_only_nft_limits_how_deep_chains_nest(backend: Backend, taken: bool) -> None:
    lines = [f":c{number:02} - [0:0]" for number in range(16)]
    lines += ["-A INPUT -j c00", *(f"-A c{number:02} -j c{number + 1:02}" for number in range(14))]
    ruleset = parse_save("\n".join(["*filter", *lines, "COMMIT", ""]), V4, backend=backend).ruleset
    if taken:
        assert apply_command(ruleset, "-A c14 -j c15")
    else:
        with pytest.raises(InvalidInput, match="deeper"):
            apply_command(ruleset, "-A c14 -j c15")
