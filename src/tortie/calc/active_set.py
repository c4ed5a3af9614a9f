"""The sets that rules of this node name, with their members, over everything in the cluster that can be a member.

A set is active while some rule names it. Its members follow from what its selector selects (`selector.index`), so a change
of a candidate touches only the sets that it is in, was in, or has come to be in. Two candidates may have one address: what
more than one of them puts into a set is counted.

Between two calls of `flush` a set holds what it had, what came and what went; `flush` turns these into the next value and
into what is told of the change, so one that came and went in between is never heard of.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any

from tortie.calc.change import MemberChange
from tortie.calc.member import Candidate, members_of
from tortie.calc.member_set import MemberSet
from tortie.calc.ordered import Ordered
from tortie.calc.rule import SetUse, selector_id, set_uses
from tortie.calc.view import ActiveSet, NetSet, PortSet
from tortie.model import v1
from tortie.model.read import Key
from tortie.selector.index import SelectorIndex


class ActiveSets:
    """Every active set and every candidate."""

    def __init__(self) -> None:
        self._index = SelectorIndex[str, Candidate](self._started, self._stopped)
        self._candidates: dict[Key, Candidate] = {}
        self._sets: dict[str, _Set] = {}
        self._named: dict[Hashable, dict[str, SetUse]] = {}
        self._of_selector: dict[str, list[_Set]] = {}
        self._changed: set[_Set] = set()
        self._values = Ordered[str, ActiveSet]()

    # --- candidates ----------------------------------------------------------------------------------------------

    def set_candidate(self, key: Key, value: Candidate, labels: Mapping[str, str], parents: tuple[str, ...] = ()) -> None:
        """Says what a candidate has, and which labels, itself and from parents."""
        known = self._candidates.get(key)
        if known is None:
            known = self._candidates[key] = value
        elif not known.has_the_same(value):
            self._exchange(known, value)
        self._index.set_item(known, labels, parents)

    def remove_candidate(self, key: Key) -> None:
        """A candidate is gone, or was never there."""
        known = self._candidates.get(key)
        if known is not None:
            self._index.remove_item(known)
            del self._candidates[key]

    def set_parent(self, name: str, labels: Mapping[str, str]) -> None:
        """Says which labels a profile gives."""
        self._index.set_parent(name, labels)

    def _exchange(self, known: Candidate, value: Candidate) -> None:
        """Gives a candidate other addresses and ports; what comes is counted first, so that what stays is never gone."""
        sets = [one for key in self._index.selected_by(known) for one in self._of_selector[key]]
        gone = [(one, member) for one in sets for member in members_of(known, one.use.port)]
        known.take(value)
        for one in sets:
            self._changed.add(one)
            for member in members_of(known, one.use.port):
                one.add(member)
        for one, member in gone:
            one.remove(member)

    # --- sets ----------------------------------------------------------------------------------------------------

    def name_sets(self, owner: Hashable, rules: Iterable[v1.Rule]) -> None:
        """Says which rules an owner has; sets that no one's rules name any more stay until `flush`."""
        before = self._named.pop(owner, {})
        after = {use.id: use for use in set_uses(rules)}
        if after:
            self._named[owner] = after
        for set_id in after.keys() - before.keys():
            if set_id not in self._sets:
                self._activate(after[set_id])
            self._sets[set_id].owners += 1
        for set_id in before.keys() - after.keys():
            self._sets[set_id].owners -= 1
            self._changed.add(self._sets[set_id])

    def _activate(self, use: SetUse) -> None:
        new = self._sets[use.id] = _Set(use)
        self._changed.add(new)
        key = selector_id(use.selector)
        sharing = self._of_selector.setdefault(key, [])
        if sharing:
            new.fill(self._index.selected(key))
            sharing.append(new)
        else:
            sharing.append(new)
            self._index.add_selector(key, use.selector)

    def _deactivate(self, old: _Set) -> None:
        del self._sets[old.use.id]
        key = selector_id(old.use.selector)
        sharing = self._of_selector[key]
        sharing.remove(old)
        if not sharing:
            del self._of_selector[key]
            self._index.remove_selector(key)

    def _started(self, key: str, items: Collection[Candidate]) -> None:
        for one in self._of_selector[key]:
            self._changed.add(one)
            if len(items) > 1 and one.is_new:
                one.fill(items)
            else:
                one.add_all(items)

    def _stopped(self, key: str, items: Collection[Candidate]) -> None:
        for one in self._of_selector.get(key, ()):
            self._changed.add(one)
            one.remove_all(items)

    # --- results -------------------------------------------------------------------------------------------------

    def flush(self) -> dict[str, MemberChange]:
        """What became of sets since the last time."""
        told: dict[str, MemberChange] = {}
        changed, self._changed = self._changed, set()
        for one in changed:
            before = self._values.get(one.use.id)
            if not one.owners:
                self._deactivate(one)
                self._values.set(one.use.id, None)
                if before is not None:
                    told[one.use.id] = MemberChange(removed=one.members)
                continue
            change = one.settle()
            if before is None or change is not _NO_CHANGE:
                told[one.use.id] = change
                self._values.set(one.use.id, one.value())
        self._values.take_changed()  # told already, and more closely
        return told

    def values(self) -> tuple[ActiveSet, ...]:
        """The sets as of the last `flush`, by id."""
        return self._values.values()


