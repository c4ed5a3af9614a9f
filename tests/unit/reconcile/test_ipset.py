"""From one set to another: members, copies, and what packets see of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.table_text import sets
from tortie.codec.ipset import parse_ipsets
from tortie.netfilter.ipset import IPSet
from tortie.reconcile.ipset import (
    TemporaryNames,
    change_members,
    editable,
    exchange_set,
    make_set,
    members,
    rebuild_set,
    same_kind,
    swappable,
)
from tortie.reconcile.step import SetCommand
from tortie.reconcile.text import ipset_line


def one(create: str, *added: str) -> IPSet:
    return parse_ipsets("\n".join([f"create x {create}", *(f"add x {member}" for member in added)]))["x"]


def lines(commands: Sequence[SetCommand]) -> list[str]:
    return [ipset_line(command) for command in commands]


def temporary(*used: str) -> TemporaryNames:
    return TemporaryNames("t", frozenset(used))


WANTED = one("hash:net family inet maxelem 100", "10.0.0.0/8")
KINDS = {
    "what the kernel adds": ("hash:net family inet hashsize 1024 maxelem 100 bucketsize 12 initval 0x1", True, True),
    "another size": ("hash:net family inet maxelem 50", True, False),
    "a time-out": ("hash:net family inet maxelem 100 timeout 9", True, False),
    "counters": ("hash:net family inet maxelem 100 counters", True, False),
    "another family": ("hash:net family inet6 maxelem 100", False, False),
    "another type": ("hash:ip family inet maxelem 100", False, False),
}


@pytest.mark.parametrize(("create", "can_swap", "can_stay"), KINDS.values(), ids=KINDS)
def test_kinds(create: str, can_swap: bool, can_stay: bool) -> None:
    assert (swappable(one(create), WANTED), same_kind(one(create), WANTED)) == (can_swap, can_stay)


def test_members_with_extensions_are_not_edited() -> None:
    assert editable(WANTED)
    assert not editable(one("hash:net", "10.0.0.0/8 nomatch"))


def test_a_net_of_length_0_is_two_halves() -> None:
    assert members(one("hash:net", "0.0.0.0/0")) == members(one("hash:net", "0.0.0.0/1", "128.0.0.0/1"))
    six = one("hash:net family inet6", "::/0")
    assert members(six) == members(one("hash:net family inet6", "::/1", "8000::/1"))
    assert len(members(one("hash:net,iface", "0.0.0.0/0,e"))) == 1


def test_a_new_set_and_one_of_another_kind() -> None:
    wanted = sets("x: 10.2.0.0/16 10.1.0.0/16")["x"]
    made = ["create x hash:net family inet maxelem 100", "add x 10.1.0.0/16 -exist", "add x 10.2.0.0/16 -exist"]
    assert lines(make_set(wanted)) == made
    assert lines(rebuild_set(wanted)) == ["destroy x", *made]


def test_few_members_change_in_place_deletions_first() -> None:
    before, after = members(sets("x: 10.1.0.1 10.1.0.2")["x"]), members(sets("x: 10.1.0.2 10.1.0.3")["x"])
    made = change_members(WANTED, before, after, temporary())
    assert lines(made.commands) == ["del x 10.1.0.1 -exist", "add x 10.1.0.3 -exist"]
    assert (made.seen, made.adds, made.deletes) == (2, True, True)


def test_many_members_change_in_a_copy() -> None:
    before = members(sets("x: " + " ".join(f"10.{a}.{b}.0/24" for a in range(4) for b in range(250)))["x"])
    after = frozenset(list(before)[:5])
    made = change_members(WANTED, before, after, temporary("t0"))
    assert lines(made.commands)[0] == "create t1 hash:net family inet maxelem 100"
    assert lines(made.commands)[-2:] == ["swap x t1", "destroy t1"]
    assert len(made.commands) == 8
    assert (made.seen, made.adds, made.deletes) == (1, False, True)


def test_a_copy_with_the_same_members_is_not_seen() -> None:
    held = members(WANTED)
    assert exchange_set(WANTED, held, held, temporary()).seen == 0
    unknown = exchange_set(WANTED, None, held, temporary())
    assert (unknown.seen, unknown.adds, unknown.deletes) == (1, True, True)


def test_temporary_names_pass_over_those_in_use() -> None:
    names = temporary("t0", "t2")
    assert [names.next(), names.next()] == ["t1", "t3"]
