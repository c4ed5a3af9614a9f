"""Which files of resources there are below a directory, told by their names, inodes, sizes and times alone.

A directory stands for all files in it that end in .yaml, .yml or .json, at any depth. Links to files are followed, links to
directories are not. Entries that begin with two dots are how Kubernetes mounts keep what their links lead to, and are
passed over: when such a mount changes, one link is exchanged, and every file is another one than before.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when a file is written or another one takes its place; `modified_ns` is the wall clock's."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Tree:
    """The files below a directory, by path, and what could not be looked into, with the reason.

    `identity` is the directory's own device and inode.
    """

    identity: tuple[int, int]
    files: dict[str, Signature] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True when there is no file, and nothing that might hide one."""
        return not self.files and not self.unreadable

    def may_hold(self, path: str) -> bool:
        """True when a file that is not among `files` may be there all the same."""
        return any(path == place or path.startswith(f"{place}/") for place in self.unreadable)


def scan_tree(root: str) -> Tree:
    """What is below a directory; raises `OSError` when the directory itself cannot be read."""
    status = os.stat(root)
    tree = Tree((status.st_dev, status.st_ino))
    with os.scandir(root) as entries:
        for entry in list(entries):
            _scan_entry(entry, tree)
    return tree


def _scan_entry(entry: os.DirEntry[str], tree: Tree) -> None:
    if entry.name.startswith(".."):
        return
    try:
        if entry.is_dir(follow_symlinks=False):
            with os.scandir(entry.path) as entries:
                for inner in list(entries):
                    _scan_entry(inner, tree)
        elif entry.name.endswith(SUFFIXES):
            status = entry.stat()
            if not stat.S_ISDIR(status.st_mode):
                tree.files[entry.path] = _signature(status)
    except FileNotFoundError:
        return  # It went meanwhile, or is a link to nothing.
    except OSError as error:
        tree.unreadable[entry.path] = error.strerror or str(error)


def _signature(status: os.stat_result) -> Signature:
    return Signature(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def reading_order(root: str, path: str) -> str:
    """Sorts the files below a root as a walk through it would find them, directory by directory."""
    return path.removeprefix(root).replace("/", "\0")


def read_file(path: str, largest: int) -> str:
    """The text of a regular file of at most `largest` bytes; raises `OSError` or `ValueError`."""
    # Without waiting: opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is not a regular file")
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"is larger than {largest >> 20} MiB")
    return data.decode("utf-8-sig")
