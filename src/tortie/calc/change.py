"""What became different between two views of a node, so that whoever renders or programs them need not compare wholes."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from tortie.calc.view import WorkloadId
from tortie.net.address import Prefix


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Which members a set gained and lost; a set that is new gained all, one that is gone lost all."""

    added: Set[Any] = frozenset()
    removed: Set[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of what is new, not as it was, or gone; the view that goes with it tells which. False when there is nothing."""

    workloads: frozenset[WorkloadId] = frozenset()
    host_endpoints: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    ip_sets: Mapping[str, MemberChange] = field(default_factory=dict)
    """Sets by id; one that came or went without any members has an empty change."""
    pools: frozenset[Prefix] = frozenset()
    hosts: frozenset[str] = frozenset()
    vteps: frozenset[str] = frozenset()
    vxlan_routes: frozenset[Prefix] = frozenset()
    config: frozenset[str] = frozenset()
    """Names of parameters."""

    def __bool__(self) -> bool:
        return any(
            (
                self.workloads, self.host_endpoints, self.policies, self.profiles, self.ip_sets, self.pools, self.hosts,
                self.vteps, self.vxlan_routes, self.config,
            )
        )  # fmt: skip
