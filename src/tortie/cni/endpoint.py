"""The workload endpoint of a call: its name, interface, labels and profiles (spec: model 2.1, 2.2, 10.3).

A pod of Kubernetes is known by its namespace and name, any other container by its id. With policy type `k8s` the pod's own
object says which labels, ports and profiles the endpoint has; without it the network's profile does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tortie.cni.addressing import annotated_addresses
from tortie.cni.call import Call
from tortie.cni.config import NetworkConfig
from tortie.model import kubernetes as k8s
from tortie.model.endpoint import IPNat, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.model.kubernetes_conversion import pod_to_workload
from tortie.model.metadata import Metadata
from tortie.model.profile import Profile, ProfileSpec
from tortie.model.rule import Action, EntityRule, PolicyRule
from tortie.model.workload_name import DEFAULT_INTERFACE_PREFIX, format_workload_name, pod_interface
from tortie.net.address import Address, Prefix

KUBERNETES, PLAIN = "k8s", "cni"
PLAIN_NAMESPACE = "default"
_ID_LETTERS = 11
_FLOATING = "floatingIPs"


@dataclass(frozen=True, slots=True)
class Workload:
    """Who is to be attached: the spec of its endpoint as far as the call alone tells it, and where it belongs."""

    namespace: str
    spec: WorkloadEndpointSpec

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return format_workload_name(self.spec.identifiers)


def workload_of(call: Call, node: str, interface_prefix: str = DEFAULT_INTERFACE_PREFIX) -> Workload:
    """Who a call is about, on a node."""
    spec = WorkloadEndpointSpec(node=node, container_id=call.container_id, endpoint=call.interface)
    if call.pod is None:
        host_name = DEFAULT_INTERFACE_PREFIX + call.container_id[:_ID_LETTERS]
        return Workload(PLAIN_NAMESPACE, replace(spec, orchestrator=PLAIN, interface_name=host_name))
    namespace, pod = call.pod
    host_name = pod_interface(namespace, pod, interface_prefix)
    return Workload(namespace, replace(spec, orchestrator=KUBERNETES, pod=pod, interface_name=host_name))


def endpoint_of(
    workload: Workload, config: NetworkConfig, pod: k8s.Pod | None, networks: tuple[Prefix, ...], mac: bytes | None
) -> WorkloadEndpoint:
    """The endpoint with its addresses; raises `FieldProblem` for a pod whose annotations cannot be read."""
    spec = replace(workload.spec, ip_networks=networks, mac=mac)
    labels = dict(config.labels)
    if pod is None:
        spec = replace(spec, profiles=(config.name,))
    else:
        described = pod_to_workload(_with_address(pod, spec.node, networks))
        if described is not None:
            labels = dict(described.metadata.labels)
            nats = tuple(_nats(pod, networks)) if config.floating_addresses else ()
            spec = replace(spec, profiles=described.spec.profiles, ports=described.spec.ports, ip_nats=nats)
    metadata = Metadata(name=workload.name, namespace=workload.namespace, labels=labels)
    return WorkloadEndpoint(metadata, spec).with_defaults()


def _with_address(pod: k8s.Pod, node: str, networks: tuple[Prefix, ...]) -> k8s.Pod:
    """The pod as the API shows it once it runs here, but for its floating addresses: there they are of one family."""
    first = str(Address(networks[0].family, networks[0].address)) if networks else ""
    annotations = {name: text for name, text in pod.metadata.annotations.items() if not name.endswith(f"/{_FLOATING}")}
    return replace(
        pod,
        metadata=replace(pod.metadata, annotations=annotations),
        spec=replace(pod.spec, node_name=node, host_network=False),
        status=replace(pod.status, pod_ip=first, phase=""),
    )


def _nats(pod: k8s.Pod, networks: tuple[Prefix, ...]) -> Iterator[IPNat]:
    """Floating addresses, each in front of the endpoint's own of its family; raises `CniError`."""
    own = {network.family: Address(network.family, network.address) for network in reversed(networks)}
    for outside in annotated_addresses(pod.metadata.annotations, _FLOATING):
        if outside.family in own:
            yield IPNat(own[outside.family], outside)


def network_profile(name: str, *, for_pods: bool) -> Profile:
    """The profile of a network without policy type: out is free, in is from the network's own, for pods from anywhere."""
    source = EntityRule() if for_pods else EntityRule(selector=f"has({name})")
    return Profile(
        Metadata(name=name),
        ProfileSpec(
            ingress=(PolicyRule(action=Action.ALLOW, source=source),),
            egress=(PolicyRule(action=Action.ALLOW),),
            labels_to_apply={name: ""},
        ),
    )
