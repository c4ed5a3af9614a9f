"""The command before it runs: where its parameters come from, and what it refuses at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.agent import _file_parameters
from tortie.cli.main import main
from tortie.net.error import InvalidInput


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["agent", *words])
    return result.exit_code, result.output


def test_a_source_must_be_named() -> None:
    code, output = invoke()
    assert code == 2 and "--source" in output


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        _file_parameters(tmp_path / "felix.cfg")
    with pytest.raises(InvalidInput, match="cannot be read"):
        _file_parameters(tmp_path)


def test_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "felix.cfg"
    path.write_text("[global]\nLogPrefix = x\n")
    assert _file_parameters(path) == {"LogPrefix": "x"}
    path.write_text("[global\n")
    with pytest.raises(InvalidInput, match="not a configuration file"):
        _file_parameters(path)


@pytest.mark.parametrize("name", ["file.yaml"])
def test_a_source_that_is_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    words = [sys.executable, "-c", "from tortie.cli.main import main; main()", "agent", "--source", str(tmp_path / name)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "is not a directory" in ran.stderr and "Traceback" not in ran.stderr
