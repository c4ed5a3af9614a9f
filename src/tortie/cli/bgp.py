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
    from tortie.model.ipam import BlockAffinitySpec
    from tortie.model.read import Resources

EXIT_REFUSED = 1
_DIALECTS = ("2", "1.6", "calico")

_HELP = """Print BIRD's configuration for a node: the mesh, its peers, its blocks of addresses and what it announces.

With -o it is written to a directory: `bird -p` must accept it first, and a BIRD that listens there on bird.ctl (for IPv6,
before BIRD 2, bird6.ctl) takes it over without losing a session. Tunnels: the agent has the routes of VXLAN pools; only
Calico's own BIRD can route into IPIP tunnels, and others leave those routes out.

RESOURCES are files, directories or - for stdin, as for `tortie render`. With --source instead, a directory or `etcd` is
followed, and BIRD with it, until the end.

\b
  tortie bgp resources/ --node node-1
  tortie bgp resources/ --node node-1 -o /etc/bird
  tortie bgp --source etcd --node node-1 -o /etc/bird

\b
Exit code: 0 when done, 1 when BIRD refused, 2 for bad input.
"""


@click.command(help=_HELP)
@resource_options("resources", "node", "keep_going")
@click.option("--bird", "dialect", type=click.Choice(_DIALECTS), default="2", help="Which BIRD reads it; 2 by default.")
@click.option("--router-id", metavar="ID", default="", help="A dotted quad or `hash`; by default the node's IPv4 address.")
@click.option("-o", "--output", metavar="DIR", type=click.Path(file_okay=False), help="Write it there and tell BIRD.")
@click.option("--source", metavar="SOURCE", help="Follow a directory, `etcd` or `kubernetes`; needs -o.")
@click.option("--ipam-dir", metavar="DIR", type=click.Path(file_okay=False), help="Where blocks are kept, beside files.")
@click.pass_context
def bgp(
    context: click.Context,
    resources: tuple[str, ...],
    node: str | None,
    keep_going: bool,
    dialect: str,
    router_id: str,
    output: str | None,
    source: str | None,
    ipam_dir: str | None,
) -> None:
    """The command."""
    import platform

    _check_router_id(router_id)
    name = node or platform.node().lower()
    if source is not None:
        _follow(source, name, router_id, dialect, output, ipam_dir, given=bool(resources))
        return
    if not resources:
        raise InvalidInput("no resources are given", remedy="name files, directories, or -")
    if ipam_dir is not None and not Path(ipam_dir).is_dir():
        raise InvalidInput("no such directory", source=ipam_dir, remedy="give the ipam_dir of tortie-cni")
    found = read_resources(resources, keep_going=keep_going)
    files = node_files(found, name, router_id, dialect, kept_claims(ipam_dir, name))
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


def _follow(
    source: str, node: str, router_id: str, dialect: str, output: str | None, ipam_dir: str | None, *, given: bool
) -> None:
    import asyncio
    import os

    from tortie.agent.setting import environment_parameters, local_parameters
    from tortie.cli.agent_source import open_source
    from tortie.cli.bgp_follow import follow
    from tortie.kernel.run import run_tool

    if given or output is None:
        raise InvalidInput("--source goes with -o and without RESOURCES")
    opened, _ = open_source(source, node, local_parameters({}, environment_parameters(os.environ)))
    folder = Path(output)

    def bring(resources: Resources) -> None:
        write(run_tool, node_files(resources, node, router_id, dialect, kept_claims(ipam_dir, node)), folder, dialect)

    asyncio.run(follow(opened, bring, polled=ipam_dir is not None))


def node_files(
    resources: Resources, node: str, router_id: str, dialect: str, claims: tuple[BlockAffinitySpec, ...] | None
) -> dict[str, str]:
    """The files for a node in one BIRD's language; raises `InvalidInput`."""
    from tortie.bgp.view import speaker_of

    speaker = speaker_of(resources, node, router_id=router_id, claims=claims)
    if dialect == "2":
        from tortie.bgp.bird2 import bird2_files

        return bird2_files(speaker)
    from tortie.bgp.bird1 import bird1_files
    from tortie.bgp.route_filter import TunnelWord

    return bird1_files(speaker, TunnelWord.KNOWN if dialect == "calico" else TunnelWord.UNKNOWN)


def kept_claims(ipam_dir: str | None, node: str) -> tuple[BlockAffinitySpec, ...] | None:
    """A node's claims to blocks that are kept in files, none before the first; None where the resources have them."""
    if ipam_dir is None:
        return None
    if not Path(ipam_dir).is_dir():
        return ()
    import asyncio

    from tortie.ipam.command import list_affinities
    from tortie.model.read import Resources
    from tortie.net.address import IPFamily
    from tortie.source.file_ipam import FileIpam

    kept = FileIpam(Path(ipam_dir), Resources())

    async def read() -> tuple[BlockAffinitySpec, ...]:
        found = [await kept.run(list_affinities(node, family)) for family in IPFamily]
        return tuple(entry.value for entries in found for entry in entries)

    return asyncio.run(read())


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
    """Brings each daemon of a folder to its files and says what was changed; raises `KernelRefused` and `OSError`."""
    from tortie.kernel.bird import program_bird

    for daemon in daemons(folder, dialect):
        stem = daemon.main_file.rpartition(".")[0]
        own = {name: text for name, text in files.items() if name == daemon.main_file or name.startswith(f"{stem}_")}
        change = program_bird(run, daemon, own)
        if change.written:
            said = "written, and taken over by BIRD" if change.reloaded else "written; no BIRD is running on it"
            click.echo(f"{folder / daemon.main_file}: {said}")
