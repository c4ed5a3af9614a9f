"""A node that is lost, and comes back: its programs are killed and its wire is cut, its pods and rules stay as they are."""

from __future__ import annotations

import json

from tortie.lab.topology import LabNode
from tortie.lab.up import (
    Laboratory,
    add_default,
    read_record,
    start_agent,
    start_bird,
    wait_for_agent,
    wait_for_endpoints,
    wait_for_routes,
    wait_for_sessions,
)
from tortie.net.error import InvalidInput

_LOST = "lost.json"


def lost_nodes(lab: Laboratory) -> frozenset[str]:
    """The nodes that are lost now."""
    path = lab.machine.state / _LOST
    return frozenset(json.loads(path.read_text())) if path.exists() else frozenset()


def lose(lab: Laboratory, name: str) -> None:
    """Takes a node off; raises `InvalidInput` when there is none, `KernelRefused` and `OSError`."""
    node = _node(lab, name)
    _write(lab, lost_nodes(lab) | {node.name})
    lab.machine.batch(node.name, ["link set eth0 down"])
    lab.machine.kill(node.name)


def restore(lab: Laboratory, name: str) -> None:
    """Brings a lost node back and waits until all is as it was; raises as `lose` does."""
    node = _node(lab, name)
    if node.name not in lost_nodes(lab):
        raise InvalidInput(f"node {name} is not lost")
    lab.machine.batch(node.name, ["link set eth0 up"])
    add_default(lab, node.name, node.network)
    wait_for_agent(lab, node.name, start_agent(lab, node.name))
    start_bird(lab, node.name)
    _write(lab, lost_nodes(lab) - {node.name})
    attached = read_record(lab)
    wait_for_sessions(lab, without=lost_nodes(lab))
    wait_for_routes(lab, attached, without=lost_nodes(lab))
    wait_for_endpoints(lab, attached, without=lost_nodes(lab))


def _write(lab: Laboratory, names: frozenset[str]) -> None:
    (lab.machine.state / _LOST).write_text(json.dumps(sorted(names)))


def _node(lab: Laboratory, name: str) -> LabNode:
    read_record(lab)
    found = next((node for node in lab.topology.nodes if node.name == name), None)
    if found is None:
        known = ", ".join(node.name for node in lab.topology.nodes)
        raise InvalidInput(f"there is no node {name!r}", remedy=f"one of {known}")
    return found
