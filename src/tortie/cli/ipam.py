"""`tortie ipam show` and `tortie ipam release`: what addresses there are and who has them, as calicoctl shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from tortie.cli.datastore import DATASTORE_HELP, Refused, config_option, with_client
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.ipam.command import Steps
    from tortie.net.address import Address
    from tortie.source.calico_client import CalicoClient

T = TypeVar("T")


_HELP = f"""Addresses: what there is, who has what, taking one back.

{DATASTORE_HELP}

\b
Examples:
  tortie ipam show --show-blocks
  tortie ipam show --ip 10.65.0.2
  tortie ipam release --ip 10.65.0.2
"""


@click.group(help=_HELP)
def ipam() -> None:
    """The group itself does nothing."""


@ipam.command()
@click.option("--ip", metavar="ADDRESS", help="Say who has this address.")
@click.option("--show-blocks", is_flag=True, help="Each block, not only the pools.")
@click.option("--show-borrowed", is_flag=True, help="Addresses that nodes have from blocks which are not theirs.")
@click.option("--show-configuration", is_flag=True, help="The cluster's rules of allocation.")
@config_option
def show(ip: str | None, show_blocks: bool, show_borrowed: bool, show_configuration: bool, config: str | None) -> None:
    """Show how much of each pool is in use, or who has one address.

    \b
    Exit code: 0, also for an address that nobody has; 1 when the datastore fails; 2 for bad input.
    """
    if sum((ip is not None, show_blocks, show_borrowed, show_configuration)) > 1:
        raise InvalidInput("these options exclude each other", remedy="see tortie ipam show --help")
    if ip is not None:
        _show_address(_address(ip), config)
    elif show_borrowed:
        _show_borrowed(config)
    elif show_configuration:
        _show_configuration(config)
    else:
        _show_usage(config, blocks=show_blocks)


@ipam.command()
@click.option("--ip", required=True, metavar="ADDRESS", help="The address to take back.")
@config_option
def release(ip: str, config: str | None) -> None:
    """Take an address back, whoever has it.

    This does not take it off an endpoint that uses it: it is for addresses that were left behind.

    \b
    Exit code: 0 when it is free, 1 when nobody had it, 2 for bad input.
    """
    from tortie.ipam.release import release_addresses

    address = _address(ip)
    if _run(config, release_addresses((address,))).unallocated:
        raise Refused(f"IP address {address} is not assigned")
    click.echo(f"Successfully released IP address {address}")


def _address(text: str) -> Address:
    from tortie.model.scalar import read_address

    return read_address(text)


def _run(config: str | None, operation: Steps[T]) -> T:
    async def work(client: CalicoClient) -> T:
        result = await client.ipam.run(operation)
        for problem in client.ipam.refused:
            click.echo(f"tortie: {problem}", err=True)
        return result

    return with_client(config, work)


def _show_address(address: Address, config: str | None) -> None:
    from tortie.ipam.release import assignment_of

    attribute = _run(config, assignment_of(address))
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


def _show_usage(config: str | None, *, blocks: bool) -> None:
    from tortie.ipam.usage import read_usage

    rows = [("GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE")]
    for usage in _run(config, read_usage()):
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


def _show_borrowed(config: str | None) -> None:
    from tortie.ipam.usage import read_borrowed

    rows = [("IP", "BORROWING-NODE", "BLOCK", "BLOCK OWNER", "TYPE", "ALLOCATED-TO")]
    for one in _run(config, read_borrowed()):
        noted = one.attribute.secondary
        kind, to = noted.get("type", ""), ""
        if "pod" in noted:
            kind, to = "pod", f"{noted.get('namespace', '')}/{noted['pod']}"
        rows.append((str(one.address), one.node, str(one.block), one.owner or "", kind, to))
    click.echo(format_grid(rows), nl=False)


def _show_configuration(config: str | None) -> None:
    from tortie.ipam.claim import read_config

    found = _run(config, read_config())
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
