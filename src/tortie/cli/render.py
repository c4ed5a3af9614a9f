"""`tortie render`: what would be programmed on a node, as text or as a document; nothing on any node is read but by -n."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tortie.cli.resource_option import RESOURCES_HELP, named_backend, read_resources, resource_options, tell, tell_remarks
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.cli.desired import Desired
    from tortie.cli.node_state import ToldState
    from tortie.model.read import Resources
    from tortie.net.address import IPFamily
    from tortie.netfilter.hook import Backend

_HELP = f"""Print the iptables rules and ip sets that a node should have, exactly as Felix 3.7 names and orders them.

{RESOURCES_HELP}

What the node knows by itself (interfaces and their addresses, IPVS, what its iptables can do) comes from a snapshot (-n),
or from this live node (--live). Without either it is taken from the resources as far as they tell, and said.

\b
--format save     as `ipset save` and `iptables-save` print it of an empty node after `tortie apply`
--format restore  as `ipset restore` and `iptables-restore --noflush` read it
--format json     a document (docs/render-schema.json)

\b
Examples:
  tortie render cluster/ --node node-1
  tortie render cluster/ --node node-1 -n node-1.tar.gz --ip-version 4 --only rules
  kubectl get pods,networkpolicies,namespaces,nodes -A -o yaml | tortie render - --node node-1 --format json
"""
_FORMATS = ("save", "restore", "json")


@click.command(help=_HELP)
@resource_options("resources", "node", "snapshot")
@click.option("--live", is_flag=True, help="Take the node's own state from this live node.")
@click.option("--ip-version", type=click.Choice(["4", "6"]), help="One family only; both by default.")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="save", show_default=True, help="What to print.")
@click.option("--only", type=click.Choice(["rules", "sets"]), help="Leave out the sets, or the rules.")
@resource_options("backend", "felix_exact", "keep_going")
def render(
    resources: tuple[str, ...],
    node: str | None,
    snapshot: str | None,
    live: bool,
    ip_version: str | None,
    form: str,
    only: str | None,
    backend: str | None,
    felix_exact: bool,
    keep_going: bool,
) -> None:
    """The command."""
    from tortie.cli.desired import choose_node, find_desired
    from tortie.netfilter.hook import Backend

    if live and snapshot is not None:
        raise InvalidInput("--live and -n exclude each other")
    if backend is not None and form != "save":
        raise InvalidInput("--backend is for --format save: the other forms are the same for both", remedy="leave it out")
    if only is not None and form == "json":
        raise InvalidInput("--only is for texts", remedy="leave it out")
    read = read_resources(resources, keep_going=keep_going)
    name = choose_node(node, live=snapshot is None)
    desired = find_desired(read, name, _told_state(read, name, snapshot, live=live), felix_exact=felix_exact)
    tell_remarks(desired)
    families = _families(desired, ip_version)
    if form == "json":
        import json

        from tortie.cli.rendered_document import rendering_document

        click.echo(json.dumps(rendering_document(desired, families), indent=2, ensure_ascii=False))
        return
    click.echo(_text(desired, families, form, only, named_backend(backend) or Backend.NFT), nl=False)


def _told_state(resources: Resources, node: str, snapshot: str | None, *, live: bool) -> ToldState:
    from tortie.cli import node_state

    if snapshot is not None:
        from tortie.cli.snapshot_file import load_snapshot

        return node_state.snapshot_state(load_snapshot(snapshot))
    if live:
        from tortie.kernel.run import run_tool

        return node_state.ToldState(node_state.live_state(run_tool, ()))
    return node_state.supposed_state(resources, node)


def _families(desired: Desired, ip_version: str | None) -> list[IPFamily]:
    wanted = [family for family in desired.rendering.families if ip_version in (None, str(family.value))]
    if not wanted:
        tell(["there is nothing for IPv6: Ipv6Support is off"])
    return wanted


def _text(desired: Desired, families: list[IPFamily], form: str, only: str | None, backend: Backend) -> str:
    """Sets first, as rules name them; comments say which tool each part is of, unless there is one part only."""
    from tortie.cli import rendered_text

    rendered = [desired.rendering.families[family] for family in families]
    parts: list[tuple[str, str]] = []
    if only != "rules":
        verb = "save" if form == "save" else "restore"
        parts.append((f"ipset {verb}", rendered_text.sets_text(rendered)))
    if only != "sets":
        for family in rendered:
            program = rendered_text.PROGRAMS[family.family]
            if form == "save":
                text = rendered_text.save_text(desired.rendering, family.family, backend)
                parts.append((f"{program}-{backend.value}-save", text))
            else:
                parts.append((f"{program}-restore --noflush", rendered_text.restore_text(family)))
    if len(parts) == 1:
        return parts[0][1]
    return "".join(f"# {tool}\n{text}" for tool, text in parts)
