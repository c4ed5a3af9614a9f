"""Which kinds of resources there are, and how one object's plain data becomes a value (spec: model 1.4).

Objects of `projectcalico.org/v3` are as users write them, those of `crd.projectcalico.org/v1` as Calico stores them in
Kubernetes; Kubernetes' own are converted. What is nobody's to read here is passed over, but never a policy or another kind
of ours under a version that Calico 3.7 does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from tortie.model import kubernetes as k8s
from tortie.model.bgp import BGPConfiguration, BGPPeer
from tortie.model.cluster import ClusterInformation
from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.model.kubernetes_conversion import (
    namespace_to_profile,
    network_policy_to_calico,
    node_to_calico,
    pod_to_workload,
    service_account_to_profile,
)
from tortie.model.network_set import GlobalNetworkSet, NetworkSet
from tortie.model.node import Node
from tortie.model.policy import GlobalNetworkPolicy, NetworkPolicy, shown_name
from tortie.model.pool import IPPool
from tortie.model.problem import FieldProblem, nearest
from tortie.model.profile import Profile
from tortie.model.reader import read_value
from tortie.model.workload_name import DEFAULT_INTERFACE_PREFIX

Resource: TypeAlias = (
    BGPConfiguration
    | BGPPeer
    | BlockAffinity
    | ClusterInformation
    | FelixConfiguration
    | GlobalNetworkPolicy
    | GlobalNetworkSet
    | HostEndpoint
    | IPAMBlock
    | IPAMConfig
    | IPAMHandle
    | IPPool
    | NetworkPolicy
    | NetworkSet
    | Node
    | Profile
    | WorkloadEndpoint
)
"""A Calico resource; the class's name is the kind's."""

CALICO_VERSION = "projectcalico.org/v3"
STORED_VERSION = "crd.projectcalico.org/v1"
_STORED_ONLY = frozenset({"IPAMBlock", "BlockAffinity", "IPAMHandle", "IPAMConfig"})
_OUR_GROUPS = ("projectcalico.org", "crd.projectcalico.org", "networking.k8s.io", "extensions", "")
"""API groups in which a kind of ours under another version is a mistake; the last is Kubernetes' core."""

