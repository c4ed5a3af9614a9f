"""Which selectors select which objects, kept up to date in time proportional to what changes.

Objects have labels of their own and inherit from parents: their own goes first, then the parents' in their order (spec:
model 3.4). Objects with equal labels and parents are of one *kind*, and selectors are asked of kinds. Neither side ever
searches all of the other:

- a selector says what an object must have at least one of, a label with a value or a label at all (its *clues*), and is
  filed under those; a new kind is asked only what is filed under something that it has;
- kinds are filed by each of their own labels, and by parent; a new selector is asked only of kinds that have a clue;
- when a parent's labels change, its kinds are asked only selectors that mention a changed label.

A selector without clues, such as `!has(a)`, is asked of every kind. That the index says what a search of everything would
say is tested against one that does just that (tests/linear_index.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeAlias, TypeVar, assert_never

from tortie.selector.predicate import compile_selector
from tortie.selector.tree import All, And, Compare, Has, Member, Not, Or, Relation, Selector

KeyT = TypeVar("KeyT", bound=Hashable)
ItemT = TypeVar("ItemT", bound=Hashable)

_Clue: TypeAlias = tuple[str, str] | str
"""A label with a value, or a label with any."""
_FEW = 32
"""How many selectors are asked of every kind of a parent before looking for clues is cheaper."""


class _Entry(Generic[KeyT, ItemT]):
    """A selector in the index: where it is filed, and which kinds it selects."""

    __slots__ = ("clues", "holds", "key", "kinds", "mentions", "tree")

    def __init__(self, key: KeyT, tree: Selector, clues: frozenset[_Clue] | None) -> None:
        self.key = key
        self.tree = tree
        self.holds = compile_selector(tree)
        self.clues = clues
        self.mentions = frozenset(_labels_of(tree))
        self.kinds: set[_Kind[KeyT, ItemT]] = set()


class _Kind(Generic[KeyT, ItemT]):
    """Objects with the same labels and parents, and the selectors that select them."""

    __slots__ = ("items", "pairs", "parents", "selected_by")

    def __init__(self, pairs: tuple[tuple[str, str], ...], parents: tuple[str, ...]) -> None:
        self.pairs = pairs
        self.parents = parents
        self.items: set[ItemT] = set()
        self.selected_by: set[_Entry[KeyT, ItemT]] = set()


class SelectorIndex(Generic[KeyT, ItemT]):
    """Selectors by key, objects with labels, parents by name; says what starts and what stops being selected.

    `started` and `stopped` are called with a selector's key and objects, during the change that makes it so, and must not
    change the index. An object whose labels change without being selected otherwise is not told.
    """

    def __init__(
        self,
        started: Callable[[KeyT, Collection[ItemT]], None],
        stopped: Callable[[KeyT, Collection[ItemT]], None],
    ) -> None:
        self._started = started
        self._stopped = stopped
        self._entries: dict[KeyT, _Entry[KeyT, ItemT]] = {}
        self._filed: dict[_Clue, set[_Entry[KeyT, ItemT]]] = {}
        self._without_clue: set[_Entry[KeyT, ItemT]] = set()
        self._mentioning: dict[str, set[_Entry[KeyT, ItemT]]] = {}
        self._kind_of: dict[ItemT, _Kind[KeyT, ItemT]] = {}
        self._kinds = _Kinds[KeyT, ItemT]()

    # --- what is asked -------------------------------------------------------------------------------------------

    def __contains__(self, item: object) -> bool:
        """True for an object that is there."""
        return item in self._kind_of

    def selected_by(self, item: ItemT) -> Iterator[KeyT]:
        """Keys of the selectors that select an object; none for an object that is not there."""
        kind = self._kind_of.get(item)
        return iter(()) if kind is None else (entry.key for entry in kind.selected_by)

    def selected(self, key: KeyT) -> Iterator[ItemT]:
        """The objects that a selector selects; none for a key that is not there."""
        entry = self._entries.get(key)
        return iter(()) if entry is None else (item for kind in entry.kinds for item in kind.items)

    # --- selectors -----------------------------------------------------------------------------------------------

    def add_selector(self, key: KeyT, tree: Selector) -> None:
        """Adds a selector under a key that is not there yet."""
        if key in self._entries:
            raise ValueError(f"selector {key!r} is there already")
        clues = self._clues(tree)
        entry = _Entry[KeyT, ItemT](key, tree, clues)
        self._entries[key] = entry
        for place in self._places(entry):
            place.add(entry)
        entry.kinds.update(self._candidates(entry))
        items: list[ItemT] = []
        for kind in entry.kinds:
            kind.selected_by.add(entry)
            items += kind.items
        if items:
            self._started(key, items)

    def remove_selector(self, key: KeyT) -> None:
        """Takes a selector out; what it selected is told as stopped."""
        entry = self._entries.pop(key)
        for label in entry.mentions:
            _discard(self._mentioning, label, entry)
        if entry.clues is None:
            self._without_clue.remove(entry)
        else:
            for clue in entry.clues:
                _discard(self._filed, clue, entry)
        items: list[ItemT] = []
        for kind in entry.kinds:
            kind.selected_by.remove(entry)
            items += kind.items
        if items:
            self._stopped(key, items)

    def _places(self, entry: _Entry[KeyT, ItemT]) -> Iterator[set[_Entry[KeyT, ItemT]]]:
        """Everywhere that an entry is to be found."""
        for label in entry.mentions:
            yield self._mentioning.setdefault(label, set())
        if entry.clues is None:
            yield self._without_clue
        else:
            for clue in entry.clues:
                yield self._filed.setdefault(clue, set())

    def _candidates(self, entry: _Entry[KeyT, ItemT]) -> Iterable[_Kind[KeyT, ItemT]]:
        """The kinds that a new selector selects."""
        holds, effective = entry.holds, self._kinds.labels
        if entry.clues is None:
            if isinstance(entry.tree, All):
                return self._kinds.all()
            return [kind for kind in self._kinds.all() if holds(effective(kind))]
        own = set[_Kind[KeyT, ItemT]]().union(*map(self._kinds.with_own, entry.clues))
        inheriting = set[_Kind[KeyT, ItemT]]().union(*map(self._kinds.with_inherited, entry.clues)) - own
        if not _is_its_clues(entry.tree):
            own = {kind for kind in own if holds(effective(kind))}
        return own.union(kind for kind in inheriting if holds(effective(kind)))

    def _clues(self, tree: Selector) -> frozenset[_Clue] | None:
        found = _Clues(self._rarity).of(tree, negated=False)
        return None if found is None else found.clues

    def _rarity(self, clue: _Clue) -> tuple[int, int]:
        """How many kinds have a clue, and how many selectors are filed under it: less is better."""
        return self._kinds.count(clue), len(self._filed.get(clue, ()))

    # --- objects -------------------------------------------------------------------------------------------------

    def set_item(self, item: ItemT, labels: Mapping[str, str], parents: tuple[str, ...] = ()) -> None:
        """Adds an object, or gives it other labels and parents."""
        before = self._kind_of.get(item)
        kind = self._kinds.get(labels, parents)
        if kind is None:
            kind = self._kinds.add(labels, parents)
            for entry in _selecting(self._kinds.labels(kind), self._filed, self._without_clue):
                entry.kinds.add(kind)
                kind.selected_by.add(entry)
        if kind is before:
            return
        self._kind_of[item] = kind
        kind.items.add(item)
        one = (item,)
        if before is not None:
            for entry in before.selected_by - kind.selected_by:
                self._stopped(entry.key, one)
            for entry in kind.selected_by - before.selected_by:
                self._started(entry.key, one)
            self._leave(before, item)
            return
        for entry in kind.selected_by:
            self._started(entry.key, one)

    def remove_item(self, item: ItemT) -> None:
        """Takes an object out; nothing for one that is not there."""
        kind = self._kind_of.pop(item, None)
        if kind is None:
            return
        for entry in kind.selected_by:
            self._stopped(entry.key, (item,))
        self._leave(kind, item)

    def _leave(self, kind: _Kind[KeyT, ItemT], item: ItemT) -> None:
        kind.items.remove(item)
        if not kind.items:
            for entry in kind.selected_by:
                entry.kinds.remove(kind)
            self._kinds.remove(kind)

    # --- parents -------------------------------------------------------------------------------------------------

    def set_parent(self, parent: str, labels: Mapping[str, str]) -> None:
        """Says which labels a parent gives; a parent that gives none need not be said."""
        before = self._kinds.inherited.get(parent, {})
        changed = {label for label in before.keys() | labels.keys() if before.get(label) != labels.get(label)}
        if not changed:
            return
        self._kinds.set_parent(parent, labels)
        mentioning: set[_Entry[KeyT, ItemT]] = set()
        for label in changed:
            mentioning |= self._mentioning.get(label, set())
        if not mentioning:
            return
        filed, without_clue = dict[_Clue, set[_Entry[KeyT, ItemT]]](), mentioning
        if len(mentioning) > _FEW:
            without_clue = mentioning & self._without_clue
            for entry in mentioning - without_clue:
                for clue in entry.clues or ():
                    filed.setdefault(clue, set()).add(entry)
        for kind in self._kinds.of_parent(parent):
            after = _selecting(self._kinds.labels(kind), filed, without_clue)
            self._tell(kind, kind.selected_by & mentioning, after)

    def _tell(self, kind: _Kind[KeyT, ItemT], before: set[_Entry[KeyT, ItemT]], after: set[_Entry[KeyT, ItemT]]) -> None:
        for entry in before - after:
            entry.kinds.remove(kind)
            kind.selected_by.remove(entry)
            self._stopped(entry.key, kind.items)
        for entry in after - before:
            entry.kinds.add(kind)
            kind.selected_by.add(entry)
            self._started(entry.key, kind.items)


def _selecting(
    labels: Mapping[str, str], filed: Mapping[_Clue, set[_Entry[KeyT, ItemT]]], without_clue: set[_Entry[KeyT, ItemT]]
) -> set[_Entry[KeyT, ItemT]]:
    """Of selectors by clue and of some without, those that select something with these labels."""
    found = {entry for entry in without_clue if entry.holds(labels)}
    for pair in labels.items():
        for clue in (pair, pair[0]):
            if clue in filed:
                found.update([entry for entry in filed[clue] if entry.holds(labels)])
    return found


# --- kinds -------------------------------------------------------------------------------------------------------

_PlaceT = TypeVar("_PlaceT", bound=Hashable)
_FiledT = TypeVar("_FiledT")


def _discard(places: dict[_PlaceT, set[_FiledT]], place: _PlaceT, filed: _FiledT) -> None:
    """Takes something out of a place, and the place away once it is empty."""
    found = places[place]
    found.remove(filed)
    if not found:
        del places[place]


class _Kinds(Generic[KeyT, ItemT]):
    """The kinds that there are, filed by what they have themselves and by their parents."""

    def __init__(self) -> None:
        self.inherited: dict[str, Mapping[str, str]] = {}
        """Labels that parents give, by parent."""
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        """One object for all equal labels; it stays, since labels come back."""
        self._known: dict[tuple[tuple[tuple[str, str], ...], tuple[str, ...]], _Kind[KeyT, ItemT]] = {}
        self._own: dict[str, dict[str, set[_Kind[KeyT, ItemT]]]] = {}
        self._own_count: dict[str, int] = {}
        self._of_parent: dict[str, set[_Kind[KeyT, ItemT]]] = {}
        self._parents: dict[str, dict[str, set[str]]] = {}
        """Parents by label and value."""

    def get(self, labels: Mapping[str, str], parents: tuple[str, ...]) -> _Kind[KeyT, ItemT] | None:
        return self._known.get((tuple(sorted(labels.items())), parents))

    def all(self) -> Collection[_Kind[KeyT, ItemT]]:
        return self._known.values()

    def add(self, labels: Mapping[str, str], parents: tuple[str, ...]) -> _Kind[KeyT, ItemT]:
        pairs = tuple([self._pairs.setdefault(pair, pair) for pair in sorted(labels.items())])
        kind = _Kind[KeyT, ItemT](pairs, parents)
        self._known[pairs, parents] = kind
        for label, value in pairs:
            self._own.setdefault(label, {}).setdefault(value, set()).add(kind)
            self._own_count[label] = self._own_count.get(label, 0) + 1
        for parent in set(parents):
            self._of_parent.setdefault(parent, set()).add(kind)
        return kind

    def remove(self, kind: _Kind[KeyT, ItemT]) -> None:
        del self._known[kind.pairs, kind.parents]
        for label, value in kind.pairs:
            _discard(self._own[label], value, kind)
            self._own_count[label] -= 1
            if not self._own_count[label]:
                del self._own_count[label], self._own[label]
        for parent in set(kind.parents):
            _discard(self._of_parent, parent, kind)

    def labels(self, kind: _Kind[KeyT, ItemT]) -> Mapping[str, str]:
        """The labels that count: its own, then those of the first parent that has them."""
        found: dict[str, str] = {}
        for parent in reversed(kind.parents):
            given = self.inherited.get(parent)
            if given:
                found.update(given)
        found.update(kind.pairs)
        return found

    def of_parent(self, parent: str) -> Collection[_Kind[KeyT, ItemT]]:
        return self._of_parent.get(parent, ())

    def set_parent(self, parent: str, labels: Mapping[str, str]) -> None:
        for label, value in self.inherited.pop(parent, {}).items():
            _discard(self._parents[label], value, parent)
            if not self._parents[label]:
                del self._parents[label]
        for label, value in labels.items():
            self._parents.setdefault(label, {}).setdefault(value, set()).add(parent)
        if labels:
            self.inherited[parent] = dict(labels)

    def with_own(self, clue: _Clue) -> Collection[_Kind[KeyT, ItemT]]:
        """Kinds that have a clue themselves."""
        if isinstance(clue, str):
            return set[_Kind[KeyT, ItemT]]().union(*self._own.get(clue, {}).values())
        return self._own.get(clue[0], {}).get(clue[1], ())

    def with_inherited(self, clue: _Clue) -> Collection[_Kind[KeyT, ItemT]]:
        """Kinds with a parent that has a clue, whether or not something goes before it."""
        return set[_Kind[KeyT, ItemT]]().union(*map(self.of_parent, self._giving(clue)))

    def count(self, clue: _Clue) -> int:
        """About how many kinds have a clue."""
        if isinstance(clue, str):
            own = self._own_count.get(clue, 0)
        else:
            own = len(self._own.get(clue[0], {}).get(clue[1], ()))
        return own + sum(len(self.of_parent(parent)) for parent in self._giving(clue))

    def _giving(self, clue: _Clue) -> Collection[str]:
        if isinstance(clue, str):
            return {parent for parents in self._parents.get(clue, {}).values() for parent in parents}
        return self._parents.get(clue[0], {}).get(clue[1], ())


# --- clues -------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """Clues of a selector, at least one of which everything that it selects has, and how rare they are together."""

    rarity: tuple[int, int]
    clues: frozenset[_Clue]


class _Clues:
    """Finds the rarest clues of a selector; of things that must hold together those of one are enough."""

    def __init__(self, rarity: Callable[[_Clue], tuple[int, int]]) -> None:
        self._rarity = rarity

    def of(self, tree: Selector, *, negated: bool) -> _Found | None:
        """The clues, or None where something without any of them can be selected."""
        match tree:
            case All():
                return self._any(()) if negated else None
            case Has(label):
                return None if negated else self._any((label,))
            case Compare(label, relation, value):
                return self._of_comparison(label, relation, value, negated)
            case Member(label, values, excluded):
                return None if negated is not excluded else self._any((label, value) for value in values)
            case Not(operand):
                return self.of(operand, negated=not negated)
            case And(operands):
                return self._one(operands, negated) if negated is False else self._each(operands, negated)
            case Or(operands):
                return self._each(operands, negated) if negated is False else self._one(operands, negated)
            case _:
                assert_never(tree)

    def _of_comparison(self, label: str, relation: Relation, value: str, negated: bool) -> _Found | None:
        if relation is (Relation.UNEQUAL if negated else Relation.EQUAL):
            return self._any(((label, value),))
        if negated or relation is Relation.UNEQUAL:
            return None
        return self._any((label,))

    def _one(self, operands: tuple[Selector, ...], negated: bool) -> _Found | None:
        """All operands must hold: the rarest clues of any one."""
        found = [one for operand in operands if (one := self.of(operand, negated=negated)) is not None]
        return min(found, key=lambda one: one.rarity, default=None)

    def _each(self, operands: tuple[Selector, ...], negated: bool) -> _Found | None:
        """One operand must hold, whichever: the clues of all."""
        clues: set[_Clue] = set()
        for operand in operands:
            found = self.of(operand, negated=negated)
            if found is None:
                return None
            clues |= found.clues
        return self._any(clues)

    def _any(self, clues: Iterable[_Clue]) -> _Found:
        kept = frozenset(clues)
        rarities = [self._rarity(clue) for clue in kept]
        return _Found((sum(kinds for kinds, _ in rarities), sum(filed for _, filed in rarities)), kept)


def _is_its_clues(tree: Selector) -> bool:
    """True when having a clue among one's own labels is all that a selector asks."""
    match tree:
        case Has():
            return True
        case Compare(relation=relation):
            return relation is Relation.EQUAL
        case Member(negated=negated):
            return not negated
        case All() | Not() | And() | Or():
            return False
        case _:
            assert_never(tree)


def _labels_of(tree: Selector) -> Iterator[str]:
    """Every label that a selector mentions."""
    match tree:
        case All():
            return
        case Has(label) | Compare(label=label) | Member(label=label):
            yield label
        case Not(operand):
            yield from _labels_of(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _labels_of(operand)
        case _:
            assert_never(tree)
