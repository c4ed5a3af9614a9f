"""Everything that packets change on a node, kept apart from the snapshot so that a walk can be tried and thrown away.

The root `Session` starts from a snapshot's conntrack table and ip sets and lives from packet to packet. `begin` opens a
cheap child for one walk: it reads through to its parent, keeps every change to itself, and either ends in `commit` or is
dropped. A walk that meets a doubt is run again in a new child with the doubt decided. Cost of a child does not grow with
the number of connections.

Invariant: a `Connection` that a walk may change is first copied into the child (`find` does that), so values in the
parent never change before `commit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tortie.netfilter.conntrack import ConnEntry, ConnTuple
from tortie.netfilter.match import Direction
from tortie.simulator.connection import Connection
from tortie.simulator.release import Release

if TYPE_CHECKING:
    from tortie.net.packet import Packet
    from tortie.simulator.ipset import SetIndex
    from tortie.simulator.ipvs import BalancedFlow, FlowKey

ConnKey = tuple[ConnTuple, int]
"""A tuple and the zone it is looked up in."""
Place = tuple[str, str, int, int]
"""Table, chain, rule number and match number: what a stateful match keeps its memory under."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a whole packet has from its first fragment, however late that came (skb_morph).

    `in_iface` is where that fragment came in, which only errors go by.
    """

    mark: int = 0
    frame_type: str | None = "unicast"
    mac_source: bytes | None = None
    mac_destination: bytes | None = None
    in_iface: str | None = ""


class Counted(NamedTuple):
    """A connection in the list of a connlimit rule: with the masked address and zone of its group."""

    group: tuple[int, int]
    key: ConnKey
    when_s: float
    """When it was put in, on the session's clock."""