_NO_CHANGE = MemberChange()


class _Set:
    """An active set: its members as of the last flush, what came and went since, and what is in it more than once."""

    __slots__ = ("added", "members", "owners", "removed", "repeated", "use")

    def __init__(self, use: SetUse) -> None:
        self.use = use
        self.owners = 0
        self.members: MemberSet[Any] = MemberSet()
        self.added: set[Any] = set()
        self.removed: set[Any] = set()
        self.repeated: dict[Any, int] = {}
        """How often a member is put in besides once."""

    @property
    def is_new(self) -> bool:
        """True while nothing was ever in it."""
        return not (self.added or self.removed or self.members)

    def fill(self, items: Iterable[Candidate]) -> None:
        """What `add_all` does to a set with nothing in it, faster."""
        found = self._members(items)
        self.added = set(found)
        if len(self.added) != len(found):
            seen: set[Any] = set()
            for member in found:
                if member in seen:
                    self.repeated[member] = self.repeated.get(member, 0) + 1
                seen.add(member)

    def add_all(self, items: Iterable[Candidate]) -> None:
        """Puts in what these candidates have."""
        for member in self._members(items):
            self.add(member)

    def remove_all(self, items: Iterable[Candidate]) -> None:
        """Takes out what these candidates have."""
        for member in self._members(items):
            self.remove(member)

    def add(self, member: Any) -> None:
        """Puts a member in once more."""
        if member in self.removed:
            self.removed.remove(member)
        elif member in self.added or member in self.members:
            self.repeated[member] = self.repeated.get(member, 0) + 1
        else:
            self.added.add(member)

    def remove(self, member: Any) -> None:
        """Takes a member out once."""
        count = self.repeated.get(member, 0)
        if count > 1:
            self.repeated[member] = count - 1
        elif count:
            del self.repeated[member]
        elif member in self.added:
            self.added.remove(member)
        else:
            self.removed.add(member)

    def settle(self) -> MemberChange:
        """Makes what came and went part of the members, and says what that was."""
        if not (self.added or self.removed):
            return _NO_CHANGE
        change = MemberChange(self.added, self.removed)
        self.members = self.members.changed(self.added, self.removed)
        self.added, self.removed = set(), set()
        return change

    def value(self) -> ActiveSet:
        """The set as the view has it."""
        return (NetSet if self.use.port is None else PortSet)(self.use.id, self.members)

    def _members(self, items: Iterable[Candidate]) -> list[Any]:
        port = self.use.port
        if port is None:
            return [net for item in items for net in item.networks]
        return [member for item in items for member in members_of(item, port)]
