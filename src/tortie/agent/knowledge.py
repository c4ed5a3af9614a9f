"""What is known of the cluster, resource by resource, and this node's view of it.

The one place that knows how the calculation is asked. While something is missing (`model.closing`), the view is worked out
from everything at once, with its gaps closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tortie.calc.calculation import calculate
from tortie.calc.view import NodeView
from tortie.model.closing import Loss, close
from tortie.model.read import Key, Resources
from tortie.model.resource import Resource
from tortie.model.resource_conversion import resources_to_v1


class Cluster:
    """Everything that was learnt, and the view that follows from it; changed in place, for there may be much of it."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._parameters: Mapping[str, str] = {}
        self._by_kind: dict[type[Any], dict[tuple[str, str], Resource]] = {}
        self._kinds: dict[str, type[Any]] = {}
        self._losses: dict[str, Loss] = {}
        self._view: NodeView | None = None
        self._remarks: tuple[str, ...] = ()

    def learn(self, key: Key, resource: Resource | None) -> None:
        """Takes a resource as it is now; None for one that is no more."""
        self._view = None
        if resource is None:
            cls = self._kinds.get(key.kind)
            if cls is not None:
                self._by_kind[cls].pop((key.namespace, key.name), None)
            return
        self._kinds[key.kind] = type(resource)
        self._by_kind.setdefault(type(resource), {})[key.namespace, key.name] = resource

    def lose(self, place: str, loss: Loss | None) -> None:
        """Takes what is missing because of what stands at a place; None when nothing is any more."""
        self._view = None
        if loss is None:
            self._losses.pop(place, None)
        else:
            self._losses[place] = loss

    def configure(self, parameters: Mapping[str, str]) -> None:
        """Takes the effective parameters."""
        self._view = None
        self._parameters = parameters

    def view(self) -> NodeView:
        """All that is in force for the node now; raises `InvalidInput` for a gap that it cannot be without."""
        if self._view is None:
            ordered = {cls: dict(sorted(found.items())) for cls, found in self._by_kind.items()}
            cluster = resources_to_v1(Resources(ordered))
            closed = close(cluster, (self._losses[place] for place in sorted(self._losses)), self._hostname)
            self._remarks = closed.remarks
            self._view = calculate(closed.cluster, self._hostname, self._parameters)
        return self._view

    def remarks(self) -> tuple[str, ...]:
        """What was closed in the view because something is missing."""
        return self._remarks

    def counts(self) -> Counter[str]:
        """How many resources of each kind are known."""
        return Counter({cls.__name__: len(found) for cls, found in self._by_kind.items()})
