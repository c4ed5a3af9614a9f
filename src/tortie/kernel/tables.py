"""The tools of one back-end: reads rules and sets as values, carries out the steps of a plan.

Each table is changed by one run of iptables-restore without flushing, sets by one run of `ipset restore` for commands that
follow each other. An exit code is believed only when it says no: a fence, and rules that sets change in reliance on, are
looked at before going on; that all is as it should be is found out by reading again in the end (`settle`).
Foreign rules, chains and sets are not mentioned in what is written, so they cannot be hit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, assert_never

from tortie.codec.save import parse_save
from tortie.kernel.listing import Lister, SetReader, steady_text
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Feed, Ran
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.ipset import IPSet
from tortie.netfilter.rule import Ruleset
from tortie.reconcile.step import Plan, SetEdit, TableEdit
from tortie.reconcile.text import describe_step, format_ipset_restore, format_restore, shows, telling_edit
from tortie.reconcile.wanted import Held

LOCK_WAIT = ("--wait", "10", "--wait-interval", "50000")
"""Seconds to wait for the lock of iptables, and microseconds between tries (spec: rules 10.5)."""
_LOCKS_ITSELF = (1, 6, 2)
"""From this version on iptables-restore takes the lock and knows the options (spec: rules 1.4)."""
_VERSION = re.compile(rb"v(\d+)\.(\d+)\.(\d+)")
_NO_CHAIN = "No chain/target/match by that name"
_LINE = re.compile(r"\bline:? (\d+)")
MANY_LINES = 5000
"""From this much on families are written side by side; with less they only wait for each other in the kernel."""
STEMS = {IPFamily.V4: "iptables", IPFamily.V6: "ip6tables"}


def detect_backend(run: Feed) -> Backend:
    """The back-end behind plain `iptables`, which is what Felix 3.7 writes to; raises `KernelRefused` without it."""
    ran = run(["iptables", "--version"])
    if ran.code != 0:
        raise KernelRefused(["iptables", "--version"], _said(ran))
    return Backend.NFT if b"(nf_tables)" in ran.out else Backend.LEGACY


T = TypeVar("T")


class Together(Protocol):
    """How jobs that do not wait for each other are run, all to their ends."""

    def __call__(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """What they return, in their order; raises what the first of them raised that did."""
        ...


def one_by_one(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """The plain way."""
    return [job() for job in jobs]


@dataclass(frozen=True, slots=True)
class _Known:
    """A family's rules as they were read: the steady text of them, and as a value."""

    text: str
    ruleset: Ruleset


