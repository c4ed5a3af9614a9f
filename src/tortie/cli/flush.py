"""`tortie flush`: takes everything of Calico's out of this node's rules and sets, in both back-ends, and nothing else.

First the rules of one back-end after the other, then the sets, which rules of either may name.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tortie.cli.resource_option import named_backend, resource_options, tell
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.kernel.run import Feed
    from tortie.kernel.settle import Programmable, Settled
    from tortie.netfilter.hook import Backend
    from tortie.reconcile.step import Plan
    from tortie.reconcile.wanted import Held

EXIT_REFUSED = 1

_HELP = """Remove every iptables rule, chain and ip set of Calico's from this node, of whatever version, and nothing else.

Both back-ends are cleaned, legacy and nft. What others have put there stays as it is, also in the chains that ours stood
in. Afterwards nothing that Calico forbade is forbidden any more, so this asks first. Needs root.

\b
Exit code: 0 when nothing of ours is left, 1 when the kernel refused, 2 for bad input.

\b
Examples:
  tortie flush --yes
  tortie flush --backend legacy
"""


@click.command(help=_HELP)
@click.option("--yes", is_flag=True, help="Do not ask.")
@resource_options("backend")
@click.pass_context
def flush(context: click.Context, yes: bool, backend: str | None) -> None:
    """The command."""
    from tortie.kernel.refusal import KernelRefused
    from tortie.kernel.run import run_tool
    from tortie.netfilter.hook import Backend

    chosen = named_backend(backend)
    if not yes:
        _ask()
    try:
        found = remove_all(run_tool, time.sleep, (chosen,) if chosen is not None else tuple(Backend))
    except KernelRefused as refusal:
        click.echo(f"tortie: {refusal}", err=True)
        context.exit(EXIT_REFUSED)
    for settled in found:
        tell([*(f"tried again: {failure}" for failure in settled.failures), *settled.remarks])
    steps = sum(settled.steps for settled in found)
    click.echo(f"removed in {steps} steps, and read back" if steps else "nothing of Calico's was there")


def _ask() -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidInput("this takes all of Calico's rules away, and nobody can be asked", remedy="say --yes")
    click.confirm("Remove all rules and sets of Calico's from this node, and open what they close?", abort=True, err=True)


def remove_all(run: Feed, sleep: Callable[[float], None], backends: Iterable[Backend]) -> list[Settled]:
    """Removes what is ours from every back-end that is installed, then the sets; raises `KernelRefused`."""
    from tortie.cli.programming import CALICO
    from tortie.kernel.refusal import KernelRefused
    from tortie.kernel.settle import settle
    from tortie.kernel.tables import STEMS, Tables
    from tortie.net.address import IPFamily
    from tortie.reconcile.plan import plan_removal

    def planner(held: Held) -> Plan:
        return plan_removal(held, CALICO)

    present = []
    for backend in backends:
        families = [family for family in IPFamily if has_tool(run, STEMS[family], backend)]
        if families:
            present.append(Tables(run, backend, families))
    if not present:
        raise KernelRefused(["iptables-save"], "not installed")
    found = [settle(_WithoutSets(tables), planner, sleep) for tables in present]
    return [*found, settle(present[0], planner, sleep)]


def has_tool(run: Feed, stem: str, backend: Backend) -> bool:
    """True when rules of a family in a back-end can be read and written here."""
    from tortie.netfilter.hook import Backend

    if not run([f"{stem}-{backend.value}-save", "--version"]).missing:
        return True
    ran = run([stem, "--version"])
    return ran.code == 0 and (b"(nf_tables)" in ran.out) is (backend is Backend.NFT)


class _WithoutSets:
    """A kernel whose sets are nobody's business yet."""

    def __init__(self, kernel: Programmable) -> None:
        self._kernel = kernel
        self.carry_out = kernel.carry_out

    def read(self) -> Held:
        """Its rules, and no sets."""
        return replace(self._kernel.read(), ip_sets={})
