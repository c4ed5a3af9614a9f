"""The machine that a laboratory runs on: its network namespaces, programs inside them, and a folder for their files.

Everything carries the laboratory's name: namespaces are called `tortie-lab.NAME.WHAT`, files are below FOLDER/NAME. So all
of it is found again by another process, also when the one that made it was killed halfway, and nothing else is touched.
A program's process ends with its namespace.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tortie.kernel.namespace import inside
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran, run_tool

FOLDER = Path("/run/tortie/lab")
NAMESPACES = Path("/run/netns")
_PREFIX = "tortie-lab"
_END_S = 5.0
_TURN_S = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """What belongs to one laboratory."""

    name: str
    folder: Path = FOLDER

    @property
    def state(self) -> Path:
        """Where its files are."""
        return self.folder / self.name

    def namespace(self, what: str) -> str:
        """The name of a namespace; `what` is a node's, pod's or host's name in the laboratory."""
        return f"{_PREFIX}.{self.name}.{what}"

    def path(self, what: str) -> str:
        """The file that is a namespace."""
        return str(NAMESPACES / self.namespace(what))

    def exists(self) -> bool:
        """Whether there is anything of it."""
        return self.state.exists() or bool(self.namespaces())

    def namespaces(self) -> list[str]:
        """The names of its namespaces that are there."""
        beginning = self.namespace("")
        return sorted(path.name for path in NAMESPACES.glob("*") if path.name.startswith(beginning))

    # --- making ---

    def add_namespace(self, what: str) -> None:
        """Makes a namespace, with its loopback up; raises `KernelRefused`."""
        checked(["ip", "netns", "add", self.namespace(what)])
        self.batch(what, ["link set lo up"])

    def connect(self, port: str, switch: str, what: str, interface: str) -> None:
        """Puts an interface of a namespace on a switch, which is a bridge of its own namespace; raises `KernelRefused`."""
        with inside(self.path(switch)):
            checked(["ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", self.path(what)])
            checked(["ip", "link", "set", port, "master", "br0", "up"])

    def batch(self, what: str, lines: Iterable[str]) -> None:
        """Tells `ip` in a namespace; raises `KernelRefused`."""
        with inside(self.path(what)):
            checked(["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines))

    def write_sysctls(self, what: str, values: Mapping[str, str]) -> None:
        """Writes sysctls in a namespace, by their paths below /proc/sys; raises `OSError`."""
        with inside(self.path(what)):
            for path, value in values.items():
                Path("/proc/sys", path).write_text(value)

    def run(self, what: str, command: Sequence[str], data: bytes = b"") -> Ran:
        """Runs a tool in a namespace to its end."""
        with inside(self.path(what)):
            return run_tool(command, data)

    def start(self, what: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Starts a program in a namespace that stays when this process ends; raises `OSError`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with inside(self.path(what)), log.open("ab") as file:
            subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    # --- ending ---

    def processes(self, namespace: str) -> list[int]:
        """What runs in a namespace."""
        ran = run_tool(["ip", "netns", "pids", namespace])
        return [int(word) for word in ran.out.split()] if ran.code == 0 else []

    def kill(self, what: str) -> None:
        """Ends all programs in a namespace without a warning."""
        self._end([self.namespace(what)], (signal.SIGKILL,))

    def remove(self) -> None:
        """Ends all programs, then removes all namespaces and files; raises `KernelRefused` and `OSError`."""
        namespaces = self.namespaces()
        self._end(namespaces)
        for namespace in namespaces:
            checked(["ip", "netns", "del", namespace])
        if self.state.exists():
            shutil.rmtree(self.state)
        with suppress(OSError):  # others may have theirs in it
            self.folder.rmdir()

    def _end(self, namespaces: Iterable[str], ways: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGKILL)) -> None:
        """Ends programs, the kind way first."""
        for number in ways:
            end = time.monotonic() + _END_S
            running = [pid for namespace in namespaces for pid in self.processes(namespace)]
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            while running and time.monotonic() < end:
                running = [pid for pid in running if _runs(pid)]
                time.sleep(_TURN_S)
            if not running:
                return


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie; ours are waited for."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def checked(command: Sequence[str], text: str = "") -> Ran:
    """Runs a tool here and now; raises `KernelRefused` when it fails."""
    ran = run_tool(command, text.encode())
    if ran.missing:
        raise KernelRefused(command, "not installed")
    if ran.code:
        raise KernelRefused(command, (ran.error.strip().splitlines() or [ran.complaint])[0])
    return ran


def laboratories(folder: Path = FOLDER) -> list[str]:
    """The names of all laboratories of which there is anything."""
    found = {path.name for path in folder.glob("*") if path.is_dir()}
    found |= {path.name.split(".")[1] for path in NAMESPACES.glob(f"{_PREFIX}.*.*")}
    return sorted(found)