class Session:
    """Connections, changed sets, recent lists and per-rule memory."""

    __slots__ = (
        "_by_source", "_entries", "_parent", "_removed", "balanced", "balanced_answers", "clock_s", "connections_known",
        "counted", "fragments", "memory", "recent", "release", "sets",
    )  # fmt: skip

    def __init__(
        self,
        sets: Mapping[str, SetIndex] | None,
        *,
        clock_s: float = 0.0,
        connections_known: bool = True,
        release: Release | None = None,
        parent: Session | None = None,
    ) -> None:
        self._parent = parent
        self._entries: dict[ConnKey, tuple[Connection, Direction]] = {}
        self._removed: set[ConnKey] = set()
        self._by_source: dict[tuple[int, int, int, int], list[ConnKey]] = {}
        self.connections_known = connections_known
        """False when the snapshot holds no conntrack table: an absent entry is then an assumption."""
        self.release = release
        """The kernel's, where the snapshot tells it."""
        self.sets: Mapping[str, SetIndex] | None = sets
        """Name to index, None when the snapshot holds no sets; change with `replace_set` only."""
        self.recent: dict[str, dict[int, tuple[float, ...]]] = {}
        """`-m recent` lists: address to the times it was seen (seconds, on `clock_s`'s scale)."""
        self.memory: dict[Place, float] = {}
        """What stateful matches remember: counters of nth, bytes left of quota."""
        self.counted: dict[Place, tuple[Counted, ...]] = {}
        """What each connlimit rule has surely counted."""
        self.balanced: Mapping[FlowKey, BalancedFlow] = {}
        """Connections that IPVS has sent to a server, by what the client sends."""
        self.balanced_answers: Mapping[FlowKey, BalancedFlow] = {}
        """The same by what the server sends."""
        self.fragments: dict[tuple[str, int, int, int, int], tuple[tuple[Packet, Frame], ...]] = {}
        """Fragments waiting for the rest of their packet: place, source, destination, protocol, identification."""
        self.clock_s = clock_s
        """Seconds since the epoch at which the packet arrives."""

    def begin(self) -> Session:
        """A child that sees everything here and keeps its changes to itself."""
        child = Session(
            self.sets,
            clock_s=self.clock_s,
            connections_known=self.connections_known,
            release=self.release,
            parent=self,
        )
        if self.recent:
            child.recent = {name: dict(seen) for name, seen in self.recent.items()}
        if self.memory:
            child.memory = dict(self.memory)
        if self.counted:
            child.counted = dict(self.counted)
        child.balanced, child.balanced_answers = self.balanced, self.balanced_answers
        if self.fragments:
            child.fragments = dict(self.fragments)
        return child

    def commit(self) -> None:
        """Makes this child's changes its parent's."""
        parent = self._parent
        assert parent is not None
        for key in self._removed:
            parent._entries.pop(key, None)
            if parent._parent is not None:
                parent._removed.add(key)
        for key, (connection, direction) in self._entries.items():
            parent._put(key, connection, direction)
        parent.sets = self.sets
        parent.recent = self.recent
        parent.memory = self.memory
        parent.counted = self.counted
        parent.balanced, parent.balanced_answers = self.balanced, self.balanced_answers
        parent.fragments = self.fragments

    def replace_set(self, name: str, index: SetIndex) -> None:
        """Puts a changed set in place of the old one."""
        changed = dict(self.sets or {})
        changed[name] = index
        self.sets = changed

    # --- connections -------------------------------------------------------------------------------------------

    def find(self, conn_tuple: ConnTuple, zone_original: int, zone_reply: int) -> tuple[Connection, Direction] | None:
        """The connection a packet belongs to and its direction, looked up in its zones (spec: netfilter 4.2, 4.8)."""
        for zone, direction in ((zone_original, Direction.ORIGINAL), (zone_reply, Direction.REPLY)):
            hit = self._lookup((conn_tuple, zone))
            if hit is not None and hit[1] is direction:
                return self._own(hit[0]), direction
        return None

    def peek(self, key: ConnKey) -> Connection | None:
        """The connection that has this tuple in either direction, only to be looked at."""
        hit = self._lookup(key)
        return hit[0] if hit is not None else None

    def taken(self, conn_tuple: ConnTuple, zone: int, ignoring: Connection) -> bool:
        """True when another connection already uses this tuple in this zone."""
        hit = self._lookup((conn_tuple, zone))
        return hit is not None and hit[0] is not ignoring

    def same_source(self, conn_tuple: ConnTuple, zone: int) -> list[Connection]:
        """Connections from the same source address and key with the same protocol, newest first."""
        found: list[Connection] = []
        session: Session | None = self
        bucket = (conn_tuple.proto, conn_tuple.src, conn_tuple.src_key, zone)
        while session is not None:
            for key in reversed(session._by_source.get(bucket, ())):
                hit = self._lookup(key)
                if hit is not None and hit[1] is Direction.ORIGINAL and hit[0] not in found:
                    found.append(hit[0])
            session = session._parent
        return found

    def insert(self, connection: Connection) -> None:
        """Puts a confirmed connection into the table under both its tuples."""
        self._put((connection.original, connection.zone_original), connection, Direction.ORIGINAL)
        self._put((connection.reply, connection.zone_reply), connection, Direction.REPLY)

    def remove(self, connection: Connection) -> None:
        """Takes a connection out of the table."""
        for key in (connection.original, connection.zone_original), (connection.reply, connection.zone_reply):
            self._entries.pop(key, None)
            if self._parent is not None:
                self._removed.add(key)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Every connection; builds a new tuple, so it is for counting, not for looking up."""
        merged: dict[ConnKey, tuple[Connection, Direction]] = {}
        layers: list[Session] = []
        session: Session | None = self
        while session is not None:
            layers.append(session)
            session = session._parent
        for layer in reversed(layers):
            for key in layer._removed:
                merged.pop(key, None)
            merged.update(layer._entries)
        # A connection from a port to itself has one tuple in both directions, found as REPLY.
        return tuple({id(connection): connection for connection, _ in merged.values()}.values())

    def _lookup(self, key: ConnKey) -> tuple[Connection, Direction] | None:
        session: Session | None = self
        while session is not None:
            hit = session._entries.get(key)
            if hit is not None:
                return hit
            if key in session._removed:
                return None
            session = session._parent
        return None

    def _own(self, connection: Connection) -> Connection:
        if self._parent is None:
            return connection
        hit = self._entries.get((connection.original, connection.zone_original))
        if hit is not None and hit[0] is connection:
            return connection
        twin = connection.copy()
        self.insert(twin)
        return twin

    def _put(self, key: ConnKey, connection: Connection, direction: Direction) -> None:
        self._entries[key] = (connection, direction)
        self._removed.discard(key)
        if direction is Direction.ORIGINAL:
            source = key[0]
            bucket = self._by_source.setdefault((source.proto, source.src, source.src_key, key[1]), [])
            if key not in bucket:
                bucket.append(key)


def load_connections(session: Session, entries: Iterable[ConnEntry]) -> None:
    """Fills a root session with a snapshot's connections."""
    for entry in entries:
        session.insert(Connection.from_entry(entry))
