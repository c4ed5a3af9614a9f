"""What README.md and the example's page show is what the commands print.

A block that begins with `$ tortie` holds a command and its output; a line of three dots stands for any lines.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tortie.cli.main import main

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```console\n\$ tortie (.*)\n((?:.*\n)*?)```$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_first_screen_has_a_trace() -> None:
    assert BLOCKS[0][0].startswith("trace ")


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[f"block {number}" for number in range(1, len(BLOCKS) + 1)])
def test_a_command_prints_what_the_page_shows(command: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = CliRunner().invoke(main, shlex.split(command), catch_exceptions=False).stdout
    pieces = [re.escape(piece) for piece in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    assert re.fullmatch(r"(?:.*\n)*?".join(pieces), printed), printed


def test_it_names_exactly_two_commands_to_run() -> None:
    assert re.findall(r"^    make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE) == ["demo", "test"]
