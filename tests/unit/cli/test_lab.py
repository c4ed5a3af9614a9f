"""`tortie lab` as far as it goes without a laboratory: what it refuses, and says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.lab import open_laboratory
from tortie.cli.main import main

NAME = "no-such-lab"
GOOD = f"name: {NAME}\nnodes: [{{name: n1}}]\n"


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["lab", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text(GOOD)
    return path


def test_a_laboratory_is_that_of_its_file(topology: Path) -> None:
    assert open_laboratory(str(topology)).machine.name == NAME


@pytest.mark.parametrize("command", ["up", "verify"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    code, _, error = run(command, str(tmp_path / "nobody.yaml"))
    assert (code, error.count("\n")) == (2, 1)
    assert f"{tmp_path}/nobody.yaml: " in error


@pytest.mark.parametrize("command", ["up", "verify", "down", "lose", "restore"])
def test_a_topology_that_is_wrong_is_told_with_its_line(command: str, topology: Path) -> None:
    topology.write_text(GOOD + "pods: [{name: web, node: n2}]\n")
    words = [command, str(topology), *(["n1"] if command in ("lose", "restore") else [])]
    code, out, error = run(*words)
    assert (code, out) == (2, "")
    assert error == f"tortie: {topology}:3: pods[0].node: there is no node 'n2' (one of n1)\n"


def test_resources_that_are_not_there_are_told_before_anything_is_made(topology: Path) -> None:
    topology.write_text(GOOD + "resources: [policy.yaml]\n")
    code, _, error = run("up", str(topology))
    assert (code, "resources: there is no policy.yaml" in error) == (2, True)


def test_resources_that_are_wrong_are_told_before_anything_is_made(topology: Path) -> None:
    (topology.parent / "policy.yaml").write_text("apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: x}\n")
    topology.write_text(GOOD + "resources: [policy.yaml]\n")
    code, _, error = run("up", str(topology))
    assert (code, f"{topology.parent}/policy.yaml:1: " in error) == (2, True)


def test_taking_away_what_is_not_there() -> None:
    code, _, error = run("down", NAME)
    assert (code, f"there is no laboratory '{NAME}' (those that there are: " in error) == (2, True)


@pytest.mark.parametrize("name", ["..", ".", "", "x/y"])
def test_a_name_is_none_of_a_path(name: str) -> None:
    assert run("down", name)[0] == 2


@pytest.mark.parametrize("words", [("verify",), ("lose", "n1"), ("restore", "n1")], ids=" ".join)
def test_what_is_not_up(words: tuple[str, ...], topology: Path) -> None:
    code, _, error = run(words[0], str(topology), *words[1:])
    assert code == 2
    expected = f"laboratory {NAME} is not up" if os.geteuid() == 0 else "a laboratory needs root"
    assert expected in error


def test_patience_is_a_time() -> None:
    assert run("up", "lab.yaml", "--patience", "0")[0] == 2


def test_the_overview_of_commands() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"\n  {name} " in out for name in ("up", "down", "verify", "lose", "restore", "list"))
