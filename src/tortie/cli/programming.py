"""Calico's spellings and what was rendered, as the values that planning is handed.

Planning knows no Calico name and rendering knows no plan; here the two meet.
"""

from __future__ import annotations

from tortie.net.address import IPFamily
from tortie.netfilter.hook import TableName
from tortie.reconcile.ownership import Ownership
from tortie.reconcile.wanted import WantedFamily, WantedTable
from tortie.render import names
from tortie.render.ruleset import RenderedFamily, Rendering

CALICO = Ownership(
    chain_prefixes=names.OUR_CHAIN_PREFIXES,
    set_patterns=names.OUR_SET_PATTERNS,
    rule_comment=names.TRACKED_RULE,
    temporary_sets={family: names.temporary_set_name(family, 0).rstrip("0") for family in IPFamily},
    fence_comment=names.FENCE_COMMENT,
    old_rules={TableName.NAT: names.OLD_NAT_RULES},
)
"""What Felix of any version, and Tortie, made in the kernel."""


def wanted_families(rendering: Rendering) -> tuple[WantedFamily, ...]:
    """What was rendered, as something to plan for."""
    return tuple(_wanted_family(family) for family in rendering.families.values())


def _wanted_family(rendered: RenderedFamily) -> WantedFamily:
    tables = {name: WantedTable(table.chains, table.hooks) for name, table in rendered.tables.items()}
    return WantedFamily(rendered.family, tables, rendered.ip_sets, rendered.append_hooks)
