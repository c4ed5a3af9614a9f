"""`tortie plan`: what programming would change on a node, and what would follow from it; nothing is changed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from tortie.cli.resource_option import RESOURCES_HELP, named_backend, read_resources, resource_options
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tortie.cli.node_state import ToldState
    from tortie.cli.plan_report import PlanReport
    from tortie.netfilter.hook import Backend
    from tortie.netfilter.rule import Ruleset
    from tortie.netfilter.snapshot import Snapshot

EXIT_ERROR = 1
"""With --detailed-exitcode, as terraform has it."""
EXIT_CHANGES = 2

_HELP = f"""Say what `tortie apply` would change on a node, and change nothing.

First by policy and endpoint, then by chain and rule. Connections that are under way are walked through the rules as they
are and as they would be: which would be cut, and who could no longer reach the node by ssh, BGP or etcd.

{RESOURCES_HELP}

Without -n the live node is read, which needs root.

\b
Exit code: 0, or 2 for bad input. With --detailed-exitcode 0 when there is nothing to do, 2 for changes, 1 for errors.

\b
Examples:
  tortie plan cluster/ --node node-1
  tortie plan cluster/ --node node-1 -n node-1.tar.gz --summary
  tortie plan cluster/ --node node-1 --detailed-exitcode --json > plan.json
"""


class PlanCommand(click.Command):
    """Ends with 1 for words that make no sense too, when the exit code is to say whether there are changes."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """The context of a call; `args` are taken apart by it."""
        detailed = "--detailed-exitcode" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not detailed:
                raise
            click.echo(f"tortie: {error.format_message().removesuffix('.')} (see tortie plan --help)", err=True)
            raise click.exceptions.Exit(EXIT_ERROR) from None


@click.command(cls=PlanCommand, help=_HELP)
@resource_options("resources", "node", "snapshot", "backend", "felix_exact", "keep_going", "json", "color")
@click.option("--summary", is_flag=True, help="Leave out chains and rules.")
@click.option("--detailed-exitcode", is_flag=True, help="Say by the exit code whether there is something to do.")
@click.pass_context
def plan(
    context: click.Context,
    resources: tuple[str, ...],
    node: str | None,
    snapshot: str | None,
    backend: str | None,
    felix_exact: bool,
    keep_going: bool,
    as_json: bool,
    color: str,
    summary: bool,
    detailed_exitcode: bool,
) -> None:
    """The command."""
    from tortie.kernel.refusal import KernelRefused

    try:
        if summary and as_json:
            raise InvalidInput("--summary is for the text", remedy="leave it out")
        report = _report(resources, node, snapshot, backend, felix_exact=felix_exact, keep_going=keep_going)
    except InvalidInput as error:
        if not detailed_exitcode:
            raise
        click.echo(f"tortie: {error}", err=True)
        context.exit(EXIT_ERROR)
    except KernelRefused as refusal:
        click.echo(f"tortie: {refusal}", err=True)
        context.exit(EXIT_ERROR)
    _write(report, as_json=as_json, color=color, summary=summary)
    if detailed_exitcode and report.plan.steps:
        context.exit(EXIT_CHANGES)


def _report(
    resources: tuple[str, ...],
    node: str | None,
    path: str | None,
    backend: str | None,
    *,
    felix_exact: bool,
    keep_going: bool,
) -> PlanReport:
    from tortie.cli import held
    from tortie.cli.desired import choose_node, find_desired
    from tortie.cli.node_source import load_node_snapshot, snapshot_notes
    from tortie.cli.plan_report import make_report

    read = read_resources(resources, keep_going=keep_going)
    name = choose_node(node, live=path is None)
    snapshot = load_node_snapshot(path)
    chosen = _backend(snapshot, named_backend(backend), live=path is None)
    told = _told_state(snapshot, (one for one in snapshot.rulesets if one.backend is chosen), live=path is None)
    desired = find_desired(read, name, told, felix_exact=felix_exact)
    holds, missing = held.snapshot_held(snapshot, chosen, desired.config.families)
    remarks = (*snapshot_notes(snapshot), *missing, *held.other_backend_remarks(snapshot, chosen))
    return make_report(
        desired, snapshot, holds, chosen, remarks, "" if path is not None else os.environ.get("SSH_CONNECTION", "")
    )


def _backend(snapshot: Snapshot, given: Backend | None, *, live: bool) -> Backend:
    """The back-end that `tortie apply` would write to."""
    if given is None and live:
        from tortie.kernel.run import run_tool
        from tortie.kernel.tables import detect_backend

        return detect_backend(run_tool)
    from tortie.cli.held import choose_backend

    return choose_backend(snapshot, given)


def _told_state(snapshot: Snapshot, rulesets: Iterable[Ruleset], *, live: bool) -> ToldState:
    from tortie.cli import node_state

    if not live:
        return node_state.snapshot_state(snapshot)
    from tortie.kernel.run import run_tool

    return node_state.ToldState(node_state.live_state(run_tool, rulesets))


def _write(report: PlanReport, *, as_json: bool, color: str, summary: bool) -> None:
    if as_json:
        import json

        from tortie.cli.plan_report import report_document

        click.echo(json.dumps(report_document(report), indent=2, ensure_ascii=False))
        return
    from tortie.cli.plan_text import report_lines
    from tortie.cli.terminal import find_paper, write_lines

    sys.stdout.write(write_lines(report_lines(report, summary=summary), find_paper(color)))
