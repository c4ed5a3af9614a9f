"""A node with pods, each a network namespace, and a real agent process that looks after it.

The node forwards; pods reach it by a veth pair whose end on the node is the workload's interface, and everything else by a
neighbour that is not there (169.254.1.1), for which the node answers once proxy ARP is on, as Calico's CNI plugin has it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kernel.oracle.namespace import Namespace

NODE = "node-1"
_NODE_BATCH = """\
link set lo up
link add eth0 type veth peer name eth0peer
link set eth0 up
link set eth0peer up
address add 10.20.0.1/24 dev eth0
route add default via 10.20.0.254 dev eth0
"""
"""A way to everywhere: the node answers only for neighbours that it has a route to (arp_process in net/ipv4/arp.c)."""
_POD_BATCH = """\
link set lo up
link set eth0 up
address add {address}/32 dev eth0
route add 169.254.1.1 dev eth0 scope link
route add default via 169.254.1.1 dev eth0
"""
PROFILE = """\
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: kns.prod}
spec: {ingress: [{action: Allow}], egress: [{action: Allow}]}
"""


def workload(name: str, number: int) -> str:
    return f"""\
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: node--1-k8s-{name}-eth0, namespace: prod, labels: {{app: {name}}}}}
spec: {{node: {NODE}, orchestrator: k8s, pod: {name}, endpoint: eth0, interfaceName: cali{number},
  ipNetworks: [10.65.0.{number}/32], profiles: [kns.prod]}}
"""


def allow_from(name: str, source: str, to: str, port: int) -> str:
    return f"""\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: {name}, namespace: prod}}
spec:
  selector: app == '{to}'
  types: [Ingress]
  ingress:
    - {{action: Allow, protocol: UDP, source: {{selector: app == '{source}'}}, destination: {{ports: [{port}]}}}}
    - {{action: Allow, protocol: TCP, source: {{selector: app == '{source}'}}, destination: {{ports: [{port}]}}}}
"""


@dataclass
class AgentNode:
    """The namespaces, a directory of resources and the agent; `close` ends all of it."""

    folder: Path
    backend: str = "nft"
    environment: dict[str, str] = field(default_factory=dict)
    source: str = ""
    """What `--source` is; the directory of resources if nothing is said."""
    prelude: str = ""
    """Python that the agent's process runs first."""
    before: tuple[str, ...] = ()
    """A command that makes something ready and becomes the agent."""

    def __post_init__(self) -> None:
        self.node = Namespace()
        self.pods: dict[str, Namespace] = {}
        self.resources = self.folder / "resources"
        self.resources.mkdir()
        self.status_file = self.folder / "status.json"
        self.log = self.folder / "agent.log"
        self.agent: subprocess.Popen[bytes] | None = None
        self.node.run(["ip", "-batch", "-"], _NODE_BATCH)
        self.node.write_sysctls([("net/ipv4/ip_forward", "1")])

    def add_pod(self, name: str, number: int) -> Namespace:
        """A pod with the address 10.65.0.NUMBER; its resource is not written."""
        pod = self.pods[name] = Namespace()
        with pod:
            inside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        with self.node:
            peer = ["peer", "name", "eth0", "netns", f"/proc/self/fd/{inside}"]
            subprocess.run(["ip", "link", "add", f"cali{number}", "type", "veth", *peer], check=True, pass_fds=(inside,))
            subprocess.run(["ip", "link", "set", f"cali{number}", "up"], check=True)
        os.close(inside)
        pod.run(["ip", "-batch", "-"], _POD_BATCH.format(address=f"10.65.0.{number}"))
        return pod

    def write(self, name: str, *texts: str) -> None:
        """A file of resources, moved into its place as a whole."""
        path = self.resources / name
        aside = path.with_suffix(".tmp")
        aside.write_text("---\n".join(texts))
        aside.rename(path)

    # --- the agent ---

    def start(self) -> None:
        """Starts the agent; what it logs is added to the file."""
        command = [
            *self.before,
            sys.executable,
            "-c",
            f"{self.prelude}from tortie.cli.main import main; main()",
            "agent",
            "--source",
            self.source or str(self.resources),
        ]
        command += ["--node", NODE, "--status-file", str(self.status_file), "--backend", self.backend]
        environment = {**os.environ, "XTABLES_LOCKFILE": str(self.folder / "lock"), **self.environment}
        environment["FELIX_LOGSEVERITYSCREEN"] = "debug"
        with self.node, self.log.open("ab") as log:
            self.agent = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def kill(self) -> None:
        """Kills the agent and every tool that it runs, at once."""
        assert self.agent is not None
        with suppress(ProcessLookupError):
            os.killpg(self.agent.pid, signal.SIGKILL)
        self.agent.wait()
        self.agent = None

    def end(self) -> int:
        """Asks the agent to end; its exit code."""
        assert self.agent is not None
        self.agent.terminate()
        code = self.agent.wait(30)
        self.agent = None
        return code

    def close(self) -> None:
        if self.agent is not None:
            self.kill()
        for namespace in (self.node, *self.pods.values()):
            namespace.close()

    # --- what there is ---

    def metric(self, name: str) -> float:
        """A figure of the page of metrics; it must be enabled."""
        with self.node, urllib.request.urlopen("http://127.0.0.1:9091/metrics", timeout=5) as page:
            text = page.read().decode()
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))

    def health(self, page: str) -> int:
        """The code that a page of health answers; it must be enabled."""
        with self.node:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:9099/{page}", timeout=5) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as refusal:
                return refusal.code

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.status_file.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def is_ready(self) -> bool:
        """True when this agent, not one before it, says that it is."""
        status = self.status()
        return bool(status.get("ready")) and self.agent is not None and status["pid"] == self.agent.pid

    def until(self, reached: Callable[[], bool], seconds: float = 20.0, what: str = "") -> float:
        """Waits until something is so; returns how long that took."""
        start = time.monotonic()
        while not reached():
            if time.monotonic() - start > seconds or (self.agent is not None and self.agent.poll() is not None):
                raise AssertionError(f"{what or reached} not within {seconds} s: {self.log.read_text()[-3000:]}")
            time.sleep(0.01)
        return time.monotonic() - start

    def rules(self, chain: str) -> list[str]:
        """The rules of an IPv4 chain of filter, as printed."""
        with self.node:
            ran = subprocess.run(
                [f"iptables-{self.backend}-save", "-t", "filter"], capture_output=True, text=True, check=True,
                env={**os.environ, "XTABLES_LOCKFILE": str(self.folder / "lock")},
            )  # fmt: skip
        return [line for line in ran.stdout.splitlines() if line.startswith(f"-A {chain} ")]

    def tool(self, *command: str) -> str:
        """Runs a tool on the node, as somebody else would."""
        return self.node.run(command, environment={"XTABLES_LOCKFILE": str(self.folder / "lock")})


def udp_socket(namespace: Namespace, address: str, port: int) -> socket.socket:
    """A socket in a pod that never waits."""
    with namespace:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    made.setblocking(False)
    return made
