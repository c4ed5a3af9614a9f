"""The end of a run says what did not run, and a test file that was passed over fails it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    from pathlib import Path
    from tests.honest_run import HonestRun

    def pytest_configure(config):
        config.addinivalue_line("markers", "kernel: needs root")
        config.pluginmanager.register(HonestRun(config, Path(__file__).parent, needs={"kernel": lambda: "not root"}))
"""
INI = """
    [pytest]
    testpaths = suite
    addopts = --import-mode=importlib
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    pytester.makepyfile(**{"suite/conftest": CONFTEST, "suite/test_plain": "def test_it(): pass"})
    return pytester


def test_pytest_has_the_last_word_when_everything_ran(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.OK
    assert "1 passed" in result.outlines[-1]
    assert "could not run" not in result.stdout.str()


def test_a_suite_that_cannot_run_is_named_on_the_last_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        **{"suite/test_root": "import pytest\npytestmark = pytest.mark.kernel\ndef test_a(): pass\ndef test_b(): 1 / 0"}
    )
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.OK
    assert result.outlines[-1] == "1 passed, 0 failed, 2 skipped; could not run: kernel (not root)"
    result.stdout.fnmatch_lines(["*left out*", "*2 kernel: not root"])


def test_a_suite_that_was_not_asked_for_is_not_missed(project: pytest.Pytester) -> None:
    project.makepyfile(**{"suite/test_root": "import pytest\npytestmark = pytest.mark.kernel\ndef test_a(): pass"})
    result = project.runpytest_inprocess("-m", "not kernel")
    assert "could not run" not in result.stdout.str()


def test_skipped_tests_are_counted_by_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        **{"suite/test_skip": "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): pytest.skip('no moon')"}
    )
    project.runpytest_inprocess().stdout.fnmatch_lines(["*left out*", "*2 no moon"])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("def test_a(): pass", id="function"),
        pytest.param("async def test_a(): pass", id="coroutine"),
        pytest.param("class TestA:\n    def test_b(self): pass", id="class"),
    ],
)
def test_a_file_with_tests_that_was_not_collected_fails_the_run(project: pytest.Pytester, text: str) -> None:
    project.makepyfile(**{"suite/checks": text})
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.outlines[-1] == "1 passed, 1 failed, 0 skipped; not collected: checks.py"


def test_a_run_of_single_files_asks_nothing_of_the_others(project: pytest.Pytester) -> None:
    project.makepyfile(**{"suite/checks": "def test_a(): pass"})
    assert project.runpytest_inprocess("suite/test_plain.py").ret == pytest.ExitCode.OK


def test_a_file_without_tests_may_have_any_name(project: pytest.Pytester) -> None:
    project.makepyfile(**{"suite/builders": "def packet(): return None\nclass TestBed: pass"})
    assert project.runpytest_inprocess().ret == pytest.ExitCode.OK
