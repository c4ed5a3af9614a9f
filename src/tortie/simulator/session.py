"""Everything that packets change on a node, kept apart from the snapshot so that a walk can fork and be replayed.

A `Session` starts from a snapshot's conntrack table and ip sets and then lives from packet to packet. `fork` gives an
independent copy; a walk that meets a doubt is run again from a fork with the doubt decided, so nothing here may be
shared between forks but values that never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tortie.netfilter.conntrack import ConnTuple
from tortie.netfilter.match import Direction
from tortie.simulator.connection import Connection

if TYPE_CHECKING:
    from tortie.simulator.ipset import SetIndex

ConnKey = tuple[ConnTuple, int]
"""A tuple and the zone it is looked up in."""
Place = tuple[str, str, int, int]
"""Table, chain, rule number and match number: what a stateful match keeps its memory under."""


class Session:
    """Connections, changed sets, recent lists and per-rule memory."""

    __slots__ = ("clock_s", "connections", "connections_known", "memory", "recent", "sets")

    def __init__(self, sets: Mapping[str, SetIndex] | None, *, clock_s: float = 0.0, connections_known: bool = True):
        self.connections: dict[ConnKey, tuple[Connection, Direction]] = {}
        self.connections_known = connections_known
        """False when the snapshot holds no conntrack table: an absent entry is then an assumption."""
        self.sets: dict[str, SetIndex] | None = dict(sets) if sets is not None else None
        """Name to index; an index is never changed in place but replaced."""
        self.recent: dict[str, dict[int, tuple[float, ...]]] = {}
        """`-m recent` lists: address to the times it was seen (seconds, on `clock_s`'s scale)."""
        self.memory: dict[Place, float] = {}
        """What stateful matches remember: counters of nth, bytes left of quota."""
        self.clock_s = clock_s
        """Seconds since the epoch at which the packet arrives."""

    def fork(self) -> Session:
        """An independent copy."""
        twin = Session(self.sets, clock_s=self.clock_s, connections_known=self.connections_known)
        copies: dict[int, Connection] = {}
        for key, (connection, direction) in self.connections.items():
            copy = copies.setdefault(id(connection), connection.copy()) if id(connection) not in copies else copies[id(connection)]
            twin.connections[key] = (copy, direction)
        twin.recent = {name: dict(seen) for name, seen in self.recent.items()}
        twin.memory = dict(self.memory)
        return twin
