"""`tortie ipam show` and `tortie ipam release`: what addresses there are and who has them, as calicoctl shows it.

Addresses are in the datastore, or, where a machine has none, in files below a directory that `tortie-cni` writes to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tortie.cli.datastore import DATASTORE_HELP, Refused, config_option, with_client
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.ipam.command import Steps
    from tortie.net.address import Address
    from tortie.source.calico_client import CalicoClient

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Place:
    """Where addresses are kept: in the datastore that `config` names, or below the directory `files`.

    Pools and nodes are then in the files and directories `resources`.
    """

    config: str | None
    files: str | None
    resources: tuple[str, ...]


def place_options(function: F) -> F:
    """The options that say where addresses are kept."""
    for option in (
        click.option("--resources", multiple=True, metavar="PATH", help="With --files: files of the pools and nodes."),
        click.option(
            "--files", metavar="DIRECTORY", help="Addresses kept in files, `ipam_dir` of tortie-cni, not in etcd."
        ),
        config_option,
    ):
        function = option(function)
    return function


_HELP = f"""Addresses: what there is, who has what, taking one back.

{DATASTORE_HELP}

\b
Examples:
  tortie ipam show --show-blocks
  tortie ipam show --ip 10.65.0.2
  tortie ipam release --ip 10.65.0.2
  tortie ipam tunnel node-1
  tortie ipam show --files /var/lib/tortie/ipam --resources cluster/
