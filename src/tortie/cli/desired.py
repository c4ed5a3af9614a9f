"""Resources and a node's own state to what the node should have: the way that all commands which render go.

`find_desired` is the front door. The names of things on the way back, from chains and sets to policies and pods, are in
`chain_owner`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeAlias

from tortie.calc.view import NodeView
from tortie.cli.node_state import ToldState
from tortie.model import v1
from tortie.model.closing import Loss, close, loss_of_resource, without, without_refused
from tortie.model.endpoint import HostEndpoint, WorkloadEndpoint
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.node import Node
from tortie.model.parameter import CLUSTER_NAME, NODE_PREFIX, felix_parameters
from tortie.model.read import Resources, key_of
from tortie.model.resource_conversion import resources_to_v1
from tortie.model.workload_name import parse_workload_name
from tortie.net.error import InvalidInput
from tortie.render.config import RenderConfig, parse_config
from tortie.render.marks import allocate_bits, number_of_mark
from tortie.render.ruleset import Rendering, render_node
from tortie.render.state import NodeState

Calculate: TypeAlias = Callable[[v1.Cluster, str, Mapping[str, str]], NodeView]
"""How a cluster becomes a node's view."""

NOT_READY = "ClusterInformation(default) says that the datastore is not ready: Felix would program nothing until it is"


@dataclass(frozen=True, slots=True)
class Desired:
    """What a node should have, and all that it was made from; `remarks` are for whoever asked."""

    node: str
    cluster: v1.Cluster
    view: NodeView
    state: NodeState
    config: RenderConfig
    rendering: Rendering
    remarks: tuple[str, ...] = ()
    named: bool = True
    """False when no resource names the node, which more likely means a mistyped name than a node without anything."""


def choose_node(given: str | None, *, live: bool) -> str:
    """The node's name as Calico has it: as given, or this host's in lower case (spec: rules 11.3, FelixHostname)."""
    if given is not None:
        if not given:
            raise InvalidInput("--node is empty", remedy="leave it out for the name of this host")
        return given
    if not live:
        raise InvalidInput("a snapshot does not say which node it is of", remedy="say it with --node NAME")
    return os.uname().nodename.lower()


def find_desired(
    resources: Resources,
    node: str,
    told: ToldState,
    *,
    felix_exact: bool = False,
    calculate: Calculate | None = None,
) -> Desired:
    """What the node should have; raises `InvalidInput` for resources that no node can have at once.

    If reading kept going, so does this: what was refused, or contradicts something else, is closed (`model.closing`).
    """
    losses: list[Loss] = []
    nodes = unnamed_hint(resources, node)
    unnamed = (
        (f"no resource names the node {node} ({nodes}): it gets the rules of a node without endpoints",) if nodes else ()
    )
    conflicts = list(find_conflicts(resources))
    if not resources.keeps_going:
        for conflict in conflicts:
            raise conflict.problem
    else:
        resources, losses = without_refused(resources)
        for conflict in conflicts:
            lost = (loss_of_resource(one, conflict.problem) for one in conflict.endpoints)
            losses += [loss for loss in lost if loss is not None]
        resources = without(resources, (key_of(one) for conflict in conflicts for one in conflict.endpoints))
    parameters = felix_parameters(resources, node)
    config, warnings = wanted_config(resources, node, felix_exact=felix_exact)
    closed = close(resources_to_v1(resources, felix_exact=felix_exact), losses, node)
    cluster = closed.cluster
    view = (calculate or _calculate)(cluster, node, parameters)
    try:
        state = replace(told.state, endpoint_marks=usable_marks(told.state.endpoint_marks, config))
        rendering = render_node(view, state, config)
    except InvalidInput as error:
        raise _placed(error, resources, node) from None
    told_conflicts = (str(conflict.problem) for conflict in conflicts)
    unready = () if cluster.ready else (NOT_READY,)
    remarks = (*told.remarks, *told_conflicts, *unnamed, *unready, *closed.remarks, *warnings, *rendering.remarks)
    return Desired(node, cluster, view, state, config, rendering, remarks, named=not unnamed)


def wanted_config(resources: Resources, node: str, *, felix_exact: bool = False) -> tuple[RenderConfig, tuple[str, ...]]:
    """The configuration that resources have for a node, and warnings about values that were replaced.

    Raises `InvalidInput` for what Felix would not start with.
    """
    try:
        return parse_config(felix_parameters(resources, node), felix_exact=felix_exact)
    except InvalidInput as error:
        raise _placed(error, resources, node) from None


def _placed(error: InvalidInput, resources: Resources, node: str) -> InvalidInput:
    """A problem with a setting, at the resource that most likely sets it: the node's own, else that of all nodes."""
    for name in (NODE_PREFIX + node, CLUSTER_NAME):
        settings = resources.get(FelixConfiguration, name)
        origin = None if settings is None else resources.origin(settings)
        if origin is not None:
            return error.at(source=origin.source, line=origin.line)
    return error


def _calculate(cluster: v1.Cluster, node: str, parameters: Mapping[str, str]) -> NodeView:
    from tortie.calc.calculation import calculate

    return calculate(cluster, node, parameters)


def usable_marks(marks: Mapping[str, int], config: RenderConfig) -> dict[str, int]:
    """The endpoint marks that the configured mask can still give out; others are allocated anew."""
    mask = allocate_bits(config.mark_mask).endpoint
    return {name: mark for name, mark in marks.items() if not mark & ~mask and number_of_mark(mask, mark) > 1}


# --- checks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two endpoints of a node that claim one interface, and that as a problem."""

    endpoints: tuple[WorkloadEndpoint | HostEndpoint, WorkloadEndpoint | HostEndpoint]
    problem: InvalidInput


def find_conflicts(resources: Resources) -> Iterator[Conflict]:
    """Endpoints that claim an interface which is another's; the problem names both places."""
    seen: dict[tuple[str, str], WorkloadEndpoint | HostEndpoint] = {}
    for node, interface, endpoint in _claims(resources):
        other = seen.setdefault((node, interface), endpoint)
        if other is endpoint:
            continue
        origin, first = resources.origin(endpoint), resources.origin(other)
        problem = InvalidInput(
            f"{key_of(endpoint)}: interface {interface} of node {node} belongs to {key_of(other)} at {first}",
            source=None if origin is None else origin.source,
            line=None if origin is None else origin.line,
            remedy="leave one of them out",
        )
        yield Conflict((other, endpoint), problem)


def _claims(resources: Resources) -> Iterator[tuple[str, str, WorkloadEndpoint | HostEndpoint]]:
    """Which endpoint says that an interface of a node is its own."""
    for workload in resources.of(WorkloadEndpoint):
        if workload.spec.ip_networks:
            yield parse_workload_name(workload.metadata.name)[0], workload.spec.interface_name, workload
    for host in resources.of(HostEndpoint):
        if host.spec.interface_name:
            yield host.spec.node, host.spec.interface_name, host


def unnamed_hint(resources: Resources, node: str) -> str:
    """Nothing when a resource names the node; else which nodes they name."""
    nodes = {one.metadata.name for one in resources.of(Node)}
    nodes |= {node for node, _, _ in _claims(resources)}
    if node in nodes:
        return ""
    near = get_close_matches(node, nodes, n=1, cutoff=0.75)
    some = ", ".join(sorted(nodes)[:5]) + (", …" if len(nodes) > 5 else "")
    return f"did you mean {near[0]}?" if near else f"they name {some}" if nodes else "they name no node at all"
