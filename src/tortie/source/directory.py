"""Resources in a directory of YAML and JSON files, watched with inotify: the datastore of a node that has no other.

Nobody writes a file in one step, so what is seen of one is not believed at once:

- A file counts when it has been left alone for `QUIET_S`. For how long is told by looking, and not by the file's time of
  change: that was written by another clock, or by one that was set meanwhile, and says nothing about now.
- What would take something away waits for `PATIENCE_S` since the last change: a file that is gone, resources that are no
  longer in it, anything that is wrong with it. So editors that move the old file away before they put the new one there,
  and writers that empty a file first, are waited out. A file whose resources all stand in other files is let go at once:
  it was moved.

A bad file refuses only itself, and of itself as little as can be: its good documents stand, a bad one is refused with the
key that it gives itself. When a file cannot be read to its end, the resources that it held before, and that are not in what
can be read, are refused by their keys and not removed: whoever depends on them is to be closed. They are forgotten when the
file can be read again, or with the process; a process that starts on a broken file knows only that it is broken.

A directory that is gone, or cannot be read, is a datastore that is lost: what was told stands. So is one without a single
file, unless files were seen to go from it: what has not been mounted must not look like a cluster without policy. Of a
directory below it that cannot be read, the files stand and the directory is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

from tortie.model.event import SourceEvent
from tortie.model.read import Key
from tortie.model.resource import ReadOptions
from tortie.model.writer import plain_resource
from tortie.net.error import InvalidInput
from tortie.source.inotify import Watch
from tortie.source.ledger import Ledger, Place
from tortie.source.link import BackOff, Link
from tortie.source.reading import Definition, read_text
from tortie.source.tree import SUFFIXES, Signature, Tree, read_file, reading_order, scan_tree

QUIET_S = 0.1
PATIENCE_S = 1.0
RESTLESS_S = 5.0
"""A file that is never left alone is read as it is after this."""
LOOK_S = 30.0
"""The directory is looked through this often, also when nothing is said to have changed."""
DEAF_LOOK_S = 2.0
"""And this often when the kernel does not say it: no watches left, a link that leads outside, a foreign file system."""
LARGEST_FILE = 512 << 20


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since some moment, and a way to let time pass."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class _File:
    """What is known of a file: how it looked when it was last read, how it looks now and since when, what it said.

    `restless` is the time since when it has not been as it was read.
    """

    read: Signature | None = None
    seen: Signature | None = None
    since: float = 0.0
    restless: float | None = None
    definitions: tuple[Definition, ...] = ()
    waiting: tuple[Definition, ...] | None = None
    """What has been read and is not believed yet."""


class DirectorySource:
    """Tells of the resources in the files below `root`."""

    def __init__(
        self,
        root: Path,
        *,
        options: ReadOptions | None = None,
        clock: Clock | None = None,
        back_off: BackOff | None = None,
        watch: Callable[[str, Callable[[], None]], Watch] = Watch,
    ) -> None:
        self._root = str(root)
        self._options = options or ReadOptions()
        self._clock = clock or Clock()
        self._open_watch = watch
        self._watch: Watch | None = None
        self._link = Link(back_off or BackOff(longest_s=2.0))
        self._ledger = Ledger()
        self._files: dict[str, _File] = {}
        self._woken = asyncio.Event()
        self._unreadable: dict[str, str] = {}
        self._identity: tuple[int, int] | None = None
        self._look_s = LOOK_S

    async def close(self) -> None:
        """Ends the watch; `events` is not to be read on."""
        self._end_watch()

    async def events(self) -> AsyncIterator[SourceEvent]:
        """Everything there is, `InSync`, then changes, for ever. To be read by one reader."""
        pause = 0.0
        while True:
            try:
                # The watch stands before the first look, so that nothing falls between the two.
                self._keep_watch()
                rung = self._woken.is_set()
                self._woken.clear()
                tree = self._scan()
                self._judge_watch(tree, rung=rung, regular=pause == self._look_s)
            except OSError as error:
                self._end_watch()
                for event in self._link.lost(f"{self._root}: {error.strerror or error}"):
                    yield event
                await self._clock.wait(self._link.back_off.next_s())
                continue
            pause = await self._look(tree)
            for event in self._ledger.changes():
                yield event
            if all(file.read is not None and file.read == file.seen for file in self._files.values()):
                for event in self._link.reached():
                    yield event
            await self._sleep(pause)

    def _scan(self) -> Tree:
        """What is below the directory; raises `OSError` when it is not there, or cannot be the one that is meant."""
        tree = scan_tree(self._root)
        if tree.is_empty and tree.identity != self._identity:
            raise OSError(f"no file that ends in {', '.join(SUFFIXES)} in this directory")
        self._identity = tree.identity
        return tree

    def _keep_watch(self) -> None:
        """Watches the directory that is there now; raises `OSError` when there is none."""
        if self._watch is not None and self._watch.stands():
            return
        self._end_watch()
        try:
            self._watch = self._open_watch(self._root, self._woken.set)
        except RuntimeError:
            self._look_s = DEAF_LOOK_S  # No more watches can be had: the library's own error.

    def _judge_watch(self, tree: Tree, *, rung: bool, regular: bool) -> None:
        """Looks more often from when a regular look finds what nobody said, until something is said again."""
        if rung:
            self._look_s = LOOK_S
        elif regular and {path: file.seen for path, file in self._files.items()} != tree.files:
            self._look_s = DEAF_LOOK_S

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    async def _sleep(self, pause_s: float) -> None:
        """Until something changes below the directory, or the time is up."""
        waits = [asyncio.ensure_future(self._woken.wait()), asyncio.ensure_future(self._clock.wait(pause_s))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # --- looking ---------------------------------------------------------------------------------------------------

    async def _look(self, tree: Tree) -> float:
        """Brings the ledger to what can be believed; how long until there may be more, in seconds."""
        pauses = [self._look_s]
        for index, path in enumerate(sorted(tree.files, key=self._order)):
            pauses.append(self._look_at(path, tree.files[path]))
            if index % 64 == 0:
                await asyncio.sleep(0)
        missing = {path for path in self._files if path not in tree.files and not tree.may_hold(path)}
        if missing:
            there = (file for path, file in self._files.items() if path not in missing)
            elsewhere = {key for file in there for key in _keys(file.definitions)}
            pauses += [self._miss(path, elsewhere) for path in sorted(missing)]
        self._refuse_unreadable(tree)
        return min(pauses)

    def _order(self, path: str) -> str:
        return reading_order(self._root, path)

    def _look_at(self, path: str, signature: Signature) -> float:
        """Reads a file if it is time; how long until it should be looked at again."""
        file = self._files.setdefault(path, _File())
        if signature == file.read:
            file.seen, file.waiting, file.restless = signature, None, None
            return LOOK_S
        now = self._clock.now()
        if signature != file.seen:
            file.seen, file.waiting, file.since = signature, None, now
            file.restless = now if file.restless is None else file.restless
        quiet_s = now - file.since
        if file.restless is not None and now - file.restless >= RESTLESS_S:
            quiet_s = RESTLESS_S
        if quiet_s < QUIET_S:
            return QUIET_S - quiet_s
        if file.waiting is None:
            file.waiting = tuple(self._read(path, file))
        if quiet_s < PATIENCE_S and _takes_away(file):
            return PATIENCE_S - quiet_s
        file.definitions, file.waiting, file.read, file.restless = file.waiting, None, signature, None
        self._ledger.put(path, Place(file.definitions, self._order(path)))
        return LOOK_S

    def _read(self, path: str, file: _File) -> Iterator[Definition]:
        """What a file says; when that ends in a riddle, also what it said before and nobody knows about now."""
        try:
            found = list(read_text(path, read_file(path, LARGEST_FILE), self._options))
        except UnicodeDecodeError as error:
            problem = InvalidInput(f"cannot be read: {error}", source=path)
            found = [Definition(None, problem, path, data=error.object.decode(errors="replace"))]
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            found = [Definition(None, InvalidInput(f"cannot be read: {reason}", source=path), path)]
        yield from found
        riddle = next((definition for definition in found if definition.key is None), None)
        if riddle is not None:
            known = _keys(tuple(found))
            yield from (one for one in _in_doubt(file.definitions, riddle) if one.key not in known)

    def _miss(self, path: str, elsewhere: Set[Key]) -> float:
        """Lets go of a file that has been missing for long enough, or is all `elsewhere`; how long until then."""
        file = self._files[path]
        now = self._clock.now()
        if file.seen is not None:
            file.seen, file.waiting, file.since = None, None, now
        missing_s = now - file.since
        keys = _keys(file.definitions)
        takes_nothing_away = keys <= elsewhere if keys else file.read is None  # so is one that was never believed
        if missing_s < PATIENCE_S and not takes_nothing_away:
            return PATIENCE_S - missing_s
        del self._files[path]
        self._ledger.put(path, None)
        return LOOK_S

    def _refuse_unreadable(self, tree: Tree) -> None:
        for path in self._unreadable.keys() | tree.unreadable.keys():
            reason = tree.unreadable.get(path)
            if reason is None:
                file = self._files.get(path)
                self._ledger.put(path, Place(file.definitions, self._order(path)) if file else None)
                continue
            problem = InvalidInput(f"cannot be looked into: {reason}", source=path)
            refused = Definition(None, problem, path)
            kept = _in_doubt(self._files[path].definitions, refused) if path in self._files else ()
            self._ledger.put(path, Place((refused, *kept), self._order(path)))
        self._unreadable = tree.unreadable


def _in_doubt(definitions: tuple[Definition, ...], riddle: Definition) -> Iterator[Definition]:
    """What was defined before, refused for what has become of its file; each with what it was when it was known."""
    assert isinstance(riddle.content, InvalidInput)
    for one in definitions:
        if one.key is not None:
            data = one.data if isinstance(one.content, InvalidInput) else plain_resource(one.content)
            yield replace(one, content=riddle.content, data=data)


def _takes_away(file: _File) -> bool:
    """True when what was read is worse than what was there before, or is wrong."""
    assert file.waiting is not None
    if any(isinstance(definition.content, InvalidInput) for definition in file.waiting):
        return True
    return bool(_keys(file.definitions) - _keys(file.waiting))


def _keys(definitions: tuple[Definition, ...]) -> set[Key]:
    return {definition.key for definition in definitions if definition.key is not None}
