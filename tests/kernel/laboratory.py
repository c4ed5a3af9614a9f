"""Laboratories for the tests: the commands as a user types them, under names of this run's own, and what is left of one."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tortie.lab.machine import FOLDER, Machine

TORTIE = Path(sys.executable).parent / "tortie"
EXAMPLES = Path(__file__).parents[2] / "examples" / "lab"
LONGEST_S = 200
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    error: str


@dataclass
class Laboratory:
    """One topology; `close` takes away whatever is there of it."""

    file: Path
    name: str
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, topology: Mapping[str, Any], files: Mapping[str, str] | None = None) -> Laboratory:
        """A laboratory of a topology, under a name that no other run has."""
        number = next(_NUMBERS)
        name = f"t{os.getpid()}-{number}"
        home = folder / name
        home.mkdir()
        for path, text in (files or {}).items():
            (home / path).write_text(text)
        file = home / "lab.yaml"
        file.write_text(json.dumps({**topology, "name": name}))
        return cls(file, name)

    @classmethod
    def example(cls, folder: Path, name: str, **changed: Any) -> Laboratory:
        """One of the examples, with some fields changed."""
        home = EXAMPLES / name
        files = {path.name: path.read_text() for path in home.glob("*.yaml") if path.name != "lab.yaml"}
        return cls.of(folder, {**yaml.safe_load((home / "lab.yaml").read_text()), **changed}, files)

    @property
    def machine(self) -> Machine:
        """What belongs to it on this machine."""
        return Machine(self.name)

    def run(self, *words: str, before: Sequence[str] = ()) -> Said:
        """Runs a command of `tortie lab` to its end; `before` are words in front of the program."""
        done = subprocess.run(
            [*before, str(TORTIE), "lab", *words],
            capture_output=True, text=True, check=False, env={**os.environ, **self.environment}, timeout=LONGEST_S,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    def up(self, *words: str, before: Sequence[str] = ()) -> Said:
        """Brings it up."""
        return self.run("up", str(self.file), *words, before=before)

    def verify(self, *words: str) -> Said:
        """Verifies it."""
        return self.run("verify", str(self.file), *words)

    def tries(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Verifies it; all tries by both ends and the probe."""
        said = self.verify("--json")
        return {(one["from"], one["to"], one["probe"]): one for one in json.loads(said.out)}

    def down(self) -> Said:
        """Takes it away."""
        return self.run("down", self.name)

    def up_until(self, step: str, end: signal.Signals = signal.SIGKILL) -> int:
        """Begins to bring it up, and ends the command as soon as it has come to a step; its exit code."""
        process = subprocess.Popen(
            [str(TORTIE), "lab", "up", str(self.file)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        watchdog = threading.Timer(LONGEST_S, process.kill)
        watchdog.start()
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.endswith(f": {step}\n"):
                break
        os.kill(process.pid, end)
        code = process.wait()
        process.stderr.close()
        watchdog.cancel()
        assert said[-1].endswith(f": {step}\n"), said
        return code

    def remains(self) -> list[str]:
        """What is there of it: namespaces, files, programs that work on its files."""
        found = [*self.machine.namespaces(), *(str(path) for path in (FOLDER / self.name,) if path.exists())]
        mark = f"{FOLDER / self.name}/".encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mark in (command := path.read_bytes()):
                    found.append(command.replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def close(self) -> None:
        """Takes away whatever is there."""
        if self.machine.exists():
            self.machine.remove()
