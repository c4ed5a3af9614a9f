"""`tortie apply -f`, `tortie create -f`, `tortie replace -f`: write resources to the datastore, as calicoctl 3.7 does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from tortie.cli.datastore import DATASTORE_HELP, config_option, files_option, namespace_option
from tortie.cli.datastore_change import Verb, change_all
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.model.resource import Resource
    from tortie.source.calico_client import CalicoClient

    Change = Callable[[CalicoClient, Resource], Awaitable[str]]

_WHAT = f"""FILE is a file, a directory, or - for stdin, and -f may be given several times. All resources are read and
checked before any is written; then each is written by itself, and what became of each is said.

{DATASTORE_HELP}

\b
Exit code: 0 when all is written, 1 when something was refused, 2 for bad input."""


def _example(word: str) -> str:
    return f"""

\b
Examples:
  tortie {word} -f cluster/
  tortie {word} -f policy.yaml -n prod
"""


@click.command(
    help=f"""Create resources in the datastore, or replace those that there are.

A resource with a resourceVersion replaces only what it was read from; without one, whatever there is.

{_WHAT}{_example("apply")}"""
)
@files_option
@namespace_option
@config_option
def apply(files: tuple[str, ...], namespace: str | None, config: str | None) -> None:
    """The command."""

    async def change(client: CalicoClient, resource: Resource) -> str:
        _, done = await client.apply(resource)
        return done.value

    _write(files, namespace, config, Verb("apply", "applied"), change)


@click.command(
    help=f"Create resources in the datastore; one that is there already is an error.\n\n{_WHAT}{_example('create')}"
)
@files_option
@click.option("-s", "--skip-exists", is_flag=True, help="Count resources that are there already as created.")
@namespace_option
@config_option
def create(files: tuple[str, ...], skip_exists: bool, namespace: str | None, config: str | None) -> None:
    """The command."""

    async def change(client: CalicoClient, resource: Resource) -> str:
        from tortie.source.store_refusal import StoreRefused, Why

        try:
            await client.create(resource)
        except StoreRefused as refusal:
            if not (skip_exists and refusal.why is Why.EXISTS):
                raise
            return "exists"
        return "created"

    _write(files, namespace, config, Verb("create", "created"), change)


@click.command(
    help=f"""Replace resources in the datastore; one that is not there is an error.

A resource with a resourceVersion replaces only what it was read from; without one, whatever there is.

{_WHAT}{_example("replace")}"""
)
@files_option
@namespace_option
@config_option
def replace(files: tuple[str, ...], namespace: str | None, config: str | None) -> None:
    """The command."""

    async def change(client: CalicoClient, resource: Resource) -> str:
        await client.replace(resource)
        return "replaced"

    _write(files, namespace, config, Verb("replace", "replaced"), change)


def _write(files: tuple[str, ...], namespace: str | None, config: str | None, verb: Verb, change: Change) -> None:
    if not files:
        raise InvalidInput("no files are given", remedy=f"tortie {verb.plain} -f FILE")
    from tortie.cli.datastore_file import read_file_resources
    from tortie.model.read import key_of

    resources = read_file_resources(files, namespace or "default")
    change_all(config, verb, [(key_of(resource), resource) for resource in resources], change)
