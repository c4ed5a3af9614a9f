"""A laboratory of three nodes and thirty pods: how long until it is up, and until it is verified.

Times are from outside, since most of them is waiting for programs; other work on the machine changes them. Processor time
is that of the command and of the tools it ran to their ends; agents and BIRD go on and are not in it.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import Figure
from tests.kernel.laboratory import Laboratory, Said
from tests.requirement import missing_for_kernel

LONGEST_S = 60.0
TOPOLOGY: dict[str, Any] = {
    "networks": {"fabric": {"subnet": "10.10.0.0/24"}, "outside": {"subnet": "192.0.2.0/24"}},
    "router": {"asNumber": 65000},
    "nodes": [{"name": name} for name in ("n1", "n2", "n3")],
    "hosts": [{"name": "internet", "address": "192.0.2.7", "network": "outside"}],
    "pods": [
        {"name": name, "namespace": "shop", "node": node, "labels": {"app": name}, "count": 10}
        for name, node in (("web", "n1"), ("api", "n2"), ("job", "n3"))
    ],
    "resources": ["policy.yaml"],
    "probes": ["tcp/80", "udp/53", "icmp"],
}
POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{protocol: TCP, port: 80}]}]
"""


def figures(folder: Path) -> Iterator[Figure]:
    """How long both take, or one line that says why there are no figures."""
    missing = missing_for_kernel()
    if missing is not None:
        yield Figure("laboratory", f"not measured: {missing}")
        return
    lab = Laboratory.of(folder, TOPOLOGY, {"policy.yaml": POLICY})
    try:
        yield _timed("laboratory, 3 nodes and 30 pods: up", lab.up)
        yield _timed("laboratory, 3 nodes and 30 pods: verified", lab.verify)
    finally:
        lab.close()


def _timed(what: str, work: Callable[[], Said]) -> Figure:
    start, before = time.monotonic(), _processor_s()
    said = work()
    took, used = time.monotonic() - start, _processor_s() - before
    if said.code:
        return Figure(what, f"failed: {said.error.strip().splitlines()[-1]}", f"under {LONGEST_S:.0f} s", met=False)
    load = os.getloadavg()[0]
    return Figure(
        what, f"{took:.1f} s ({used:.1f} s of processor; load {load:.1f})", f"under {LONGEST_S:.0f} s", took < LONGEST_S
    )


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
