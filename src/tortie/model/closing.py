"""What takes the place of resources that cannot be read, so that nothing gets through for want of them.

Goals: whoever goes on without a resource must let through nothing that it would have stopped, whatever it says; and must
close no more than that takes. Tensions: what it says is just what cannot be read. The choice: a `Loss` says what is not
known, from as much of the object as can be read beyond doubt, and `close` changes the cluster so that every packet that is
accepted then would be accepted with any resource in the gap.

- *A policy* denies whatever it is asked: same selector, order and directions. Those in front of it decide as before.
- *Something that selectors may select* (a pod, another node's endpoint, a set of networks) is missing from sets, so rules
  that its absence could open are closed: denials and passes by selector deny everyone, permits by negation are left out.
- *A profile* (of a namespace, of a service account): endpoints that list it are missing as well; at home they are closed.
- *A host endpoint of this node* is there, with a policy in front of all others that denies.
- *Felix's settings for this node, or whether the cluster is ready*: nothing can be done without them, `InvalidInput`.
- *Nobody knows what*: every endpoint of the node is closed.

Established connections go on where policy is asked after them, as always with Calico. Pools, BGP and IPAM open nothing:
they decide about translation, tunnels and routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeAlias, assert_never

from tortie.model import v1
from tortie.model.cluster import ClusterInformation
from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.parameter import CLUSTER_NAME, NODE_PREFIX
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.model.pool import IPPool
from tortie.model.profile import Profile
from tortie.model.read import Key, Resources, key_of
from tortie.model.resource import (
    CALICO_VERSION,
    KINDS,
    STORED_VERSION,
    PassedOver,
    ReadOptions,
    Resource,
    read_resource,
)
from tortie.model.resource_conversion import policy_to_v1
from tortie.model.workload_name import namespace_profile, service_account_profile
from tortie.net.error import InvalidInput
from tortie.selector.tree import All, Has, Or

CLOSED = "tortie.closed"
"""Name of the policy that denies everything, and the label by which one host endpoint is closed."""
_DENY = (v1.Rule("deny"),)


# --- what may be missing -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LostPolicy:
    """A policy whose rules are not known; `stands_in` has its name, selector, order and directions, and denies."""

    problem: InvalidInput
    stands_in: v1.Policy


@dataclass(frozen=True, slots=True)
class LostMember:
    """Something with labels and addresses that are not known; `name` in words."""

    problem: InvalidInput
    name: str


@dataclass(frozen=True, slots=True)
class LostProfile:
    """A profile, of which neither rules nor labels are known."""

    problem: InvalidInput
    name: str


@dataclass(frozen=True, slots=True)
class LostHostEndpoint:
    """A host endpoint; `node` and `interface` are empty where they cannot be told."""

    problem: InvalidInput
    name: str
    node: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class LostSettings:
    """Configuration of one `node`, or of all where that is empty."""

    problem: InvalidInput
    node: str = ""


@dataclass(frozen=True, slots=True)
class LostAnything:
    """It is not even known what it would be."""

    problem: InvalidInput


Loss: TypeAlias = LostPolicy | LostMember | LostProfile | LostHostEndpoint | LostSettings | LostAnything
"""Readers end in `assert_never`."""


# --- from an object to what is lost ------------------------------------------------------------------------------

_MEMBERS = frozenset(("WorkloadEndpoint", "NetworkSet", "GlobalNetworkSet"))
_CORE_KINDS = frozenset(("Namespace", "ServiceAccount", "Pod"))
_OPENS_NOTHING = frozenset(KINDS) - _MEMBERS - {
    "NetworkPolicy", "GlobalNetworkPolicy", "Profile", "HostEndpoint", "FelixConfiguration", "ClusterInformation",
}  # fmt: skip


def loss_of_object(data: Any, problem: InvalidInput, options: ReadOptions | None = None) -> Loss | None:
    """What is missing where this object cannot be read; None when nothing is that could stop a packet."""
    version, kind = _text(data, "apiVersion"), _text(data, "kind")
    name = _text(data, "metadata", "name")
    namespace = _text(data, "metadata", "namespace") or (options or ReadOptions()).namespace
    if version == "v1" and kind == "Node":
        return None
    if version == "v1" and kind in _CORE_KINDS:
        return _lost_core(kind, namespace, name, problem)
    kubernetes_policy = kind == "NetworkPolicy" and version in ("networking.k8s.io/v1", "extensions/v1beta1")
    if not kubernetes_policy and version not in (CALICO_VERSION, STORED_VERSION):
        return _loss_of_words(str(data), problem)
    if kind in _OPENS_NOTHING:
        return None
    if kind in ("NetworkPolicy", "GlobalNetworkPolicy"):
        return _lost_policy(data, problem, options or ReadOptions())
    if kind in _MEMBERS:
        return LostMember(problem, f"{kind}({name})")
    if kind == "Profile" and name:
        return LostProfile(problem, name)
    if kind == "HostEndpoint":
        return _lost_host(data, name, problem)
    if kind == "FelixConfiguration" and name:
        if name == CLUSTER_NAME:
            return LostSettings(problem)
        return LostSettings(problem, name.removeprefix(NODE_PREFIX)) if name.startswith(NODE_PREFIX) else None
    if kind in ("FelixConfiguration", "ClusterInformation"):
        return LostSettings(problem)
    return _loss_of_words(str(data), problem)


def _text(data: Any, *path: str) -> str:
    """The text at a path; empty where there is none."""
    for key in path:
        data = data.get(key) if type(data) is dict else None
    return data if type(data) is str else ""


def _lost_core(kind: str, namespace: str, name: str, problem: InvalidInput) -> Loss:
    if kind == "Pod":
        return LostMember(problem, f"Pod({namespace}/{name})")
    if not name:
        return LostAnything(problem)
    if kind == "Namespace":
        return LostProfile(problem, namespace_profile(name))
    return LostProfile(problem, service_account_profile(namespace, name))


def _lost_host(data: Any, name: str, problem: InvalidInput) -> LostHostEndpoint:
    interface = _text(data, "spec", "interfaceName")
    spec = data.get("spec")
    if type(spec) is not dict or spec.get("expectedIPs") or spec.keys() - _HOST_FIELDS:
        interface = ""
    return LostHostEndpoint(problem, name, _text(data, "spec", "node"), interface)


_HOST_FIELDS = {"node", "interfaceName", "expectedIPs", "profiles", "ports"}
_SCOPE_FIELDS = ("selector", "order", "types", "doNotTrack", "preDNAT", "applyOnForward")
_KUBERNETES_SCOPE = ("podSelector", "policyTypes")
_RULES = frozenset(("ingress", "egress"))


def _lost_policy(data: Any, problem: InvalidInput, options: ReadOptions) -> Loss:
    """The policy without its rules, if that much can be read; a field nobody knows may have been any of those."""
    spec = data.get("spec")
    kubernetes = "k8s.io" in data["apiVersion"] or data["apiVersion"].startswith("extensions/")
    scope = _KUBERNETES_SCOPE if kubernetes else _SCOPE_FIELDS
    if type(spec) is not dict or spec.keys() - {*scope, *_RULES}:
        return LostAnything(problem)
    bare: dict[str, Any] = {field: spec[field] for field in scope if field in spec}
    types = "policyTypes" if kubernetes else "types"
    if not bare.get(types):
        # Which directions are meant is told by which rules there are (spec: model 1.9, 5.4).
        egress = bool(spec.get("egress"))
        ingress = kubernetes or bool(spec.get("ingress")) or not egress
        bare[types] = ["Ingress"] * ingress + ["Egress"] * egress
    try:
        policy = read_resource({**data, "spec": bare}, options)
    except InvalidInput:
        return LostAnything(problem)
    if not isinstance(policy, NetworkPolicy | GlobalNetworkPolicy):
        return LostAnything(problem)
    return LostPolicy(problem, closed_policy(policy_to_v1(policy)))


def closed_policy(policy: v1.Policy) -> v1.Policy:
    """The policy with rules that deny everything in its directions."""
    return replace(policy, inbound=_DENY, outbound=_DENY)


# --- from a text to what is lost ---------------------------------------------------------------------------------

_ESCAPED = re.compile(r"\\(?:u00|x)([0-9a-fA-F]{2})|\\\r?\n\s*")
_INDISPENSABLE = re.compile(r"FelixConf|ClusterInfo|HostEnd|expectedIPs")
_OURS = re.compile(
    r"projectcalico\.org|Polic|Profile|Endpoint|NetworkSet|Namespace|ServiceAccount|Pod\b|PodList"
    r"|selector|ingress|egress|interfaceName|labelsToApply|ipNetworks"
)


def loss_of_text(text: str | None, problem: InvalidInput, *, whole: bool = False) -> Loss | None:
    """What is missing where a text cannot be taken apart from some document on, or as a `whole`; None is no text at all."""
    if text is None:
        return LostSettings(problem)
    return _loss_of_words(text if whole else _from_document(text, problem.line), problem)


def _loss_of_words(text: str, problem: InvalidInput) -> Loss | None:
    """By the words that any resource must hold: those of what nobody can go on without count as if it were there.

    Where there is no word of ours at all, nothing of ours is.
    """
    # Of a text in two bytes a letter that was read as UTF-8, every other one is a NUL.
    bare = _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", text.replace("\0", ""))
    if _INDISPENSABLE.search(bare) or ("interfaceName" in bare and "WorkloadEndpoint" not in bare):
        return LostSettings(problem)
    return LostAnything(problem) if _OURS.search(bare) else None


def _from_document(text: str, line: int | None) -> str:
    """The text from the start of the YAML document that holds what stands in front of a line, from 1."""
    if line is None or text.lstrip()[:1] in ("{", "["):
        return text
    lines = text.splitlines(keepends=True)
    start = max((n for n, content in enumerate(lines[: line - 1]) if content.startswith("---")), default=0)
    return "".join(lines[start:])


# --- all that was refused ----------------------------------------------------------------------------------------


def without_refused(resources: Resources, options: ReadOptions | None = None) -> tuple[Resources, list[Loss]]:
    """The resources that are beyond doubt, and what is missing beside them.

    Where an object was refused because there is another of its name, neither is trusted.
    """
    losses: list[Loss | None] = []
    doubtful: set[Key] = set()
    for refusal in resources.refusals:
        if refusal.data is None:
            losses.append(loss_of_text(refusal.text, refusal.problem, whole=refusal.whole))
            continue
        losses.append(loss_of_object(refusal.data, refusal.problem, options))
        other = _other_of_its_name(resources, refusal.data, options)
        if other is not None and not isinstance(other, NetworkPolicy | GlobalNetworkPolicy | IPPool):
            doubtful.add(key_of(other))
            losses.append(loss_of_resource(other, refusal.problem))
    return without(resources, doubtful), [loss for loss in losses if loss is not None]


def _other_of_its_name(resources: Resources, data: Any, options: ReadOptions | None) -> Resource | None:
    try:
        read = read_resource(data, options or ReadOptions())
    except InvalidInput:
        return None
    if isinstance(read, PassedOver):
        return None
    return resources.get(type(read), read.metadata.name, read.metadata.namespace)


def loss_of_resource(resource: Resource, problem: InvalidInput) -> Loss | None:
    """What is missing where a resource, though it can be read, is not to be trusted."""
    match resource:
        case HostEndpoint(metadata, spec):
            interface = "" if spec.expected_ips else spec.interface_name
            return LostHostEndpoint(problem, metadata.name, spec.node, interface)
        case WorkloadEndpoint() | NetworkSet() | GlobalNetworkSet():
            return LostMember(problem, str(key_of(resource)))
        case Profile(metadata):
            return LostProfile(problem, metadata.name)
        case NetworkPolicy() | GlobalNetworkPolicy():
            return LostPolicy(problem, closed_policy(policy_to_v1(resource)))
        case FelixConfiguration() | ClusterInformation():
            return LostSettings(problem)
        case _:
            return None


def without(resources: Resources, keys: Iterable[Key]) -> Resources:
    """The resources but for some."""
    gone = set(keys)
    if not gone:
        return resources
    by_kind = {
        cls: {name: one for name, one in some.items() if key_of(one) not in gone} for cls, some in resources.by_kind.items()
    }
    return replace(resources, by_kind=by_kind)


# --- closing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Closed:
    """A cluster without its gaps, and in words what was closed."""

    cluster: v1.Cluster
    remarks: tuple[str, ...] = ()


def close(cluster: v1.Cluster, losses: Iterable[Loss], node: str) -> Closed:
    """The cluster as one node may use it though resources are missing.

    Raises `InvalidInput`, the problem of a resource without which nothing can be done on this node.
    """
    closing = _Closing(cluster, node)
    for loss in losses:
        closing.add(loss)
    return closing.finish()


class _Closing:
    """A cluster while its gaps are closed, one after the other."""

    def __init__(self, cluster: v1.Cluster, node: str) -> None:
        self.cluster = cluster
        self.node = node
        self.policies = {policy.name: policy for policy in cluster.policies}
        self.profiles: set[str] = set()
        self.hosts: list[v1.HostEndpoint] = []
        self.members = False
        self.everything = False
        self.remarks: dict[str, None] = {}

    def add(self, loss: Loss) -> None:
        """Closes what one missing resource could open."""
        match loss:
            case LostSettings(problem, node):
                if node in ("", self.node):
                    raise _indispensable(problem, "every rule depends on it")
            case LostPolicy(_, stands_in):
                known = self.policies.get(stands_in.name)
                if known is not None and _places(known) != _places(stands_in):
                    self._close_everything()
                self.policies[stands_in.name] = stands_in if known is None else _both(known, stands_in)
                self.say(f"policy {stands_in.name} denies whatever it is asked")
            case LostMember(_, name):
                self.members = True
                self.say(f"{name} is missing: rules that deny by selector deny everyone, permits by negation are left out")
            case LostProfile(_, name):
                self.profiles.add(name)
                self.members = True
                self.say(f"endpoints with the profile {name} are closed, and missing from every set")
            case LostHostEndpoint():
                self._lose_host(loss)
            case LostAnything():
                self._close_everything()
            case _:
                assert_never(loss)

    def say(self, remark: str) -> None:
        self.remarks[f"closed: {remark}"] = None

    def _close_everything(self) -> None:
        self.everything = True
        self.say("every endpoint of this node, since nobody knows what the resource would have stopped")

    def _lose_host(self, loss: LostHostEndpoint) -> None:
        self.members = True
        if loss.node and loss.node != self.node:
            self.say(f"HostEndpoint({loss.name}) of another node is missing from every set")
            return
        if not loss.node or not loss.interface or not loss.name:
            raise _indispensable(loss.problem, "which interface of this node it protects is not known")
        self.hosts.append(v1.HostEndpoint(loss.node, loss.name, loss.interface, labels={CLOSED: ""}))
        self.say(f"interface {loss.interface}, but for failsafe ports")

    def finish(self) -> Closed:
        """The cluster with all gaps closed."""
        cluster = replace(self.cluster, policies=tuple(self.policies.values()))
        if self.profiles:
            cluster = self._without_profiles(cluster)
        if self.members:
            cluster = replace(
                cluster,
                policies=tuple(_trust_no_absence(policy) for policy in cluster.policies),
                profiles=tuple(_trust_no_absence(profile) for profile in cluster.profiles),
            )
        if self.hosts:
            names = {(host.node, host.name) for host in self.hosts}
            kept = tuple(host for host in cluster.host_endpoints if (host.node, host.name) not in names)
            cluster = replace(cluster, host_endpoints=(*kept, *self.hosts))
            cluster = replace(cluster, policies=(*cluster.policies, *_denials(cluster, Has(CLOSED), f"{CLOSED}-host")))
        if self.everything:
            cluster = replace(cluster, policies=(*cluster.policies, *_denials(cluster, All(), CLOSED)))
        return Closed(cluster, tuple(self.remarks))

    def _without_profiles(self, cluster: v1.Cluster) -> v1.Cluster:
        """No endpoint that lists a missing profile; this node's interfaces without endpoint drop everything."""
        lost = self.profiles
        own = [host for host in cluster.host_endpoints if host.node == self.node and not lost.isdisjoint(host.profiles)]
        if own:
            # Without its endpoint an interface of the node itself would be open, so it stays.
            self._close_everything()
        return replace(
            cluster,
            profiles=tuple(profile for profile in cluster.profiles if profile.name not in lost),
            workloads=tuple(one for one in cluster.workloads if lost.isdisjoint(one.profiles)),
            host_endpoints=tuple(h for h in cluster.host_endpoints if h in own or lost.isdisjoint(h.profiles)),
        )


