"""A drawn or written cluster's node-1 with everything that explaining a walk over it needs."""

from __future__ import annotations

from tests.cluster_node import INTERFACES, ClusterNode, cluster_node
from tests.strategies.cluster_object import NOBODY, NODE, POD, WORKLOADS
from tests.strategies.cluster_packet import SERVICE_BACKEND
from tortie.calc.calculation import calculate
from tortie.explain.basis import Basis
from tortie.model.parameter import felix_parameters
from tortie.model.read import Resources
from tortie.model.resource_conversion import resources_to_v1
from tortie.net.address import IPFamily
from tortie.render.config import parse_config
from tortie.render.ruleset import render_node
from tortie.render.state import NodeInterface, NodeState


def node_of(resources: Resources) -> ClusterNode:
    """Node-1 as it is once everything is programmed, with the interfaces of `cluster_object`."""
    return cluster_node(
        resources,
        NODE,
        interfaces=[who.interface for who in (*WORKLOADS.values(), POD, NOBODY)],
        more_routes={NOBODY.address(family): NOBODY.interface for family in IPFamily},
        service={family: (SERVICE_BACKEND[0].address(family), SERVICE_BACKEND[1]) for family in IPFamily},
    )


def basis_of(resources: Resources, node: str = NODE) -> Basis:
    """What node-1 should have, from the ground up."""
    parameters = felix_parameters(resources, node)
    cluster = resources_to_v1(resources)
    view = calculate(cluster, node, parameters)
    config, _ = parse_config(view.config)
    state = NodeState(tuple(NodeInterface(name, addresses) for name, addresses in INTERFACES.items()))
    return Basis(resources, node, cluster, view, state, config, render_node(view, state, config))
