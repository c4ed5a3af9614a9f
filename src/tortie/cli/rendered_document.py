"""A rendering as plain values for JSON; docs/render-schema.json promises the shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tortie.cli.chain_owner import ChainUse, Owners
from tortie.codec.ipset import format_ipset_entry
from tortie.codec.rule import format_rule
from tortie.net.address import IPFamily
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.match import CommentMatch
from tortie.netfilter.rule import Rule
from tortie.render.host_endpoint import resolve_host_endpoints
from tortie.render.names import TRACKING_COMMENT
from tortie.render.ruleset import RenderedFamily, RenderedTable

if TYPE_CHECKING:
    from tortie.cli.desired import Desired

SCHEMA = 1
"""Version of the document; fields may be added within one."""


def rendering_document(desired: Desired, families: Iterable[IPFamily]) -> dict[str, Any]:
    """Everything that a node should have in some families."""
    owners = owners_of(desired)
    return {
        "schema": SCHEMA,
        "node": desired.node,
        "felix_exact": desired.config.felix_exact,
        "remarks": list(desired.remarks),
        "endpoint_marks": {name: f"{mark:#x}" for name, mark in sorted(desired.rendering.endpoint_marks.items())},
        "families": [_family(desired.rendering.families[family], owners) for family in families],
    }


def owners_of(desired: Desired) -> Owners:
    """Who owns which chain and set of a node."""
    hosts = resolve_host_endpoints(desired.view.host_endpoints, desired.state.interfaces, desired.config)
    placed = [(interface, endpoint.id) for interface, endpoint in hosts.by_interface.items()]
    if hosts.all_interfaces is not None:
        from tortie.render.names import ALL_INTERFACES_ALIAS

        placed.append((ALL_INTERFACES_ALIAS, hosts.all_interfaces.id))
    return Owners(desired.view, desired.cluster, placed)


def _family(rendered: RenderedFamily, owners: Owners) -> dict[str, Any]:
    return {
        "ip_version": rendered.family.value,
        "append_hooks": rendered.append_hooks,
        "ip_sets": [_set(one, owners) for one in rendered.ip_sets.values()],
        "tables": [_table(table, rendered.family, owners) for table in rendered.tables.values()],
    }


def _set(one: IPSet, owners: Owners) -> dict[str, Any]:
    return {
        "name": one.name,
        "type": one.type,
        "of": owners.of_set(one.name).name,
        "options": dict(one.options),
        "members": [format_ipset_entry(entry) for entry in one.entries],
    }


def _table(table: RenderedTable, family: IPFamily, owners: Owners) -> dict[str, Any]:
    chains = [
        {"name": name, "owner": owner_document(owners.of_chain(name)), "rules": _rules(chain.rules, family)}
        for name, chain in table.chains.items()
    ]
    hooks = [{"chain": name, "rules": _rules(rules, family)} for name, rules in table.hooks.items()]
    return {"name": table.name.value, "chains": chains, "hooks": hooks}


def owner_document(use: ChainUse) -> dict[str, Any]:
    """Whose a chain is."""
    return {"kind": use.owner.kind.value, "name": use.owner.name, "part": use.part or None}


def _rules(rules: Iterable[Rule], family: IPFamily) -> list[dict[str, Any]]:
    return [{"hash": rule_hash(rule), "text": format_rule(rule, family)} for rule in rules]


def rule_hash(rule: Rule) -> str | None:
    """The hash that a rule carries in its first comment; None without one."""
    for match in rule.matches:
        if isinstance(match, CommentMatch):
            return match.text.removeprefix(TRACKING_COMMENT) if match.text.startswith(TRACKING_COMMENT) else None
    return None
