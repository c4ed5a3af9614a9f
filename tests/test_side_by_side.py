"""Workers share the files of a run, and it ends as if there were none."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
    from pathlib import Path
    from tests.honest_run import HonestRun
    from tests.side_by_side import SideBySide

    def pytest_configure(config):
        config.addinivalue_line("markers", "slow: one after the other")
        config.pluginmanager.register(HonestRun(config, Path(__file__).parent, needs={}))
        config.pluginmanager.register(SideBySide(2, in_turn="slow"))
"""
INI = f"""
    [pytest]
    testpaths = suite
    pythonpath = {Path(__file__).parents[1]}
    addopts = --import-mode=importlib
"""
MEETING = """
    import os, pathlib, time

    def test_the_other_file_runs_meanwhile():
        pathlib.Path({mine!r}).touch()
        while not pathlib.Path({other!r}).exists():
            time.sleep(0.01)
"""
ONE_PROCESS = """
    import os, pathlib, pytest
    pytestmark = pytest.mark.{mark}

    @pytest.mark.parametrize("count", range(20))
    def test_it(count):
        known = pathlib.Path("process")
        if not known.exists():
            known.write_text(str(os.getpid()))
        assert known.read_text() == str(os.getpid())
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(INI)
    pytester.makepyfile(**{"suite/conftest": CONFTEST})
    return pytester


def test_two_files_run_at_the_same_time(project: pytest.Pytester) -> None:
    texts = {"suite/test_a": MEETING.format(mine="a", other="b"), "suite/test_b": MEETING.format(mine="b", other="a")}
    project.makepyfile(**texts)
    result = project.runpytest_subprocess("--timeout=20")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.OK


def test_files_that_run_in_turn_have_one_process(project: pytest.Pytester) -> None:
    project.makepyfile(**{f"suite/test_{name}": ONE_PROCESS.format(mark="slow") for name in "abcdef"})
    project.runpytest_subprocess().assert_outcomes(passed=120)


def test_every_outcome_and_reason_comes_back(project: pytest.Pytester) -> None:
    text = """
        import pytest

        def test_good(): pass

        def test_bad(tmp_path):
            print("what", "it", "printed")
            assert tmp_path == 1

        @pytest.fixture
        def broken(): raise LookupError("no fixture")

        def test_error(broken): pass

        @pytest.mark.parametrize("n", [1, 2])
        def test_skipped(n): pytest.skip("no moon")
    """
    project.makepyfile(**{"suite/test_some": text, "suite/test_others": "def test_more(): pass"})
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=2, failed=1, errors=1, skipped=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*PosixPath*== 1*", "*what it printed*", "*2 no moon"])
    assert result.stdout.str().count("what it printed") == 1


def test_tests_of_a_worker_that_dies_have_failed_and_the_others_go_on(project: pytest.Pytester) -> None:
    texts = {
        "suite/test_a": "import os\ndef test_before(): pass\ndef test_it(): os._exit(0)",
        "suite/test_b": "def test_it(): pass",
    }
    project.makepyfile(**texts)
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the worker that took this file ended before it reported*"])


def test_the_first_failure_ends_a_run_that_is_to_end_with_it(project: pytest.Pytester) -> None:
    project.makepyfile(**{f"suite/test_{name}": "def test_it(): assert False\ndef test_more(): pass" for name in "abc"})
    result = project.runpytest_subprocess("--maxfail=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_what_a_module_set_up_is_taken_down(project: pytest.Pytester) -> None:
    text = """
        import pathlib, pytest

        @pytest.fixture(scope="session")
        def house():
            yield
            pathlib.Path("taken down").touch()

        def test_it(house): pass
    """
    project.makepyfile(**{"suite/test_it": text})
    project.runpytest_subprocess().assert_outcomes(passed=1)
    assert (project.path / "taken down").exists()
