"""Nodes with a real BIRD each on one Ethernet, in network namespaces of their own; for the tests of BGP."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.kernel.oracle.namespace import Namespace
from tortie.bgp.bird1 import bird1_files
from tortie.bgp.bird2 import MAIN_FILE, bird2_files
from tortie.bgp.view import speaker_of
from tortie.kernel.bird import BirdChange, BirdDaemon, program_bird
from tortie.kernel.run import Ran
from tortie.model.read import Resources

BIRD1_FOLDER = Path(__file__).parents[2] / ".tools" / "bird1" / "usr" / "sbin"
"""Where `tools/setup packages` unpacks BIRD 1.6, which cannot be installed beside BIRD 2."""
LONGEST_WAIT_S = 100.0
"""Sessions are up after 2 to 7 seconds; when both ends have called at once, BIRD may wait a minute before the next try."""
STEADY_S = 2.0
"""A session that both ends opened at once may end again within this time."""


@dataclass(frozen=True)
class Version:
    """A release of BIRD: its programs, and how its configuration is made."""

    program: str
    client: str
    main_file: str
    files: Callable[[Resources, str], dict[str, str]]

    @property
    def missing(self) -> str | None:
        """Why it cannot be run here."""
        return None if shutil.which(self.program) else f"{self.program} is not installed"


BIRD1 = Version(
    str(BIRD1_FOLDER / "bird"),
    str(BIRD1_FOLDER / "birdc"),
    "bird.cfg",
    lambda resources, name: bird1_files(speaker_of(resources, name)),
)
BIRD2 = Version("bird", "birdc", MAIN_FILE, lambda resources, name: bird2_files(speaker_of(resources, name)))


@dataclass
class BirdNode:
    """A node: its namespace, its daemon."""

    name: str
    namespace: Namespace
    folder: Path
    version: Version
    process: subprocess.Popen[bytes] | None = None

    @property
    def daemon(self) -> BirdDaemon:
        """Its BIRD, as the code under test wants it."""
        version = self.version
        return BirdDaemon(version.program, version.client, self.folder, version.main_file, self.folder / "ctl")

    def run(self, command: Sequence[str], data: bytes = b"") -> Ran:
        """Runs a tool inside, as `kernel.run.run_tool` does."""
        with self.namespace:
            done = subprocess.run(command, input=data, capture_output=True, check=False)
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    def program(self, files: dict[str, str]) -> BirdChange:
        """Brings its BIRD to run on these files."""
        return program_bird(self.run, self.daemon, files)

    def configure(self, resources: Resources) -> BirdChange:
        """Brings its BIRD to do what resources say."""
        return self.program(self.version.files(resources, self.name))

    def start(self) -> None:
        """Starts BIRD in the foreground, recovering gracefully as Calico has it."""
        command = [
            self.version.program,
            "-f",
            "-R",
            "-s",
            str(self.folder / "ctl"),
            "-c",
            str(self.folder / self.version.main_file),
        ]
        with self.namespace, (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kills BIRD, which has no time to say good-bye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def asked(self, *words: str) -> str:
        """What BIRD answers over its control socket."""
        ran = self.run([self.version.client, "-s", str(self.folder / "ctl"), *words])
        return ran.out.decode() + ran.error

    def established(self) -> dict[str, str]:
        """Sessions that are up, each with the time since when."""
        rows = re.findall(r"^(\w+)\s+BGP\s+\S+\s+up\s+(\S+)\s+Established", self.asked("show", "protocols"), re.MULTILINE)
        return dict(rows)

    def routes(self) -> list[str]:
        """The IPv4 routes that BIRD put into the kernel."""
        shown = self.run(["ip", "route", "show", "proto", "bird"]).out.decode()
        return sorted(re.sub(r" (?:metric|onlink|proto).*", "", line).strip() for line in shown.splitlines())


def wait_for_sessions(node: BirdNode, *names: str) -> None:
    """Waits until these sessions are up, no others, and have been for a while."""
    found, since = node.established(), time.monotonic()

    def steady() -> bool:
        nonlocal found, since
        now = node.established()
        if now != found or now.keys() != set(names):
            found, since = now, time.monotonic()
        return time.monotonic() - since >= STEADY_S

    wait_until(steady, lambda: node.asked("show", "protocols"))


@dataclass
class BirdNetwork:
    """A switch, and nodes on it; as a context manager it takes all of it away."""

    folder: Path
    nodes: dict[str, BirdNode] = field(default_factory=dict)
    switch: Namespace = field(default_factory=Namespace)

    def __enter__(self) -> BirdNetwork:
        for line in ("link set lo up", "link add br0 type bridge", "link set br0 up"):
            self.switch.run(["ip", *line.split()])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for node in self.nodes.values():
            node.kill()
            node.namespace.close()
        self.switch.close()

    def add(self, name: str, *addresses: str, version: Version) -> BirdNode:
        """A node with these addresses; its BIRD is started once it is configured."""
        namespace = Namespace()
        port = f"p{len(self.nodes)}"
        target = f"/proc/{os.getpid()}/fd/{namespace.descriptor}"
        self.switch.run(["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", target])
        for line in (f"link set {port} master br0", f"link set {port} up"):
            self.switch.run(["ip", *line.split()])
        for line in ("link set lo up", "link set eth0 up", *(f"addr add {address} dev eth0" for address in addresses)):
            namespace.run(["ip", *line.split()])
        folder = self.folder / name
        folder.mkdir()
        self.nodes[name] = BirdNode(name, namespace, folder, version)
        return self.nodes[name]


def wait_until(reached: Callable[[], bool], what: Callable[[], object]) -> None:
    """Waits for something that BIRD does in its own time; fails with what there is instead."""
    end = time.monotonic() + LONGEST_WAIT_S
    while not reached():
        assert time.monotonic() < end, what()
        time.sleep(0.1)
