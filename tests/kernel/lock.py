"""The lock of the legacy tables, held by the tool itself: it has been told to load a table, and not yet all of it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kernel.agent_node import AgentNode


@contextmanager
def locked_tables(node: AgentNode) -> Iterator[None]:
    """Nobody else on the node can change a legacy table; what the tool was told is forgotten at the end."""
    path = node.folder / "lock"
    environment = {**os.environ, "XTABLES_LOCKFILE": str(path)}
    with node.node:
        holder = subprocess.Popen(
            ["iptables-legacy-restore", "--noflush", "--wait"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment,
        )  # fmt: skip
    try:
        assert holder.stdin is not None
        holder.stdin.write(b"*raw\n")
        holder.stdin.flush()
        node.until(lambda: _is_held(path), 5, "the lock to be held")
        yield
    finally:
        holder.kill()
        holder.communicate()


def _is_held(path: os.PathLike[str]) -> bool:
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
