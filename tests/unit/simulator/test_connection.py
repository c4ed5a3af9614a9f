"""A connection read from a node and written back says the same."""

from __future__ import annotations

import pytest

from tests.unit.simulator.test_session import ORIGINAL, REPLY, conn_tuple
from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.simulator.connection import Connection


def test_an_entry_survives_the_way_through_a_connection() -> None:
    entry = ConnEntry(
        ORIGINAL, REPLY, mark=3, zone_original=1, zone_reply=2, seen_reply=True, assured=True, state=None, timeout_s=29,
        helper="tftp", packets=(4, 5), bytes=(6, 7), id=8,
    )  # fmt: skip
    assert Connection.from_entry(entry).entry() == entry


NAT = {
    "nothing": (REPLY, False, False),
    "the source address": (conn_tuple("10.1.0.9", "10.1.0.1", 2, 1), True, False),
    "the source port": (conn_tuple("10.1.0.9", "10.0.0.5", 2, 99), True, False),
    "the destination address": (conn_tuple("10.2.0.9", "10.0.0.5", 2, 1), False, True),
    "the destination port": (conn_tuple("10.1.0.9", "10.0.0.5", 99, 1), False, True),
    "both": (conn_tuple("10.2.0.9", "10.1.0.1", 2, 1), True, True),
}


@pytest.mark.parametrize("name", NAT)
def test_what_was_translated_is_seen_in_the_tuples(name: str) -> None:
    reply, source, destination = NAT[name]
    made = Connection.from_entry(ConnEntry(ORIGINAL, reply))
    assert (made.src_nat, made.dst_nat) == (source, destination)
    assert made.src_done and made.dst_done


def test_a_copy_is_independent() -> None:
    made = Connection(ORIGINAL, REPLY)
    twin = made.copy()
    twin.mark, twin.packets[0] = 5, 9
    assert (made.mark, made.packets) == (0, [0, 0])
    assert isinstance(twin.original, ConnTuple)
