"""`tortie get`: shows resources of the datastore, in calicoctl 3.7's forms."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tortie.cli.datastore import DATASTORE_HELP, Refused, config_option, files_option, namespace_option, with_client
from tortie.cli.resource_kind import find_kind
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.model.read import Key
    from tortie.model.resource import Resource
    from tortie.source.calico_client import CalicoClient
    from tortie.source.etcd_store import Listing

_FORMATS = ("yaml", "json", "ps", "wide", "name")
_COLUMNS = "custom-columns="
_HELP = f"""Show resources of the datastore: all of a KIND, those of these NAMEs, or those that files name.

KIND is a word of calicoctl's: ippools, gnp, policy, wep, node and so on. {DATASTORE_HELP}

\b
Exit code: 0 when all was found, 1 when something was not, 2 for bad input.

\b
Examples:
  tortie get ippools -o wide
  tortie get policy allow-web -n prod -o yaml
  tortie get wep --all-namespaces
"""


@click.command(help=_HELP)
@click.argument("kind", required=False)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@files_option
@click.option(
    "-o", "--output", default="ps", metavar="FORMAT", help="ps (a table), wide, yaml, json, name, custom-columns=A,B"
)
@namespace_option
@click.option("-a", "-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("--export", is_flag=True, help="Without what belongs to this cluster only: revisions, times, identities.")
@config_option
def get(
    kind: str | None,
    names: tuple[str, ...],
    files: tuple[str, ...],
    output: str,
    namespace: str | None,
    all_namespaces: bool,
    export: bool,
    config: str | None,
) -> None:
    """The command."""
    if output not in _FORMATS and not (output.startswith(_COLUMNS) and output != _COLUMNS):
        raise InvalidInput(f"unrecognized output format '{output}'", remedy=f"one of {', '.join(_FORMATS)}, {_COLUMNS}A,B")
    if (kind is None) == (not files):
        raise InvalidInput("give either a KIND or files with -f", remedy="see tortie get --help")
    shown = _Shown(output, with_namespace=all_namespaces or namespace is not None)
    if kind is None:
        from tortie.cli.datastore_file import read_file_names

        keys = [named.key for named in read_file_names(files, namespace or "default")]
    else:
        word = find_kind(kind)
        keys = _keys(word, names, namespace or "default")
        if not names:
            listing = with_client(config, lambda client: _list(client, word, namespace, all_namespaces, shown))
            shown.show_list(word, listing)
            if listing.refused:
                raise Refused("\ntortie: ".join(map(str, listing.refused)))
            return
    found, missing = with_client(config, lambda client: _get(client, keys, shown))
    if found:
        shown.show_some([_exported(resource) for resource in found] if export else found)
    if missing:
        raise Refused("\ntortie: ".join(missing))


def _keys(kind: str, names: tuple[str, ...], namespace: str) -> list[Key]:
    from tortie.model.read import Key
    from tortie.model.resource import KINDS, is_namespaced

    inside = namespace if is_namespaced(KINDS[kind]) else ""
    return [Key(kind, inside, name) for name in names]


async def _list(client: CalicoClient, kind: str, namespace: str | None, all_namespaces: bool, shown: _Shown) -> Listing:
    from tortie.model.resource import KINDS, is_namespaced

    everywhere = all_namespaces or not is_namespaced(KINDS[kind])
    await shown.learn(client, kind)
    return await client.list(kind, "" if everywhere else namespace or "default")


async def _get(client: CalicoClient, keys: list[Key], shown: _Shown) -> tuple[list[Resource], list[str]]:
    """The resources of these names, and what is to be said of the others."""
    from tortie.source.store_refusal import StoreRefused

    found: list[Resource] = []
    missing: list[str] = []
    for key in keys:
        await shown.learn(client, key.kind)
        try:
            found.append(await client.get(key))
        except (StoreRefused, InvalidInput) as refusal:
            missing.append(str(refusal))
    return found, missing


def _exported(resource: Resource) -> Resource:
    bare = replace(resource.metadata, resource_version="", uid="", creation_timestamp="")
    return replace(resource, metadata=bare)


class _Shown:
    """How resources are written out."""

    def __init__(self, output: str, *, with_namespace: bool) -> None:
        self.output = output
        self.with_namespace = with_namespace
        self.as_number = ""

    async def learn(self, client: CalicoClient, kind: str) -> None:
        """The cluster's AS number, which tables of nodes show for those that have none of their own."""
        if kind != "Node" or self.as_number or self.output in ("yaml", "json", "name"):
            return
        from tortie.model.bgp import BGPConfiguration
        from tortie.model.read import Key
        from tortie.source.store_refusal import StoreRefused

        try:
            found = await client.get(Key("BGPConfiguration", "", "default"))
        except (StoreRefused, InvalidInput):
            self.as_number = "unknown"
        else:
            assert isinstance(found, BGPConfiguration)
            self.as_number = str(found.spec.as_number or 64512)

    def show_list(self, kind: str, listing: Listing) -> None:
        """All of a kind."""
        if self.output in ("yaml", "json"):
            items = [_plain(resource) for resource in listing.resources]
            metadata = {"resourceVersion": listing.revision}
            self._write({"kind": f"{kind}List", "apiVersion": _version(), "metadata": metadata, "items": items})
        elif self.output == "name":
            self._write_names(listing.resources)
        else:
            self._write_table(kind, list(listing.resources))

    def show_some(self, resources: list[Resource]) -> None:
        """Resources that were asked for by their names: one is shown by itself."""
        if self.output in ("yaml", "json"):
            plain = [_plain(resource) for resource in resources]
            self._write(plain[0] if len(plain) == 1 else plain)
        elif self.output == "name":
            self._write_names(resources)
        else:
            for kind in dict.fromkeys(type(resource).__name__ for resource in resources):
                self._write_table(kind, [resource for resource in resources if type(resource).__name__ == kind])

    def _write(self, data: Any) -> None:
        if self.output == "json":
            click.echo(json.dumps(data, indent=2, ensure_ascii=False))
            return
        from tortie.model.yaml_writer import format_yaml

        click.echo(format_yaml(data), nl=False)

    def _write_names(self, resources: Any) -> None:
        for resource in resources:
            click.echo(f"{type(resource).__name__.lower()}/{resource.metadata.name}")

    def _write_table(self, kind: str, resources: list[Any]) -> None:
        from tortie.cli.resource_table import default_columns, format_table

        if self.output.startswith(_COLUMNS):
            columns = tuple(word.strip().upper() for word in self.output.removeprefix(_COLUMNS).split(","))
        else:
            columns = default_columns(kind, wide=self.output == "wide")
        table = format_table(kind, resources, columns, with_namespace=self.with_namespace, as_number=self.as_number)
        click.echo(table)  # with an empty line behind each table, as calicoctl has it


def _plain(resource: Resource) -> dict[str, Any]:
    from tortie.model.writer import plain_resource

    data = plain_resource(resource)
    data["metadata"].setdefault("creationTimestamp", None)
    data.setdefault("spec", {})
    return data


def _version() -> str:
    from tortie.model.resource import CALICO_VERSION

    return CALICO_VERSION
