"""Resources from files, directories and stdin.

A directory stands for all files in it that end in .yaml, .yml or .json, at any depth, each read once in the order of their
names; what links to another directory is not followed, and entries that begin with two dots are how Kubernetes mounts keep
older versions, so they are passed over. A file that is named is read whatever it is called. Naming a place without a single
file is an error: an empty directory, mistyped or not mounted, must not look like a cluster without policy.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tortie.model.read import Refusal, Resources, parse_resources
from tortie.model.resource import ReadOptions
from tortie.net.error import InvalidInput

SUFFIXES = (".yaml", ".yml", ".json")
"""How files of resources in a directory are called."""
MOST_BYTES_PER_FILE = 512 << 20
"""A file above this is refused; ten thousand pods as kubectl prints them are a tenth of it."""
_SLOW_BYTES = 1 << 20
"""From this much text on, reading takes long enough for a bar."""
_SHOWN_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class ResourceFile:
    """A file to be read, `-` for stdin, and its size in bytes as far as it is known."""

    path: str
    size: int = 0

    @property
    def source(self) -> str:
        """What it is called in messages."""
        return "stdin" if self.path == "-" else self.path


def load_resources(
    paths: Iterable[str], *, keep_going: bool = False, options: ReadOptions | None = None, report: bool = True
) -> Resources:
    """The resources in files, directories and, for `-`, stdin, all together.

    Raises `InvalidInput` with file and line at the first problem; told to keep going, only when there is nothing to read.
    Problems are then in the result. A bar on stderr shows how far reading is, if that is a terminal and `report` is true.
    """
    files = find_files(paths)
    refusals: list[Refusal] = []
    with _bar(files if report else ()) as progress:
        texts = _texts(files, refusals if keep_going else None, progress)
        resources = parse_resources(texts, options=options, keep_going=keep_going, reached=progress.reached)
    unread = tuple(refusal.problem for refusal in refusals)
    return replace(resources, problems=(*unread, *resources.problems), refusals=(*refusals, *resources.refusals))


def read_texts(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each file's name and text, for those who read them in their own way; raises `InvalidInput`."""
    return _texts(find_files(paths), None, _Progress())


def problem_lines(resources: Resources) -> Iterator[str]:
    """Problems and remarks of reading, one a line, the first of many."""
    found = [*map(str, resources.problems), *map(str, resources.remarks)]
    yield from found[:_SHOWN_PROBLEMS]
    if len(found) > _SHOWN_PROBLEMS:
        yield f"and {len(found) - _SHOWN_PROBLEMS} more"


# --- finding -----------------------------------------------------------------------------------------------------


def find_files(paths: Iterable[str]) -> list[ResourceFile]:
    """The files that the paths stand for; raises `InvalidInput` for one that stands for none."""
    found: list[ResourceFile] = []
    for path in paths:
        if path == "-":
            if any(one.path == "-" for one in found):
                raise InvalidInput("stdin can be read only once", remedy="give - once")
            found.append(ResourceFile("-"))
            continue
        try:
            status = os.stat(path)
            if not stat.S_ISDIR(status.st_mode):
                found.append(ResourceFile(path, status.st_size))
                continue
            inside = list(_files_below(path))
        except OSError as error:
            raise InvalidInput(error.strerror or str(error), source=error.filename or path) from None
        if not inside:
            raise InvalidInput(f"no file that ends in {', '.join(SUFFIXES)} in this directory", source=path)
        found += inside
    if not found:
        raise InvalidInput("no resources are given", remedy="name files or directories, or - for stdin")
    return found


def _files_below(directory: str) -> Iterator[ResourceFile]:
    """Regular files of resources in a directory and all below it, links to files included."""
    for entry in sorted(os.scandir(directory), key=lambda one: one.name):
        if entry.name.startswith(".."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(entry.path)
        elif entry.name.endswith(SUFFIXES) and not entry.is_dir():
            yield ResourceFile(entry.path, 0 if _is_broken(entry) else entry.stat().st_size)


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """True for a link to nothing; opening it will say so."""
    return entry.is_symlink() and not os.path.exists(entry.path)


# --- reading -----------------------------------------------------------------------------------------------------


def _texts(files: Iterable[ResourceFile], refusals: list[Refusal] | None, progress: _Progress) -> Iterator[tuple[str, str]]:
    """Each file's name and text; a file that is none is raised, or put among the refusals if there are any to be."""
    for file in files:
        try:
            data = _read(file)
        except InvalidInput as problem:
            if refusals is None:
                raise
            refusals.append(Refusal(problem))
            continue
        try:
            text = _decode(data, file.source)
        except InvalidInput as problem:
            if refusals is None:
                raise
            # Of another encoding, words of ASCII can still be seen.
            refusals.append(Refusal(problem, text=data.decode(errors="replace").replace("\0", ""), whole=True))
        else:
            progress.begin(file.size, text)
            yield file.source, text


def _read(file: ResourceFile) -> bytes:
    """What a file holds; raises `InvalidInput`."""
    try:
        if file.path == "-":
            if sys.stdin is None:
                raise InvalidInput("stdin is closed", remedy="give a file")
            data = sys.stdin.buffer.read(MOST_BYTES_PER_FILE + 1)
        else:
            if stat.S_ISDIR(os.stat(file.path).st_mode):
                raise InvalidInput("became a directory while being read", source=file.path)
            with Path(file.path).open("rb") as opened:
                data = opened.read(MOST_BYTES_PER_FILE + 1)
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), source=file.source) from None
    if len(data) > MOST_BYTES_PER_FILE:
        raise InvalidInput(f"more than {MOST_BYTES_PER_FILE >> 20} MiB", source=file.source)
    return data


def _decode(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput("not UTF-8 text", source=source, line=line) from None


# --- progress ----------------------------------------------------------------------------------------------------


class _Progress:
    """How far reading is, in bytes: whole files, and of the one that is read as much as its line says."""

    def __init__(self, show: Callable[[float], object] | None = None) -> None:
        self._show = show
        self._before = self._size = 0
        self._lines = 1

    def begin(self, size: int, text: str) -> None:
        """A file's turn; those before it are done."""
        if self._show is not None:
            self._before, self._size = self._before + self._size, size
            self._lines = text.count("\n") + 1
            self._show(self._before)

    def reached(self, line: int) -> None:
        """A line of the file, from 1."""
        if self._show is not None:
            self._show(self._before + self._size * line / self._lines)


@contextmanager
def _bar(files: Iterable[ResourceFile]) -> Iterator[_Progress]:
    """A bar over bytes on stderr, where that is a terminal and there is something to wait for; gone when done."""
    total = sum(file.size for file in files)
    if total < _SLOW_BYTES or sys.stderr is None or not sys.stderr.isatty():
        yield _Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading resources"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield _Progress(lambda done: progress.update(task, completed=done))
