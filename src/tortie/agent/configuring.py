"""From the resources and parameters that are known to the configuration that is in force.

A configuration in which Felix would not start (a bad value of a parameter that says so) does not count: the one before
stays in force, and before any there is none, so that nothing is programmed. The same goes for a FelixConfiguration that
cannot be read: which interfaces are workloads' is among what it says, and a guess could leave them open. One that is new
and cannot be read changes nothing either, once everything that there was has been told.
"""

from __future__ import annotations

from dataclasses import replace

from tortie.agent.command import Command, Configure, Level, Log, Quit
from tortie.agent.setting import (
    NEED_RESTART,
    changed_parameters,
    effective_parameters,
    has_effect,
    is_known,
    parse_settings,
    unknown_parameter,
)
from tortie.agent.state import Agent
from tortie.model.cluster import ClusterInformation
from tortie.model.felix_configuration import FelixConfiguration
from tortie.model.node import Node
from tortie.model.parameter import CLUSTER_NAME, NODE_PREFIX, felix_parameters
from tortie.model.read import Key, Resources
from tortie.net.error import InvalidInput
from tortie.render.config import parse_config

RESTART_CODE = 129
"""The exit code that asks for a new start (spec: model 1.13)."""
_INDISPENSABLE = (FelixConfiguration.__name__, ClusterInformation.__name__)
_LOGGED_QUIETLY = frozenset({"CalicoVersion", "ClusterGUID", "ClusterType"})


def configures(key: Key, hostname: str) -> bool:
    """True for a resource that parameters of this node come from."""
    match key.kind:
        case "FelixConfiguration":
            return key.name in (CLUSTER_NAME, NODE_PREFIX + hostname)
        case "ClusterInformation":
            return key.name == CLUSTER_NAME
        case "Node":
            return key.name == hostname
        case _:
            return False


def is_datastore_ready(state: Agent) -> bool:
    """False while the cluster says of itself that it is not (spec: model 1.17)."""
    information = state.configuring.get(Key(ClusterInformation.__name__, "", CLUSTER_NAME))
    return not isinstance(information, ClusterInformation) or information.spec.datastore_ready is not False


def configured(state: Agent) -> tuple[Agent, list[Command]]:
    """The state with the configuration that its resources lead to, and what is said about it.

    The commands end with a `Quit` when a parameter changed that only a new process can take up.
    """
    unreadable = _unreadable_configuration(state)
    if unreadable is not None and not (state.in_sync and state.config is not None):
        problem = f"{unreadable} cannot be read, and nothing is known of it"
        return replace(state, config=None, config_problem=problem), [_problem(problem)]
    parameters = effective_parameters(felix_parameters(_resources(state), state.hostname), state.local)
    changed = changed_parameters(state.parameters, parameters)
    if not changed and state.config is not None:
        return state, []
    try:
        config, warnings = parse_config(parameters)
    except InvalidInput as problem:
        message = f"the configuration cannot be used: {problem}"
        if state.config is not None:
            message += "; the one before stays in force"
        return replace(state, config_problem=message), [_problem(message)]
    settings, more = parse_settings(parameters)
    before = state.parameters
    first = state.config is None
    state = replace(state, parameters=parameters, config=config, settings=settings, config_problem=None)
    # The words of a warning begin with the parameter's name.
    bad = {warning.partition(":")[0] for warning in (*warnings, *more)}
    commands: list[Command] = [Log(Level.WARNING, warning) for warning in (*warnings, *more)]
    for name in changed:
        if name not in bad:
            commands.append(_change_told(name, before.get(name), parameters.get(name), first=first))
    commands.append(Configure(parameters, settings))
    restarting = [] if first else [name for name in changed if name in NEED_RESTART]
    if restarting and state.in_sync:
        commands.append(Quit(RESTART_CODE, f"{', '.join(restarting)} changed, which only a new process takes up"))
    return state, commands


def _unreadable_configuration(state: Agent) -> Key | None:
    """A resource that cannot be read, of which nothing is known from before, and without which nothing can be done."""
    for one in state.unreadable.values():
        key = one.key
        if key is None or key.kind not in _INDISPENSABLE or key in state.configuring:
            continue
        if configures(key, state.hostname):
            return key
    return None


def _problem(text: str) -> Command:
    return Log(Level.ERROR, text)


def _change_told(name: str, before: str | None, after: str | None, *, first: bool) -> Command:
    fields = {"parameter": name, "before": before, "after": after}
    if not is_known(name):
        return Log(Level.WARNING, unknown_parameter(name), fields)
    effect = "takes effect now"
    if not has_effect(name):
        effect = "has no effect in Tortie"
    elif name in NEED_RESTART and not first:
        effect = "takes effect after a restart"
    level = Level.DEBUG if name in _LOGGED_QUIETLY else Level.INFO
    return Log(level, f"parameter {name} {effect}", fields)


def _resources(state: Agent) -> Resources:
    by_kind: dict[type[object], dict[tuple[str, str], object]] = {
        FelixConfiguration: {},
        ClusterInformation: {},
        Node: {},
    }
    for key, resource in state.configuring.items():
        by_kind[type(resource)][key.namespace, key.name] = resource
    return Resources(by_kind)  # type: ignore[arg-type]
