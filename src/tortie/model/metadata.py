"""What every resource says about itself: its name, its namespace, labels and annotations (spec: model 1.1).

The other fields of Kubernetes' ObjectMeta are known and not kept, except those that conversions hand on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tortie.model.name import DNS_SUBDOMAIN, LARGEST_ANNOTATIONS, LONGEST_NAME, is_name, is_qualified_name, label_problem
from tortie.model.problem import FieldProblem


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata of a Calico resource; `namespace` is empty for kinds that have none."""

    NOT_KEPT: ClassVar[tuple[str, ...]] = (
        "clusterName", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation", "initializers",
        "managedFields", "ownerReferences", "selfLink",
    )  # fmt: skip

    name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    uid: str = ""
    creation_timestamp: str = ""
    generate_name: str = ""
    resource_version: str = ""

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the name, the labels and the annotations."""
        if not self.name:
            remedy = "GenerateName is not supported" if self.generate_name else None
            yield FieldProblem("the resource has no name", path=("name",), remedy=remedy)
        excess = len(self.name) - LONGEST_NAME
        if excess > 0:
            yield FieldProblem(f"name is too long by {excess} bytes", path=("name",))
        if not is_name(self.name):
            message = f"{self.name!r}: name must consist of lower case alphanumeric characters, '-' or '.'"
            yield FieldProblem(f"{message} (regex: {DNS_SUBDOMAIN})", path=("name",))
        if self.annotations:
            yield from self._annotation_problems()
        if self.labels:
            problem = label_problem(self.labels)
            if problem is not None:
                yield problem.inside("labels")

    def _annotation_problems(self) -> Iterator[FieldProblem]:
        size = 0
        for key, value in self.annotations.items():
            if not is_qualified_name(key.lower()):
                yield FieldProblem(f"{key!r} is not an annotation's name", path=("annotations", key))
            size += len(key.encode()) + len(value.encode())
        if size > LARGEST_ANNOTATIONS:
            message = f"total size of annotations is too large by {size - LARGEST_ANNOTATIONS} bytes"
            yield FieldProblem(message, path=("annotations",))
