"""The tools of one back-end: reads rules and sets as values, carries out the steps of a plan.

Each table is changed by one run of iptables-restore without flushing, sets by one run of `ipset restore` for commands that
follow each other. An exit code is believed only when it says no: a fence, and rules that sets change in reliance on, are
looked at before going on; that all is as it should be is found out by reading again in the end (`settle`).
Foreign rules, chains and sets are not mentioned in what is written, so they cannot be hit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import assert_never

from tortie.codec.ipset import parse_ipsets
from tortie.codec.save import parse_save
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed, Ran
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.step import Plan, SetEdit, TableEdit
from tortie.reconcile.text import describe_step, format_ipset_restore, format_restore, shows
from tortie.reconcile.wanted import Held

LOCK_WAIT = ("--wait", "10", "--wait-interval", "50000")
"""Seconds to wait for the lock of iptables, and microseconds between tries (spec: rules 10.5)."""
_LOCKS_ITSELF = (1, 6, 2)
"""From this version on iptables-restore takes the lock and knows the options (spec: rules 1.4)."""
_VERSION = re.compile(rb"v(\d+)\.(\d+)\.(\d+)")
_LINE = re.compile(r"\bline:? (\d+)")
STEMS = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}


def detect_backend(run: Feed) -> Backend:
    """The back-end behind plain `iptables`, which is what Felix 3.7 writes to; raises `KernelRefused` without it."""
    ran = run(["iptables", "--version"])
    if ran.code != 0:
        raise KernelRefused(["iptables", "--version"], _said(ran))
    return Backend.NFT if b"(nf_tables)" in ran.out else Backend.LEGACY


class Tables:
    """Rules of some families in one back-end, and ip sets, behind their tools."""

    def __init__(self, run: Feed, backend: Backend, families: Iterable[IPFamily]) -> None:
        """`run` runs the tools; nothing is asked of them before the first reading."""
        self._run = run
        self.backend = backend
        self._families = tuple(families)
        self._names: dict[str, str] = {}
        self._lock: tuple[str, ...] | None = None

    def read(self) -> Held:
        """What the kernel holds; raises `KernelRefused` when a tool fails, `InvalidInput` for senseless output."""
        sets = self._checked(["ipset", "save"])
        return Held(
            {family: self._read_rules(family) for family in self._families},
            parse_ipsets(sets.out.decode(errors="replace"), source="ipset save"),
        )

    def _read_rules(self, family: IPFamily) -> Ruleset:
        command = [self._tool(family, "save")]
        text = self._checked(command).out.decode("utf-8", "surrogateescape")
        return parse_save(text, family, source=command[0], backend=self.backend).ruleset

    def carry_out(self, plan: Plan) -> None:
        """Takes the steps one after the other; raises `KernelRefused` at the first that fails, the others stay undone."""
        unseen: dict[tuple[IPFamily, TableName], TableEdit] = {}
        for step in plan.steps:
            match step:
                case TableEdit():
                    command = [self._tool(step.family, "restore"), "--noflush", *self._lock_options()]
                    self._checked(command, format_restore(step))
                    unseen[step.family, step.table] = step
                    if step.fence:
                        self._look_for(unseen)
                case SetEdit():
                    self._look_for(unseen)
                    self._checked(["ipset", "restore"], format_ipset_restore(step))
                case _:
                    assert_never(step)

    def _look_for(self, edits: dict[tuple[IPFamily, TableName], TableEdit]) -> None:
        """Makes sure that edits were made, before anything is done that is safe only behind them; forgets them then."""
        for (family, name), edit in edits.items():
            saved = self._checked([self._tool(family, "save"), "-t", name.value]).out.decode("utf-8", "surrogateescape")
            if not shows(edit, saved):
                command = [self._tool(family, "restore"), "--noflush"]
                raise KernelRefused(command, "ended well but changed nothing", describe_step(edit))
        edits.clear()

    # --- tools ---

    def _tool(self, family: IPFamily, verb: str) -> str:
        """The back-end's own name of a tool, or the plain one where that is the only one and belongs to the back-end."""
        name = f"{STEMS[family]}-{self.backend.value}-{verb}"
        if name not in self._names:
            self._names[name] = name if not self._run([name, "--version"]).missing else self._plain_tool(family, verb)
        return self._names[name]

    def _plain_tool(self, family: IPFamily, verb: str) -> str:
        name = f"{STEMS[family]}-{verb}"
        ran = self._run([STEMS[family], "--version"])
        if ran.code != 0:
            raise KernelRefused([STEMS[family], "--version"], _said(ran))
        if (b"(nf_tables)" in ran.out) is not (self.backend is Backend.NFT):
            raise KernelRefused([name], f"writes to the other back-end, not to {self.backend.value}")
        return name

    def _lock_options(self) -> tuple[str, ...]:
        if self._lock is None:
            found = _VERSION.search(self._run(["iptables", "--version"]).out)
            version = tuple(int(part) for part in found.groups()) if found else _LOCKS_ITSELF
            self._lock = LOCK_WAIT if version >= _LOCKS_ITSELF else ()
        return self._lock

    def _checked(self, command: Sequence[str], text: str = "") -> Ran:
        ran = self._run(command, text.encode("utf-8", "surrogateescape"))
        if ran.code != 0:
            raise KernelRefused(command, _said(ran), _offending_line(ran.error, text))
        return ran


def _said(ran: Ran) -> str:
    if ran.missing:
        return "not installed"
    lines = [line.strip() for line in ran.error.splitlines() if line.strip() and not line.startswith("Try `")]
    return "; ".join(lines) or f"exit code {ran.code}"


def _offending_line(error: str, text: str) -> str | None:
    """The line of the input that the message speaks of; the line of COMMIT stands for the whole table."""
    found = _LINE.search(error)
    lines = text.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return None
    return lines[int(found[1]) - 1]
