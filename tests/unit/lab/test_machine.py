"""What belongs to a laboratory is known by its name; the rest of it needs a kernel (tests/kernel/test_lab.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tortie.kernel.refusal import KernelRefused
from tortie.lab.machine import Machine, checked, laboratories, own_environment, runs
from tortie.net.error import InvalidInput


def test_names_carry_the_laboratorys(tmp_path: Path) -> None:
    machine = Machine("shop", tmp_path)
    assert machine.namespace("n1") == "tortie-lab.shop.n1"
    assert machine.path("n1") == "/run/netns/tortie-lab.shop.n1"
    assert machine.state == tmp_path / "shop"


def test_what_has_a_folder_is_there(tmp_path: Path) -> None:
    machine = Machine("no-such-lab", tmp_path)
    assert not machine.exists()
    machine.state.mkdir()
    assert machine.exists()
    assert "no-such-lab" in laboratories(tmp_path)


def test_removing_takes_the_files_and_the_folder(tmp_path: Path) -> None:
    machine = Machine("no-such-lab", tmp_path / "labs")
    (machine.state / "nodes" / "n1").mkdir(parents=True)
    (machine.state / "nodes" / "n1" / "agent.log").write_text("")
    machine.remove()
    assert list(tmp_path.iterdir()) == []
    machine.remove()


def test_a_shell_of_a_real_cluster_tells_a_laboratory_nothing() -> None:
    shell = {"PATH": "/bin", "FELIX_LOGSEVERITYSCREEN": "Debug", "ETCD_ENDPOINTS": "x", "KUBECONFIG": "x", "HOME": "/"}
    assert own_environment(shell) == {"PATH": "/bin", "HOME": "/"}


def test_others_laboratories_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    machine = Machine("no-such-lab", tmp_path)
    machine.state.mkdir()
    machine.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_one_at_a_time(tmp_path: Path) -> None:
    machine = Machine("no-such-lab", tmp_path)
    with machine.hold():
        pass  # there is nothing to hold
    machine.state.mkdir()
    with machine.hold(), pytest.raises(InvalidInput, match="in use by another command"), machine.hold():
        pytest.fail("two have it")
    with machine.hold():
        pass


def test_what_fails_meanwhile_is_not_taken_for_another_command(tmp_path: Path) -> None:
    machine = Machine("no-such-lab", tmp_path)
    machine.state.mkdir()
    with pytest.raises(BlockingIOError), machine.hold():
        raise BlockingIOError


def test_a_process_runs_until_it_ends() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert runs(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    process.wait()  # ends with its input
    assert not runs(process.pid)
    assert runs(os.getpid())


def test_a_tool_that_fails_says_what() -> None:
    with pytest.raises(KernelRefused, match="`no-such-tool`: not installed"):
        checked(["no-such-tool"])
    with pytest.raises(KernelRefused, match="`false`: exit code 1"):
        checked(["false"])
    with pytest.raises(KernelRefused, match="`sh -c echo first >&2; echo second >&2; exit 1`: first"):
        checked(["sh", "-c", "echo first >&2; echo second >&2; exit 1"])
    assert checked(["cat"], "text").out == b"text"
