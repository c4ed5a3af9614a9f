"""Profiles: rules for endpoints that no policy decides about, and labels that endpoints inherit (spec: model 1.11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tortie.model.metadata import Metadata
from tortie.model.name import label_problem
from tortie.model.problem import FieldProblem
from tortie.model.rule import PolicyRule


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """What a profile says."""

    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    labels_to_apply: Mapping[str, str] = field(default_factory=dict)

    def problems(self) -> Iterator[FieldProblem]:
        """The labels are labels."""
        problem = label_problem(self.labels_to_apply)
        if problem is not None:
            yield problem.inside("labelsToApply")


@dataclass(frozen=True, slots=True)
class Profile:
    """Rules and labels that endpoints share by naming the profile."""

    metadata: Metadata
    spec: ProfileSpec = field(default_factory=ProfileSpec)
