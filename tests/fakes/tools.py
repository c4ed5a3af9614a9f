"""The tools over a fake kernel: real commands in, real text out; any write can be made to fail in any way.

A write is one run of a restore tool. `Crash` is raised where a real process would be killed, so nothing behind it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.fakes.kernel import FakeKernel, Refused
from tortie.codec.ipset import format_ipset_save
from tortie.codec.rule import format_rule
from tortie.codec.save import SaveFile, format_save
from tortie.kernel.run import Ran
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend, TableName
from tortie.netfilter.rule import Ruleset

STEMS = {"iptables": IPFamily.V4, "ip6tables": IPFamily.V6}


class Crash(BaseException):
    """The end of the process that was writing."""


@dataclass(frozen=True)
class Fails:
    """The tool says that it failed, with nothing done."""

    message: str = "Resource temporarily unavailable."


@dataclass(frozen=True)
class Lies:
    """The tool ends well with nothing done."""


@dataclass(frozen=True)
class Crashes:
    """The process dies after this many lines of the input; a table is changed only after the last."""

    lines: int


Failure = Fails | Lies | Crashes


@dataclass
class FakeTools:
    """Runs commands as `kernel.run.Feed` does; `failures` by the number of the write, from 0."""

    kernel: FakeKernel = field(default_factory=FakeKernel)
    failures: Mapping[int, Failure] = field(default_factory=dict)
    plain: Backend = Backend.LEGACY
    """What plain `iptables` is."""
    missing: tuple[str, ...] = ()
    writes: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        name, *words = command
        if name in self.missing:
            return Ran(127)
        if name == "ipset":
            if words == ["save"]:
                return Ran(0, format_ipset_save(self.kernel.ip_sets).encode())
            assert words == ["restore"]
            return self._write(command, data.decode(), lambda text: self._restore_sets(text))
        stem, _, rest = name.partition("-")
        family = STEMS[stem]
        backend = Backend(rest.partition("-")[0]) if rest.startswith(("legacy", "nft")) else self.plain
        if words == ["--version"]:
            label = "nf_tables" if backend is Backend.NFT else "legacy"
            return Ran(0, f"{name} v1.8.9 ({label})\n".encode())
        if name.endswith("-save"):
            return Ran(0, format_save(SaveFile(self.kernel.ruleset(family, backend))).encode())
        if words[-2:-1] == ["-S"]:
            return self._show_chain(self.kernel.ruleset(family, backend), TableName(words[-3]), words[-1])
        assert name.endswith("-restore") and "--noflush" in words
        return self._write(command, data.decode(), lambda text: self._restore_table(family, backend, text))

    @staticmethod
    def _show_chain(ruleset: Ruleset, table: TableName, chain: str) -> Ran:
        held = ruleset.tables.get(table)
        if held is None or chain not in held.chains:
            return Ran(1, error="iptables: No chain/target/match by that name.\n")
        rules = (format_rule(rule, ruleset.family) for rule in held.chains[chain].rules)
        return Ran(0, "".join(f"{line}\n" for line in (f"-N {chain}", *(f"-A {chain} {rule}" for rule in rules))).encode())

    def _write(self, command: Sequence[str], text: str, do: object) -> Ran:
        number = len(self.writes)
        self.writes.append((tuple(command), text))
        failure = self.failures.get(number)
        assert callable(do)
        match failure:
            case Fails(message):
                return Ran(4, error=f"{command[0]}: {message}\n")
            case Lies():
                return Ran(0)
            case Crashes(lines):
                do("".join(text.splitlines(keepends=True)[:lines]))
                raise Crash
        try:
            do(text)
        except Refused as refused:
            return Ran(1, error=f"{command[0]}: line {refused.line} failed: {refused}\n")
        return Ran(0)

    def _restore_table(self, family: IPFamily, backend: Backend, text: str) -> None:
        if text.endswith("COMMIT\n"):
            self.kernel.restore(family, backend, text)

    def _restore_sets(self, text: str) -> None:
        for number, line in enumerate(text.splitlines(), 1):
            self.kernel.ipset(line, number)
