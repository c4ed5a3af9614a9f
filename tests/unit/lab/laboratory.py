"""A laboratory without a machine, for the tests: two nodes, a router, pods of one namespace, a host outside."""

from __future__ import annotations

import json

from tortie.lab.cluster import lab_resources, manifests
from tortie.lab.policy import Policy
from tortie.lab.station import Station, Target, stations_of, targets_of
from tortie.lab.topology import Topology, parse_topology
from tortie.lab.up import Attached
from tortie.lab.verify import pod_interfaces
from tortie.model.read import Resources, parse_resources
from tortie.model.writer import plain_resource
from tortie.net.address import parse_prefix

TOPOLOGY = """name: shop
networks:
  fabric: {subnet: 10.10.0.0/24}
  outside: {subnet: 192.0.2.0/24}
router: {asNumber: 65000}
nodes: [{name: n1}, {name: n2}]
hosts: [{name: office, address: 192.0.2.7, network: outside}]
pods:
  - {name: web, namespace: shop, node: n1, labels: {app: web}, floatingAddress: 10.67.0.10}
  - {name: near, namespace: shop, node: n1}
  - {name: far, namespace: shop, node: n2}
services: [{name: web, namespace: shop, nodePort: 30080, pod: web, port: 80}]
probes: [tcp/80, icmp]
"""
ADDRESSES = {"web": "10.65.0.1", "near": "10.65.0.2", "far": "10.65.1.1"}


def topology(**changed: str) -> Topology:
    """The topology, with parts of its text replaced: `router="router: {}"`."""
    text = TOPOLOGY
    for key, line in changed.items():
        text = "".join(f"{line}\n" if old.startswith(f"{key}:") else old for old in text.splitlines(keepends=True))
    return parse_topology(text, "lab.yaml")


def attached(found: Topology) -> tuple[Attached, ...]:
    """Its pods as they would be attached."""
    return tuple(Attached(pod, "c", (parse_prefix(f"{ADDRESSES[pod.name]}/32"),)) for pod in found.all_pods)


def stations(found: Topology) -> dict[str, Station]:
    """Who there is, by name."""
    return {station.name: station for station in stations_of(found, attached(found))}


def target(found: Topology, name: str, probe: str) -> Target:
    """What is tried by one name and probe."""
    known = targets_of(found, stations(found).values())
    return next(one for one in known if (one.name, str(one.probe)) == (name, probe))


def resources(found: Topology, *more: str) -> Resources:
    """All resources: the laboratory's own, its pods' endpoints, and more."""
    given = parse_resources([("given", "---\n".join(more))]) if more else Resources()
    own = parse_resources((str(item), _text(item)) for item in (*lab_resources(found, given), *manifests(found)))
    texts = [_text(plain_resource(one)) for part in (given, own) for one in part]
    return parse_resources([("all", "---\n".join([*texts, *(_endpoint(found, name) for name in ADDRESSES)]))])


def policy(found: Topology, *more: str) -> Policy:
    """What policy means in it."""
    return Policy(found, resources(found, *more), pod_interfaces(tuple(stations(found).values())))


def _text(item: object) -> str:
    return json.dumps(item) + "\n"


def _endpoint(found: Topology, name: str) -> str:
    pod = next(one for one in found.all_pods if one.name == name)
    interface = pod_interfaces(tuple(stations(found).values()))[f"shop/{name}"]
    nat = (
        f", ipNATs: [{{internalIP: {ADDRESSES[name]}, externalIP: {pod.floating_address}}}]" if pod.floating_address else ""
    )
    labels = ", ".join(f"{key}: {text}" for key, text in {**pod.labels, "projectcalico.org/namespace": "shop"}.items())
    return f"""apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {pod.node}-k8s-{name}-eth0, namespace: shop, labels: {{{labels}, projectcalico.org/orchestrator: k8s}}}}
spec: {{node: {pod.node}, orchestrator: k8s, pod: {name}, endpoint: eth0, interfaceName: {interface},
  ipNetworks: [{ADDRESSES[name]}/32], profiles: [kns.shop]{nat}}}
"""
