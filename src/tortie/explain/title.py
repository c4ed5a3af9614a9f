"""Policies, profiles and endpoints by the names that people gave them."""

from __future__ import annotations

from typing import assert_never

from tortie.model import v1
from tortie.model.policy import KUBERNETES_PREFIX, shown_name, stored_name
from tortie.model.policy import Policy as PolicyResource
from tortie.model.workload_name import KUBERNETES, NAMESPACE_PROFILE_PREFIX, SERVICE_ACCOUNT_PROFILE_PREFIX


def full_name(policy: PolicyResource) -> str:
    """The name that nodes know a policy by, such as `shop/default.web` (spec: model 2.4)."""
    stored = stored_name(policy.metadata.name)
    return f"{policy.metadata.namespace}/{stored}" if policy.metadata.namespace else stored


def policy_title(name: str) -> str:
    """A policy as people know it, from its full name (spec: model 2.4): `NetworkPolicy ns/web`."""
    namespace, slash, stored = name.rpartition("/")
    if not slash:
        return f"GlobalNetworkPolicy {shown_name(stored)}"
    if stored.startswith(KUBERNETES_PREFIX):
        return f"Kubernetes NetworkPolicy {namespace}/{stored.removeprefix(KUBERNETES_PREFIX)}"
    return f"NetworkPolicy {namespace}/{shown_name(stored)}"


def profile_title(name: str) -> str:
    """A profile as people know it: the namespace or service account that it comes from, or its own name."""
    if name.startswith(NAMESPACE_PROFILE_PREFIX):
        return f"Namespace {name.removeprefix(NAMESPACE_PROFILE_PREFIX)}"
    if name.startswith(SERVICE_ACCOUNT_PROFILE_PREFIX):
        namespace, _, account = name.removeprefix(SERVICE_ACCOUNT_PROFILE_PREFIX).partition(".")
        return f"ServiceAccount {namespace}/{account}"
    return f"Profile {name}"


def party_title(value: v1.Workload | v1.HostEndpoint | v1.NetworkSet) -> str:
    """Whoever selectors can select: `pod shop/web`, `HostEndpoint eth0 of node-1`, `GlobalNetworkSet partners`."""
    match value:
        case v1.Workload():
            what = "pod" if value.orchestrator == KUBERNETES else f"{value.orchestrator} workload"
            return f"{what} {value.workload}"
        case v1.HostEndpoint():
            return f"HostEndpoint {value.name} of {value.node}"
        case v1.NetworkSet():
            return f"{'NetworkSet' if '/' in value.name else 'GlobalNetworkSet'} {value.name}"
        case _:
            assert_never(value)
