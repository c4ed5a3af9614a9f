"""Sets made ready: groups by prefix lengths, options, and changes that leave the old index alone."""

from __future__ import annotations

import pytest

from tortie.codec.ipset import parse_ipsets
from tortie.net.address import IPFamily, Prefix, prefix_mask
from tortie.net.error import InvalidInput
from tortie.netfilter.ipset import IPSet, SetEntry
from tortie.simulator.ipset import SetIndex, address_mask, index_sets, mark_mask, option_number


def _set(head: str, *elements: str) -> IPSet:
    return parse_ipsets(f"create s {head}\n" + "".join(f"add s {one}\n" for one in elements))["s"]


def _address(last: int, length: int = 32) -> SetEntry:
    return SetEntry((Prefix(IPFamily.V4, 0x0A000000 | last, length),))


def test_groups_are_searched_longest_prefix_first() -> None:
    index = SetIndex(_set("hash:net", "10.0.0.0/8", "10.0.0.1", "10.0.0.0/24", "10.0.1.0/24"))
    assert [(group.lengths, group.size) for group in index.groups] == [((32,), 1), ((24,), 2), ((8,), 1)]
    assert index.size == 4


def test_two_networks_are_searched_by_the_first_and_then_the_second() -> None:
    index = SetIndex(_set("hash:net,net", "10.0.0.0/8,1.1.1.1", "10.0.0.0/24,1.0.0.0/8", "10.0.0.0/24,1.0.0.0/16"))
    assert [group.lengths for group in index.groups] == [(24, 16), (24, 8), (8, 32)]
    assert (index.longest(0), index.longest(1)) == (24, 32)


def test_an_empty_set_has_no_longest_prefix() -> None:
    assert SetIndex(_set("hash:net")).longest(0) is None


def test_members_with_one_address_and_several_devices_stand_together() -> None:
    index = SetIndex(_set("hash:net,iface", "10.0.0.0/8,e0", "10.0.0.0/8,e1"))
    assert len(index.groups) == 1
    assert index.size == 2
    without = index.without_entry(next(iter(index.entries)))
    assert [(group.size, without.size) for group in without.groups] == [(1, 1)]


def test_a_change_leaves_the_old_index_as_it_was() -> None:
    before = SetIndex(_set("hash:net", "10.0.0.0/24"))
    after = before.with_entry(_address(5))
    assert (before.size, after.size) == (1, 2)
    assert after.longest(0) == 32
    assert after.without_entry(_address(5)).longest(0) == 24
    assert before.held(_address(5)) is None
    assert after.held(_address(5)) == _address(5)


def test_adding_what_is_there_changes_its_extensions() -> None:
    index = SetIndex(_set("hash:ip counters", "10.0.0.5 packets 1 bytes 2"))
    changed = index.with_entry(SetEntry(_address(5).parts, packets=9, bytes=9))
    assert changed.size == 1
    assert [entry.packets for entry in changed.entries] == [9]


def test_taking_away_what_is_not_there_changes_nothing() -> None:
    index = SetIndex(_set("hash:ip", "10.0.0.5"))
    assert index.without_entry(_address(6)) is index


@pytest.mark.parametrize(
    ("head", "full"),
    [("hash:ip maxelem 1", True), ("hash:ip maxelem 2", False), ("hash:ip", False), ("bitmap:ip range 10.0.0.0/24", False)],
)
def test_hash_sets_are_full_at_their_maxelem(head: str, full: bool) -> None:
    assert SetIndex(_set(head, "10.0.0.5")).is_full is full


@pytest.mark.parametrize(
    ("head", "mask"),
    [
        ("hash:ip", 0xFFFFFFFF),
        ("hash:ip netmask 24", prefix_mask(IPFamily.V4, 24)),
        ("hash:ip bitmask 255.0.0.255", 0xFF0000FF),
        ("hash:ip family inet6 netmask 64", prefix_mask(IPFamily.V6, 64)),
    ],
)
def test_masks_laid_over_addresses(head: str, mask: int) -> None:
    assert address_mask(_set(head)) == mask


def test_the_mask_of_marks() -> None:
    assert mark_mask(_set("hash:ip,mark markmask 0xff")) == 0xFF
    assert mark_mask(_set("hash:ip,mark")) == 0xFFFFFFFF


def test_options_that_are_no_numbers_are_refused() -> None:
    definition = IPSet("s", "hash:ip", IPFamily.V4, options={"maxelem": "many", "netmask": "some"})
    with pytest.raises(InvalidInput, match="option maxelem of set s is no number"):
        option_number(definition, "maxelem", 0)
    with pytest.raises(InvalidInput):
        address_mask(definition)


def test_a_snapshot_without_sets_has_no_indexes() -> None:
    assert index_sets(None) is None
    assert index_sets({}) == {}


def test_an_index_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        _ = SetIndex(_set("hash:ip")).nothing  # type: ignore[attr-defined]
