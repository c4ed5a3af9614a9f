"""Says when something changed below a directory, by inotify; what changed is found out by looking.

Only a hint: what inotify misses (links that lead outside, network file systems, events that were too many) is found by
looking again now and then. The watch stands when the object has been made.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

_GROUP_MS = 400
"""Changes that never pause are told after this."""
_STEP_MS = 20
"""A pause of this is enough to tell; the library looks for events so often, which costs 0.15 % of a core."""
_TURN_MS = 2000
"""So often the thread looks whether it is still wanted."""
_PAUSE_S = 0.4
"""Before it is said that the watch has ended by itself, so that one that cannot last is not begun anew without a pause."""


class Watch:
    """Calls `notify` in the event loop whenever something changed below `root`, until it is closed."""

    def __init__(self, root: str, notify: Callable[[], None]) -> None:
        """Raises `OSError` when the directory cannot be watched."""
        from watchfiles._rust_notify import RustNotify

        status = os.stat(root)
        self._identity = status.st_dev, status.st_ino
        self._root = root
        self._rust = RustNotify([root], False, False, 0, True, True)
        self._stop = threading.Event()
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._notify = notify
        self._thread = threading.Thread(target=self._run, name=f"watch {root}", daemon=True)
        self._thread.start()

    def stands(self) -> bool:
        """True while the directory watched is the one that is there, and the kernel is still listened to."""
        if self._ended:
            return False
        try:
            status = os.stat(self._root)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def close(self) -> None:
        """Ends the watch; `notify` is not called any more once the loop has turned."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._listen()
        finally:
            self._rust.close()
            self._ended = True
            if not self._stop.wait(_PAUSE_S):
                self._tell()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._rust.watch(_GROUP_MS, _STEP_MS, _TURN_MS, self._stop)
            except Exception:  # The library's own errors have no common class. A name that is no UTF-8 is enough for one.
                return
            if found == "stop" or self._stop.is_set():
                return
            if found != "timeout":
                self._tell()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._notify)
        except RuntimeError:
            self._stop.set()  # The loop has ended.
