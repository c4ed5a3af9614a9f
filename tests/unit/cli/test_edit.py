from __future__ import annotations

import pytest

from tests.builders import chain, ruleset, table
from tortie.cli.edit import apply_edits
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.snapshot import Snapshot

V4, V6 = IPFamily.V4, IPFamily.V6
FILTER = TableName.FILTER


def rules(family: IPFamily, backend: Backend = Backend.LEGACY) -> Snapshot:
    chains = [chain(name, policy="ACCEPT") for name in ("INPUT", "FORWARD", "OUTPUT")]
    return Snapshot("hand-built", rulesets=(ruleset(table(FILTER, *chains), family=family, backend=backend),))


def both(*snapshots: Snapshot) -> Snapshot:
    return Snapshot("hand-built", rulesets=tuple(one for snapshot in snapshots for one in snapshot.rulesets))


def lengths(snapshot: Snapshot) -> list[int]:
    return [len(one.tables[FILTER].chains["FORWARD"].rules) for one in snapshot.rulesets]


@pytest.mark.parametrize(
    ("command", "family", "expected"),
    [
        ("-A FORWARD -j DROP", V4, [1, 0]),
        ("-A FORWARD -j DROP", V6, [0, 1]),
        ("iptables -A FORWARD -j DROP", V6, [1, 0]),
        ("ip6tables -t filter -A FORWARD -j DROP", V4, [0, 1]),
        ("/usr/sbin/iptables -A FORWARD -j DROP", V6, [1, 0]),
        ("  -A FORWARD -j DROP", V4, [1, 0]),
    ],
)
def test_the_first_word_or_the_packet_says_which_rules_are_meant(
    command: str, family: IPFamily, expected: list[int]
) -> None:
    assert lengths(apply_edits(both(rules(V4), rules(V6)), [command], family)) == expected


def test_edits_are_applied_in_order() -> None:
    commands = ["-A FORWARD -j DROP", "-A FORWARD -j ACCEPT", "-D FORWARD 1"]
    edited = apply_edits(rules(V4), commands, V4)
    assert [type(rule.target).__name__ for rule in edited.rulesets[0].tables[FILTER].chains["FORWARD"].rules] == ["Accept"]


def test_the_snapshot_itself_stays_as_it_was() -> None:
    before = rules(V4)
    apply_edits(before, ["-A FORWARD -j DROP"], V4)
    assert lengths(before) == [0]


def test_a_back_end_may_be_named_and_must_be_where_there_are_two() -> None:
    two = both(rules(V4, Backend.LEGACY), rules(V4, Backend.NFT))
    assert lengths(apply_edits(two, ["iptables-nft -A FORWARD -j DROP"], V4)) == [0, 1]
    assert lengths(apply_edits(two, ["iptables-legacy -A FORWARD -j DROP"], V4)) == [1, 0]
    with pytest.raises(InvalidInput, match="both back-ends hold rules"):
        apply_edits(two, ["-A FORWARD -j DROP"], V4)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("nft add rule", "not an iptables command: 'nft'"),
        ("ip6tables -A FORWARD -j DROP", "the snapshot holds no IPv6 rules to change"),
        ("iptables-nft -A FORWARD -j DROP", "the snapshot holds no IPv4 nft rules to change"),
        ("-A NOWHERE -j DROP", "NOWHERE"),
        ("-A FORWARD -j", ""),
        ("", ""),
    ],
)
def test_a_command_that_cannot_be_applied_is_named(command: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        apply_edits(rules(V4), [command], V4)
    assert message in caught.value.message
    assert caught.value.source == f"--edit {command!r}"
