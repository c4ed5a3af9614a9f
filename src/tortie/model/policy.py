"""Policies of a namespace and of the whole cluster (spec: model 1.9).

`name` is what the user calls a policy; the name that it is stored and known by to Felix has the tier in front
(`stored_name`). Kubernetes' policies appear under names that begin with `knp.` and are stored under those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, ClassVar, TypeAlias

from tortie.model.metadata import Metadata
from tortie.model.name import DNS_LABEL, DNS_SUBDOMAIN
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named
from tortie.model.rule import PolicyRule
from tortie.model.scalar import SelectorText

TIER = "default"
"""The one tier that Calico 3.7 has."""
KUBERNETES_PREFIX = "knp.default."
_STORED_AS_IS = ("knp.", "ossg.")
_NETWORK_POLICY_NAME = re.compile(rf"{DNS_LABEL}|(knp|ossg)\.default\.{DNS_SUBDOMAIN}")
_GLOBAL_POLICY_NAME = re.compile(DNS_LABEL)


class PolicyType(Enum):
    """A direction that a policy is about; `value` as users write it."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


def stored_name(name: str) -> str:
    """The name that a policy is stored under: `default.x` for `x`."""
    return name if name.startswith(_STORED_AS_IS) else f"{TIER}.{name}"


def shown_name(stored: str) -> str:
    """The name that users see of a policy stored under `stored`."""
    return stored if stored.startswith(_STORED_AS_IS) else stored.partition(".")[2] or stored


def default_types(ingress: tuple[PolicyRule, ...], egress: tuple[PolicyRule, ...]) -> tuple[PolicyType, ...]:
    """What `types` is when nothing is said: the directions of the rules, ingress when there are none."""
    if not egress:
        return (PolicyType.INGRESS,)
    return (PolicyType.INGRESS, PolicyType.EGRESS) if ingress else (PolicyType.EGRESS,)


@dataclass(frozen=True, slots=True)
class NetworkPolicySpec:
    """What a policy of one namespace says; without an order it comes last."""

    order: float | None = None
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    selector: SelectorText = ""
    types: tuple[PolicyType, ...] = ()

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the types and the egress rules."""
        return _spec_problems(self, "not allowed in egress rule")


@dataclass(frozen=True, slots=True)
class GlobalNetworkPolicySpec:
    """What a policy of the whole cluster says; without an order it comes last."""

    order: float | None = None
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    selector: SelectorText = ""
    types: tuple[PolicyType, ...] = ()
    do_not_track: bool = False
    pre_dnat: Annotated[bool, Named("preDNAT")] = False
    apply_on_forward: bool = False

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the types, the egress rules and how the switches go together."""
        if self.do_not_track and self.pre_dnat:
            message = "PreDNAT and DoNotTrack cannot both be true, for a given PolicySpec"
            yield FieldProblem(message, path=("preDNAT",))
        if self.pre_dnat and self.egress:
            yield FieldProblem("PreDNAT PolicySpec cannot have any Egress rules", path=("egress",))
        if self.pre_dnat and PolicyType.EGRESS in self.types:
            yield FieldProblem("PreDNAT PolicySpec cannot have 'egress' Type", path=("types",))
        if (self.do_not_track or self.pre_dnat) and not self.apply_on_forward:
            message = "ApplyOnForward must be true if either PreDNAT or DoNotTrack is true, for a given PolicySpec"
            yield FieldProblem(message, path=("preDNAT" if self.pre_dnat else "doNotTrack",))
        yield from _spec_problems(self, "not allowed in egress rules")


def _spec_problems(spec: NetworkPolicySpec | GlobalNetworkPolicySpec, http_in_egress: str) -> Iterator[FieldProblem]:
    for index, kind in enumerate(spec.types):
        if kind in spec.types[:index]:
            yield FieldProblem(f"'{kind.value}' type specified more than once", path=("types", index))
    for index, rule in enumerate(spec.egress):
        if rule.http is not None:
            yield FieldProblem(http_in_egress, path=("egress", index, "http"))


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A policy of one namespace."""

    NAMESPACED: ClassVar[bool] = True

    metadata: Metadata
    spec: NetworkPolicySpec = NetworkPolicySpec()

    def with_defaults(self) -> NetworkPolicy:
        """The policy with its types filled in."""
        if self.spec.types:
            return self
        return replace(self, spec=replace(self.spec, types=default_types(self.spec.ingress, self.spec.egress)))

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the name."""
        return _name_problems(self.metadata.name, _NETWORK_POLICY_NAME)


@dataclass(frozen=True, slots=True)
class GlobalNetworkPolicy:
    """A policy of the whole cluster."""

    metadata: Metadata
    spec: GlobalNetworkPolicySpec = GlobalNetworkPolicySpec()

    def with_defaults(self) -> GlobalNetworkPolicy:
        """The policy with its types filled in."""
        if self.spec.types:
            return self
        return replace(self, spec=replace(self.spec, types=default_types(self.spec.ingress, self.spec.egress)))

    def problems(self) -> Iterator[FieldProblem]:
        """What is wrong with the name."""
        return _name_problems(self.metadata.name, _GLOBAL_POLICY_NAME)


def _name_problems(name: str, pattern: re.Pattern[str]) -> Iterator[FieldProblem]:
    if pattern.fullmatch(name) is None:
        message = f"{name!r}: name must consist of lower case alphanumeric characters or '-' (regex: {DNS_LABEL})"
        yield FieldProblem(message, path=("metadata", "name"))


Policy: TypeAlias = NetworkPolicy | GlobalNetworkPolicy
