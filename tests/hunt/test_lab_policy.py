"""Drawn policies in a running laboratory, round after round: kernel, simulator and policy must agree about every try.

The laboratory stays up while its resources change, so that agents go from any state of policy to any other, as on real
nodes. Nodes, networks and pods fit the world of `tests/strategies/cluster_object.py`, so that policies often meet packets.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.generate.draw import Draw
from tests.kernel.laboratory import Laboratory
from tests.requirement import missing_for_kernel
from tests.strategies.cluster_object import (
    Object,
    draw_kubernetes_policy,
    draw_network_set,
    draw_only_policy,
    draw_policy,
)
from tortie.lab.machine import Machine

pytestmark = pytest.mark.skipif(missing_for_kernel() is not None, reason=f"laboratories: {missing_for_kernel()}")

ROUNDS = 60
SEED: str | None = None
"""Set to the seed of a disagreement to see it again, alone."""
PATIENCE_S = 60.0
NODES = ("n1", "n2")
TOPOLOGY: dict[str, Any] = {
    "networks": {"fabric": {"subnet": "10.20.0.0/24"}, "outside": {"subnet": "10.0.0.0/24"}},
    "router": {"asNumber": 65000},
    # With one AS for all, nodes hand on each other's blocks, and packets pass host endpoints that they are not meant for.
    "mesh": False,
    "nodes": [{"name": name, "asNumber": 65001 + place} for place, name in enumerate(NODES)],
    "hosts": [{"name": "near", "address": "10.0.0.1", "network": "outside"}],
    "namespaces": [{"name": "a", "labels": {"team": "red"}}, {"name": "b", "labels": {"team": "blue", "stage": "x"}}],
    "pods": [
        {"name": "web", "namespace": "a", "node": "n1", "labels": {"role": "x"}},
        {"name": "db", "namespace": "b", "node": "n1", "labels": {"role": "y"}},
        {"name": "api", "namespace": "a", "node": "n2", "labels": {"role": "z"}},
        {"name": "job", "namespace": "b", "node": "n2"},
        *({"name": f"mark-{node}", "namespace": "mark", "node": node, "labels": {"mark": "yes"}} for node in NODES),
    ],
    "probes": ["tcp/1", "tcp/3", "udp/2", "icmp"],
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory.of(tmp_path, TOPOLOGY)
    yield made
    made.close()


@pytest.mark.timeout(3600)
def test_the_three_agree_whatever_policy_there_is(lab: Laboratory) -> None:
    said = lab.up()
    assert said.code == 0, said.error
    connected = set()
    for number in range(1 if SEED is not None else ROUNDS):
        seed = SEED or f"{random.SystemRandom().randrange(1 << 48):x}"
        objects = _drawn(Draw(seed))
        _program(lab.machine, [*objects, _mark(number)], number)
        tries = lab.tries().values()
        wrong = [one for one in tries if not one["agree"]]
        assert not wrong, f"seed {seed!r}\n{json.dumps(objects, indent=1)}\n{json.dumps(wrong[:3], indent=1)}"
        connected |= {one["connected"] for one in tries}
    assert SEED is not None or connected == {True, False}


def _drawn(draw: Draw) -> list[Object]:
    """Policies, and what they speak of; host endpoints in some rounds."""
    objects = [draw_network_set(draw, kind) for kind in ("NetworkSet", "GlobalNetworkSet") if draw.chance(1 / 2)]
    objects += [_host_endpoint(node) for node in NODES if draw.chance(1 / 4)]
    if draw.chance(1 / 3):
        return [*objects, draw_only_policy(draw)]
    objects += [draw_policy(draw, f"p{number}") for number in range(draw.number(1, 5))]
    return objects + ([draw_kubernetes_policy(draw)] if draw.chance(1 / 2) else [])


def _host_endpoint(node: str) -> Object:
    metadata = {"name": node, "labels": {"host": "yes"}}
    return _calico("HostEndpoint", metadata, {"node": node, "interfaceName": "eth0"})


def _mark(number: int) -> Object:
    """A rule of its own for each round, by which it is seen that a node has come to it."""
    rule = {"action": "Allow", "protocol": "TCP", "destination": {"ports": [_port(number)]}}
    spec = {"selector": "mark == 'yes'", "order": 5000, "types": ["Ingress"], "ingress": [rule]}
    return _calico("GlobalNetworkPolicy", {"name": "mark"}, spec)


def _port(number: int) -> int:
    return 50_000 + number


def _calico(kind: str, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}


def _program(machine: Machine, objects: list[Object], number: int) -> None:
    """Puts the objects in the place of those before, and waits until each node has come to them."""
    path = machine.state / "resources" / "drawn.json"
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    aside.rename(path)
    end = time.monotonic() + PATIENCE_S
    for node in NODES:
        while f"--dports {_port(number)}".encode() not in machine.run(node, ["iptables-save", "-t", "filter"]).out:
            assert time.monotonic() < end, f"{node} does not come to round {number}"
            time.sleep(0.1)
    time.sleep(0.5)  # what came in two passes
