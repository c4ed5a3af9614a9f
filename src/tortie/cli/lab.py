"""`tortie lab`: a whole network on this machine, brought up, verified and taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tortie.cli.resource_option import tell
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.lab.up import Laboratory
    from tortie.model.read import Resources

EXIT_FAILED = 1

_HELP = """A laboratory: nodes with agents, BIRD and pods, a router and hosts outside, in namespaces of this machine.

TOPOLOGY is a YAML file (docs/lab.md). Needs root. Nothing outside the laboratory's own namespaces and files is touched.

\b
  tortie lab up examples/lab/allow-web/lab.yaml
  tortie lab verify examples/lab/allow-web/lab.yaml
  tortie lab down allow-web
"""


@click.group(help=_HELP)
def lab() -> None:
    """The group itself does nothing."""


@lab.command()
@click.argument("topology", type=click.Path(dir_okay=False))
@click.option("--patience", type=click.FloatRange(min=1), metavar="SECONDS", help="How long to wait for each thing; 60.")
@click.pass_context
def up(context: click.Context, topology: str, patience: float | None) -> None:
    """Bring a laboratory up and wait until it is ready.

    When that fails or is interrupted, nothing of it is left. Exit code: 0 when it is up, 1 when it cannot be made, 2 for
    bad input.
    """
    import signal

    from tortie.lab.topology import resource_paths
    from tortie.lab.up import bring_up

    found = open_laboratory(topology)
    found = found if patience is None else replace(found, patience_s=patience)
    files = resource_paths(found.topology, Path(topology))
    given = _given(files)
    _need_root()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was made is taken away
    with _failing(context):
        bring_up(found, given, files, lambda step: tell([f"{found.topology.name}: {step}"]))
    pods = len(found.topology.all_pods)
    click.echo(f"{found.topology.name} is up: {len(found.topology.nodes)} nodes, {pods} pods")


@lab.command()
@click.argument("name")
@click.pass_context
def down(context: click.Context, name: str) -> None:
    """Take a laboratory away, by its name or its topology's file, also one that was left halfway."""
    from tortie.lab.machine import Machine, laboratories

    if name.endswith((".yaml", ".yml", ".json")):
        name = open_laboratory(name).topology.name
    known = laboratories()
    if name not in known:
        raise InvalidInput(f"there is no laboratory {name!r}", remedy=f"those that there are: {', '.join(known) or 'none'}")
    _need_root()
    machine = Machine(name)
    with _failing(context), machine.hold():
        machine.remove()
    click.echo(f"{name} is gone")


@lab.command()
@click.argument("topology", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Every try as a JSON document (docs/lab.md).")
@click.option(
    "--show",
    "shown",
    nargs=3,
    multiple=True,
    metavar="FROM TO PROBE",
    help="Print all walks of one try, as the matrix calls its ends.",
)
@click.pass_context
def verify(context: click.Context, topology: str, as_json: bool, shown: tuple[tuple[str, str, str], ...]) -> None:
    """Try every pair by every probe: kernel, simulator and policy must agree.

    Of a try on which they do not, the simulator's last walk is printed. Exit code: 0 when all agree, 1 when they do not or
    the laboratory cannot be read, 2 for bad input.
    """
    import json

    from tortie.lab.matrix import document, matrix_lines, summary_line
    from tortie.lab.verify import Question, lab_state
    from tortie.lab.verify import verify as verified

    found = open_laboratory(topology)
    _need_root()
    questions = [Question(*words) for words in shown]
    with _failing(context), found.machine.hold():
        findings = verified(found, lambda step: tell([f"{found.topology.name}: {step}"]), questions)
        resources = lab_state(found)
    if as_json:
        click.echo(json.dumps(document(findings), indent=1))
    else:
        from tortie.cli.lab_text import finding_text

        for line in matrix_lines(findings):
            click.echo(line)
        for text in finding_text(findings, questions, resources):
            click.echo(text)
        click.echo(summary_line(findings))
    if not all(finding.agrees for finding in findings):
        context.exit(EXIT_FAILED)


@lab.command()
@click.argument("topology", type=click.Path(dir_okay=False))
@click.argument("node")
@click.pass_context
def lose(context: click.Context, topology: str, node: str) -> None:
    """Kill a node's programs and cut its wire; `restore` brings it back."""
    from tortie.lab.outage import lose as lost

    _carried_out(context, topology, lambda found: lost(found, node))
    click.echo(f"{node} is lost")


@lab.command()
@click.argument("topology", type=click.Path(dir_okay=False))
@click.argument("node")
@click.pass_context
def restore(context: click.Context, topology: str, node: str) -> None:
    """Bring a lost node back and wait until all is as it was."""
    from tortie.lab.outage import restore as restored

    _carried_out(context, topology, lambda found: restored(found, node))
    click.echo(f"{node} is back")


def _carried_out(context: click.Context, topology: str, action: Callable[[Laboratory], None]) -> None:
    found = open_laboratory(topology)
    _need_root()
    with _failing(context), found.machine.hold():
        action(found)


@contextmanager
def _failing(context: click.Context) -> Iterator[None]:
    """Turns what the machine does not do into a line and exit code 1."""
    from tortie.kernel.refusal import KernelRefused

    try:
        yield
    except KernelRefused as refusal:
        tell([str(refusal)])
        context.exit(EXIT_FAILED)
    except OSError as error:
        tell([f"{error.filename}: {error.strerror}" if error.filename else str(error)])
        context.exit(EXIT_FAILED)


@lab.command("list")
def list_() -> None:
    """Name the laboratories of which there is anything."""
    from tortie.lab.machine import laboratories

    for name in laboratories():
        click.echo(name)


def open_laboratory(path: str) -> Laboratory:
    """The laboratory of a topology's file; raises `InvalidInput`."""
    from tortie.cli.node_source import read_text
    from tortie.lab.machine import Machine
    from tortie.lab.topology import parse_topology
    from tortie.lab.up import Laboratory

    topology = parse_topology(read_text(path), path)
    return Laboratory(topology, Machine(topology.name))


def _given(files: tuple[Path, ...]) -> Resources:
    from tortie.cli.resource_files import load_resources
    from tortie.model.read import Resources

    return load_resources([str(path) for path in files]) if files else Resources()


def _need_root() -> None:
    import os

    if os.geteuid() != 0:
        raise InvalidInput("a laboratory needs root", remedy="sudo tortie lab ...")
