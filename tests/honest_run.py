"""An honest end of a test run: what ran, what did not and why, and no test file that was passed over in silence.

- A suite that cannot run here is skipped as a whole, with what is missing as the reason, and named on the last line.
- Skipped tests are counted by reason.
- On a full run every file below tests that defines a test must have been collected; one that was not fails the run.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

Need = Callable[[], str | None]
"""Says what is missing for a suite to run, or None."""


class HonestRun:
    """A pytest plugin. `needs` tells for each suite (a marker) what it asks of the machine."""

    def __init__(self, config: pytest.Config, tests: Path, needs: Mapping[str, Need]) -> None:
        self.config = config
        self.tests = tests
        self.needs = needs
        self.collected: set[Path] = set()
        self.missing: dict[str, str] = {}
        self.forgotten: list[Path] = []
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.collected.add(item.path)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for suite, need in self.needs.items():
            members = [item for item in items if item.get_closest_marker(suite)]
            if members and (missing := need()):
                self.missing[suite] = missing
                for item in members:
                    item.add_marker(pytest.mark.skip(reason=f"{suite}: {missing}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.outcomes["failed"] += 1
        elif report.skipped:
            self.outcomes["skipped"] += 1
            self.reasons[_reason(report)] += 1
        elif report.when == "call":
            self.outcomes["passed"] += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        full = self.config.args_source is pytest.Config.ArgsSource.TESTPATHS
        if full and not session.shouldstop and not session.testsfailed:
            self.forgotten = [path for path in defining_tests(self.tests) if path not in self.collected]
            if self.forgotten:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.reasons:
            terminalreporter.section("left out")
            for reason, count in sorted(self.reasons.items()):
                terminalreporter.write_line(f"{count:5} {reason}")
        for path in self.forgotten:
            terminalreporter.write_line(
                f"defines tests but was not collected: {path.relative_to(self.tests.parent)}", red=True
            )

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if last_line := self.last_line():
            print(last_line)

    def last_line(self) -> str | None:
        """What must be said after pytest's own closing line; None when that line tells everything."""
        remarks = [f"could not run: {suite} ({missing})" for suite, missing in self.missing.items()]
        if self.forgotten:
            remarks.append(f"not collected: {', '.join(path.name for path in self.forgotten)}")
        if not remarks:
            return None
        failed = self.outcomes["failed"] + len(self.forgotten)
        counts = f"{self.outcomes['passed']} passed, {failed} failed, {self.outcomes['skipped']} skipped"
        return "; ".join([counts, *remarks])


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", report.longrepr))


def defining_tests(folder: Path) -> Iterator[Path]:
    """Every Python file below `folder` that defines a test, told by reading it."""
    for path in sorted(folder.rglob("*.py")):
        if any(_is_test(node) for node in ast.parse(path.read_text(encoding="utf-8")).body):
            yield path


def _is_test(node: ast.stmt) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name.startswith("test_")
        case ast.ClassDef(name=name, body=body):
            return name.startswith("Test") and any(_is_test(inner) for inner in body)
        case _:
            return False
