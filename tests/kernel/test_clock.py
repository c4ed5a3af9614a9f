"""The agent while its clock is set, and while it stands still itself: nothing that it does depends on the time of day."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.kernel.agent_node import allow_from
from tests.kernel.clock_jump import DAY_S, TO_1970_S, check, clocked_node

pytestmark = pytest.mark.faketime


def test_the_clock_jumps_forward_and_back_to_1970(tmp_path: Path) -> None:
    with clocked_node(tmp_path, "directory", 1.0) as node:
        for port, ahead_s in ((7001, 365 * DAY_S), (7002, TO_1970_S)):
            node.clock.set(ahead_s)
            check(node, port)


@pytest.mark.etcd
def test_the_clock_jumps_while_etcd_is_asked(tmp_path: Path) -> None:
    """Calls that are under way at the jump are waited for as long as ever, and the lease is renewed in its time."""
    with clocked_node(tmp_path, "etcd", 1.0) as node:
        assert node.server is not None and node.server.process is not None
        lease = node.lease()
        node.server.process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        node.clock.set(-3652 * DAY_S)
        node.server.process.send_signal(signal.SIGCONT)
        check(node, 7001)
        assert node.lease() == lease
        assert "the datastore is lost" not in node.log.read_text()


def test_an_agent_takes_over_from_one_that_ran_later_by_the_clock(tmp_path: Path) -> None:
    with clocked_node(tmp_path, "directory", 1.0) as node:
        node.clock.set(365 * DAY_S)
        node.until(lambda: node.status()["time"].startswith(str(node.clock.now().year)), 3)
        node.kill()
        node.clock.set(TO_1970_S)
        steps = node.steps()
        node.start()
        node.until(node.is_ready)
        assert node.status()["time"].startswith("1970-")
        assert node.steps() == steps
        node.put(allow_from("p", "a", "b", 7001))
        assert node.until(lambda: node.holds_port(7001), 5) < 2


def test_much_time_at_once_is_caught_up_with_in_one_go(tmp_path: Path) -> None:
    """Stopped for several intervals of everything, with a change, damage and a probe waiting."""
    with clocked_node(tmp_path, "directory", 1.0) as node:
        assert node.agent is not None
        with node.node, socket.socket() as probe:
            node.agent.send_signal(signal.SIGSTOP)
            passes = len(node.passes())
            probe.connect(("127.0.0.1", 9099))
            probe.sendall(b"GET /liveness HTTP/1.1\r\n\r\n")
            node.put(allow_from("p", "a", "b", 7001))
            node.tool("ip", "route", "delete", "10.65.0.2")
            node.tool("iptables-nft", "-F", "cali-FORWARD")
            time.sleep(3)
            node.agent.send_signal(signal.SIGCONT)
            assert probe.recv(100).startswith(b"HTTP/1.1 204 ")
        node.until(lambda: node.holds_port(7001) and bool(node.rules("cali-FORWARD")), 3)
        assert "10.65.0.2 dev cali2 scope link" in node.tool("ip", "route")
        time.sleep(0.5)
        assert len(node.passes()) - passes <= 6  # what was waiting, and a refresh; one for each interval would be nine
        assert "more slowly" not in node.log.read_text()
