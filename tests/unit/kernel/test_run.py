"""What came of running a tool."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tortie.kernel import run as module
from tortie.kernel.run import Ran, run_tool


def test_output_and_exit_code() -> None:
    assert run_tool(["printf", "a b"]) == Ran(0, b"a b")


def test_what_a_tool_reads() -> None:
    text = b"*filter\nCOMMIT\n" * 10000
    assert run_tool(["cat"], text) == Ran(0, text)


def test_a_tool_that_is_not_there() -> None:
    ran = run_tool(["tortie-has-no-such-tool"])
    assert ran.missing


def test_a_tool_that_fails_says_why() -> None:
    ran = run_tool(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    assert (ran.code, ran.complaint, ran.missing) == (3, "two", False)


def test_a_tool_that_fails_silently() -> None:
    assert run_tool(["false"]).complaint == "exit code 1"


def test_a_file_that_is_no_program() -> None:
    assert run_tool(["/etc/passwd"]).code == 126


def test_a_program_that_is_damaged(tmp_path: Path) -> None:
    damaged = tmp_path / "iptables"
    damaged.write_bytes(b"\x7fELF")
    damaged.chmod(0o755)
    assert run_tool([str(damaged)]) == Ran(126, error="Exec format error")


def test_messages_are_in_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run_tool(["sh", "-c", "printf $LC_ALL"]).out == b"C"


def test_the_systems_folders_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin")
    assert run_tool(["sh", "-c", "printf $PATH"]).out == b"/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_a_tool_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    started: list[int] = []
    begun = time.monotonic()
    ran = run_tool(["sleep", "20"], started=started.append)
    assert time.monotonic() - begun < 10
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    assert ran.code != 0
    assert "no answer" in ran.complaint