"""


@click.group(help=_HELP)
def ipam() -> None:
    """The group itself does nothing."""


@ipam.command()
@click.option("--ip", metavar="ADDRESS", help="Say who has this address.")
@click.option("--show-blocks", is_flag=True, help="Each block, not only the pools.")
@click.option("--show-borrowed", is_flag=True, help="Addresses that nodes have from blocks which are not theirs.")
@click.option("--show-configuration", is_flag=True, help="The cluster's rules of allocation.")
@place_options
def show(
    ip: str | None,
    show_blocks: bool,
    show_borrowed: bool,
    show_configuration: bool,
    config: str | None,
    files: str | None,
    resources: tuple[str, ...],
) -> None:
    """Show how much of each pool is in use, or who has one address.

    \b
    Exit code: 0, also for an address that nobody has; 1 when the datastore fails; 2 for bad input.
    """
    if sum((ip is not None, show_blocks, show_borrowed, show_configuration)) > 1:
        raise InvalidInput("these options exclude each other", remedy="see tortie ipam show --help")
    place = Place(config, files, resources)
    if ip is not None:
        _show_address(_address(ip), place)
    elif show_borrowed:
        _show_borrowed(place)
    elif show_configuration:
        _show_configuration(place)
    else:
        _show_usage(place, blocks=show_blocks)


@ipam.command()
@click.option("--ip", required=True, metavar="ADDRESS", help="The address to take back.")
@place_options
def release(ip: str, config: str | None, files: str | None, resources: tuple[str, ...]) -> None:
    """Take an address back, whoever has it.

    This does not take it off an endpoint that uses it: it is for addresses that were left behind.

    \b
    Exit code: 0 when it is free, 1 when nobody had it, 2 for bad input.
    """
    from tortie.ipam.release import release_addresses

    address = _address(ip)
    if _run(Place(config, files, resources), release_addresses((address,))).unallocated:
        raise Refused(f"IP address {address} is not assigned")
    click.echo(f"Successfully released IP address {address}")


@ipam.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@config_option
def tunnel(nodes: tuple[str, ...], config: str | None) -> None:
    """Give nodes the tunnel addresses that their pools ask for, and write them down in the nodes' resources.

    This is what calico-node does when it starts and when pools change; it is for nodes on which that does not run.

    \b
    Exit code: 0 when it is done, 1 when the datastore refuses or a pool is full, 2 for bad input.
    """

    async def work(client: CalicoClient) -> None:
        from tortie.source.store_refusal import StoreRefused

        for node in nodes:
            try:
                found = await client.keep_tunnel_addresses(node)
            except (StoreRefused, InvalidInput) as refusal:
                raise Refused(str(refusal)) from None
            words = ", ".join(f"{kind.name} {address or 'none'}" for kind, address in found.items())
            click.echo(f"Node({node}): {words}")

    with_client(config, work)


def _address(text: str) -> Address:
    from tortie.model.scalar import read_address

    return read_address(text)


def _run(place: Place, operation: Steps[T]) -> T:
    if place.files is not None:
        return _run_over_files(place, place.files, operation)
    if place.resources:
        raise InvalidInput("--resources goes with --files", remedy="pools and nodes are in the datastore otherwise")

    async def work(client: CalicoClient) -> T:
        result = await client.ipam.run(operation)
        for problem in client.ipam.refused:
            click.echo(f"tortie: {problem}", err=True)
        return result

    return with_client(place.config, work)


def _run_over_files(place: Place, directory: str, operation: Steps[T]) -> T:
    import asyncio

    from tortie.cli.resource_files import load_resources
    from tortie.source.failure import DatastoreFailed
    from tortie.source.file_ipam import FileIpam

    if place.config is not None:
        raise InvalidInput("--files and --config exclude each other", remedy="addresses are in files or in the datastore")
    if not Path(directory).is_dir():
        raise InvalidInput("no such directory", source=directory, remedy="give the ipam_dir of tortie-cni")
    if not place.resources:
        raise InvalidInput("--files needs to know the pools", remedy="name their files with --resources")
    resources = load_resources(place.resources)
    try:
        return asyncio.run(FileIpam(Path(directory), resources).run(operation))
    except DatastoreFailed as failure:
        raise Refused(failure.reason) from None


def _show_address(address: Address, place: Place) -> None:
    from tortie.ipam.release import assignment_of

    attribute = _run(place, assignment_of(address))
    if attribute is None:
        click.echo(f"{address} is not assigned")
        return
    click.echo(f"IP {address} is in use")
    noted = dict(sorted(attribute.secondary.items()))
    if attribute.handle_id is not None:
        noted["handle"] = attribute.handle_id
    if not noted:
        click.echo("No attributes defined")
        return
    click.echo("Attributes:")
    for name, value in noted.items():
        click.echo(f"  {name}: {value}")


def _show_usage(place: Place, *, blocks: bool) -> None:
    from tortie.ipam.usage import read_usage

    rows = [("GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE")]
    for usage in _run(place, read_usage()):
        if usage.pool is not None:
            rows.append(_usage_row("IP Pool", str(usage.pool.spec.cidr), usage.used, usage.capacity))
        elif not blocks:
            rows.append(_usage_row("No pool", f"{len(usage.blocks)} blocks", usage.used, usage.capacity))
        if blocks:
            rows += [_usage_row("Block", str(block.cidr), block.used, block.capacity) for block in usage.blocks]
    click.echo(format_grid(rows), nl=False)


def _usage_row(grouping: str, cidr: str, used: int, capacity: int) -> tuple[str, str, str, str, str]:
    free = capacity - used
    taken, left = (f"{count:.5g} ({100 * count / capacity:.0f}%)" for count in (used, free))
    return (grouping, cidr, f"{capacity:.5g}", taken, left)


def _show_borrowed(place: Place) -> None:
    from tortie.ipam.usage import read_borrowed

    rows = [("IP", "BORROWING-NODE", "BLOCK", "BLOCK OWNER", "TYPE", "ALLOCATED-TO")]
    for one in _run(place, read_borrowed()):
        noted = one.attribute.secondary
        kind, to = noted.get("type", ""), ""
        if "pod" in noted:
            kind, to = "pod", f"{noted.get('namespace', '')}/{noted['pod']}"
        rows.append((str(one.address), one.node, str(one.block), one.owner or "", kind, to))
    click.echo(format_grid(rows), nl=False)


def _show_configuration(place: Place) -> None:
    from tortie.ipam.claim import read_config

    found = _run(place, read_config())
    rows = [
        ("PROPERTY", "VALUE"),
        ("StrictAffinity", str(found.strict_affinity).lower()),
        ("AutoAllocateBlocks", str(found.auto_allocate_blocks).lower()),
    ]
    click.echo(format_grid(rows), nl=False)


def format_grid(rows: Sequence[Sequence[str]]) -> str:
    """A table with lines round it, the heading's words in the middle, as calicoctl draws it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    head, *body = (
        "|" + "|".join(f" {_centred(cell, width) if index == 0 else cell.ljust(width)} " for cell, width in pairs) + "|\n"
        for index, pairs in enumerate(zip(row, widths, strict=True) for row in rows)
    )
    return line + head + line + "".join(body) + (line if body else "")


def _centred(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return f"{' ' * left}{text}".ljust(width)
