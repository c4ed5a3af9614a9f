"""What a node should have, with everything that it was made from: the ground on which a walk is explained."""

from __future__ import annotations

from dataclasses import dataclass

from tortie.calc.view import NodeView
from tortie.model import v1
from tortie.model.read import Resources
from tortie.render.config import RenderConfig
from tortie.render.ruleset import Rendering
from tortie.render.state import NodeState


@dataclass(frozen=True, slots=True)
class Basis:
    """Resources, the node, and each step from the ones to the other's rules and sets."""

    resources: Resources
    node: str
    cluster: v1.Cluster
    view: NodeView
    state: NodeState
    config: RenderConfig
    rendering: Rendering
