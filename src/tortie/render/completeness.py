"""A view holds whatever it names: chains and sets must exist before rules that name them.

A view that does not is a mistake of whoever made it. Endpoints share the lists of their policies, so each list is looked
at once; what was found to be complete stays so as long as nothing goes away (`memory`), and a view of which little changed
costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from tortie.calc.view import ActivePolicy, ActiveProfile, EndpointTier, NodeView
from tortie.render.memory import Kept, Same

Owner = ActivePolicy | ActiveProfile
Tiers = tuple[EndpointTier, ...]
GivenT = TypeVar("GivenT")


class Completeness:
    """Checks one view after the other."""

    def __init__(self) -> None:
        self._policy_names: Same[frozenset[str]] = Same()
        self._profile_names: Same[frozenset[str]] = Same()
        self._set_ids: Same[frozenset[str]] = Same()
        self._owners: Same[Mapping[Hashable, Owner]] = Same()
        self._policies: _References[Tiers] = _References("policy", _policies_of)
        self._profiles: _References[tuple[str, ...]] = _References("profile", iter)
        self._sets: _References[Owner] = _References("ip set", _sets_of)

    def check(self, view: NodeView) -> None:
        """Raises `ValueError` when the view names something that it does not contain."""
        there = self._policy_names.of((view.policies,), lambda: frozenset(policy.name for policy in view.policies))
        self._policies.require({id(tiers): tiers for tiers in _tiers_of(view)}, there)
        there = self._profile_names.of((view.profiles,), lambda: frozenset(profile.name for profile in view.profiles))
        lists = {endpoint.profiles for endpoint in view.workloads} | {endpoint.profiles for endpoint in view.host_endpoints}
        self._profiles.require({one: one for one in lists}, there)
        there = self._set_ids.of((view.ip_sets,), lambda: frozenset(one.id for one in view.ip_sets))
        self._sets.require(self._owners.of((view.policies, view.profiles), lambda: _owners_of(view)), there)


class _References(Generic[GivenT]):
    """Lists of names of one kind, and what there is of that kind."""

    def __init__(self, what: str, names: Callable[[GivenT], Iterable[str]]) -> None:
        self._what = what
        self._names = names
        self._there: frozenset[str] = frozenset()
        self._lists: Mapping[Hashable, GivenT] | None = None
        """The lists that were last found to be complete, all of them."""
        self._complete: Kept[Hashable, GivenT, None] = Kept(self._check)

    def require(self, lists: Mapping[Hashable, GivenT], there: frozenset[str]) -> None:
        """Raises `ValueError` when one of the lists, which have keys of any kind, names something else."""
        if lists is self._lists and there is self._there:
            return
        if not self._there <= there:
            self._complete = Kept(self._check)
        self._there, self._lists = there, None
        self._complete.renew(lists)
        self._lists = lists

    def _check(self, _key: Hashable, given: GivenT, _last: object) -> None:
        missing = sorted(set(self._names(given)) - self._there)
        if missing:
            raise ValueError(f"the view names {self._what} {missing[0]!r} but does not contain it")


def _tiers_of(view: NodeView) -> Iterator[Tiers]:
    for workload in view.workloads:
        yield workload.tiers
    for host in view.host_endpoints:
        yield from (host.tiers, host.untracked_tiers, host.pre_dnat_tiers, host.forward_tiers)


def _policies_of(tiers: Tiers) -> Iterator[str]:
    for tier in tiers:
        yield from tier.ingress
        yield from tier.egress


def _owners_of(view: NodeView) -> dict[Hashable, Owner]:
    owners: list[Owner] = [*view.policies, *view.profiles]
    return {(type(owner), owner.name): owner for owner in owners}


def _sets_of(owner: Owner) -> Iterator[str]:
    for rule in (*owner.inbound, *owner.outbound):
        yield from rule.source.set_ids
        yield from rule.destination.set_ids
