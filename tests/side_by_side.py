"""Test files side by side: with `--workers=N` a run collects once, and N forks of it take one file after the other.

- A file stays whole and in order, so that what a module sets up is set up once. Files with the marker `in_turn` are left to
  the first worker: no two of them ever run at the same time.
- Workers print nothing. Their reports come back, a file at a time, to the process that collected, and it ends as any run
  does: one summary, one exit code, one last line.
- A test that nobody reported, because its worker ended, has failed.

Why not pytest-xdist: docs/decisions/side-by-side.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest

FORK = get_context("fork")

File = list[pytest.Item]


class Lane:
    """Files of which each goes to the worker that asks next."""

    def __init__(self, files: Sequence[File]) -> None:
        self._files = files
        self._taken = FORK.Value("i", 0)

    def __iter__(self) -> Iterator[File]:
        while True:
            with self._taken.get_lock():
                index = self._taken.value
                self._taken.value += 1
            if index >= len(self._files):
                return
            yield self._files[index]


class SideBySide:
    """A pytest plugin; does nothing for fewer than two workers."""

    def __init__(self, workers: int, in_turn: str) -> None:
        self._workers = workers
        self._in_turn = in_turn
        self._reported: list[Any] | None = None
        """In a worker: what became of the tests of the present file."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if self._workers < 2 or session.testsfailed or session.config.option.collectonly:
            return None
        files = [list(items) for _, items in groupby(session.items, lambda item: item.path)]
        turns = Lane([file for file in files if file[0].get_closest_marker(self._in_turn)])
        others = Lane([file for file in files if not file[0].get_closest_marker(self._in_turn)])
        session.config._tmp_path_factory.getbasetemp()  # one for all, and removed by the process that stays
        session.config.pluginmanager.getplugin("capturemanager").stop_global_capturing()  # each captures for itself
        ends = [self._fork(session, lanes) for lanes in [(turns, others), *[(others,)] * (self._workers - 1)]]
        try:
            self._replay(session, ends)
        finally:
            for end in ends:
                end.close()
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._reported is not None:
            self._reported.append(report)

    def _replay(self, session: pytest.Session, ends: Sequence[Connection]) -> None:
        """Passes on what workers report, as if it happened here."""
        hook = session.config.hook
        unreported = {item.nodeid: item for item in session.items}
        working = list(ends)
        while working:
            for end in wait(working):
                try:
                    reports = [
                        hook.pytest_report_from_serializable(config=session.config, data=data) for data in end.recv()
                    ]
                except EOFError:
                    working.remove(end)
                    continue
                for nodeid, those in groupby(reports, lambda report: report.nodeid):
                    _replay_test(unreported.pop(nodeid), those)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        for item in unreported.values():
            why = "the worker that took this file ended before it reported"
            _replay_test(item, [pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")])

    def _fork(self, session: pytest.Session, lanes: Sequence[Lane]) -> Connection:
        """Starts a worker and returns the end at which its reports arrive."""
        here, there = FORK.Pipe(duplex=False)
        FORK.Process(target=self._work, args=(session, lanes, there)).start()
        there.close()
        return here

    def _work(self, session: pytest.Session, lanes: Sequence[Lane], end: Connection) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        capture = session.config.pluginmanager.getplugin("capturemanager")
        capture.start_global_capturing()
        capture.suspend_global_capture()
        hook = session.config.hook
        try:
            for file in chain.from_iterable(lanes):
                self._reported = []
                for item, following in zip(file, [*file[1:], None], strict=True):
                    hook.pytest_runtest_protocol(item=item, nextitem=following)
                end.send([hook.pytest_report_to_serializable(config=session.config, report=one) for one in self._reported])
        except (KeyboardInterrupt, BrokenPipeError):
            pass  # the process that collected has ended the run, and says why
        finally:
            session._setupstate.teardown_exact(None)


def _replay_test(item: pytest.Item, reports: Iterable[pytest.TestReport]) -> None:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
