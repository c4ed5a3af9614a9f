"""The resources that a laboratory has of its own: nodes, pods' manifests, namespaces, BGP, and a pool where none is given.

They are plain data, as `tortie apply -f` and the directory source read them. What the user's files say is theirs alone and
is not repeated here; a kind that the laboratory makes itself (Node, Pod) must not be among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tortie.lab.topology import LabNode, LabPod, Network, Topology
from tortie.model.bgp import BGPConfiguration
from tortie.model.cluster import ClusterInformation
from tortie.model.pool import IPPool
from tortie.model.read import Resources, key_of, parse_resources
from tortie.model.resource import CALICO_VERSION
from tortie.net.address import Address
from tortie.net.error import InvalidInput

DEFAULT_POOL = "10.65.0.0/16"
_ANNOTATION = "cni.projectcalico.org/"


def lab_resources(topology: Topology, given: Resources) -> Iterator[dict[str, Any]]:
    """Calico's resources of the laboratory, beside what is given."""
    addresses = topology.node_addresses()
    for node in topology.nodes:
        yield _node(node, addresses[node.name], topology.networks[node.network])
    if not given.of(IPPool):
        yield _calico("IPPool", "pods", {"cidr": DEFAULT_POOL, "natOutgoing": True})
    if given.get(ClusterInformation, "default") is None:
        yield _calico("ClusterInformation", "default", {"datastoreReady": True, "clusterType": "tortie-lab"})
    if not topology.mesh and given.get(BGPConfiguration, "default") is None:
        yield _calico("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False})
    if topology.router is not None and topology.router.as_number is not None:
        for name, network in topology.networks.items():
            for node in topology.nodes:
                if node.network == name:
                    spec = {"node": node.name, "peerIP": str(network.router), "asNumber": topology.router.as_number}
                    yield _calico("BGPPeer", f"router-{node.name}", spec)


def manifests(topology: Topology) -> Iterator[dict[str, Any]]:
    """Kubernetes' objects: namespaces and pods that do not run yet."""
    described = {one.name: dict(one.labels) for one in topology.namespaces}
    for name in sorted({"default", *described, *(pod.namespace for pod in topology.pods)}):
        labels = described.get(name, {})
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    for pod in topology.all_pods:
        yield _pod(pod, topology)


def check_given(topology: Topology, given: Resources) -> None:
    """Raises `InvalidInput` when files have what the laboratory makes, or lack the pool of a floating address."""
    items = [*lab_resources(topology, given), *manifests(topology)]
    made = parse_resources([("topology", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))])
    for resource in made:
        key = key_of(resource)
        if given.get(type(resource), key.name, key.namespace) is None:
            continue
        origin = given.origins.get(key)
        raise InvalidInput(
            f"{key} is the laboratory's own",
            source=None if origin is None else origin.source,
            line=None if origin is None else origin.line,
            remedy="leave it out, and say it in the topology",
        )
    pools = [pool.spec.cidr for pool in (*given.of(IPPool), *made.of(IPPool))]
    for pod in topology.all_pods:
        address = pod.floating_address
        if address is not None and not any(pool.contains(address.value) for pool in pools):
            raise InvalidInput(
                f"pod {pod.namespace}/{pod.name}: floatingAddress {address} is in no IPPool, so no node announces it",
                remedy="give a pool that holds it, with disabled: true",
            )


def _node(node: LabNode, address: Address, network: Network) -> dict[str, Any]:
    bgp: dict[str, Any] = {"ipv4Address": f"{address}/{network.subnet.length}"}
    if node.as_number is not None:
        bgp["asNumber"] = node.as_number
    return _calico("Node", node.name, {"bgp": bgp}, dict(node.labels))


def _pod(pod: LabPod, topology: Topology) -> dict[str, Any]:
    annotations = dict(pod.annotations)
    if pod.address is not None:
        annotations[f"{_ANNOTATION}ipAddrs"] = json.dumps([str(pod.address)])
    if pod.floating_address is not None:
        annotations[f"{_ANNOTATION}floatingIPs"] = json.dumps([str(pod.floating_address)])
    ports = [
        {
            "name": str(probe).replace("/", "-"),
            "containerPort": probe.port,
            "protocol": str(probe).partition("/")[0].upper(),
        }
        for probe in topology.probes
        if probe.port
    ]
    spec: dict[str, Any] = {"containers": [{"name": "main", "image": "none", "ports": ports}]}
    if pod.service_account:
        spec["serviceAccountName"] = pod.service_account
    metadata = {
        "name": pod.name,
        "namespace": pod.namespace,
        "labels": dict(pod.labels),
        "annotations": annotations,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _calico(kind: str, name: str, spec: dict[str, Any], labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": CALICO_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
