"""The agent on a disk that is full: neither its status nor its log is worth a packet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kernel.agent_node import PROFILE, AgentNode, allow_from, workload


@pytest.fixture
def node(tmp_path: Path) -> Iterator[AgentNode]:
    made = AgentNode(tmp_path)
    try:
        for name, number in (("a", 2), ("b", 3)):
            made.add_pod(name, number)
        made.write("cluster.yaml", PROFILE, workload("a", 2), workload("b", 3))
        made.write("policy.yaml", allow_from("p", "a", "b", 7000))
        yield made
    finally:
        made.close()


def holds_port(node: AgentNode, port: int) -> bool:
    jumps = [rule.split()[-1] for rule in node.rules("cali-tw-cali3") if "-j cali-pi-" in rule]
    return any(str(port) in rule for jump in jumps for rule in node.rules(jump))


def fill(path: Path) -> None:
    """Writes a file that takes all the space there is."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_the_status_stays_as_it_was_and_is_written_when_there_is_space_again(node: AgentNode) -> None:
    small = node.folder / "small"
    small.mkdir()
    # A file system of its own, in a mount namespace of its own, which ends with the agent.
    mount = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    node.before = ("unshare", "--mount", "sh", "-c", mount, str(small))
    node.environment["FELIX_REPORTINGINTERVALSECS"] = "1"
    node.status_file = small / "status.json"
    node.start()
    assert node.agent is not None
    seen = Path(f"/proc/{node.agent.pid}/root{small}")
    node.status_file = seen / "status.json"
    node.until(node.is_ready)
    fill(seen / "filler")
    before = node.status_file.read_text()
    node.write("policy.yaml", allow_from("p", "a", "b", 7001))
    assert node.until(lambda: holds_port(node, 7001), 5) < 2
    time.sleep(2.2)
    assert node.status_file.read_text() == before
    assert node.log.read_text().count("the status cannot be written: [Errno 28] No space left on device") == 1
    (seen / "filler").unlink()
    node.until(lambda: node.status_file.read_text() != before, 3)
    assert node.is_ready() and os.listdir(seen) == ["status.json"]
    node.until(lambda: "the status can be written again" in node.log.read_text(), 2)


def test_lines_that_cannot_be_logged_are_counted_and_lost(node: AgentNode) -> None:
    node.prelude = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2); "
    node.environment["FELIX_PROMETHEUSMETRICSENABLED"] = "true"
    node.start()
    node.until(node.is_ready)
    before = node.metric("felix_log_errors")
    assert before > 0
    node.write("policy.yaml", allow_from("p", "a", "b", 7001))
    assert node.until(lambda: holds_port(node, 7001), 5) < 2
    node.until(lambda: node.metric("felix_log_errors") > before, 2)
    assert node.end() == 0
    assert node.log.read_text() == ""
