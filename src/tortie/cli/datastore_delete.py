"""`tortie delete`: deletes resources of the datastore, as calicoctl 3.7 does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tortie.cli.datastore import DATASTORE_HELP, config_option, files_option, namespace_option
from tortie.cli.datastore_change import Verb, change_all
from tortie.cli.resource_kind import find_kind
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.cli.datastore_file import Named
    from tortie.source.calico_client import CalicoClient

_HELP = f"""Delete resources of the datastore: of a KIND and these NAMEs, or those that files name.

A node takes with it what is only its own: its workload endpoints, their addresses, its blocks, its BGP peers and its
configuration. A pool is disabled first and gives back its blocks. A resource in a file with a resourceVersion is deleted
only if it has not changed since.

{DATASTORE_HELP}

\b
Exit code: 0 when all are gone, 1 when something was refused, 2 for bad input.

\b
Examples:
  tortie delete policy allow-web -n prod
  tortie delete -f cluster/
"""


@click.command(help=_HELP)
@click.argument("kind", required=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@files_option
@click.option("-s", "--skip-not-exists", is_flag=True, help="Count resources that are not there as deleted.")
@namespace_option
@config_option
def delete(
    kind: str | None,
    names: tuple[str, ...],
    files: tuple[str, ...],
    skip_not_exists: bool,
    namespace: str | None,
    config: str | None,
) -> None:
    """The command."""
    wanted = _wanted(kind, names, files, namespace or "default")

    async def change(client: CalicoClient, named: Named) -> str:
        from tortie.source.store_refusal import StoreRefused, Why

        try:
            await client.delete(named.key, named.revision)
        except StoreRefused as refusal:
            if not (skip_not_exists and refusal.why is Why.MISSING):
                raise
            return "does not exist"
        return "deleted"

    change_all(config, Verb("delete", "deleted"), [(named.key, named) for named in wanted], change)


def _wanted(kind: str | None, names: tuple[str, ...], files: tuple[str, ...], namespace: str) -> list[Named]:
    from tortie.cli.datastore_file import Named, read_file_names
    from tortie.model.read import Key
    from tortie.model.resource import KINDS, is_namespaced

    if (kind is None) == (not files):
        raise InvalidInput("give either a KIND and NAMEs or files with -f", remedy="see tortie delete --help")
    if kind is None:
        return read_file_names(files, namespace)
    word = find_kind(kind)
    if not names:
        raise InvalidInput("resource name is required", remedy=f"tortie delete {kind} NAME")
    inside = namespace if is_namespaced(KINDS[word]) else ""
    return [Named(Key(word, inside, name)) for name in dict.fromkeys(names)]
