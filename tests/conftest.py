"""What every test run has in common: the suites, the examples that Hypothesis draws, and an honest end (`honest_run`).

The folder of a test is its suite and its marker. Hypothesis draws the same examples in every run, so that a run says
something about the change and not about its luck; `--hypothesis-profile=hunt` draws new ones, many more, and
`--hypothesis-profile=check` is content with a third. A test says with `examples` (tests/examples.py) where a hundred are
too many or too few, and leaves the rest of the settings alone.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import FULL
from tests.honest_run import HonestRun
from tests.requirement import missing_for_etcd, missing_for_faketime, missing_for_kernel
from tests.side_by_side import SideBySide

TESTS = Path(__file__).parent

SUITES = {
    "unit": "pure, in the shape of src",
    "golden": "text whose exact form is promised",
    "property": "agreements over drawn examples",
    "scenario": "sequences of events over fakes",
    "contract": "one suite over a fake and the real thing",
    "recorded": "what real kernels answered",
    "kernel": "the real kernel in network namespaces of its own; needs root",
    "browser": "the real page in a real browser",
    "hunt": "long searches, run by `make hunt`",
}
NEEDS = {"kernel": missing_for_kernel, "etcd": missing_for_etcd, "faketime": missing_for_faketime}
"""What suites, and tests with the markers `etcd` and `faketime`, ask of the machine."""

settings.register_profile("test", derandomize=True, deadline=None, database=None, max_examples=FULL)
settings.register_profile("check", settings.get_profile("test"), max_examples=FULL // 3)
settings.register_profile(
    "hunt",
    derandomize=False,
    deadline=None,
    max_examples=20_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("test")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", type=int, default=1, help="processes that run test files side by side")


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in SUITES.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.addinivalue_line("markers", "etcd: needs real servers of etcd")
    config.addinivalue_line("markers", "faketime: sets the clock that programs see")
    config.pluginmanager.register(HonestRun(config, TESTS, needs=NEEDS))
    config.pluginmanager.register(SideBySide(config.option.workers, in_turn="kernel"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(TESTS) and (folder := item.path.relative_to(TESTS).parts[0]) in SUITES:
            item.add_marker(folder)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Ten thousand tests stay to the end: without looking through them again and again, finding cycles costs little."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """A command switches the collector off for its own short life (`cli.main`); a run of ten thousand tests lives on."""
    gc.enable()