def _indispensable(problem: InvalidInput, why: str) -> InvalidInput:
    message = f"{problem.message}; nothing can be done without it: {why}"
    return InvalidInput(message, source=problem.source, line=problem.line, remedy=problem.remedy)


def _places(policy: v1.Policy) -> tuple[bool, bool]:
    """Where on a packet's way a policy is asked."""
    return policy.untracked, policy.pre_dnat


def _both(one: v1.Policy, other: v1.Policy) -> v1.Policy:
    """What stands in for a policy of which there are two versions: it denies wherever either has a say."""
    orders = [inf if policy.order is None else policy.order for policy in (one, other)]
    return replace(
        closed_policy(one),
        selector=Or((one.selector, other.selector)),
        order=min(orders),
        ingress=one.ingress or other.ingress,
        egress=one.egress or other.egress,
        apply_on_forward=one.apply_on_forward or other.apply_on_forward,
    )


def _denials(cluster: v1.Cluster, selector: All | Has, name: str) -> list[v1.Policy]:
    """Policies in front of all others that deny everything to what is selected, at each place where policy can permit."""
    deny = v1.Policy(name, "", -inf, selector, True, True, _DENY, _DENY, apply_on_forward=True)
    found = [deny]
    if any(policy.pre_dnat for policy in cluster.policies):
        found.append(replace(deny, name=f"{name}-pre-dnat", pre_dnat=True, egress=False))
    if any(policy.untracked for policy in cluster.policies):
        found.append(replace(deny, name=f"{name}-untracked", untracked=True))
    return found


