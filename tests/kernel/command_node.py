"""A node in a network namespace of its own, and `tortie` run on it as a user would."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from tests.kernel.oracle.namespace import Namespace
from tortie.cli.main import main

ROOT = Path(__file__).parents[2]
RESOURCES = str(ROOT / "examples" / "reference-node" / "resources")
"""Those of the reference node, whose name is `reference`."""
BUILD = """
sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1
ip link set lo up
ip link add eth0 type veth peer name p0
ip link set eth0 up
ip link set p0 up
ip addr add 10.20.0.11/24 dev eth0
ip route add default via 10.20.0.1
"""
PROGRAMS = ("iptables", "ip6tables")
BACKENDS = ("legacy", "nft")
_COUNTERS = re.compile(r"\[\d+:\d+\]")
_BY_LOT = re.compile(r" (?:hashsize|bucketsize|initval) \S+")


class CommandNode:
    """The node; `name` is what the resources call it."""

    def __init__(self, name: str = "reference") -> None:
        self.name = name
        self.namespace = Namespace()
        for line in BUILD.strip().splitlines():
            self.namespace.run(line.split())

    def tortie(self, *words: str, env: dict[str, str] | None = None) -> Result:
        """Runs a command inside; what it raised is raised."""
        with self.namespace:
            return CliRunner().invoke(main, list(words), env={"SSH_CONNECTION": "", **(env or {})}, catch_exceptions=False)

    def command(self, verb: str, *words: str, resources: str = RESOURCES, env: dict[str, str] | None = None) -> Result:
        """Runs one of the commands that take resources."""
        return self.tortie(verb, resources, "--node", self.name, *words, env=env)

    def run(self, command: str | Sequence[str], text: str | None = None) -> str:
        """Runs any program inside; returns its output."""
        return self.namespace.run(command.split() if isinstance(command, str) else command, text)

    # --- what the kernel holds ---

    def rules(self, backend: str, program: str = "iptables") -> str:
        """What iptables-save prints, without its comments."""
        return without_comments(self.run(f"{program}-{backend}-save"))

    def sets(self) -> dict[str, tuple[str, set[str]]]:
        """Each set's `create` line without what the kernel draws by lot or grows, and its members."""
        return set_lines(self.run("ipset save"))

    def everything(self) -> tuple[object, ...]:
        """All rules of all back-ends and families, without counters, and all sets."""
        rules = [_COUNTERS.sub("[0:0]", self.rules(backend, program)) for program in PROGRAMS for backend in BACKENDS]
        return (*rules, self.sets())


@contextmanager
def command_node(name: str = "reference") -> Iterator[CommandNode]:
    """A node that is gone afterwards."""
    node = CommandNode(name)
    try:
        yield node
    finally:
        node.namespace.close()


def without_comments(text: str) -> str:
    """The text without lines that begin with #: they hold the time."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def set_lines(text: str) -> dict[str, tuple[str, set[str]]]:
    """The sets of an `ipset save` text, by name."""
    found: dict[str, tuple[str, set[str]]] = {}
    for line in text.splitlines():
        if line.startswith("create "):
            found[line.split()[1]] = (_BY_LOT.sub("", line), set())
        elif line.startswith("add "):
            found[line.split()[1]][1].add(line)
    return found
