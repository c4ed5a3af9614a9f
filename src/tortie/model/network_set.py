"""Named lists of networks that selectors pick by label (spec: model 1.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tortie.model.endpoint import NAMESPACE_LABEL
from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem
from tortie.model.scalar import LooseNet


@dataclass(frozen=True, slots=True)
class NetworkSetSpec:
    """The networks of a set, with host bits cleared."""

    nets: tuple[LooseNet, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """A set of networks that belongs to a namespace."""

    NAMESPACED: ClassVar[bool] = True

    metadata: Metadata
    spec: NetworkSetSpec = NetworkSetSpec()

    def problems(self) -> Iterator[FieldProblem]:
        """The namespace's label is Calico's to give."""
        return _label_problems(self.metadata)


@dataclass(frozen=True, slots=True)
class GlobalNetworkSet:
    """A set of networks of the whole cluster."""

    metadata: Metadata
    spec: NetworkSetSpec = NetworkSetSpec()

    def problems(self) -> Iterator[FieldProblem]:
        """The namespace's label is Calico's to give."""
        return _label_problems(self.metadata)


def _label_problems(metadata: Metadata) -> Iterator[FieldProblem]:
    if NAMESPACE_LABEL in metadata.labels:
        message = f"{NAMESPACE_LABEL} is not a valid label name"
        yield FieldProblem(message, path=("metadata", "labels", NAMESPACE_LABEL))
