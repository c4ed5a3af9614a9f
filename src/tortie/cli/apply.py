"""`tortie apply`: programs this node, safely and for good; with -f it writes resources to the datastore instead.

The two share a name because both are what a user means by it. Which one is meant decides -f, as calicoctl has it: that
command is `datastore_apply`, and everything else here is about the kernel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from tortie.cli.resource_option import RESOURCES_HELP, named_backend, read_resources, resource_options, tell
from tortie.net.error import InvalidInput

if TYPE_CHECKING:
    from tortie.cli.desired import Desired
    from tortie.kernel.run import Feed
    from tortie.kernel.settle import Programmable, Settled
    from tortie.kernel.tables import Tables
    from tortie.netfilter.hook import Backend
    from tortie.reconcile.step import Plan
    from tortie.reconcile.wanted import Held

EXIT_REFUSED = 1
"""The kernel, or a tool that speaks to it, did not do what it was told."""
_DATASTORE = "tortie.cli.datastore_apply"

_HELP = f"""Bring this node's iptables rules and ip sets to what resources mean for it, and make sure that they are there.

Only what differs is written, in an order in which the node is at no moment more open than before or after. Rules, chains
and sets of others are not touched. What real Felix 3.7 programmed is taken over as it is; what older ones left is removed.
Nothing is changed when a resource is not valid, when somebody would be locked out (ssh, BGP, etcd), when no resource names
the node, or when the datastore says that it is not ready; --force overrides all but the first. Needs root.

{RESOURCES_HELP}

With -f FILE resources are written to the datastore instead, as `calicoctl apply` does; see `tortie apply -f - --help`.

\b
Exit code: 0 when all is as it should be, 1 when the kernel refused, 2 for bad input.

\b
Examples:
  tortie apply cluster/ --node node-1 --dry-run
  tortie apply cluster/ --node node-1
