"""`tortie bgp`: BIRD's configuration for a node, shown, or brought to a running BIRD."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tortie.cli.resource_option import read_resources, resource_options, tell
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.kernel.bird import BirdDaemon
    from tortie.kernel.run import Feed

EXIT_REFUSED = 1
_DIALECTS = ("2", "1.6", "calico")

_HELP = """Print BIRD's configuration for a node: the mesh, its peers, its blocks of addresses and what it announces.

With -o it is written to a directory: `bird -p` must accept it first, and a BIRD that listens there on bird.ctl (for IPv6,
before BIRD 2, bird6.ctl) takes it over without losing a session. Tunnels: the agent has the routes of VXLAN pools; only
Calico's own BIRD can route into IPIP tunnels, and others leave those routes out.

RESOURCES are files, directories or - for stdin, as for `tortie render`.

\b
Exit code: 0 when done, 1 when BIRD refused, 2 for bad input.
"""


@click.command(help=_HELP)
@resource_options("resources", "node", "keep_going")
@click.option("--bird", "dialect", type=click.Choice(_DIALECTS), default="2", help="Which BIRD reads it; 2 by default.")
@click.option("--router-id", metavar="ID", default="", help="A dotted quad or `hash`; by default the node's IPv4 address.")
@click.option("-o", "--output", metavar="DIR", type=click.Path(file_okay=False), help="Write it there and tell BIRD.")
@click.pass_context
def bgp(
    context: click.Context,
    resources: tuple[str, ...],
    node: str | None,
    keep_going: bool,
    dialect: str,
    router_id: str,
    output: str | None,
) -> None:
    """The command."""
    import platform

    from tortie.bgp.view import speaker_of

    if not resources:
        raise InvalidInput("no resources are given", remedy="name files, directories, or -")
    _check_router_id(router_id)
    found = read_resources(resources, keep_going=keep_going)
    speaker = speaker_of(found, node or platform.node().lower(), router_id=router_id)
    if dialect == "2":
        from tortie.bgp.bird2 import bird2_files

        files = bird2_files(speaker)
    else:
        from tortie.bgp.bird1 import bird1_files
        from tortie.bgp.route_filter import TunnelWord

        files = bird1_files(speaker, TunnelWord.KNOWN if dialect == "calico" else TunnelWord.UNKNOWN)
    if output is None:
        click.echo(shown(files), nl=False)
        return
    from tortie.kernel.refusal import KernelRefused
    from tortie.kernel.run import run_tool

    try:
        write(run_tool, files, Path(output), dialect)
    except KernelRefused as refusal:
        tell([str(refusal)])
        context.exit(EXIT_REFUSED)
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=error.filename or output) from None


def _check_router_id(text: str) -> None:
    from tortie.net.address import parse_ipv4

    if text and text != "hash":
        try:
            parse_ipv4(text)
        except InvalidInput:
            raise InvalidInput(f"--router-id {text}: not a router id", remedy="a dotted quad, or hash") from None


def shown(files: Mapping[str, str]) -> str:
    """All files as one text; where there are several, each begins with its name."""
    if len(files) == 1:
        return next(iter(files.values()))
    return "\n".join(f"# --- {name}\n{text}" for name, text in files.items())


def daemons(folder: Path, dialect: str) -> tuple[BirdDaemon, ...]:
    """The daemons that work from a folder: one for both families, or one a family."""
    from tortie.bgp.bird1 import MAIN_FILES
    from tortie.bgp.bird2 import MAIN_FILE
    from tortie.kernel.bird import BirdDaemon
    from tortie.net.address import IPFamily

    if dialect == "2":
        return (BirdDaemon("bird", "birdc", folder, MAIN_FILE, folder / "bird.ctl"),)
    return (
        BirdDaemon("bird", "birdc", folder, MAIN_FILES[IPFamily.V4], folder / "bird.ctl"),
        BirdDaemon("bird6", "birdc6", folder, MAIN_FILES[IPFamily.V6], folder / "bird6.ctl"),
    )


def write(run: Feed, files: Mapping[str, str], folder: Path, dialect: str) -> None:
    """Brings each daemon of a folder to its files and says what was done; raises `KernelRefused` and `OSError`."""
    from tortie.kernel.bird import program_bird

    for daemon in daemons(folder, dialect):
        stem = daemon.main_file.rpartition(".")[0]
        own = {name: text for name, text in files.items() if name == daemon.main_file or name.startswith(f"{stem}_")}
        change = program_bird(run, daemon, own)
        if not change.written:
            said = "nothing to change"
        else:
            said = "written, and taken over by BIRD" if change.reloaded else "written; no BIRD is running on it"
        click.echo(f"{folder / daemon.main_file}: {said}")
