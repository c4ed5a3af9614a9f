"""What is known of the cluster, resource by resource, and this node's view of it.

The one place that knows how the calculation is asked. It is kept up to date change by change. While something is missing
(`model.closing`), a view with the gaps closed is worked out from everything at once instead: slower, and seldom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tortie.agent.state import UnreadableId
from tortie.calc.calculation import Calculation, calculate
from tortie.calc.view import NodeView
from tortie.model.closing import Loss, close
from tortie.model.node import Node
from tortie.model.read import Key, Resources
from tortie.model.resource import Resource
from tortie.model.resource_conversion import resources_to_v1


class Cluster:
    """Everything that was learnt, and the view that follows from it; changed in place, for there may be much of it."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._calculation = Calculation(hostname)
        self._parameters: Mapping[str, str] = {}
        self._by_kind: dict[type[Any], dict[tuple[str, str], Resource]] = {}
        self._kinds: dict[str, type[Any]] = {}
        self._losses: dict[UnreadableId, Loss] = {}
        self._closed: NodeView | None = None
        """The view with gaps closed, None when it is not worked out yet."""
        self._remarks: tuple[str, ...] = ()

    def learn(self, key: Key, resource: Resource | None) -> None:
        """Takes a resource as it is now; None for one that is no more."""
        self._closed = None
        self._calculation.update(key, resource)
        if resource is None:
            cls = self._kinds.get(key.kind)
            if cls is not None:
                self._by_kind[cls].pop((key.namespace, key.name), None)
            return
        self._kinds[key.kind] = type(resource)
        self._by_kind.setdefault(type(resource), {})[key.namespace, key.name] = resource

    def lose(self, what: UnreadableId, loss: Loss | None) -> None:
        """Takes what is missing because of something that cannot be read; None when nothing is any more."""
        self._closed = None
        if loss is None:
            self._losses.pop(what, None)
        else:
            self._losses[what] = loss

    def configure(self, parameters: Mapping[str, str]) -> None:
        """Takes the effective parameters."""
        self._closed = None
        self._parameters = parameters
        self._calculation.configure(parameters)

    def view(self) -> NodeView:
        """All that is in force for the node now; raises `InvalidInput` for a gap that it cannot be without."""
        if not self._losses:
            self._remarks = ()
            self._calculation.flush()
            return self._calculation.view()
        if self._closed is None:
            ordered = {cls: dict(sorted(found.items())) for cls, found in self._by_kind.items()}
            losses = (self._losses[what] for what in sorted(self._losses, key=str))
            closed = close(resources_to_v1(Resources(ordered)), losses, self._hostname)
            self._closed = calculate(closed.cluster, self._hostname, self._parameters)
            self._remarks = closed.remarks
        return self._closed

    def remarks(self) -> tuple[str, ...]:
        """What was closed in the view because something is missing, and that nothing speaks of this node."""
        if self._is_named():
            return self._remarks
        unnamed = f"no resource names the node {self._hostname}: it gets the rules of a node without endpoints"
        return (unnamed, *self._remarks)

    def _is_named(self) -> bool:
        view = self.view()
        return bool(view.workloads or view.host_endpoints) or ("", self._hostname) in self._by_kind.get(Node, {})

    def counts(self) -> Counter[str]:
        """How many resources of each kind are known."""
        return Counter({cls.__name__: len(found) for cls, found in self._by_kind.items()})