"""


class ApplyCommand(click.Command):
    """Hands over to the command for the datastore when -f is given."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """The context of whichever command is meant."""
        meant = datastore_command() if means_datastore(args) else None
        if meant is not None:
            return meant.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def means_datastore(words: list[str]) -> bool:
    """True when -f or --filename is among the words."""
    return any(word.startswith(("-f", "--filename=")) or word == "--filename" for word in words[: _end_of_options(words)])


def _end_of_options(words: list[str]) -> int:
    return words.index("--") if "--" in words else len(words)


def datastore_command() -> click.Command | None:
    """The command that writes to the datastore, where there is one."""
    if find_spec(_DATASTORE) is None:
        return None
    from importlib import import_module

    found = import_module(_DATASTORE).apply
    assert isinstance(found, click.Command)
    return found


@click.command(cls=ApplyCommand, help=_HELP)
@resource_options("resources", "node", "backend", "felix_exact", "keep_going", "json")
@click.option("--force", is_flag=True, help="Also when that locks somebody out, or the node's name is unknown.")
@click.option("--dry-run", is_flag=True, help="As `tortie plan`: say what would change, and change nothing.")
@click.pass_context
def apply(
    context: click.Context,
    resources: tuple[str, ...],
    node: str | None,
    backend: str | None,
    felix_exact: bool,
    keep_going: bool,
    as_json: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """The command."""
    from tortie.kernel.refusal import KernelRefused
    from tortie.kernel.run import run_tool

    if dry_run:
        from tortie.cli.plan import plan

        context.invoke(
            plan,
            resources=resources,
            node=node,
            snapshot=None,
            backend=backend,
            felix_exact=felix_exact,
            keep_going=keep_going,
            as_json=as_json,
            color="auto",
            summary=False,
            detailed_exitcode=False,
        )
        return
    from tortie.cli.desired import choose_node

    read = read_resources(resources, keep_going=keep_going)
    try:
        job = prepare(run_tool, read, choose_node(node, live=True), named_backend(backend), felix_exact=felix_exact)
        tell(job.desired.remarks)
        if not force:
            check_allowed(job, os.environ.get("SSH_CONNECTION", ""))
        settled = program(job, time.sleep)
        tell(other_backend_remarks(run_tool, job.backend))
    except KernelRefused as refusal:
        click.echo(f"tortie: {refusal}{_root_hint()}", err=True)
        context.exit(EXIT_REFUSED)
    _write(job, settled, as_json=as_json)


def _root_hint() -> str:
    return "" if os.geteuid() == 0 else " (this needs root)"


# --- the work ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """A node that is to be programmed: what it should have, what it held when it was looked at, and by which tools."""

    desired: Desired
    backend: Backend
    tables: Tables
    held: Held


def prepare(run: Feed, resources: Any, node: str, backend: Backend | None, *, felix_exact: bool = False) -> Job:
    """Reads the node and works out what it should have; raises `InvalidInput` and `KernelRefused`."""
    from tortie.cli.desired import find_desired, wanted_config
    from tortie.cli.node_state import ToldState, live_state
    from tortie.kernel.run import run_together
    from tortie.kernel.tables import Tables, detect_backend

    chosen = backend or detect_backend(run)
    config, _ = wanted_config(resources, node, felix_exact=felix_exact)
    tables = Tables(run, chosen, config.families, together=run_together)
    held = tables.read()
    told = ToldState(live_state(run, held.rulesets.values()))
    return Job(find_desired(resources, node, told, felix_exact=felix_exact), chosen, tables, held)


def check_allowed(job: Job, ssh: str) -> None:
    """Raises `InvalidInput` for what only --force does."""
    from tortie.cli.change import find_changes
    from tortie.cli.consequence import Change
    from tortie.cli.desired import NOT_READY
    from tortie.cli.plan_report import lock_outs, may_lock_out
    from tortie.cli.rendered_document import owners_of
    from tortie.cli.snapshot_file import read_live_snapshot
    from tortie.net.packet import describe_packet

    desired = job.desired
    if not desired.named:
        raise InvalidInput(
            f"no resource names the node {desired.node}, and without endpoints all its workloads would be closed",
            remedy="say the name with --node, or --force",
        )
    if not desired.cluster.ready:
        raise InvalidInput(f"{NOT_READY}; nothing was changed", remedy="set datastoreReady, or --force")
    if not may_lock_out(desired.rendering):
        return
    changes = find_changes(desired.rendering, job.held, owners_of(desired))
    if not changes.any:
        return
    for probe, why in lock_outs(desired, Change(read_live_snapshot(), changes.after), ssh):
        packet = describe_packet(probe.arrival.packet).rpartition(" ttl ")[0]
        raise InvalidInput(
            f"this would lock out {probe.what}: {packet}: {why}; nothing was changed",
            remedy="`tortie plan` shows all; allow it by policy or failsafe port, or --force",
        )


class _Seen:
    """A kernel of which the first reading was made already."""

    def __init__(self, kernel: Programmable, held: Held) -> None:
        self._kernel = kernel
        self._held: Held | None = held
        self.carry_out = kernel.carry_out

    def read(self) -> Held:
        """What it held, then what it holds."""
        held, self._held = self._held, None
        return self._kernel.read() if held is None else held


def program(job: Job, sleep: Callable[[float], None]) -> Settled:
    """Brings the kernel to what is wanted; raises `InvalidInput` and `KernelRefused`."""
    from tortie.cli.programming import CALICO, wanted_families
    from tortie.kernel.settle import settle
    from tortie.reconcile.plan import plan

    wanted = wanted_families(job.desired.rendering)

    def planner(held: Held) -> Plan:
        return plan(wanted, held, CALICO)

    return settle(_Seen(job.tables, job.held), planner, sleep)


def other_backend_remarks(run: Feed, backend: Backend) -> list[str]:
    """A remark for each family of which the other back-end holds chains of ours too, where they act as well."""
    from tortie.kernel.tables import STEMS
    from tortie.netfilter.hook import Backend

    other = Backend.LEGACY if backend is Backend.NFT else Backend.NFT
    found = []
    for family, stem in STEMS.items():
        listed = run(["cat", f"/proc/net/{stem.removesuffix('tables')}_tables_names"])
        if other is Backend.LEGACY and not listed.out.strip():
            continue  # listing a legacy table would make it
        if b"\n:cali-" in run([f"{stem}-{other.value}-save"]).out:
            found.append(
                f"IPv{family.value}: the {other.value} back-end holds chains of ours too, and both act on every packet; "
                f"`tortie flush --backend {other.value}` removes them"
            )
    return found


def applied_document(job: Job, settled: Settled) -> dict[str, Any]:
    """What was done, as plain values; docs/apply-schema.json promises the shape."""
    return {
        "schema": 1,
        "node": job.desired.node,
        "backend": job.backend.value,
        "steps": settled.steps,
        "failures": list(settled.failures),
        "remarks": [*job.desired.remarks, *settled.remarks],
    }


def _write(job: Job, settled: Settled, *, as_json: bool) -> None:
    if as_json:
        import json

        document = applied_document(job, settled)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    tell([*(f"tried again: {failure}" for failure in settled.failures), *settled.remarks])
    done = "nothing to do"
    if settled.steps:
        done = f"programmed in {settled.steps} step{'' if settled.steps == 1 else 's'}, and read back"
    click.echo(f"{job.desired.node} ({job.backend.value}): {done}")
