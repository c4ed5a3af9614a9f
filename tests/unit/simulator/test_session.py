"""What packets change, layer upon layer: a child sees its parent, keeps its changes, and can be thrown away."""

from __future__ import annotations

from tests.node_builder import V4, address
from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.match import Direction
from tortie.simulator.connection import Connection
from tortie.simulator.session import Session


def conn_tuple(source: str, destination: str, sport: int = 1, dport: int = 2) -> ConnTuple:
    return ConnTuple(V4, 17, address(source).value, address(destination).value, sport, dport)


ORIGINAL = conn_tuple("10.0.0.5", "10.1.0.9")
REPLY = conn_tuple("10.1.0.9", "10.0.0.5", 2, 1)


def connection(original: ConnTuple = ORIGINAL, reply: ConnTuple = REPLY, zone: int = 0) -> Connection:
    made = Connection(original, reply, zone_original=zone, zone_reply=zone)
    made.confirmed = True
    return made


def test_a_connection_is_found_by_both_its_tuples() -> None:
    session = Session(None)
    made = connection()
    session.insert(made)
    assert session.find(ORIGINAL, 0, 0) == (made, Direction.ORIGINAL)
    assert session.find(REPLY, 0, 0) == (made, Direction.REPLY)
    assert session.find(conn_tuple("10.0.0.6", "10.1.0.9"), 0, 0) is None


def test_a_connection_is_found_only_in_its_zone() -> None:
    session = Session(None)
    session.insert(connection(zone=5))
    assert session.find(ORIGINAL, 0, 0) is None
    assert session.find(ORIGINAL, 5, 5) is not None


def test_a_child_changes_a_copy_until_it_is_committed() -> None:
    root = Session(None)
    root.insert(connection())
    child = root.begin()
    found, _ = child.find(ORIGINAL, 0, 0) or (None, None)
    assert found is not None
    found.mark = 7
    assert [one.mark for one in root.connections] == [0]
    child.commit()
    assert [one.mark for one in root.connections] == [7]


def test_what_a_child_removes_is_gone_for_it_alone_until_it_is_committed() -> None:
    root = Session(None)
    root.insert(connection())
    child = root.begin()
    found = child.find(ORIGINAL, 0, 0)
    assert found is not None
    child.remove(found[0])
    assert child.find(REPLY, 0, 0) is None
    assert root.find(REPLY, 0, 0) is not None
    grandchild = child.begin()
    assert grandchild.find(ORIGINAL, 0, 0) is None
    child.commit()
    assert root.connections == ()


def test_a_dropped_child_leaves_nothing() -> None:
    root = Session(None)
    root.begin().insert(connection())
    assert root.connections == ()


def test_connections_of_the_same_source_are_listed_newest_first() -> None:
    session = Session(None)
    first, second = (
        connection(conn_tuple("10.0.0.5", f"10.1.0.{last}"), conn_tuple(f"10.1.0.{last}", "10.0.0.5", 2, 1))
        for last in (9, 10)
    )
    session.insert(first)
    session.insert(second)
    assert session.same_source(conn_tuple("10.0.0.5", "1.1.1.1", 1, 99), 0) == [second, first]
    assert session.same_source(conn_tuple("10.0.0.5", "1.1.1.1", 2), 0) == []


def test_memories_are_carried_over_by_commit_only() -> None:
    root = Session(None)
    child = root.begin()
    child.memory["filter", "FORWARD", 1, 0] = 3
    child.recent["list"] = {1: (0.0,)}
    assert (root.memory, root.recent) == ({}, {})
    child.commit()
    assert root.memory == {("filter", "FORWARD", 1, 0): 3}
    assert root.recent == {"list": {1: (0.0,)}}


def test_a_connection_the_other_way_has_another_source() -> None:
    """Its answers have the tuple of a connection that is gone."""
    session = Session(None)
    gone = connection()
    session.insert(gone)
    session.remove(gone)
    session.insert(connection(REPLY, ORIGINAL))
    assert session.same_source(ORIGINAL, 0) == []