class Tables:
    """Rules of some families in one back-end, and ip sets, behind their tools.

    What was read is remembered, as is what a plan should have led to, and a text that is one of the two is not parsed
    again. Families have nothing to do with each other, so `together` may run their tools side by side.
    """

    def __init__(
        self,
        run: Feed,
        backend: Backend,
        families: Iterable[IPFamily],
        *,
        together: Together = one_by_one,
        generation: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`run` runs the tools; nothing is asked of them before the first reading.

        `generation` is a number that changes whenever rules of this back-end do, None where there is no such thing.
        """
        self._run = run
        self.backend = backend
        self._families = tuple(families)
        self._together = together
        self._generation = generation
        self._names: dict[str, str] = {}
        self._lock: tuple[str, ...] | None = None
        self._known: dict[IPFamily, _Known] = {}
        self._known_generation: int | None = None
        self._expected: Mapping[IPFamily, Ruleset] = {}
        self._listers = {family: Lister(family) for family in self._families}
        self._sets = SetReader()

    def read(self) -> Held:
        """What the kernel holds; raises `KernelRefused` when a tool fails, `InvalidInput` for senseless output."""
        generation = self._generation()
        sets = self._read_sets()
        if generation is not None and generation == self._known_generation:
            return Held({family: self._known[family].ruleset for family in self._families}, sets)
        self._known_generation = None
        texts = self._together([partial(self._listed, family) for family in self._families])
        rulesets = {family: self._understood(family, text) for family, text in zip(self._families, texts, strict=True)}
        self._expected = {}
        if generation is not None and generation == self._generation():
            self._known_generation = generation
        return Held(rulesets, sets)

    @property
    def read_generation(self) -> int | None:
        """The number that rules had when they were as they were read last; None where that is not known."""
        return self._known_generation

    def _read_sets(self) -> Mapping[str, IPSet]:
        return self._sets.read(self._checked(["ipset", "save"]).out.decode(errors="replace"))

    def _listed(self, family: IPFamily) -> str:
        return self._checked([self._tool(family, "save")]).out.decode("utf-8", "surrogateescape")

    def _understood(self, family: IPFamily, text: str) -> Ruleset:
        """The value of a listing, which is known already if it shows what was read before, or what was planned."""
        steady = steady_text(text)
        known = self._known.get(family)
        if known is not None and known.text == steady:
            return known.ruleset
        ruleset = self._expected.get(family)
        if ruleset is None or not self._listers[family].is_listed(ruleset, steady):
            ruleset = parse_save(text, family, source=self._tool(family, "save"), backend=self.backend).ruleset
        self._known[family] = _Known(steady, ruleset)
        return ruleset

    def carry_out(self, plan: Plan) -> None:
        """Takes the steps, each behind those that it relies on; raises `KernelRefused` when one fails.

        Sets are changed when all tables in front of them are done; tables of one family one after the other.
        """
        self._expected = plan.after
        unseen: dict[tuple[IPFamily, TableName], TableEdit] = {}
        waiting: dict[IPFamily, list[TableEdit]] = {}
        for step in plan.steps:
            match step:
                case TableEdit():
                    waiting.setdefault(step.family, []).append(step)
                case SetEdit():
                    unseen |= self._edit_tables(waiting)
                    self._look_for(unseen)
                    self._checked(["ipset", "restore"], format_ipset_restore(step))
                case _:
                    assert_never(step)
        self._edit_tables(waiting)

    def _edit_tables(self, waiting: dict[IPFamily, list[TableEdit]]) -> dict[tuple[IPFamily, TableName], TableEdit]:
        """Makes and forgets the edits that wait; returns those that were not looked at since."""
        options = self._lock_options() if waiting else ()
        jobs = [partial(self._edit_family, edits, options) for edits in waiting.values()]
        lines = sum(len(edit.edits) for edits in waiting.values() for edit in edits)
        waiting.clear()
        unseen: dict[tuple[IPFamily, TableName], TableEdit] = {}
        for made in self._together(jobs) if lines >= MANY_LINES else one_by_one(jobs):
            unseen |= made
        return unseen

    def _edit_family(self, edits: list[TableEdit], options: tuple[str, ...]) -> dict[tuple[IPFamily, TableName], TableEdit]:
        """Makes the edits of one family one after the other; a fence stands before what is made behind it."""
        unseen: dict[tuple[IPFamily, TableName], TableEdit] = {}
        writer = self._listers[edits[0].family].writer
        for edit in edits:
            self._checked([self._tool(edit.family, "restore"), "--noflush", *options], format_restore(edit, writer))
            unseen[edit.family, edit.table] = edit
            if edit.fence:
                self._look_for(unseen)
        return unseen

    def _look_for(self, edits: dict[tuple[IPFamily, TableName], TableEdit]) -> None:
        """Makes sure that edits were made, before anything is done that is safe only behind them; forgets them then."""
        for (family, name), edit in edits.items():
            telling = telling_edit(edit)
            if telling is not None and not shows(telling, family, self._chain(family, name, telling.chain)):
                command = [self._tool(family, "restore"), "--noflush"]
                raise KernelRefused(command, "ended well but changed nothing", describe_step(edit))
        edits.clear()

    def _chain(self, family: IPFamily, table: TableName, chain: str) -> str | None:
        """One chain, as `iptables -S` prints it; None when there is no such chain."""
        tool = self._tool(family, "save").removesuffix("-save")
        command = [tool, *self._lock_options(), "-t", table.value, "-S", chain]
        ran = self._run(command)
        if ran.code != 0 and _NO_CHAIN not in ran.error:
            raise KernelRefused(command, _said(ran))
        return ran.out.decode("utf-8", "surrogateescape") if ran.code == 0 else None

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
