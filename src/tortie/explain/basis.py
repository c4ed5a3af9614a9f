"""What a node should have, with everything that it was made from: the ground on which a walk is explained."""

from __future__ import annotations

from dataclasses import dataclass

from tortie.calc.view import NodeView
from tortie.model import v1
from tortie.model.read import Resources
from tortie.render.config import RenderConfig
from tortie.render.marks import allocate_bits
from tortie.render.ruleset import Rendering
from tortie.render.state import NodeState
from tortie.simulator.mark_layout import MarkLayout
from tortie.simulator.summary import Naming


@dataclass(frozen=True, slots=True)
class Basis:
    """Resources, the node, and each step from the ones to the other's rules and sets."""

    resources: Resources
    node: str
    cluster: v1.Cluster
    """Its policies and profiles are those of the resources; endpoints and sets are looked up there."""
    view: NodeView
    state: NodeState
    config: RenderConfig
    rendering: Rendering

    @property
    def naming(self) -> Naming:
        """Which bit of the mark says that a packet is accepted."""
        return Naming(MarkLayout(accept=allocate_bits(self.config.mark_mask).accept))