# --- rules that trust an absence ---------------------------------------------------------------------------------


def _trust_no_absence(owner: Any) -> Any:
    """A policy or profile that lets nobody through only because a set lacks a member."""
    return replace(owner, inbound=_sure_rules(owner.inbound), outbound=_sure_rules(owner.outbound))


def _sure_rules(rules: tuple[v1.Rule, ...]) -> tuple[v1.Rule, ...]:
    return tuple(sure for rule in rules if (sure := _sure_rule(rule)) is not None)


def _sure_rule(rule: v1.Rule) -> v1.Rule | None:
    """The rule for any membership: what it permits it permits for certain, what it denies it denies in any case."""
    sides = (rule.source, rule.destination)
    if not any(side.selectors or side.named_ports or side.not_named_ports for side in sides):
        return rule
    match rule.action:
        case "allow":
            negated = any(side.not_selector is not None or side.not_named_ports for side in sides)
            return None if negated else rule
        case "deny" | "next-tier":
            return replace(rule, action="deny", source=_anyone(rule.source), destination=_anyone(rule.destination))
        case _:
            return rule


def _anyone(side: v1.RuleSide) -> v1.RuleSide:
    """The side without what a member more could make true. Ports and named ports are one choice, so both go."""
    ports = side.ports if not side.named_ports else ()
    return replace(side, selector=None, named_ports=(), ports=ports)
