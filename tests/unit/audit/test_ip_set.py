"""Sets that are missing, full, left over, of another kind, or with other members than rendered."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.audited_node import RULES, SETS, members, told
from tortie.codec.ipset import parse_ipsets
from tortie.netfilter.ipset import IPSet

WITHOUT_A = {name: one for name, one in SETS.items() if name != "cali40s:a"}


def with_set(text: str) -> dict[str, IPSet]:
    return {**SETS, **parse_ipsets(text)}


ALONE: dict[str, tuple[Mapping[str, IPSet], list[str]]] = {
    "missing": (
        WITHOUT_A,
        [
            "error set: IPv4 raw cali-pi-default.forward rule 1 (nft): the set cali40s:a, which the rule names, is missing",
        ],
    ),
    "full": ({**SETS, **members(10, 10)}, ["error set: IPv4 set cali40s:a: is full: 10 members of 10"]),
    "nearly full": ({**SETS, **members(9, 10)}, ["warning set: IPv4 set cali40s:a: is nearly full: 9 members of 10"]),
    "temporary": (
        {**SETS, **members(1, 9, "cali4t3")},
        ["warning set: IPv4 set cali4t3: is a temporary one that an interrupted write left"],
    ),
    "unused": ({**SETS, **members(1, 9, "cali40s:b")}, ["warning set: IPv4 set cali40s:b: no rule looks into it"]),
    "of Felix 1": (
        {**SETS, **members(1, 9, "felix-masq-ipam-pools")},
        ["warning old-version: IPv4 set felix-masq-ipam-pools: is a set of Felix 1"],
    ),
    "another's": ({**SETS, **members(9, 9, "theirs")}, []),
    "of another kind than its name says": (
        with_set("create cali40s:a hash:ip family inet"),
        ["error set: IPv4 set cali40s:a: is a hash:ip, where Felix makes a hash:net"],
    ),
    "well known and unused": (with_set("create cali40all-hosts-net hash:net family inet"), []),
    "well known, of another kind": (
        with_set("create cali40this-host hash:net family inet"),
        ["error set: IPv4 set cali40this-host: is a hash:net, where Felix makes a hash:ip"],
    ),
}


@pytest.mark.parametrize(("sets", "expected"), ALONE.values(), ids=ALONE)
def test_from_the_kernels_state_alone(sets: Mapping[str, IPSet], expected: list[str]) -> None:
    assert told(RULES, sets=sets) == expected


HEAD = "create cali40s:a hash:net family inet hashsize 1024 maxelem 1048576"
MANY = "\n".join(f"add cali40s:a 10.7.0.{number}" for number in range(5))
RIGHT = "add cali40s:a 10.65.0.0/24"
COMPARED: dict[str, tuple[Mapping[str, IPSet], list[str]]] = {
    "right": (with_set(f"{HEAD}\n{RIGHT}"), []),
    "missing": (WITHOUT_A, ["error difference: IPv4 set cali40s:a: is missing"]),
    "a member missing": (with_set(HEAD), ["error difference: IPv4 set cali40s:a: lacks 10.65.0.0/24"]),
    "members too many": (
        with_set(f"{HEAD}\n{RIGHT}\n{MANY}"),
        ["error difference: IPv4 set cali40s:a: has what it should not have 10.7.0.0, 10.7.0.1, 10.7.0.2 and 2 more"],
    ),
    "one for another": (
        with_set(f"{HEAD}\nadd cali40s:a 10.7.0.1"),
        ["error difference: IPv4 set cali40s:a: has what it should not have 10.7.0.1; lacks 10.65.0.0/24"],
    ),
    "of another type": (
        with_set("create cali40s:a hash:ip family inet"),
        ["error difference: IPv4 set cali40s:a: is a hash:ip of IPv4, and should be a hash:net of IPv4"],
    ),
    "of another size": (
        with_set(f"create cali40s:a hash:net family inet maxelem 99\n{RIGHT}"),
        [
            "warning difference: IPv4 set cali40s:a: was made with `family inet maxelem 99`, and should be with "
            "`family inet maxelem 1048576`"
        ],
    ),
    "left over": (
        {**SETS, **members(1, 9, "cali40s:b")},
        ["warning difference: IPv4 set cali40s:b: should not be there"],
    ),
    "temporary": (
        {**SETS, **members(1, 9, "cali4t3")},
        ["warning set: IPv4 set cali4t3: is a temporary one that an interrupted write left"],
    ),
    "not listed": (
        with_set("Name: cali40s:a\nType: hash:net\nHeader: family inet hashsize 1024 maxelem 1048576\nReferences: 1\n"),
        ["note unjudged: IPv4 set cali40s:a: its members were not listed"],
    ),
}


@pytest.mark.parametrize(("sets", "expected"), COMPARED.values(), ids=COMPARED)
def test_against_a_rendering(sets: Mapping[str, IPSet], expected: list[str]) -> None:
    assert told(RULES, sets=sets, compared=True) == expected
