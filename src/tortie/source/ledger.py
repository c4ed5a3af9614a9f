"""What each place says, and what of that has been told: the difference is what there is to tell.

A place is a file, a key of etcd or an object of the Kubernetes API; each says definitions (`reading`). What is told depends
on what the places say now, never on the order in which they came to say it:

- The first definition of a key counts, good or bad. First is the most senior place (the older object where the datastore
  knows ages), then the place's name, then the order within the place. So the same files give the same resources as
  `tortie.model.read.parse_resources` makes of them.
- A second definition of a key is refused at its place, without the key: the resource stands as the first has it.
- Of two pools that share addresses the less senior one is refused, with its key (spec: model 1.12).

Nothing is told twice: a resource is told when it differs from what was told, its revision set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from tortie.model.event import Changed, Mended, Refused, Removed, SourceEvent
from tortie.model.pool import IPPool
from tortie.model.read import Key, overlapping_pools
from tortie.model.writer import plain_resource
from tortie.net.error import InvalidInput
from tortie.source.reading import Definition

Seniority: TypeAlias = int | str
"""Orders places; of one type within a ledger."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a place says; the smaller `seniority` comes first."""

    definitions: tuple[Definition, ...]
    seniority: Seniority = 0


_FEW = 8
"""A place that says no more than this is looked through."""
_Rank: TypeAlias = tuple[Seniority, str, int]


