"""The machine's first file system: a busybox, a program to start with, and the modules that the rest is reached with.

Source: Documentation/driver-api/early-userspace/buffer-format.rst (the archive that the kernel unpacks).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

_EXECUTABLE = stat.S_IFREG | 0o755
_FOLDER = stat.S_IFDIR | 0o755
_TRAILER = "TRAILER!!!"


def initramfs(busybox: Path, init: Path, modules: Iterable[Path]) -> bytes:
    """The archive; the names of modules in it, in order, are the order in which they are loaded."""
    parts = [_entry(name, _FOLDER) for name in ("bin", "modules", "proc", "lower", "over", "root")]
    parts += [_entry("bin/busybox", _EXECUTABLE, busybox.read_bytes()), _entry("init", _EXECUTABLE, init.read_bytes())]
    parts += [
        _entry(f"modules/{number:02}-{module.name}", _EXECUTABLE, module.read_bytes())
        for number, module in enumerate(modules)
    ]
    return b"".join((*parts, _entry(_TRAILER, 0)))


def _entry(name: str, mode: int, data: bytes = b"") -> bytes:
    """A header of fourteen numbers, the name and the contents, each filled up to a multiple of four octets."""
    ended = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(ended), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + ended
    return _filled(header) + _filled(data)


def _filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
