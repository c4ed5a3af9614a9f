"""The real iptables tools of one family and back-end, in a network namespace of their own.

What they refuse comes back as their message, so that a test can compare refusals; a namespace ends with its test.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.oracle.namespace import Namespace
from tests.strategies.rules import SET_COMMANDS
from tortie.net.address import IPFamily
from tortie.netfilter.hook import Backend


@dataclass(slots=True)
class Tools:
    """`iptables-legacy`, `ip6tables-nft` and their -restore and -save, run inside `namespace`."""

    family: IPFamily
    backend: Backend
    namespace: Namespace
    lock: Path

    @staticmethod
    def fresh(family: IPFamily, backend: Backend, directory: Path) -> Tools:
        """Tools in a new namespace that has the sets of `tests.strategies.rules` and a loopback that is up."""
        tools = Tools(family, backend, Namespace(), directory / "xtables.lock")
        tools.namespace.run(["ipset", "restore"], SET_COMMANDS)
        tools.namespace.run(["ip", "link", "set", "lo", "up"])
        return tools

    def close(self) -> None:
        """Lets the namespace go."""
        self.namespace.close()

    def _run(self, suffix: str, words: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
        stem = "iptables" if self.family is IPFamily.V4 else "ip6tables"
        with self.namespace:
            return subprocess.run(
                [f"{stem}-{self.backend.value}{suffix}", *words],
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
                env={**os.environ, "XTABLES_LOCKFILE": str(self.lock)},
            )

    def restore(self, text: str) -> str | None:
        """Loads tables in place of what they held; the message when that is refused."""
        done = self._run("-restore", [], text)
        return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else None

    def save(self, table: str, *, counters: bool = False) -> str:
        """What -save prints of a table."""
        return self._run("-save", ["-t", table, *(["-c"] if counters else [])]).stdout

    def list_rules(self, table: str, *, counters: bool = False) -> str:
        """What `-S` prints of a table, with counters as `-v` shows them."""
        return self._run("", ["-t", table, "-S", *(["-v"] if counters else [])]).stdout

    def command(self, words: Sequence[str]) -> str | None:
        """Runs one command line; the message when it is refused."""
        done = self._run("", words)
        return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else None
