"""The Kubernetes objects that Calico reads, no more of them than it looks at.

The API server has checked these objects and adds fields with every release, so unknown fields are passed over; only network
policies are read strictly, and refused as the API server refuses them (k8s.io/kubernetes pkg/apis/networking/validation):
a peer whose field is misspelt would be any peer, one whose CIDR cannot be read would be any address (spec: model Q9).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Annotated, Any, ClassVar

from tortie.model.name import is_qualified_name, label_problem
from tortie.model.policy import PolicyType
from tortie.model.problem import FieldProblem
from tortie.model.reader import Named, Reads
from tortie.model.scalar import LooseNet, Port, read_port


class TransportProtocol(Enum):
    """A protocol with ports, as Kubernetes spells it."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class LabelOperator(Enum):
    """What a label is asked; `value` as Kubernetes spells it."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What an object says about itself."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    uid: str = ""
    creation_timestamp: str = ""
    generate_name: str = ""
    resource_version: str = ""

    def problems(self) -> Iterator[FieldProblem]:
        """An object has a name."""
        if not self.name:
            yield FieldProblem("the object has no name", path=("name",))


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace; only its name and labels count."""

    UNKNOWN_IGNORED: ClassVar[bool] = True

    metadata: ObjectMeta


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Whom pods run as; only its name and labels count."""

    NAMESPACED: ClassVar[bool] = True
    UNKNOWN_IGNORED: ClassVar[bool] = True

    metadata: ObjectMeta


# --- pods --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container says it listens on."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    name: str = ""
    container_port: int = 0
    protocol: TransportProtocol = TransportProtocol.TCP

    def problems(self) -> Iterator[FieldProblem]:
        """The number is a port's."""
        if not 0 <= self.container_port <= 65535:
            yield FieldProblem(f"port {self.container_port} is not between 1 and 65535", path=("containerPort",))


@dataclass(frozen=True, slots=True)
class Container:
    """A container's ports."""

    UNKNOWN_IGNORED: ClassVar[bool] = True

    ports: tuple[ContainerPort, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    """Where a pod runs and as whom."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    node_name: str = ""
    service_account_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class PodStatus:
    """What became of a pod."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    pod_ip: Annotated[str, Named("podIP")] = ""
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod."""

    NAMESPACED: ClassVar[bool] = True
    UNKNOWN_IGNORED: ClassVar[bool] = True

    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


# --- nodes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """The network that a node's pods have, where Kubernetes gives one."""

    UNKNOWN_IGNORED: ClassVar[bool] = True
    SCALARS_EXACT: ClassVar[bool] = True

    pod_cidr: Annotated[str, Named("podCIDR")] = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node; Calico keeps what it knows of it in annotations."""

    UNKNOWN_IGNORED: ClassVar[bool] = True

    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()


# --- policies ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelExpression:
    """One thing asked of a label."""

    SCALARS_EXACT: ClassVar[bool] = True

    key: str
    operator: LabelOperator
    values: tuple[str, ...] = ()

    def problems(self) -> Iterator[FieldProblem]:
        """What the Kubernetes API refuses (k8s.io/apimachinery pkg/apis/meta/v1/validation)."""
        if not is_qualified_name(self.key):
            yield FieldProblem(f"{self.key!r} is not a label's name", path=("key",))
        listed = self.operator in (LabelOperator.IN, LabelOperator.NOT_IN)
        if listed and not self.values:
            yield FieldProblem("must be specified when `operator` is 'In' or 'NotIn'", path=("values",))
        if not listed and self.values:
            yield FieldProblem("may not be specified when `operator` is 'Exists' or 'DoesNotExist'", path=("values",))
        for index, value in enumerate(self.values):
            if label_problem({self.key: value}) is not None:
                yield FieldProblem(f"{value!r} is not a label's value", path=("values", index))


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """What labels must be like; all of it must hold, and one that asks nothing selects everything."""

    SCALARS_EXACT: ClassVar[bool] = True

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[LabelExpression, ...] = ()

    def problems(self) -> Iterator[FieldProblem]:
        """The labels are labels."""
        problem = label_problem(self.match_labels)
        if problem is not None:
            yield problem.inside("matchLabels")


@dataclass(frozen=True, slots=True)
class IPBlock:
    """Addresses, but not those in `except_`."""

    cidr: LooseNet
    except_: Annotated[tuple[LooseNet, ...], Named("except")] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicyPeer:
    """Pods, pods of namespaces, or addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: Annotated[IPBlock | None, Named("ipBlock")] = None

    def problems(self) -> Iterator[FieldProblem]:
        """One way to say who it is must be there, and addresses stand alone."""
        selects = self.pod_selector is not None or self.namespace_selector is not None
        if not selects and self.ip_block is None:
            yield FieldProblem("must specify a peer", remedy="write podSelector: {} for any pod")
        if selects and self.ip_block is not None:
            yield FieldProblem("may not specify both ipBlock and another peer", path=("ipBlock",))


def _read_port(data: Any) -> Port:
    """A number, also quoted, or a name; not a range, which Kubernetes spells otherwise."""
    if type(data) is str and ":" in data:
        raise FieldProblem(f"invalid port format ({data})", remedy="Kubernetes has no ranges here")
    return read_port(data)


@dataclass(frozen=True, slots=True)
class NetworkPolicyPort:
    """A port, a protocol, or both; the API server takes TCP for a protocol that is not given."""

    protocol: TransportProtocol = TransportProtocol.TCP
    port: Annotated[Port | None, Reads(_read_port)] = None


@dataclass(frozen=True, slots=True)
class NetworkPolicyIngress:
    """Who may connect to which ports."""

    peers: Annotated[tuple[NetworkPolicyPeer, ...], Named("from")] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicyEgress:
    """Whom may be connected to at which ports."""

    peers: Annotated[tuple[NetworkPolicyPeer, ...], Named("to")] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicySpec:
    """What a policy says; `NetworkPolicy.with_defaults` says what it means without types."""

    pod_selector: LabelSelector | None = None
    ingress: tuple[NetworkPolicyIngress, ...] = ()
    egress: tuple[NetworkPolicyEgress, ...] = ()
    policy_types: tuple[PolicyType, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """A policy of Kubernetes' own."""

    NAMESPACED: ClassVar[bool] = True
    NOT_KEPT: ClassVar[tuple[str, ...]] = ("apiVersion", "kind", "status")

    metadata: ObjectMeta
    spec: NetworkPolicySpec

    def with_defaults(self) -> NetworkPolicy:
        """The policy as the API server stores it: with types (k8s.io/kubernetes pkg/apis/networking/v1/defaults.go)."""
        if self.spec.policy_types:
            return self
        types = (PolicyType.INGRESS, PolicyType.EGRESS) if self.spec.egress else (PolicyType.INGRESS,)
        return replace(self, spec=replace(self.spec, policy_types=types))
