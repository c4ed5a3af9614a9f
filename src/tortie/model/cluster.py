"""What there is once in a cluster: its identity, and whether its datastore is ready (spec: model 1.17)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from tortie.model.metadata import Metadata
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named


@dataclass(frozen=True, slots=True)
class ClusterInformationSpec:
    """The cluster's identity; `cluster_type` is a list with commas. Felix waits until the datastore is ready."""

    cluster_guid: Annotated[str, Named("clusterGUID")] = ""
    cluster_type: str = ""
    calico_version: str = ""
    datastore_ready: bool | None = None


@dataclass(frozen=True, slots=True)
class ClusterInformation:
    """The one object about the cluster itself."""

    metadata: Metadata
    spec: ClusterInformationSpec = ClusterInformationSpec()

    def problems(self) -> Iterator[FieldProblem]:
        """There is one, and its name is `default`."""
        if self.metadata.name != "default":
            message = 'Cannot create a Cluster Information resource with a name other than "default"'
            yield FieldProblem(message, path=("metadata", "name"))
