"""Tools that are watched while they run: how often, how long, which processes, and what they said the kernel holds.

Reading tables and sets as values takes much longer than printing them. What was printed when everything was last found to
be right is remembered as a digest, so that a look whether it still is costs only the printing. Foreign chains are left out
of it; chains of the kernel's are in whole, since there the order between ours and others' counts.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1

from tortie.kernel.run import Feed, Ran, run_tool

_BUILTIN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_MOST_PROCESSES = 4096


class ObservedTools:
    """Runs tools as `run` does, and keeps account. `monotonic` tells seconds of a clock that cannot be set."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        chain_prefixes: Iterable[str] = (),
        set_prefixes: Iterable[str] = (),
        run: Feed | None = None,
    ) -> None:
        chains = "|".join(map(re.escape, (*chain_prefixes, *(f"{name} " for name in _BUILTIN))))
        sets = "|".join(map(re.escape, set_prefixes))
        self._rules = re.compile(rf"^(?:\*.*|(?::|-A )(?:{chains})[^\[\n]*)".encode(), re.MULTILINE)
        self._sets = re.compile(rf"^(?:create|add) (?:{sets}).*".encode(), re.MULTILINE)
        self._monotonic = monotonic
        self._run = run
        self._digests: dict[tuple[str, ...], bytes] = {}
        self._processes: deque[int] = deque(maxlen=_MOST_PROCESSES)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """Runs, failures and lines by kind of tool: `iptables-restore calls`, `ipset errors`, `ipset lines` …"""
        self.seconds: Counter[str] = Counter()
        """Time by kind of tool."""

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        """Runs one tool to its end."""
        start = self._monotonic()
        ran = self._run(command, data) if self._run is not None else run_tool(command, data, started=self._started)
        kind = _kind(command)
        with self._lock:
            self.counts[f"{kind} calls"] += 1
            self.seconds[kind] += self._monotonic() - start  # type: ignore[assignment]
            if ran.code != 0:
                self.counts[f"{kind} errors"] += 1
            if data:
                self.counts[f"{kind} lines"] += data.count(b"\n")
            if _reads_all(command):
                if ran.code == 0:
                    self._digests[tuple(command)] = self._digest(command, ran.out)
                else:
                    self._digests.pop(tuple(command), None)
        return ran

    def _started(self, process: int) -> None:
        self._processes.append(process)

    def ran(self, process: int) -> bool:
        """True for a process that was run here, of late."""
        return process in self._processes

    def forget(self) -> None:
        """What was printed last was not right: nothing counts as unchanged before the next reading."""
        with self._lock:
            self._digests.clear()

    def unchanged(self, *, rules: bool, sets: bool) -> bool:
        """Whether tables, or sets, are printed as they were last; False where nothing is remembered, or a tool fails."""
        with self._lock:
            known = dict(self._digests)
        asked = [command for command in known if (sets if command[0] == "ipset" else rules)]
        if not asked:
            return False
        return all(self(command).code == 0 and self._digests.get(command) == known[command] for command in asked)

    def _digest(self, command: Sequence[str], printed: bytes) -> bytes:
        pattern = self._sets if command[0] == "ipset" else self._rules
        return sha1(b"\n".join(pattern.findall(printed)), usedforsecurity=False).digest()


def _reads_all(command: Sequence[str]) -> bool:
    return list(command) == ["ipset", "save"] or (len(command) == 1 and command[0].endswith("-save"))


def _kind(command: Sequence[str]) -> str:
    """Which tool, whatever its back-end and family: `iptables-restore`, `iptables-save`, `ipset`, `ip` …"""
    name = command[0]
    if name.startswith(("iptables", "ip6tables")):
        return f"iptables-{name.rpartition('-')[2]}"
    return name
