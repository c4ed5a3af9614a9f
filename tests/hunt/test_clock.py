"""Each jump of the clock over each datastore at the pace of a node in earnest, and an agent that stands still for long.

The short form is tests/kernel/test_clock.py.
"""

from __future__ import annotations

import signal
import socket
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.etcd_server import TlsFiles, etcd_server
from tests.kernel.agent_node import PROFILE, allow_from, workload
from tests.kernel.clock_jump import DAY_S, TO_1970_S, TTL_S, ClockedNode, check, clocked_node
from tests.requirement import missing_for_etcd, missing_for_faketime, missing_for_kernel

MISSING = missing_for_kernel() or missing_for_etcd() or missing_for_faketime()
pytestmark = [pytest.mark.skipif(MISSING is not None, reason=str(MISSING)), pytest.mark.timeout(600)]

JUMPS = {
    "a year forward": (365 * DAY_S,),
    "ten years back": (-3652 * DAY_S,),
    "to 1970": (TO_1970_S,),
    "there and back": (40 * 365 * DAY_S, TO_1970_S, 0),
    "small steps": (1, -1, 2, -2, 5, -5, 0),
}


@pytest.mark.parametrize("source", ["directory", "etcd"])
@pytest.mark.parametrize("jumps", JUMPS.values(), ids=list(JUMPS))
def test_jumps(tmp_path: Path, source: str, jumps: tuple[int, ...]) -> None:
    with clocked_node(tmp_path, source, 3.0) as node:
        lease = node.lease() if node.server is not None else 0
        for number, ahead_s in enumerate(jumps):
            node.clock.set(ahead_s)
            check(node, 7001 + number)
        if node.server is not None:
            assert node.lease() == lease
        assert "the datastore is lost" not in node.log.read_text()


@pytest.mark.parametrize("source", ["directory", "etcd"])
def test_a_clock_that_never_rests(tmp_path: Path, source: str) -> None:
    """Set five times a second, as by two programs that disagree; nothing is done more often for it."""
    with clocked_node(tmp_path, source, 2.0) as node:
        lease = node.lease() if node.server is not None else 0
        time.sleep(node.refresh_s)
        refreshes, passes, begun = node.refreshes(), len(node.passes()), time.monotonic()
        for number in range(60):
            node.clock.set((-1) ** number * 3600)
            if number == 30:
                node.put(allow_from("p", "a", "b", 7001))
            time.sleep(0.2)
        assert node.holds_port(7001)
        expected = (time.monotonic() - begun) / node.refresh_s
        assert expected - 2 < node.refreshes() - refreshes < expected + 2
        assert len(node.passes()) - passes <= 3 * (expected + 2) + 1
        node.clock.set(0)
        check(node, 7002)
        if node.server is not None:
            assert node.lease() == lease


def test_certificates_that_ran_out_keep_a_connection_and_let_none_begin(tmp_path: Path) -> None:
    """By the clock that was set; what is programmed stands, and the log says why no connection comes about."""
    with closing(ClockedNode(tmp_path, 3.0)) as node, node.node:
        soon = datetime.now(UTC) + timedelta(days=30)
        tls = certificates(tmp_path, soon)
        with etcd_server(tls=tls) as server:
            node.source = "etcd"
            node.server = server
            node.environment |= {"ETCD_ENDPOINTS": server.endpoint, **calico_names(tls)}
            node.put(PROFILE, workload("a", 2), workload("b", 3), allow_from("p", "a", "b", 7000))
            node.start()
            node.until(node.is_ready)
            node.clock.set(365 * DAY_S)
            node.put(allow_from("p", "a", "b", 7001))
            assert node.until(lambda: node.holds_port(7001), 5) < 2
            server.kill()
            server.start()
            node.until(lambda: node.status()["datastoreLost"] is not None, 20)
            node.until(lambda: "certificate has expired" in node.log.read_text(), 20)
            node.put(allow_from("p", "a", "b", 7002))
            time.sleep(3)
            assert node.holds_port(7001) and not node.holds_port(7002)
            node.clock.set(0)
            node.until(lambda: node.holds_port(7002) and node.status()["datastoreLost"] is None, 20)


def certificates(folder: Path, not_after: datetime) -> TlsFiles:
    """Of a server and a client, valid for so long."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    one = authority.issue_cert("127.0.0.1", "localhost", not_after=not_after)
    one.private_key_pem.write_to_path(str(folder / "one.key"))
    one.cert_chain_pems[0].write_to_path(str(folder / "one.pem"))
    return TlsFiles(folder / "one.pem", folder / "one.key", folder / "authority.pem")


def calico_names(tls: TlsFiles) -> dict[str, str]:
    """Where the client's side is to be found, as calicoctl is told."""
    return {
        "ETCD_CA_CERT_FILE": str(tls.authority),
        "ETCD_CERT_FILE": str(tls.certificate),
        "ETCD_KEY_FILE": str(tls.key),
    }


def stand_still(node: ClockedNode, seconds: float) -> None:
    """Stops the agent as SIGSTOP does, and lets it go on."""
    assert node.agent is not None
    node.agent.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    node.agent.send_signal(signal.SIGCONT)


def test_a_lease_that_ran_out_meanwhile_is_replaced(tmp_path: Path) -> None:
    with clocked_node(tmp_path, "etcd", 1.0) as node:
        lease = node.lease()
        stand_still(node, TTL_S + 2.5)
        node.until(lambda: node.has_own_key() and node.lease() != lease, 5, "a new lease")
        assert node.status()["datastoreLost"] is None
        check(node, 7001)


@pytest.mark.parametrize("source", ["directory", "etcd"])
def test_longer_than_anything_is_waited_for(tmp_path: Path, source: str) -> None:
    """Longer than liveness allows for a sign of life, and than etcd's connection is kept without one."""
    with clocked_node(tmp_path, source, 3.0) as node:
        assert node.agent is not None
        with node.node, socket.socket() as probe:
            node.agent.send_signal(signal.SIGSTOP)
            passes = len(node.passes())
            probe.connect(("127.0.0.1", 9099))
            probe.sendall(b"GET /liveness HTTP/1.1\r\n\r\n")
            node.put(allow_from("p", "a", "b", 7001))
            node.tool("iptables-nft", "-F", "cali-FORWARD")
            time.sleep(75)
            node.agent.send_signal(signal.SIGCONT)
            assert probe.recv(100).startswith(b"HTTP/1.1 204 ")
        node.until(lambda: bool(node.rules("cali-FORWARD")), 3, "repair")
        node.until(lambda: node.holds_port(7001), 10, "the change")
        assert len(node.passes()) - passes <= 9
        node.until(lambda: node.status()["datastoreLost"] is None, 5)
        check(node, 7002)
