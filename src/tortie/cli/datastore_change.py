"""How commands that change many resources tell what became of each, in calicoctl 3.7's words.

One failure does not stop the others. Each resource has its line, then comes the sum: on stdout what was done, on stderr
what was not. Nothing more is tried when the datastore itself fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from tortie.cli.datastore import Refused, with_client
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.model.read import Key
    from tortie.source.calico_client import CalicoClient

T = TypeVar("T")
_SHOWN_FAILURES = 10
"""In the last line; each has its own line above."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A command's word for what it does: `apply`, `applied`."""

    plain: str
    past: str


def change_all(
    config: str | None,
    verb: Verb,
    wanted: Sequence[tuple[Key, T]],
    change: Callable[[CalicoClient, T], Awaitable[str]],
    *,
    tell_each: bool | None = None,
) -> None:
    """Changes one resource after the other; `change` returns what it did, in a word. Raises `Refused` if one failed."""
    tell = len(wanted) > 1 if tell_each is None else tell_each
    failures: list[str] = []

    async def work(client: CalicoClient) -> None:
        from tortie.source.failure import DatastoreFailed
        from tortie.source.store_refusal import StoreRefused

        for index, (key, value) in enumerate(wanted):
            try:
                done = await change(client, value)
            except (StoreRefused, InvalidInput) as refusal:
                failures.append(_words(key, str(refusal)))
                if tell:
                    click.echo(f"{key}: failed: {refusal}", err=True)
            except DatastoreFailed as failure:
                # The next one would fare no better, and take as long to.
                from tortie.cli.datastore import failure_words

                for left, _ in wanted[index:]:
                    failures.append(_words(left, failure_words(failure)) if left == key else _words(left, "not tried"))
                    if tell:
                        click.echo(f"{left}: {'failed' if left == key else 'not tried'}", err=True)
                return
            else:
                if tell:
                    click.echo(f"{key}: {done}")

    with_client(config, work)
    _sum_up(verb, [key.kind for key, _ in wanted], failures)


def _words(key: Key, message: str) -> str:
    return message if str(key) in message else f"{key}: {message}"


def _sum_up(verb: Verb, kinds: Sequence[str], failures: Sequence[str]) -> None:
    """The last lines, as calicoctl has them."""
    single = kinds[0] if len(set(kinds)) == 1 else ""
    quoted = f" '{single}'" if single else ""
    done = len(kinds) - len(failures)
    if not failures:
        click.echo(f"Successfully {verb.past} {done}{quoted} resource(s)")
        return
    listed = [*failures[:_SHOWN_FAILURES]]
    if len(failures) > _SHOWN_FAILURES:
        listed.append(f"and {len(failures) - _SHOWN_FAILURES} more")
    reasons = f"[{', '.join(listed)}]"
    if done:
        click.echo(f"Partial success: {verb.past} {done} out of {len(kinds)}{quoted} resources")
        raise Refused(f"Hit error: {reasons}")
    if len(kinds) == 1:
        raise Refused(f"Failed to {verb.plain}{quoted} resource: {reasons}")
    raise Refused(f"Failed to {verb.plain} any{quoted} resources: {reasons}")
