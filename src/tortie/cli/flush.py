"""`tortie flush`: takes everything of Calico's out of this node's rules and sets, in both back-ends, and nothing else.

First the rules of each family in each back-end, by themselves, so that one that cannot be read keeps no other from being
cleaned; then the sets, which rules of any of them may name.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from tortie.cli.resource_option import named_backend, resource_options, tell
from tortie.net.address import IPFamily
from tortie.net.error import InvalidInput
from tortie.netfilter.hook import Backend
from tortie.netfilter.rule import Ruleset

if TYPE_CHECKING:
    from tortie.kernel.run import Feed
    from tortie.kernel.settle import Programmable, Settled
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
    from tortie.kernel.run import run_tool

    chosen = named_backend(backend)
    if not yes:
        _ask()
    removed = remove_all(run_tool, time.sleep, (chosen,) if chosen is not None else tuple(Backend))
    hint = "" if os.geteuid() == 0 else " (this needs root)"
    failures = (f"{failure}{hint}" for failure in removed.failures)
    tell([*(f"tried again: {failure}" for failure in removed.tries), *removed.remarks, *failures])
    if removed.failures:
        context.exit(EXIT_REFUSED)
    done = f"removed in {removed.steps} step{'' if removed.steps == 1 else 's'}, and read back"
    click.echo(done if removed.steps else "nothing of Calico's was there")


def _ask() -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidInput("this takes all of Calico's rules away, and nobody can be asked", remedy="say --yes")
    click.confirm("Remove all rules and sets of Calico's from this node, and open what they close?", abort=True, err=True)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done: steps, tries that failed, what stays because others use it, and what could not be cleaned."""

    steps: int = 0
    tries: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def __add__(self, other: Settled) -> Removed:
        return replace(
            self,
            steps=self.steps + other.steps,
            tries=(*self.tries, *other.failures),
            remarks=(*self.remarks, *other.remarks),
        )


def remove_all(run: Feed, sleep: Callable[[float], None], backends: Iterable[Backend]) -> Removed:
    """Removes what is ours from every family of every back-end that is installed, then the sets."""
    from tortie.cli.programming import CALICO
    from tortie.kernel.refusal import KernelRefused
    from tortie.kernel.settle import settle
    from tortie.kernel.tables import STEMS, Tables
    from tortie.reconcile.plan import plan_removal

    def planner(held: Held) -> Plan:
        return plan_removal(held, CALICO)

    kernels: list[Programmable] = [
        _RulesOnly(Tables(run, backend, [family]))
        for backend in backends
        for family, stem in STEMS.items()
        if has_tool(run, stem, backend)
    ]
    if not kernels:
        return Removed(failures=("iptables is not installed",))
    removed = Removed()
    for kernel in (*kernels, _SetsOnly(Tables(run, Backend.NFT, ()))):
        try:
            removed += settle(kernel, planner, sleep)
        except (KernelRefused, InvalidInput) as problem:
            removed = replace(removed, failures=tuple(dict.fromkeys((*removed.failures, str(problem)))))
    return removed


def has_tool(run: Feed, stem: str, backend: Backend) -> bool:
    """True when rules of a family in a back-end can be read and written here."""
    if not run([f"{stem}-{backend.value}-save", "--version"]).missing:
        return True
    ran = run([stem, "--version"])
    return ran.code == 0 and (b"(nf_tables)" in ran.out) is (backend is Backend.NFT)


class _RulesOnly:
    """A kernel whose sets are nobody's business yet."""

    def __init__(self, kernel: Programmable) -> None:
        self._kernel = kernel
        self.carry_out = kernel.carry_out

    def read(self) -> Held:
        """Its rules, and no sets."""
        return replace(self._kernel.read(), ip_sets={})


class _SetsOnly:
    """A kernel whose rules were cleaned before; those that still name a set keep it."""

    def __init__(self, kernel: Programmable) -> None:
        self._kernel = kernel
        self.carry_out = kernel.carry_out

    def read(self) -> Held:
        """Its sets, and no rules."""
        rulesets = {family: Ruleset(family, Backend.NFT, {}) for family in IPFamily}
        return replace(self._kernel.read(), rulesets=rulesets)
