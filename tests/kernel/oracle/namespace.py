"""Anonymous network namespaces and what is run inside them.

A namespace lives as long as something refers to it: the file descriptor held here, sockets and TUN devices made inside,
running children. It has no name in `/run/netns`, so a crash of the process leaves nothing behind. Entering changes the
calling thread only, and everything made while inside (sockets, children) stays in the namespace afterwards.

Source: network_namespaces(7), setns(2), unshare(2).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
NEWER_SETTINGS = ("/force_forwarding",)
"""Settings that Debian 12's kernel (6.1) lacks."""
_OWN = "/proc/thread-self/ns/net"


class ToolFailed(Exception):
    """A program run inside the namespace ended with an error; the text holds command, exit code and its output."""


class Namespace:
    """A new network namespace; use it as a context manager to be inside."""

    def __init__(self) -> None:
        outside = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_LIBC.unshare(CLONE_NEWNET), "unshare")
            self._inside = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
            _checked(_LIBC.setns(outside, CLONE_NEWNET), "setns")
        finally:
            os.close(outside)
        self._stack: list[int] = []

    @property
    def descriptor(self) -> int:
        """The open file that is the namespace."""
        return self._inside

    def __enter__(self) -> Namespace:
        self._stack.append(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC))
        _checked(_LIBC.setns(self._inside, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        before = self._stack.pop()
        _checked(_LIBC.setns(before, CLONE_NEWNET), "setns")
        os.close(before)

    def close(self) -> None:
        """Gives up the namespace; it ends when nothing inside is left."""
        os.close(self._inside)

    def run(self, command: Sequence[str], text: str | None = None, *, environment: Mapping[str, str] | None = None) -> str:
        """Runs a program inside, with `text` as its input; returns its output and raises `ToolFailed`."""
        with self:
            done = subprocess.run(
                command, input=text, text=True, capture_output=True, check=False, env={**os.environ, **(environment or {})}
            )
        if done.returncode:
            raise ToolFailed(f"{' '.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def read_sysctl(self, name: str) -> str:
        """The value of a sysctl, by its path below /proc/sys."""
        with self, open(f"/proc/sys/{name}") as file:
            return file.read().strip()

    def lacks_sysctl(self, name: str) -> bool:
        """True for a setting that only newer kernels have; the simulator takes it for off when a snapshot has none."""
        with self:
            return name.endswith(NEWER_SETTINGS) and not os.path.exists(f"/proc/sys/{name}")

    def write_sysctls(self, values: Iterable[tuple[str, str]]) -> None:
        """Sets sysctls by their paths below /proc/sys, in order; raises OSError when the kernel refuses."""
        with self:
            for name, value in values:
                with open(f"/proc/sys/{name}", "w") as file:
                    file.write(value)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
