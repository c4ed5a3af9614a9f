"""`tortie audit`: what is wrong with the Calico rules and sets of a node, told from the kernel's own account of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tortie.cli.exit_code import EXIT_NOT_KNOWN, EXIT_PASSED, EXIT_STOPPED
from tortie.cli.resource_option import RESOURCES_HELP, read_resources, resource_options, tell_remarks
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.audit.finding import Audit
    from tortie.cli.desired import Desired
    from tortie.netfilter.snapshot import Snapshot

_HELP = f"""Find what is wrong with the Calico rules and ip sets of a node.

The hash of every Calico rule is computed again from the rule and its place, so a rule that was edited, moved, doubled, left
over or put in by somebody else is found although its comment looks right; Felix reads the comment only. Found as well:
rules and chains that are missing, rules in both back-ends, hooks that are gone or not first, chains that nobody jumps to,
sets that are missing, full or left over, and what older versions of Felix left.

With resources, everything that differs from what they mean is found, and named by policy and endpoint. {RESOURCES_HELP}

Nothing on the node is changed.

\b
Exit code: 0 nothing is wrong, 1 something is, 3 that cannot be told since something could not be read, 2 bad input.

\b
Examples:
  tortie audit
  tortie audit -n node.tar.gz cluster/ --node node-1
  tortie audit -n node.tar.gz --json | jq '.findings[] | select(.severity == "error")'
"""


@click.command(help=_HELP)
@resource_options("resources", "node", "snapshot", "felix_exact", "keep_going", "json", "color")
@click.pass_context
def audit(
    context: click.Context,
    resources: tuple[str, ...],
    node: str | None,
    snapshot: str | None,
    felix_exact: bool,
    keep_going: bool,
    as_json: bool,
    color: str,
) -> None:
    """The command."""
    from tortie.audit.node import audit_node
    from tortie.cli.audit_report import audit_document, audit_lines, find_owners
    from tortie.cli.node_source import load_node_snapshot, tell_snapshot_notes
    from tortie.cli.trace_option import check_stdin

    check_stdin(snapshot, *resources)
    if not resources:
        _refuse_idle(node=node is not None, felix_exact=felix_exact, keep_going=keep_going)
    held = load_node_snapshot(snapshot)
    tell_snapshot_notes(held)
    if not held.rulesets:
        raise InvalidInput("the snapshot holds no rules", source=held.name, remedy="make one with `tortie snapshot`")
    desired = None
    if resources:
        desired = _desired(resources, node, snapshot, held, felix_exact=felix_exact, keep_going=keep_going)
    found = audit_node(held.rulesets, held.ip_sets, None if desired is None else desired.rendering)
    owners = find_owners(desired)
    if as_json:
        import json

        click.echo(json.dumps(audit_document(found, owners, held, desired), indent=2, ensure_ascii=False))
    else:
        from tortie.cli.terminal import find_paper, write_lines

        click.echo(write_lines(audit_lines(found, owners), find_paper(color)), nl=False)
    context.exit(audit_exit_code(found, compared=desired is not None))


def _refuse_idle(**given: bool) -> None:
    """Options that would do nothing are refused."""
    for name, is_given in given.items():
        if is_given:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(f"{option} is about resources, and none are given", remedy="name files or directories")


def _desired(
    resources: tuple[str, ...], node: str | None, path: str | None, held: Snapshot, *, felix_exact: bool, keep_going: bool
) -> Desired:
    """What the node should have."""
    from tortie.cli.desired import choose_node, find_desired
    from tortie.cli.node_state import ToldState, live_state, snapshot_state

    read = read_resources(resources, keep_going=keep_going)
    name = choose_node(node, live=path is None)
    if path is None:
        from tortie.kernel.run import run_tool

        told = ToldState(live_state(run_tool, held.rulesets))
    else:
        told = snapshot_state(held)
    desired = find_desired(read, name, told, felix_exact=felix_exact)
    tell_remarks(desired)
    return desired


def audit_exit_code(found: Audit, *, compared: bool) -> int:
    """0 when nothing is wrong, 1 when something is, 3 when all that was found is that something cannot be told."""
    from tortie.audit.finding import Severity

    if any(finding.severity is not Severity.NOTE for finding in found.findings):
        return EXIT_STOPPED
    return EXIT_NOT_KNOWN if found.findings or not (found.chains or compared) else EXIT_PASSED