class Ledger:
    """Keeps what places say and what was told; `put` and `replace` say, `changes` tells."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._holders: dict[Key, set[str]] = {}
        self._told: dict[Key, Changed | Refused] = {}
        self._told_of_places: dict[str, Refused] = {}
        self._refused_at: dict[str, set[Key]] = {}
        """Places, and the keys that were refused there when last told of."""
        self._known_positions: dict[str, dict[Key, list[int]]] = {}
        self._overlaps: dict[Key, Key] = {}
        self._touched_keys: set[Key] = set()
        self._touched_places: set[str] = set()

    def put(self, name: str, place: Place | None) -> None:
        """From now on a place says this, or is gone when None."""
        before = self._places.get(name)
        if before == place:
            return
        self._known_positions.pop(name, None)
        for definition in before.definitions if before else ():
            if definition.key is not None:
                self._holders[definition.key].discard(name)
                self._touched_keys.add(definition.key)
        if place is None or not place.definitions:
            self._places.pop(name, None)
        else:
            self._places[name] = place
            for definition in place.definitions:
                if definition.key is not None:
                    self._holders.setdefault(definition.key, set()).add(name)
                    self._touched_keys.add(definition.key)
        self._touched_places.add(name)

    def replace(self, places: Mapping[str, Place], *, begin: str = "") -> None:
        """These are all places there are whose names begin with `begin`."""
        for name in [name for name in self._places if name not in places and name.startswith(begin)]:
            self.put(name, None)
        for name, place in places.items():
            self.put(name, place)

    def changes(self) -> list[SourceEvent]:
        """What there is to tell since it was last asked for, in the order of places and keys."""
        if any(key.kind == "IPPool" for key in self._touched_keys):
            self._judge_pools()
        for key in self._touched_keys:
            # Whoever else defines the key may have become first, or second.
            self._touched_places |= self._holders.get(key, set())
        told: list[SourceEvent] = []
        # Places first: that one is mended would end what is refused there for a key.
        for name in sorted(self._touched_places):
            told += self._tell_place(name)
        for key in sorted(self._touched_keys):
            told += self._tell_key(key)
        self._touched_keys.clear()
        self._touched_places.clear()
        return told

    # --- what should be told -------------------------------------------------------------------------------------

    def _ranked(self, key: Key) -> list[tuple[_Rank, Definition]]:
        """All definitions of a key, the one that counts first."""
        found = [
            ((self._places[name].seniority, name, index), self._places[name].definitions[index])
            for name in self._holders.get(key, ())
            for index in self._positions(name, key)
        ]
        return sorted(found, key=_rank_of)

    def _positions(self, name: str, key: Key) -> list[int]:
        """Where a place defines a key. Of a place that says much it is looked up, since every key is asked for."""
        definitions = self._places[name].definitions
        if len(definitions) <= _FEW:
            return [index for index, definition in enumerate(definitions) if definition.key == key]
        known = self._known_positions.get(name)
        if known is None:
            known = self._known_positions[name] = {}
            for index, definition in enumerate(definitions):
                if definition.key is not None:
                    known.setdefault(definition.key, []).append(index)
        return known.get(key, [])

    def _judge_pools(self) -> None:
        """Which pools share addresses with a more senior one; those for which that changed are touched."""
        first: list[tuple[_Rank, Key, IPPool]] = []
        for key in [key for key in self._holders if key.kind == "IPPool"]:
            ranked = self._ranked(key)
            if ranked and isinstance(ranked[0][1].content, IPPool):
                first.append((ranked[0][0], key, ranked[0][1].content))
        first.sort(key=_rank_of)
        overlaps = overlapping_pools({key: pool for _, key, pool in first})
        self._touched_keys |= {
            key for key in overlaps.keys() | self._overlaps.keys() if overlaps.get(key) != self._overlaps.get(key)
        }
        # The words name the other pool's network, which may have changed.
        self._touched_keys |= {key for key, other in overlaps.items() if other in self._touched_keys}
        self._overlaps = overlaps

    def _wanted(self, key: Key) -> Changed | Refused | None:
        ranked = self._ranked(key)
        if not ranked:
            self._holders.pop(key, None)
            return None
        (_, place, _), definition = ranked[0]
        content = definition.content
        if isinstance(content, InvalidInput):
            return Refused(place, content, key, definition.data, definition.superfluous)
        other = self._overlaps.get(key)
        if other is not None:
            pool = self._ranked(other)[0][1].content
            assert isinstance(pool, IPPool)
            message = f"CIDR overlaps with IPPool({other.name}) CIDR {pool.spec.cidr}"
            problem = definition.problem(message, "leave one of them out")
            return Refused(place, problem, key, plain_resource(content))
        return Changed(key, content, definition.revision)

    def _wanted_of_place(self, name: str) -> Refused | None:
        """What is wrong at a place and is no resource's: the first of it, and how much more there is."""
        place = self._places.get(name)
        found: list[Refused] = []
        for index, definition in enumerate(place.definitions if place else ()):
            if definition.key is None:
                assert isinstance(definition.content, InvalidInput)
                found.append(Refused(name, definition.content, None, definition.data, definition.superfluous))
                continue
            (_, first, at), counting = self._ranked(definition.key)[0]
            if (first, at) != (name, index):
                problem = definition.problem(f"already defined at {counting.where}", "leave one of them out")
                found.append(Refused(name, problem, None, None, True))
        if len(found) < 2:
            return found[0] if found else None
        # What is missed comes first: its data says by what it is to be replaced.
        shown = next((one for one in found if not one.superfluous), found[0])
        problem = InvalidInput(
            f"{shown.problem.message}, and {len(found) - 1} more",
            source=shown.problem.source,
            line=shown.problem.line,
            remedy=shown.problem.remedy,
        )
        return replace(shown, problem=problem)

    # --- what is told --------------------------------------------------------------------------------------------

    def _tell_key(self, key: Key) -> Iterator[SourceEvent]:
        told, wanted = self._told.get(key), self._wanted(key)
        if _is_same(told, wanted):
            return
        if isinstance(told, Refused):
            keys = self._refused_at[told.place]
            keys.discard(key)
            if not keys:
                del self._refused_at[told.place]
        if wanted is None:
            del self._told[key]
            yield Removed(key)
            return
        if isinstance(wanted, Refused):
            if isinstance(told, Refused) and told.place != wanted.place:
                yield Removed(key)
            self._refused_at.setdefault(wanted.place, set()).add(key)
        self._told[key] = wanted
        yield wanted

    def _tell_place(self, name: str) -> Iterator[SourceEvent]:
        told, wanted = self._told_of_places.get(name), self._wanted_of_place(name)
        if wanted is not None:
            if not _is_same(told, wanted):
                self._told_of_places[name] = wanted
                yield wanted
        elif told is not None:
            del self._told_of_places[name]
            yield Mended(name)
            # That word ended everything that was refused here: what is refused for a key still is to be told anew.
            for key in self._refused_at.pop(name, set()):
                del self._told[key]
                self._touched_keys.add(key)


def _is_same(told: Changed | Refused | None, wanted: Changed | Refused | None) -> bool:
    """True when telling what is wanted would tell nothing new."""
    match told, wanted:
        case Changed(resource=before), Changed(resource=after):
            return before == after
        case Refused(), Refused():
            # Also what can still be read of it counts: by that, what depends on it is closed.
            return replace(told, problem=wanted.problem) == wanted and str(told.problem) == str(wanted.problem)
        case _:
            return told is wanted


def _rank_of(entry: tuple[_Rank, *tuple[object, ...]]) -> _Rank:
    return entry[0]
