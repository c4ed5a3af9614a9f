"""The machine that a laboratory runs on: its network namespaces, programs inside them, and a folder for their files.

Everything carries the laboratory's name: namespaces are called `tortie-lab.NAME.WHAT`, files are below FOLDER/NAME. So all
of it is found again by another process, also when the one that made it was killed halfway, and nothing else is touched.
What runs in a namespace ends with it. One command at a time works on a laboratory: it holds a lock on the folder, which the
kernel gives up when the command ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tortie.kernel.namespace import inside
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran, run_tool
from tortie.net.error import InvalidInput

FOLDER = Path("/run/tortie/lab")
NAMESPACES = Path("/run/netns")
_PREFIX = "tortie-lab"
_END_S = 5.0
_TURN_S = 0.05
_OF_A_CLUSTER = ("FELIX_", "ETCD_", "CALICO_", "CNI_", "K8S_", "KUBECONFIG", "DATASTORE_TYPE", "USE_POD_CIDR")
_MOST_ROUNDS = 20
"""Of removing what a command that was killed had still under way."""


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

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps other commands off meanwhile, where there is a folder; raises `InvalidInput` when another has it."""
        try:
            folder = os.open(self.state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        try:
            _lock(folder, self.name)
            yield
        finally:
            os.close(folder)

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

    def run_program(self, what: str, environment: Mapping[str, str], command: Sequence[str], data: bytes = b"") -> Ran:
        """Runs one of our own programs in a namespace to its end, with an environment of the laboratory's."""
        foreign = os.environ.keys() - own_environment(os.environ).keys()
        unset = (word for name in sorted(foreign) for word in ("-u", name))
        return self.run(what, ["env", *unset, *(f"{name}={text}" for name, text in environment.items()), *command], data)

    def start(self, what: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> int:
        """Starts a program in a namespace that stays when this process ends; returns its number. Raises `OSError`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with inside(self.path(what)), log.open("ab") as file:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**own_environment(os.environ), **(environment or {})},
            )
        process.returncode = 0  # it is not waited for here, and that is no mistake to warn of
        return process.pid

    # --- ending ---

    def processes(self, namespaces: Iterable[str]) -> list[int]:
        """What runs in namespaces, by their names."""
        numbers = set()
        for name in namespaces:
            with suppress(OSError):
                numbers.add((NAMESPACES / name).stat().st_ino)
        return [pid for pid in _all_processes() if _namespace_of(pid) in numbers]

    def kill(self, what: str) -> None:
        """Ends all programs in a namespace without a warning."""
        self._end([self.namespace(what)], (signal.SIGKILL,))

    def remove(self) -> None:
        """Ends all programs, then removes all namespaces and files; raises `KernelRefused` and `OSError`.

        What a command that was killed had under way may come up meanwhile, so this looks again until nothing is there.
        """
        for _ in range(_MOST_ROUNDS):
            namespaces = self.namespaces()
            self._end(namespaces)
            for namespace in namespaces:
                _remove_namespace(namespace)
            shutil.rmtree(self.state, onerror=_complain_unless_gone)
            if not self.exists():
                break
        with suppress(OSError):  # others may have theirs in it
            self.folder.rmdir()
            if self.folder == FOLDER:
                self.folder.parent.rmdir()

    def _end(self, namespaces: Iterable[str], ways: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGKILL)) -> None:
        """Ends programs, the kind way first."""
        names = list(namespaces)
        for number in ways:
            end = time.monotonic() + _END_S
            while running := self.processes(names):
                for pid in running:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                while any(runs(pid) for pid in running) and time.monotonic() < end:
                    time.sleep(_TURN_S)
                if time.monotonic() >= end:
                    break
            else:
                return


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a shell of a real cluster says of that: its datastore, its Felix, its containers."""
    return {name: text for name, text in environment.items() if not name.startswith(_OF_A_CLUSTER)}


def _lock(folder: int, name: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"laboratory {name} is in use by another command"
        raise InvalidInput(message, remedy="wait until that ends, or end it") from None


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _namespace_of(pid: int) -> int:
    """The number of a process's network namespace; 0 for one that has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


def _remove_namespace(name: str) -> None:
    """Removes a namespace, unless somebody has; one that was unmounted by hand is a mere file."""
    try:
        checked(["ip", "netns", "del", name])
    except KernelRefused:
        path = NAMESPACES / name
        if path.exists() and not path.is_mount():
            path.unlink(missing_ok=True)
        elif path.exists():
            raise


def _complain_unless_gone(_: object, path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
    error = info[1]
    if not isinstance(error, OSError) or error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
        raise error  # a folder that something was written to meanwhile is looked at again


def runs(pid: int) -> bool:
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
