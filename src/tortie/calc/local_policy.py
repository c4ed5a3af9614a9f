"""Which policies apply to which endpoint of this node, in which order, and which policies are active at all.

Policies with the same selector stand together, in order, and selectors are asked of this node's endpoints only
(`selector.index`). Endpoints that the same selectors select have the same tiers, so tiers are made once for all of them,
and made again only when one of their selectors has another list of policies. A policy whose rules alone change leaves every
endpoint as it was.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import replace

from tortie.calc.endpoint import Tiers, order_key, ordered, tiers_of
from tortie.calc.rule import selector_id
from tortie.model import v1
from tortie.model.read import Key
from tortie.selector.index import SelectorIndex


class LocalPolicies:
    """The policies of the cluster by name, and the endpoints of one node."""

    def __init__(self) -> None:
        self._index = SelectorIndex[str, Key](self._started, self._stopped)
        self._policies: dict[str, v1.Policy] = {}
        self._groups: dict[str, _Group] = {}
        self._selected_by: dict[Key, frozenset[str]] = {}
        """Which selectors selected an endpoint at the last flush."""
        self._tiers: dict[frozenset[str], Tiers] = {}
        self._changed_policies: set[str] = set()
        self._changed_groups: set[str] = set()
        """Selectors whose list of policies is another."""
        self._changed_endpoints: set[Key] = set()

    # --- what is told --------------------------------------------------------------------------------------------

    def set_policy(self, name: str, policy: v1.Policy | None) -> None:
        """Says what a policy is; None when it is gone."""
        before = self._policies.get(name)
        if before == policy:
            return
        self._changed_policies.add(name)
        if before is not None and policy is not None and _differ_in_rules_alone(before, policy):
            self._policies[name] = policy
            return
        if before is not None:
            self._remove(before)
        if policy is not None:
            self._add(policy)

    def _add(self, policy: v1.Policy) -> None:
        key = selector_id(policy.selector)
        self._policies[policy.name] = policy
        if key not in self._groups:
            self._groups[key] = _Group()
            self._index.add_selector(key, policy.selector)
        self._groups[key].add(policy)
        self._changed_groups.add(key)

    def _remove(self, policy: v1.Policy) -> None:
        key = selector_id(policy.selector)
        del self._policies[policy.name]
        self._changed_groups.add(key)
        if self._groups[key].remove(policy):
            self._index.remove_selector(key)
            del self._groups[key]

    def set_endpoint(self, key: Key, labels: Mapping[str, str], parents: tuple[str, ...] = ()) -> None:
        """Says which labels an endpoint of this node has, itself and from profiles."""
        self._changed_endpoints.add(key)
        self._index.set_item(key, labels, parents)

    def remove_endpoint(self, key: Key) -> None:
        """An endpoint is gone, or was never there."""
        self._changed_endpoints.add(key)
        self._index.remove_item(key)

    def set_parent(self, name: str, labels: Mapping[str, str]) -> None:
        """Says which labels a profile gives."""
        self._index.set_parent(name, labels)

    def _started(self, key: str, items: Collection[Key]) -> None:
        self._count(key, len(items))
        self._changed_endpoints.update(items)

    def _stopped(self, key: str, items: Collection[Key]) -> None:
        self._count(key, -len(items))
        self._changed_endpoints.update(items)

    def _count(self, key: str, more: int) -> None:
        group = self._groups[key]
        was_active = bool(group.selected)
        group.selected += more
        if bool(group.selected) is not was_active:
            self._changed_policies.update(group.names())

    # --- results -------------------------------------------------------------------------------------------------

    def flush_policies(self) -> dict[str, v1.Policy | None]:
        """Policies by name that may be others than the last time; None for those that are not active."""
        changed, self._changed_policies = self._changed_policies, set()
        return {name: self._active(name) for name in changed}

    def flush_tiers(self) -> dict[Key, Tiers]:
        """Endpoints whose tiers may be others than the last time, without those that are gone."""
        changed, self._changed_endpoints = self._changed_endpoints, set()
        groups, self._changed_groups = self._changed_groups, set()
        if groups:
            changed |= {key for key, selectors in self._selected_by.items() if not selectors.isdisjoint(groups)}
            self._tiers = {key: tiers for key, tiers in self._tiers.items() if key.isdisjoint(groups)}
        found = {}
        for key in changed:
            if key in self._index:
                found[key] = self._tiers_of(key)
            else:
                self._selected_by.pop(key, None)
        in_use = set(self._selected_by.values())
        self._tiers = {key: tiers for key, tiers in self._tiers.items() if key in in_use}
        return found

    def _active(self, name: str) -> v1.Policy | None:
        policy = self._policies.get(name)
        if policy is None or not self._groups[selector_id(policy.selector)].selected:
            return None
        return policy

    def _tiers_of(self, key: Key) -> Tiers:
        selectors = frozenset(self._index.selected_by(key))
        self._selected_by[key] = selectors
        found = self._tiers.get(selectors)
        if found is None:
            policies = ordered(self._policies[name] for one in selectors for name in self._groups[one].names())
            found = self._tiers[selectors] = tiers_of(policies)
        return found


class _Group:
    """Policies with one selector by order and name, and how many endpoints it selects."""

    __slots__ = ("_keys", "selected")

    def __init__(self) -> None:
        self._keys: list[tuple[float, bytes, str]] = []
        self.selected = 0

    def add(self, policy: v1.Policy) -> None:
        insort(self._keys, (*order_key(policy), policy.name))

    def remove(self, policy: v1.Policy) -> bool:
        """Takes a policy out; True when it was the last."""
        del self._keys[bisect_left(self._keys, (*order_key(policy), policy.name))]
        return not self._keys

    def names(self) -> list[str]:
        """The policies in order."""
        return [name for _, _, name in self._keys]


def _differ_in_rules_alone(one: v1.Policy, other: v1.Policy) -> bool:
    return replace(one, inbound=(), outbound=()) == replace(other, inbound=(), outbound=())
