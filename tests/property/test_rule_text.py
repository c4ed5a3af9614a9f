"""Printing a rule and reading it gives the rule, for every option of every extension; no text makes a parser fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.strategies.matches import all_matches
from tests.strategies.rules import CHAINS, SETS
from tests.strategies.targets import all_targets
from tortie.codec.command import apply_command
from tortie.codec.rule import format_match, format_rule, format_target, parse_rule
from tortie.codec.save import SaveFile, format_save, parse_save
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.rule import Rule

FAMILIES = [pytest.param(family, id=family.name) for family in IPFamily]


@pytest.mark.parametrize("family", FAMILIES)
@examples(400)
@given(data=st.data())
def test_a_printed_match_reads_as_itself(family: IPFamily, data: st.DataObject) -> None:
    match = data.draw(all_matches(family, SETS[family]))
    text = format_match(match, family)
    assert parse_rule(text, family) == Rule((match,))


@pytest.mark.parametrize("family", FAMILIES)
@examples(300)
@given(data=st.data())
def test_a_printed_target_reads_as_itself(family: IPFamily, data: st.DataObject) -> None:
    target = data.draw(all_targets(family, SETS[family], CHAINS))
    text = format_target(target, family)
    assert parse_rule(text, family) == Rule((), target)
    assert format_rule(Rule((), target), family) == text


# --- no text is too wild ------------------------------------------------------------------------------------------

_VOCABULARY = """
-A -I -D -N -P -F -X -E -R -s -d -p -i -o -m -j -g -f -c -t ! -- - --dport --sport --mark --comment --set-xmark --syn
--tcp-flags --match-set --ctstate --limit --to-destination --icmp-type --u32 --string --algo --bytecode --weekdays tcp udp
icmp mark comment set conntrack multiport hashlimit policy u32 bpf string time recent statistic owner ACCEPT DROP MARK LOG
REJECT DNAT CT HMARK RATEEST INPUT x y 0 1 80 0x10 10.0.0.1 10.0.0.0/8 fd00::1 1,2,3 a:b src NEW
"""
_words = st.sampled_from(_VOCABULARY.split())
_pieces = _words | st.text(max_size=12) | st.sampled_from(['"', '\\"', "'", '""', '"a b"', "\t", "#", ",", ":", "/", "="])
_lines = st.lists(_pieces, max_size=12).map(" ".join)
_frames = st.sampled_from(["*filter", "*nat", ":INPUT ACCEPT [0:0]", ":x - [0:0]", "COMMIT", "-P INPUT DROP", "[1:2] -A x"])


def _only_refuses(read: Callable[[], object]) -> object | None:
    try:
        return read()
    except InvalidInput:
        return None


@pytest.mark.parametrize("family", FAMILIES)
@examples(400)
@given(text=_lines)
def test_any_line_is_a_rule_or_refused(family: IPFamily, text: str) -> None:
    rule = _only_refuses(lambda: parse_rule(text, family))
    if isinstance(rule, Rule):
        printed = format_rule(rule, family)
        again = _only_refuses(lambda: parse_rule(printed, family))
        assert again is None or format_rule(again, family) == printed


@pytest.mark.parametrize("family", FAMILIES)
@examples(300)
@given(lines=st.lists(_lines | _frames | _lines.map(lambda line: f"-A INPUT {line}"), max_size=12))
def test_any_text_is_a_save_file_or_refused(family: IPFamily, lines: list[str]) -> None:
    text = "\n".join(lines)
    parsed = _only_refuses(lambda: parse_save(text, family))
    if isinstance(parsed, SaveFile):
        printed = format_save(parsed)
        again = _only_refuses(lambda: parse_save(printed, family))
        assert again is None or format_save(again) == printed


@examples(400)
@given(command=_lines)
def test_any_command_is_applied_or_refused(command: str) -> None:
    _only_refuses(lambda: apply_command(_RULESET, f"-A INPUT {command}"))
    _only_refuses(lambda: apply_command(_RULESET, command))


@examples(150)
@given(data=st.data())
def test_a_spoilt_dump_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([_DUMP, _LISTING]))
    place = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    spoilt = text[:place] + data.draw(st.text(max_size=5)) + text[place + length :]
    _only_refuses(lambda: parse_save(spoilt, IPFamily.V4))


_DUMP = (Path(__file__).parents[1] / "golden" / "reference_node" / "article.rules").read_text()
_LISTING = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT DROP\n-N x\n-A INPUT -p tcp -m tcp --dport 80 -j x\n"
_RULESET = parse_save(_DUMP, IPFamily.V4).ruleset


def test_the_reference_node_prints_back() -> None:
    assert format_save(parse_save(_DUMP, IPFamily.V4)) == _DUMP
