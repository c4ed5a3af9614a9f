"""Reading resources: ten thousand of them, in one file and in a file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, seconds
from tortie.cli.resource_files import load_resources

_RESOURCES = 10_000
_MOST_SECONDS = 5.0


def figures(folder: Path) -> Iterator[Figure]:
    """A mixture as clusters have it: mostly pods, and policies with selectors, ports and nets."""
    texts = [_pod(i) if i % 4 else _policy(i) for i in range(_RESOURCES)]
    one, each = folder / "one", folder / "each"
    one.mkdir()
    each.mkdir()
    (one / "all.yaml").write_text("---\n".join(texts))
    for number, text in enumerate(texts):
        (each / f"{number:05}.yaml").write_text(text)
    pods = {"apiVersion": "v1", "kind": "PodList", "items": [_kubernetes_pod(i) for i in range(_RESOURCES)]}
    (folder / "pods.json").write_text(json.dumps(pods, indent=4))
    for what, path in (
        ("in one file", one),
        ("in a file each", each),
        ("pods as kubectl prints them", folder / "pods.json"),
    ):
        assert len(load_resources([str(path)], report=False)) == _RESOURCES
        taken = seconds(lambda path=path: load_resources([str(path)], report=False), runs=1)  # type: ignore[misc]
        yield Figure(
            f"reading {_RESOURCES:,} resources, {what}",
            f"{taken:.2f} s",
            f"under {_MOST_SECONDS:.0f} s",
            taken < _MOST_SECONDS,
        )


def _policy(number: int) -> str:
    return f"""apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: policy-{number}
  namespace: ns-{number % 50}
spec:
  order: {number % 100}
  selector: app == 'app-{number % 200}' && tier != "x"
  types: [Ingress, Egress]
  ingress:
  - action: Allow
    protocol: TCP
    source:
      selector: role == 'client-{number % 100}'
    destination:
      ports: [80, "8000:8100", http]
  - action: Deny
    source:
      nets:
      - 10.{number % 256}.0.0/16
  egress:
  - action: Allow
    protocol: UDP
    destination:
      ports: [53]
"""


def _pod(number: int) -> str:
    return f"""apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata:
  namespace: ns-{number % 50}
  labels:
    app: app-{number % 200}
    role: client-{number % 100}
spec:
  node: node-{number % 40}
  orchestrator: k8s
  pod: pod-{number}
  endpoint: eth0
  interfaceName: cali{number:011x}
  ipNetworks:
  - 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32
  profiles:
  - kns.ns-{number % 50}
  - ksa.ns-{number % 50}.default
  ports:
  - name: http
    protocol: TCP
    port: 8080
"""


def _kubernetes_pod(number: int) -> dict[str, object]:
    """A pod with the fields that Calico looks at, and some that it passes over."""
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"ns-{number % 50}",
            "labels": {"app": f"app-{number % 200}", "pod-template-hash": f"{number:x}"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"rs-{number % 500}"}],
        },
        "spec": {
            "nodeName": f"node-{number % 40}",
            "serviceAccountName": "default",
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/app:1",
                    "env": [{"name": f"VARIABLE_{i}", "value": "value"} for i in range(10)],
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                }
            ],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "Ready", "PodScheduled")],
        },
    }
