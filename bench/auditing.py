"""Auditing a busy node: every hash of both families computed again, with a rendering to compare with and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, seconds
from bench.rendering import make_view
from tortie.audit.node import audit_node
from tortie.netfilter.hook import Backend
from tortie.render.config import RenderConfig
from tortie.render.ruleset import complete_ruleset, render_node
from tortie.render.state import NodeInterface, NodeState


def figures(_folder: Path) -> Iterator[Figure]:
    """A node in order."""
    made = render_node(make_view(), NodeState((NodeInterface("eth0"),), ipvs=True), RenderConfig())
    rulesets = [complete_ruleset(family, Backend.NFT) for family in made.families.values()]
    sets = {name: one for family in made.families.values() for name, one in family.ip_sets.items()}
    for what, rendering in (("by hashes alone", None), ("against a rendering", made)):
        audit = audit_node(rulesets, sets, rendering)
        assert not audit.findings
        taken = seconds(lambda rendering=rendering: audit_node(rulesets, sets, rendering), runs=3)  # type: ignore[misc]
        value = f"{taken:.2f} s, {taken / audit.rules * 1e6:.0f} µs a rule"
        yield Figure(f"auditing {audit.rules:,} rules {what}", value)
