"""Other network namespaces of this machine: being in one for a while.

Entering changes the calling thread only; sockets opened and tools started meanwhile are inside. Source: setns(2),
network_namespaces(7).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"


@contextmanager
def inside(path: str) -> Iterator[None]:
    """Being in the network namespace of a file; raises `OSError` when there is none or it may not be entered."""
    with _opened(_OWN) as before, _opened(path) as there:
        _enter(there, path)
        try:
            yield
        finally:
            _enter(before, _OWN)


def is_namespace(path: str) -> bool:
    """True when a file is a network namespace that can be entered."""
    try:
        with inside(path):
            return True
    except OSError:
        return False


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(descriptor: int, path: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
