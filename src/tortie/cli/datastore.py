"""What the commands over the datastore share: its configuration, the connection, and how they fail.

The datastore is told as to Calico's own programs: a file (`-c`, or /etc/calico/calicoctl.cfg), else the environment. Bad
input ends with code 2 before anything is written; what the datastore refuses, or being unable to reach it, with code 1.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.source.calico_client import CalicoClient

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

EXIT_REFUSED = 1
"""The datastore did not do what it was told."""
DATASTORE_HELP = """The datastore is etcd, named as to calicoctl: by the file of -c or /etc/calico/calicoctl.cfg, else by
ETCD_ENDPOINTS and the like in the environment."""

config_option = click.option(
    "-c", "--config", metavar="FILE", help="Where the datastore is; else /etc/calico/calicoctl.cfg, else the environment."
)
namespace_option = click.option(
    "-n",
    "--namespace",
    metavar="NAMESPACE",
    help="The namespace of resources that do not name one; `default` if not given.",
)
files_option = click.option("-f", "--filename", "files", multiple=True, metavar="FILE")


def with_client(config: str | None, work: Callable[[CalicoClient], Awaitable[T]]) -> T:
    """Runs `work` over a connection to the datastore; what goes wrong ends the command."""
    import asyncio

    from tortie.ipam.command import TooManyClaimants
    from tortie.source.client_config import DatastoreType, load_config
    from tortie.source.failure import DatastoreFailed, HistoryGone

    found = load_config(None if config is None else Path(config), os.environ)
    if found.datastore_type is not DatastoreType.ETCD:
        remedy = "resources in Kubernetes are kubectl's to write"
        raise InvalidInput(
            f"the datastore is {found.datastore_type.value}, which this command does not know", remedy=remedy
        )

    async def run() -> T:
        from tortie.source.calico_client import CalicoClient
        from tortie.source.etcd_client import EtcdClient

        client = EtcdClient(found)
        try:
            return await work(CalicoClient(client))
        finally:
            await client.close()

    try:
        return asyncio.run(run())
    except DatastoreFailed as failure:
        raise Refused(failure_words(failure)) from None
    except (HistoryGone, TooManyClaimants) as refusal:
        raise Refused(str(refusal)) from None


def failure_words(failure: Any) -> str:
    """What to say when the datastore fails: as calicoctl when it does not let us, and whether a write may have happened."""
    if failure.unauthorized:
        return f"connection is unauthorized: {failure.reason}"
    return f"{failure.reason}; whether it was written is not known" if failure.uncertain else str(failure.reason)


class Refused(click.ClickException):
    """The datastore, or the way to it, said no: one line on stderr."""

    exit_code = EXIT_REFUSED

    def show(self, file: Any = None) -> None:
        """Writes the line."""
        click.echo(f"tortie: {self.message}", err=file is None, file=file)
