"""An agent whose clock is set, over a directory or etcd, and what must hold of it whatever the clock says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from tests.etcd_server import EtcdServer, etcd_server
from tests.kernel.agent_node import NODE, PROFILE, AgentNode, allow_from, workload
from tests.kernel.wall_clock import PRELUDE, WallClock

DAY_S = 86400
TO_1970_S = -1_795_000_000
"""From the time when this was written."""
TTL_S = 3
STATUS_KEY = f"/calico/felix/v2/no-region/host/{NODE}/status"
_PASS = re.compile(r'(?:programmed|nothing to program) steps=(\d+) parts=("[^"]*"|\S+)')


class ClockedNode(AgentNode):
    """A node with two pods; everything that is refreshed is so every `refresh_s`, and nothing is looked at in between."""

    def __init__(self, folder: Path, refresh_s: float) -> None:
        super().__init__(folder)
        self.refresh_s = refresh_s
        self.clock = WallClock(folder)
        self.server: EtcdServer | None = None
        self.prelude = PRELUDE
        self.started: list[int] = []
        refreshed = {f"FELIX_{name}REFRESHINTERVAL": str(refresh_s) for name in ("IPTABLES", "IPSETS", "ROUTE")}
        self.environment |= {
            **self.clock.environment,
            **refreshed,
            "FELIX_IPTABLESPOSTWRITECHECKINTERVALSECS": "1000",
            "FELIX_HEALTHENABLED": "true",
            "FELIX_REPORTINGINTERVALSECS": "1",
            "FELIX_REPORTINGTTLSECS": str(TTL_S),
        }
        for name, number in (("a", 2), ("b", 3)):
            self.add_pod(name, number)

    def start(self) -> None:
        super().start()
        assert self.agent is not None
        self.started.append(self.agent.pid)

    def close(self) -> None:
        super().close()
        for process in self.started:
            WallClock.forget(process)

    def put(self, *texts: str) -> None:
        """Writes resources to wherever the agent reads them."""
        if self.server is None:
            self.write("policy.yaml", *texts)
            return
        path = self.folder / "put.yaml"
        path.write_text("---\n".join(texts))
        command = [sys.executable, "-c", "from tortie.cli.main import main; main()", "apply", "-f", str(path)]
        where = {name: value for name, value in self.environment.items() if name.startswith("ETCD_")}
        environment = {**os.environ, **where, "ETCD_ENDPOINTS": self.server.endpoint}
        subprocess.run(command, check=True, capture_output=True, env=environment)

    # --- what there is -----------------------------------------------------------------------------------------------

    def holds_port(self, port: int) -> bool:
        """Whether the policy that lets pod a talk to a port of pod b is in the kernel."""
        jumps = [rule.split()[-1] for rule in self.rules("cali-tw-cali3") if "-j cali-pi-" in rule]
        return any(str(port) in rule for jump in jumps for rule in self.rules(jump))

    def passes(self) -> list[str]:
        """What each pass so far was about."""
        return [found[2].strip('"') for found in _PASS.finditer(self.log.read_text())]

    def refreshes(self) -> int:
        """How often sets have been read again so far."""
        return sum("check of ip sets" in parts for parts in self.passes())

    def steps(self) -> int:
        """How much was changed in the kernel so far."""
        return sum(int(found[1]) for found in _PASS.finditer(self.log.read_text()))

    def processor_s(self) -> float:
        """Seconds of a processor that the agent itself took so far."""
        assert self.agent is not None
        fields = Path(f"/proc/{self.agent.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def has_own_key(self) -> bool:
        """Whether the node's own key is in etcd."""
        assert self.server is not None
        return bool(self.server.ctl("get", STATUS_KEY).stdout)

    def lease(self) -> int:
        """The lease of the node's own key in etcd; the key must be there."""
        assert self.server is not None
        (found,) = json.loads(self.server.ctl("get", STATUS_KEY, "-w", "json").stdout)["kvs"]
        return int(found["lease"])

    def told_in_etcd(self) -> datetime:
        """The time in the node's own key."""
        assert self.server is not None
        return moment(json.loads(self.server.ctl("get", "--print-value-only", STATUS_KEY).stdout)["time"])


def moment(text: str) -> datetime:
    """A time as logs and status have it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@contextmanager
def clocked_node(folder: Path, source: str, refresh_s: float) -> Iterator[ClockedNode]:
    """A node whose agent has everything in place."""
    with ExitStack() as stack:
        node = ClockedNode(folder, refresh_s)
        stack.callback(node.close)
        if source == "etcd":
            stack.enter_context(node.node)
            node.server = stack.enter_context(etcd_server())
            node.source = "etcd"
            node.environment |= {"ETCD_ENDPOINTS": node.server.endpoint}
            node.put(PROFILE, workload("a", 2), workload("b", 3), allow_from("p", "a", "b", 7000))
        else:
            node.write("cluster.yaml", PROFILE, workload("a", 2), workload("b", 3))
            node.put(allow_from("p", "a", "b", 7000))
        node.start()
        node.until(node.is_ready)
        if node.server is not None:
            node.until(node.has_own_key)
        yield node


def check(node: ClockedNode, port: int) -> None:
    """Changes arrive, drift is repaired in its time and not before, and everybody is told so; nothing happens besides."""
    assert node.health("liveness") == 204, "right after the jump"
    begun, processor_s = time.monotonic(), node.processor_s()
    passes, refreshes = len(node.passes()), node.refreshes()
    node.put(allow_from("p", "a", "b", port))
    assert node.until(lambda: node.holds_port(port), 5, f"port {port}") < 3
    _check_repair(node)
    assert (node.health("liveness"), node.health("readiness")) == (204, 204)
    node.until(lambda: _is_now(node, node.status()["time"]), 3, "time of the status file")
    node.until(lambda: _is_now(node, _last_logged(node)), node.refresh_s + 2, "time of the log")
    if node.server is not None:
        node.until(lambda: abs((node.told_in_etcd() - node.clock.now()).total_seconds()) < 3, 3, "time in etcd")
    assert node.status()["datastoreLost"] is None and not node.status()["problems"]
    lasted = time.monotonic() - begun
    expected = lasted / node.refresh_s
    assert expected - 2 < node.refreshes() - refreshes < expected + 2
    # The change, the repair, and each refresh in at most three passes, since each part has a timer of its own.
    assert len(node.passes()) - passes <= 3 * (expected + 2) + 4
    assert node.processor_s() - processor_s < 0.3 + 0.25 * lasted


def _check_repair(node: ClockedNode) -> None:
    """A set that somebody changes is found by reading it again; the test begins right after that was done."""
    name = next(line.split()[1] for line in node.tool("ipset", "save").splitlines() if line.startswith("create cali40s"))
    before = node.refreshes()
    node.until(lambda: node.refreshes() > before, node.refresh_s + 2, "a refresh")
    begun = time.monotonic()
    node.tool("ipset", "add", name, "192.0.2.1")
    node.until(lambda: "192.0.2.1" not in node.tool("ipset", "list", name), node.refresh_s + 3, "a repair")
    assert 0.5 * node.refresh_s < time.monotonic() - begun < node.refresh_s + 2


def _is_now(node: ClockedNode, text: str) -> bool:
    return abs((moment(text) - node.clock.now()).total_seconds()) < 3


def _last_logged(node: ClockedNode) -> str:
    return [line for line in node.log.read_text().splitlines() if _PASS.search(line)][-1].split()[0]
