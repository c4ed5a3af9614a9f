"""Members that are remembered are those that would be found by looking at every one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tortie.net.address import IPFamily, Prefix
from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.reconcile import ipset
from tortie.reconcile.members import KnownMembers

V4 = IPFamily.V4
ENTRIES = tuple(SetEntry((Prefix(V4, 0x0A000000 + number, 32),)) for number in range(12))
MORE = SetEntry((Prefix(V4, 0x0B000000, 8),))
EVERYTHING = SetEntry((Prefix(V4, 0, 0),))
HALF = SetEntry((Prefix(V4, 0, 1),))
TIMED = replace(MORE, timeout_s=5)


def net_set(entries: Iterable[SetEntry], kind: str = "hash:net") -> IPSet:
    return IPSet("s", kind, V4, tuple(entries))


SETS = {
    "some": net_set(ENTRIES),
    "others that are equal": net_set(map(replace, ENTRIES)),
    "in another order": net_set(ENTRIES[::-1]),
    "one less": net_set(ENTRIES[1:]),
    "one more": net_set((*ENTRIES, MORE)),
    "one more and one less": net_set((*ENTRIES[1:], MORE)),
    "one of them in another object": net_set((*ENTRIES[1:], replace(ENTRIES[0]))),
    "one of them twice": net_set((*ENTRIES, replace(ENTRIES[0]))),
    "none": net_set(()),
    "everything": net_set((*ENTRIES, EVERYTHING)),
    "half of everything": net_set((*ENTRIES, HALF)),
    "everything and half of it": net_set((*ENTRIES, EVERYTHING, HALF)),
    "with a time-out": net_set((*ENTRIES, TIMED)),
    "with a time-out that changed": net_set((*ENTRIES, replace(TIMED, timeout_s=4))),
    "of another type": net_set((*ENTRIES, MORE), "hash:ip"),
    "few": net_set(ENTRIES[:2]),
}


@pytest.mark.parametrize("second", SETS)
@pytest.mark.parametrize("first", SETS)
def test_what_is_remembered_is_what_is_found(first: str, second: str) -> None:
    known = KnownMembers()
    for name in (first, second, "some", second, first):
        assert known.members(SETS[name]) == ipset.members(SETS[name])
        assert known.editable(SETS[name]) == ipset.editable(SETS[name])
    equal = ipset.members(SETS[first]) == ipset.members(SETS[second])
    for _ in range(2):
        assert known.equal(SETS[first], SETS[second]) == equal
        assert known.members(SETS[second]) == ipset.members(SETS[second])


def test_sets_that_are_equal_share_their_members_from_then_on() -> None:
    known = KnownMembers()
    held, wanted = SETS["some"], SETS["others that are equal"]
    assert known.equal(held, wanted)
    assert known.members(held) is known.members(wanted)


def test_a_set_of_which_little_changed_is_not_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(SetEntry, "__hash__", lambda entry: hashed.append(entry) or hash(entry.parts))
    known = KnownMembers()
    known.members(SETS["some"])
    hashed.clear()
    known.members(SETS["one more and one less"])
    assert set(map(id, hashed)) == {id(ENTRIES[0]), id(MORE)}


def test_only_sets_that_are_asked_for_are_remembered() -> None:
    known = KnownMembers()
    before = known.members(SETS["some"])
    known.forget_all_but(frozenset({"s"}))
    assert known.members(SETS["some"]) is before
    known.forget_all_but(frozenset())
    assert known.members(SETS["some"]) is not before
