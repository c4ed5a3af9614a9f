"""Every match and target there is has its table, or is one of the few that need none."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from tests.cases.rule_table import read_cases
from tortie.codec.registry import MATCH_EXTENSIONS, TARGET_EXTENSIONS, match_extension, target_extension
from tortie.codec.rule import parse_rule
from tortie.net.address import IPFamily
from tortie.netfilter import match as m
from tortie.netfilter import target as t
from tortie.netfilter.match import Match
from tortie.netfilter.target import Target

WITHOUT_TABLE = {*get_args(m.HeaderMatch), m.OpaqueMatch, m.RateestMatch, t.Jump, t.Goto, t.OpaqueTarget}
"""Header tests, what is kept as text, and chains."""


def _known() -> set[type[Any]]:
    extensions = [
        extension
        for tables in (MATCH_EXTENSIONS, TARGET_EXTENSIONS)
        for by_name in tables.values()
        for extension in by_name.values()
    ]
    return {extension.type for extension in extensions} | {t.ConnmarkSave, t.ConnmarkRestore}


def test_every_class_has_a_table() -> None:
    assert {*get_args(Match), *get_args(Target)} - WITHOUT_TABLE == _known()


UNMET = {m.IpvsMatch, m.NfacctMatch, m.RateestMatch, m.OpaqueMatch, t.OpaqueTarget}
"""Matches that the tested kernel has no module for or no object to name, and what is no table's."""


def test_the_tables_of_rules_hold_every_class() -> None:
    met: set[type[Any]] = set()
    for case in read_cases():
        for text in case.saved or ():
            rule = parse_rule(text, case.variants[0][0])
            met |= {type(part) for part in (*rule.matches, rule.target)}
    assert {*get_args(Match), *get_args(Target)} - met <= UNMET


UNTESTED = [
    "-m ipvs --vproto tcp --vaddr 10.0.0.0/8 --vport 80 --vdir ORIGINAL ! --vmethod GATE --vportctl 21 ! --ipvs",
    "-m nfacct --nfacct-name web",
    "-j LED --led-trigger-id x --led-delay 5 --led-always-blink",
    "-j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:00:00:01 --total-nodes 2 --local-node 1 --hash-init 0",
    "-j SECMARK --selctx system_u:object_r:x_t:s0",
]


@pytest.mark.parametrize("text", UNTESTED)
def test_what_the_tested_kernel_lacks_is_read_after_the_help_texts(text: str) -> None:
    rule = parse_rule(text, IPFamily.V4)
    for match in rule.matches:
        assert match_extension(match, IPFamily.V4).name in text
    if rule.target is not None:
        assert target_extension(rule.target, IPFamily.V4).name in text