KINDS: Mapping[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        BGPConfiguration,
        BGPPeer,
        BlockAffinity,
        ClusterInformation,
        FelixConfiguration,
        GlobalNetworkPolicy,
        GlobalNetworkSet,
        HostEndpoint,
        IPAMBlock,
        IPAMConfig,
        IPAMHandle,
        IPPool,
        NetworkPolicy,
        NetworkSet,
        Node,
        Profile,
        WorkloadEndpoint,
    )
}
"""Calico's kinds by name."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the files do not say: the namespace of objects without one, and two switches of Calico's conversions."""

    namespace: str = "default"
    interface_prefix: str = DEFAULT_INTERFACE_PREFIX
    use_pod_cidr: bool = False


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An object that nothing is made of, and why, if that is worth saying."""

    reason: str | None = None


_Conversion: TypeAlias = tuple[type[Any], Callable[[Any, ReadOptions], Resource | None]]
_POLICY: _Conversion = (
    k8s.NetworkPolicy,
    lambda value, options: network_policy_to_calico(value.with_defaults()),
)
_KUBERNETES: Mapping[tuple[str, str], _Conversion] = {
    ("v1", "Namespace"): (k8s.Namespace, lambda value, options: namespace_to_profile(value)),
    ("v1", "ServiceAccount"): (k8s.ServiceAccount, lambda value, options: service_account_to_profile(value)),
    ("v1", "Pod"): (k8s.Pod, lambda value, options: pod_to_workload(value, interface_prefix=options.interface_prefix)),
    ("v1", "Node"): (k8s.Node, lambda value, options: node_to_calico(value, use_pod_cidr=options.use_pod_cidr)),
    ("networking.k8s.io/v1", "NetworkPolicy"): _POLICY,
    ("extensions/v1beta1", "NetworkPolicy"): _POLICY,
}


def is_namespaced(cls: type[Any]) -> bool:
    """True when objects of a class belong to a namespace."""
    return bool(getattr(cls, "NAMESPACED", False))


def read_resource(data: Any, options: ReadOptions) -> Resource | PassedOver:
    """The value of one object; raises `FieldProblem`."""
    version, kind = _type(data)
    fields = {key: value for key, value in data.items() if key not in ("apiVersion", "kind")}
    if version in (CALICO_VERSION, STORED_VERSION) and kind in KINDS:
        if version == CALICO_VERSION and kind in _STORED_ONLY:
            message = f"there is no {kind} in {CALICO_VERSION}"
            raise FieldProblem(message, path=("apiVersion",), remedy=f"use {STORED_VERSION}")
        return _read_calico(KINDS[kind], fields, options, stored=version == STORED_VERSION)
    entry = _KUBERNETES.get((version, kind))
    if entry is not None:
        cls, convert = entry
        return convert(read_value(cls, _with_namespace(cls, fields, options)), options) or PassedOver()
    _refuse_mistaken(version, kind)
    return PassedOver(f"{version} {kind} is nothing that Calico reads")


def describe(data: Any) -> str:
    """What an object says it is, such as `NetworkPolicy(ns/name)`, as far as it does."""
    if type(data) is not dict or type(data.get("kind")) is not str:
        return ""
    metadata = data.get("metadata")
    words = (metadata.get("namespace"), metadata.get("name")) if type(metadata) is dict else ()
    name = "/".join(word for word in words if type(word) is str and word)
    kind: str = data["kind"]
    return f"{kind}({name})" if name else kind


def remark_about(resource: Resource) -> str | None:
    """What is to be said of a good resource that does nothing: configuration under a name that nobody reads (1.13)."""
    match resource:
        case FelixConfiguration(metadata) | BGPConfiguration(metadata) if not _is_read(metadata.name):
            kind, name = type(resource).__name__, metadata.name
            return f"{kind}({name}): nobody reads it; the names that count are default and node.NAME"
        case _:
            return None


def _is_read(configuration: str) -> bool:
    return configuration == "default" or configuration.startswith("node.")


def _type(data: Any) -> tuple[str, str]:
    if type(data) is not dict:
        raise FieldProblem("expected an object with apiVersion and kind", remedy="is this a file of resources?")
    for key in ("apiVersion", "kind"):
        if type(data.get(key)) is not str:
            example = f"Calico's resources say {CALICO_VERSION}" if key == "apiVersion" else None
            raise FieldProblem(f"the object has no {key}", remedy=nearest(key, data) or example)
    return data["apiVersion"], data["kind"]


def _refuse_mistaken(version: str, kind: str) -> None:
    """An object of ours, under a version or a spelling that is not."""
    group, _, _ = version.rpartition("/")
    right = [known for known, name in _KUBERNETES if name == kind] + ([CALICO_VERSION] if kind in KINDS else [])
    if group.endswith("projectcalico.org") and kind not in KINDS:
        raise FieldProblem(f"unknown kind {kind!r}", path=("kind",), remedy=nearest(kind, KINDS))
    if group in _OUR_GROUPS and right:
        message = f"Calico 3.7 knows no {kind} of version {version!r}"
        raise FieldProblem(message, path=("apiVersion",), remedy=f"use {right[0]}")
    misspelt = nearest(kind, {name for known, name in _KUBERNETES if known == version})
    if misspelt is not None:
        raise FieldProblem(f"unknown kind {kind!r}", path=("kind",), remedy=misspelt)
    if version == "v1" and kind[:1].islower():
        message = f"{kind!r} is a resource of Calico before version 3"
        raise FieldProblem(message, path=("kind",), remedy="convert it with `calicoctl convert`")


def _with_namespace(cls: type[Any], data: dict[str, Any], options: ReadOptions) -> dict[str, Any]:
    """The object in its namespace: the given one, or that of the options (`-n` of calicoctl and kubectl)."""
    metadata = data.get("metadata")
    if type(metadata) is not dict:
        raise FieldProblem("metadata is missing" if metadata is None else "metadata must have fields", path=("metadata",))
    # Compared and not asked for truth: in YAML the plain words n and no are false, and names all the same.
    absent = metadata.get("namespace") in (None, "")
    if not is_namespaced(cls):
        if not absent:
            message = f"no {cls.__name__} has a namespace"
            raise FieldProblem(message, path=("metadata", "namespace"), remedy="leave it out")
        return data
    return data | {"metadata": metadata | {"namespace": options.namespace}} if absent else data


def _read_calico(cls: type[Any], data: dict[str, Any], options: ReadOptions, *, stored: bool) -> Resource:
    data = _with_namespace(cls, data, options)
    if stored:
        data = _from_storage(cls, data)
    prepare = getattr(cls, "prepare", None)
    value = read_value(cls, data if prepare is None else prepare(data))
    with_defaults = getattr(value, "with_defaults", None)
    return cast(Resource, value if with_defaults is None else with_defaults())


# --- stored forms ------------------------------------------------------------------------------------------------

_OWN_METADATA = "projectcalico.org/metadata"


def _from_storage(cls: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """What users see of an object that Calico stores in Kubernetes (spec: model 1.9, 1.12, 5.8)."""
    metadata = dict(data["metadata"])
    annotations = metadata.get("annotations")
    if type(annotations) is dict:
        # Only times, owners and the like are kept under this key; nothing of it counts here.
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != _OWN_METADATA}
    if cls in (NetworkPolicy, GlobalNetworkPolicy) and type(metadata.get("name")) is str:
        metadata["name"] = shown_name(metadata["name"])
    spec = data.get("spec")
    if cls is IPPool and type(spec) is dict:
        spec = _from_first_pools(spec)
    return data | {"metadata": metadata, "spec": spec}


def _from_first_pools(spec: dict[str, Any]) -> dict[str, Any]:
    """A pool's spec with the fields of Calico's first API, which are never written any more, in today's (1.12)."""
    rest = {key: value for key, value in spec.items() if key not in ("ipip", "nat-outgoing")}
    ipip = spec.get("ipip")
    if type(ipip) is dict and ipip.get("enabled") and "ipipMode" not in rest:
        rest["ipipMode"] = "CrossSubnet" if ipip.get("mode") == "cross-subnet" else "Always"
    if spec.get("nat-outgoing") and "natOutgoing" not in rest:
        rest["natOutgoing"] = True
    return rest
