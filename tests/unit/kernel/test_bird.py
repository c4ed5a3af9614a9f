"""BIRD's files and daemon, with the tools' answers as values; real daemons are in tests/kernel/test_bird.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tortie.kernel.bird import BirdChange, BirdDaemon, program_bird
from tortie.kernel.refusal import KernelRefused
from tortie.kernel.run import Ran

FILES = {"bird_aggr.cfg": "one;\n", "bird.cfg": 'include "bird_aggr.cfg";\ntwo;\n'}


GOOD = Ran(0)
TAKEN = Ran(0, b"BIRD 2.0.12 ready.\nReading configuration from x\nReconfigured\n")


@dataclass
class Tools:
    """What is answered to the check and to the daemon's client; remembers what was asked."""

    check: Ran = GOOD
    client: Ran = TAKEN
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, command: Sequence[str], data: bytes = b"") -> Ran:
        self.asked.append(list(command))
        return self.check if "-p" in command else self.client


@pytest.fixture
def daemon(tmp_path: Path) -> BirdDaemon:
    return BirdDaemon("bird", "birdc", tmp_path / "etc", "bird.cfg", tmp_path / "ctl")


def _listening(daemon: BirdDaemon) -> None:
    daemon.control.touch()


def _held(daemon: BirdDaemon) -> dict[str, str]:
    return {path.name: path.read_text() for path in daemon.folder.iterdir()}


def test_new_files_are_checked_written_and_taken_over(daemon: BirdDaemon) -> None:
    _listening(daemon)
    tools = Tools()
    assert program_bird(tools, daemon, FILES) == BirdChange(written=True, reloaded=True)
    assert _held(daemon) == FILES
    assert [command[0] for command in tools.asked] == ["bird", "birdc"]


def test_the_same_files_again_are_nobodys_business(daemon: BirdDaemon) -> None:
    _listening(daemon)
    program_bird(Tools(), daemon, FILES)
    tools = Tools()
    assert program_bird(tools, daemon, FILES) == BirdChange(written=False, reloaded=False)
    assert tools.asked == []


def test_without_a_daemon_files_are_written_all_the_same(daemon: BirdDaemon) -> None:
    assert program_bird(Tools(), daemon, FILES) == BirdChange(written=True, reloaded=False)


DEAD = {
    "said on stderr": Ran(1, b"", "Unable to connect to server control socket (ctl): Connection refused\n"),
    "said on stdout": Ran(1, b"Unable to connect to server control socket\n"),
}


@pytest.mark.parametrize("answer", DEAD.values(), ids=DEAD)
def test_a_socket_that_nobody_listens_on_is_no_daemon(daemon: BirdDaemon, answer: Ran) -> None:
    _listening(daemon)
    assert program_bird(Tools(client=answer), daemon, FILES) == BirdChange(written=True, reloaded=False)


REFUSALS = {
    "the line is shown": (
        Tools(check=Ran(1, b"", "bird: /x/.new/bird.cfg:2:1 syntax error\n")),
        r"bird\.cfg:2: syntax error \(at `two;`\)",
    ),
    "in an included file": (
        Tools(check=Ran(1, b"", "bird: /x/.new/bird_aggr.cfg:1:4 No such thing\n")),
        r"bird_aggr\.cfg:1: No such thing \(at `one;`\)",
    ),
    "without a place": (Tools(check=Ran(1, b"", "bird: out of memory\n")), "out of memory"),
    "not installed": (Tools(check=Ran(127)), "not installed"),
}


@pytest.mark.parametrize(("tools", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_refused_changes_nothing(daemon: BirdDaemon, tools: Tools, message: str) -> None:
    program_bird(Tools(), daemon, FILES)
    with pytest.raises(KernelRefused, match=message):
        program_bird(tools, daemon, FILES | {"bird_aggr.cfg": "one;\nthree;\n"})
    assert _held(daemon) == FILES


def test_a_daemon_that_does_not_take_them_over_is_a_failure(daemon: BirdDaemon) -> None:
    _listening(daemon)
    tools = Tools(client=Ran(0, b"BIRD 2.0.12 ready.\nbird.cfg:2:1 syntax error\n"))
    with pytest.raises(KernelRefused, match=r"configure`: bird\.cfg:2:1 syntax error"):
        program_bird(tools, daemon, FILES)


def test_the_main_file_must_be_there(daemon: BirdDaemon) -> None:
    with pytest.raises(ValueError, match=r"bird\.cfg is not among the files"):
        program_bird(Tools(), daemon, {"other": ""})
