from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tortie.cli.exit_code import EXIT_BAD_INPUT, EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, verdict_exit_code
from tortie.cli.main import COMMANDS, CommandGroup, main
from tortie.net.error import InvalidInput
from tortie.simulator.trace import Verdict

HEAVY = (
    "rich",
    "msgspec",
    "yaml",
    "asyncio",
    "pyroute2",
    "jsonschema",
    "tortie.simulator",
    "tortie.codec",
    "tortie.kernel",
)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["trace", "--help"], ["nonsense"]], ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """What makes `tortie --help` quick; how quick is measured by `make bench`."""
    program = (
        "import sys\nfrom tortie.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = found.stderr.split()
    assert "tortie.cli.main" in loaded
    assert [name for name in loaded if name in HEAVY or name.startswith(tuple(f"{heavy}." for heavy in HEAVY))] == []


def run(command: Callable[[], None], *words: str) -> tuple[int, str]:
    """Runs a command of a group like `main`, and returns exit code and stderr."""

    class One(CommandGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return click.Command("do", callback=command)

    found = CliRunner().invoke(One("tortie"), words or ["do"])
    return found.exit_code, found.stderr


def test_bad_input_is_one_line_and_code_2() -> None:
    def fail() -> None:
        raise InvalidInput("no such table: filte", source="node/iptables-save", line=7, remedy="did you mean filter?")

    assert run(fail) == (
        EXIT_BAD_INPUT,
        "tortie: node/iptables-save:7: no such table: filte (did you mean filter?)\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "No such option '--bogus' (see tortie --help)"),
        (["bogus"], "No such command 'bogus' (see tortie --help)"),
        (["agent", "--source"], "Option '--source' requires an argument (see tortie agent --help)"),
        (["flush", "--bogus"], "No such option '--bogus' (see tortie flush --help)"),
    ],
    ids=["an option in front of the command", "a command", "an option without its value", "an option"],
)
def test_words_that_make_no_sense_are_one_line(words: list[str], message: str) -> None:
    found = CliRunner().invoke(main, words, prog_name="tortie")
    assert (found.exit_code, found.stderr) == (EXIT_BAD_INPUT, f"tortie: {message}\n")


def test_an_interrupt_ends_quietly() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    code, stderr = run(stop)
    assert (code, stderr.strip()) == (EXIT_INTERRUPTED, "")


def test_our_own_mistakes_are_not_hidden() -> None:
    def fail() -> None:
        raise ValueError("ours")

    class One(CommandGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return click.Command("do", callback=fail)

    assert isinstance(CliRunner().invoke(One("tortie"), ["do"]).exception, ValueError)


def test_a_reader_that_goes_away_is_no_error_to_shout_about() -> None:
    program = (
        "import click\nfrom tortie.cli.main import CommandGroup\n"
        "class One(CommandGroup):\n"
        "    def get_command(self, ctx, name):\n"
        "        return click.Command('do', callback=lambda: [print('x' * 999) for _ in range(9999)])\n"
        "One('tortie')(['do'])"
    )
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.read(10)
    writer.stdout.close()
    assert (writer.stderr.read(), writer.wait(30)) == (b"", EXIT_BROKEN_PIPE)
    writer.stderr.close()


@pytest.mark.parametrize(
    "words", [["--help"], ["trace", "--help"], ["trace", "-n", "SAVE", "udp", "10.0.0.1", "10.0.0.2:53", "-i", "e"]]
)
@pytest.mark.parametrize(
    ("output", "message"),
    [(">/dev/full", "the output cannot be written: No space left on device"), (">&-", "stdout is closed")],
    ids=["full", "closed"],
)
def test_output_that_goes_nowhere_is_one_line_and_code_2(
    tmp_path: Path, words: list[str], output: str, message: str
) -> None:
    save = tmp_path / "save"
    save.write_text("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
    program = "from tortie.cli.main import main; main()"
    command = shlex.join([sys.executable, "-c", program, *(str(save) if word == "SAVE" else word for word in words)])
    # Short output stays in Python's buffer until the end, unless the environment says otherwise.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    found = subprocess.run(["/bin/sh", "-c", f"{command} {output}"], capture_output=True, text=True, check=False, env=env)
    assert (found.returncode, found.stderr) == (EXIT_BAD_INPUT, f"tortie: {message}\n")


@pytest.mark.parametrize(
    "words", [["nonsense"], ["--nonsense"], ["trace", "--nonsense"], ["trace", "--mark"]], ids=" ".join
)
def test_words_that_mean_nothing_are_code_2(words: list[str]) -> None:
    found = CliRunner().invoke(main, words, prog_name="tortie")
    assert found.exit_code == EXIT_BAD_INPUT
    assert "Traceback" not in found.output
    assert words[-1] in found.stderr


def test_the_overview_names_every_command() -> None:
    found = CliRunner().invoke(main, ["--help"])
    assert found.exit_code == 0
    assert all(name in found.stdout for name in COMMANDS)


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("tortie, version ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    found = CliRunner().invoke(main, [name, "--help"])
    assert found.exit_code == 0
    assert f"tortie {name} " in found.stdout.partition("Usage:")[2].partition("\n")[2]


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.ACCEPT, 0), (Verdict.DROP, 1), (Verdict.REJECT, 1), (Verdict.UNKNOWN, 3), (Verdict.MAYBE, 3)],
)
def test_every_verdict_has_an_exit_code(verdict: Verdict, code: int) -> None:
    assert verdict_exit_code(verdict) == code


def test_a_name_that_the_terminal_cannot_show_is_written_all_the_same() -> None:
    program = (
        "import click, sys\nfrom tortie.cli.main import CommandGroup\n"
        "class One(CommandGroup):\n"
        "    def get_command(self, ctx, name):\n"
        "        return click.Command('do', callback=lambda: print(chr(0xb7) + chr(0xdcff)))\n"
        "One('tortie')(['do'])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"\\xb7\\udcff\n", b"")


WRONG_WORDS = {
    "an unknown command": (["trece"], "tortie: No such command 'trece'"),
    "an unknown option of a command": (["trace", "--nonsense"], "tortie: No such option '--nonsense'"),
    "an option without its value": (["trace", "-i"], "tortie: Option '-i' requires an argument"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_wrong_words_are_one_line(name: str) -> None:
    words, expected = WRONG_WORDS[name]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert result.stderr.startswith(expected)
    assert result.stderr.count("\n") == 1
    assert "--help)" in result.stderr
